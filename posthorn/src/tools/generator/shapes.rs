//! The shapes of Mandrill's events, oddities included: an empty `metadata` is `[]`, a `reject` is null, text or an
//! object, and the `location` of an open inside a message is text.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// An event about a message that was sent.
#[derive(Serialize)]
pub(super) struct MessageEvent<'a> {
    pub(super) event: &'static str,
    pub(super) msg: &'a Msg,
    pub(super) _id: &'a str,
    pub(super) ts: i64,
}

/// An open or a click.
#[derive(Serialize)]
pub(super) struct TrackingEvent<'a> {
    pub(super) event: &'static str,
    pub(super) _id: &'a str,
    pub(super) msg: TrackedMsg<'a>,
    pub(super) ts: i64,
    pub(super) user_agent_parsed: Option<&'a UserAgent>,
    pub(super) ip: &'a str,
    pub(super) location: Option<&'a Location>,
    pub(super) user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) url: Option<&'a str>,
}

/// The message of an open or a click, which Mandrill may not have at hand any more.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum TrackedMsg<'a> {
    Known(&'a Msg),
    Null,
    Empty([(); 0]),
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Msg {
    pub(super) ts: i64,
    pub(super) _id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) _version: Option<String>,
    pub(super) state: &'static str,
    pub(super) subject: String,
    pub(super) email: String,
    pub(super) sender: &'static str,
    pub(super) tags: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) opens: Option<Vec<Open>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clicks: Option<Vec<Click>>,
    pub(super) smtp_events: Vec<SmtpEvent>,
    pub(super) resends: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Metadata>,
    pub(super) subaccount: Option<&'static str>,
    pub(super) template: Option<&'static str>,
    pub(super) reject: Option<Reject>,
    #[serde(flatten)]
    pub(super) bounce: Option<Bounce>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Open {
    pub(super) ts: i64,
    pub(super) ip: String,
    pub(super) location: Option<String>,
    pub(super) ua: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Click {
    pub(super) ts: i64,
    pub(super) url: String,
    pub(super) ip: String,
    pub(super) location: Option<String>,
    pub(super) ua: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct SmtpEvent {
    pub(super) ts: i64,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) diag: &'static str,
    pub(super) source_ip: String,
    pub(super) destination_ip: String,
    pub(super) size: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Bounce {
    pub(super) bounce_description: &'static str,
    pub(super) bgtools_code: u32,
    pub(super) diag: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Reject {
    Reason(&'static str),
    Detailed {
        reason: &'static str,
        last_event_at: Option<String>,
    },
}

/// What the sender attached to a message.
#[derive(Debug, Clone)]
pub(super) struct Metadata(pub(super) Vec<(&'static str, MetadataValue)>);

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum MetadataValue {
    Number(u64),
    Text(String),
}

impl Serialize for Metadata {
    /// PHP does not tell an empty object from an empty list.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return [(); 0].serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[derive(Debug, Serialize)]
pub(super) struct UserAgent {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) ua_family: &'static str,
    pub(super) ua_name: &'static str,
    pub(super) ua_version: Option<&'static str>,
    pub(super) ua_url: &'static str,
    pub(super) ua_company: &'static str,
    pub(super) ua_company_url: &'static str,
    pub(super) ua_icon: &'static str,
    pub(super) os_family: &'static str,
    pub(super) os_name: &'static str,
    pub(super) os_url: &'static str,
    pub(super) os_company: &'static str,
    pub(super) os_company_url: &'static str,
    pub(super) os_icon: &'static str,
    pub(super) mobile: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Location {
    pub(super) country_short: &'static str,
    pub(super) country: &'static str,
    pub(super) region: &'static str,
    pub(super) city: &'static str,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) postal_code: &'static str,
    pub(super) timezone: &'static str,
}

/// A change of the deny list or the allow list.
#[derive(Serialize)]
pub(super) struct SyncEvent {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reject: Option<Denied>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<Allowed>,
    pub(super) ts: i64,
}

#[derive(Serialize)]
pub(super) struct Denied {
    pub(super) reason: &'static str,
    pub(super) detail: Option<&'static str>,
    pub(super) last_event_at: String,
    pub(super) email: String,
    pub(super) created_at: String,
    pub(super) expires_at: Option<String>,
    pub(super) expired: bool,
    pub(super) subaccount: Option<&'static str>,
    pub(super) sender: Option<Sender>,
}

/// Documented as text, really an object of counters.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Sender {
    Address(&'static str),
    Reputation(Reputation),
}

#[derive(Serialize)]
pub(super) struct Reputation {
    pub(super) address: &'static str,
    pub(super) created_at: String,
    pub(super) sent: u64,
    pub(super) hard_bounces: u64,
    pub(super) soft_bounces: u64,
    pub(super) rejects: u64,
    pub(super) complaints: u64,
    pub(super) unsubs: u64,
    pub(super) opens: u64,
    pub(super) clicks: u64,
    pub(super) unique_opens: u64,
    pub(super) unique_clicks: u64,
    pub(super) reputation: u64,
}

#[derive(Serialize)]
pub(super) struct Allowed {
    pub(super) email: String,
    pub(super) detail: Option<&'static str>,
    pub(super) created_at: String,
}

/// A message that somebody sent to an inbound route.
#[derive(Serialize)]
pub(super) struct InboundEvent {
    pub(super) event: &'static str,
    pub(super) ts: i64,
    pub(super) msg: InboundMsg,
}

#[derive(Serialize)]
pub(super) struct InboundMsg {
    pub(super) raw_msg: String,
    pub(super) headers: Headers,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    pub(super) text_flowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) html: Option<String>,
    pub(super) from_email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from_name: Option<&'static str>,
    pub(super) to: Vec<(&'static str, Option<&'static str>)>,
    pub(super) email: &'static str,
    pub(super) subject: String,
    pub(super) tags: [(); 0],
    pub(super) sender: Option<&'static str>,
    pub(super) template: Option<&'static str>,
    pub(super) spam_report: SpamReport,
    pub(super) dkim: Dkim,
    pub(super) spf: Spf,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Headers {
    /// A header that occurs more than once is a list.
    pub(super) received: Vec<String>,
    #[serde(rename = "Mime-Version")]
    pub(super) mime_version: &'static str,
    #[serde(rename = "Message-Id")]
    pub(super) message_id: String,
    pub(super) from: String,
    pub(super) to: &'static str,
    pub(super) subject: String,
    #[serde(rename = "Content-Type")]
    pub(super) content_type: &'static str,
}

#[derive(Serialize)]
pub(super) struct SpamReport {
    pub(super) score: f64,
    pub(super) matched_rules: Vec<SpamRule>,
}

#[derive(Serialize)]
pub(super) struct SpamRule {
    pub(super) name: Option<&'static str>,
    pub(super) score: f64,
    pub(super) description: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Dkim {
    pub(super) signed: bool,
    pub(super) valid: bool,
}

#[derive(Serialize)]
pub(super) struct Spf {
    pub(super) result: &'static str,
    pub(super) detail: &'static str,
}

/// Something Mandrill may send one day.
#[derive(Serialize)]
pub(super) struct FutureEvent<'a> {
    pub(super) event: &'static str,
    pub(super) _id: &'a str,
    pub(super) ts: i64,
    pub(super) msg: FutureMsg<'a>,
}

#[derive(Serialize)]
pub(super) struct FutureMsg<'a> {
    pub(super) ts: i64,
    pub(super) _id: &'a str,
    pub(super) phone: &'a str,
    pub(super) state: &'static str,
}
