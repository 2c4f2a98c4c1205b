//! The kinds of events that are made.

use std::fmt;

/// What happened, in the words of `--kinds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    Send,
    Deferral,
    Delivered,
    HardBounce,
    SoftBounce,
    Open,
    Click,
    Spam,
    Unsub,
    Reject,
    Inbound,
    BlacklistAdd,
    BlacklistChange,
    BlacklistRemove,
    WhitelistAdd,
    WhitelistRemove,
    /// A kind that no reader has met yet.
    Unknown,
}

impl Kind {
    /// The `event` of a message event; for a sync event its `type`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Deferral => "deferral",
            Self::Delivered => "delivered",
            Self::HardBounce => "hard_bounce",
            Self::SoftBounce => "soft_bounce",
            Self::Open => "open",
            Self::Click => "click",
            Self::Spam => "spam",
            Self::Unsub => "unsub",
            Self::Reject => "reject",
            Self::Inbound => "inbound",
            Self::BlacklistAdd | Self::BlacklistChange | Self::BlacklistRemove => "blacklist",
            Self::WhitelistAdd | Self::WhitelistRemove => "whitelist",
            Self::Unknown => "sms_delivered",
        }
    }

    /// The `action` of a sync event.
    pub(super) fn action(self) -> Option<&'static str> {
        match self {
            Self::BlacklistAdd | Self::WhitelistAdd => Some("add"),
            Self::BlacklistChange => Some("change"),
            Self::BlacklistRemove | Self::WhitelistRemove => Some("remove"),
            Self::Send | Self::Deferral | Self::Delivered | Self::HardBounce | Self::SoftBounce => {
                None
            }
            Self::Open | Self::Click | Self::Spam | Self::Unsub | Self::Reject => None,
            Self::Inbound | Self::Unknown => None,
        }
    }
}

/// The `type` that readers of the feed see.
impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action() {
            Some(action) => write!(formatter, "{}_{action}", self.word()),
            None => formatter.write_str(self.word()),
        }
    }
}
