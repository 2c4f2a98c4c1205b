//! What the tests of whole flows share: a local stack with its clients, and waiting for an outcome.
//!
//! Every test starts a stack of its own, on a free port and in a directory of its own. Nothing here
//! sleeps until something has probably happened: it waits for the outcome, with a deadline, and says
//! what was seen last when the deadline has passed.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod batches;
pub mod clock;
mod eventually;
mod mandrill;
mod page;
mod receiver;
mod socket;
mod sse;
mod stack;

pub use batches::{batch, ids, noise, numbers, of_message, send, sends};
pub use eventually::{DEADLINE, eventually};
pub use mandrill::{Mandrill, form};
pub use page::{Answer, Http};
pub use receiver::{Received, Receiver, Reply};
pub use socket::{Message, Socket};
pub use sse::{Sse, SseEvent};
pub use stack::{FeedReader, TestStack};
