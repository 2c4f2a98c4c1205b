//! What Mandrill (Mailchimp Transactional) sends: a form body, its signature, a batch of events.
//!
//! The way of a request through this crate: [`Form::parse`] decodes the body, [`verify`] checks the
//! signature before any JSON is looked at, [`Form::events`] cuts the batch into [`RawEvent`]s without
//! rebuilding them, and [`RawEvent::facts`] reads what is worth knowing about each.
//!
//! Nothing here does I/O, reads a clock or logs, and nothing a stranger can send makes it panic.
//! One odd event never spoils its batch: it comes out as it was received, of kind `unknown`.

pub mod batch;
mod canonical;
pub mod facts;
mod fields;
pub mod form;
pub mod former;
mod json;
mod kind;
mod raw;
mod salvage;
#[cfg(test)]
mod scaling;
pub mod signature;

pub use batch::{MAX_EVENTS, split};
pub use facts::{Facts, message_key};
pub use form::{BATCH_FIELD, Form};
pub use former::FormerIdentity;
pub use kind::{KINDS, Kind, UNKNOWN, is_documented};
pub use raw::RawEvent;
pub use signature::{SignatureError, WebhookKey, is_creation_check, secrets_match, sign, verify};
