//! What a client is told, apart from events.

use serde::Serialize;

use crate::action::Bad;

/// A message to the client.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The filter that is in force now.
    Subscribed { filter: String, cursor: String },
    /// Live events have ended.
    Unsubscribed,
    /// A sign of life.
    Pong,
    /// The client missed something and has to resume from here.
    Gap { cursor: String },
    /// The replay is not at its end; the client has to resume from here at once.
    Continue { cursor: String },
    /// The replay is at its end. Not `recovered` when some of what was missed is not kept any more.
    Live { recovered: bool, cursor: String },
    /// The request was not done.
    Error(Bad),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Wire<'a> {
    Subscribed { filter: &'a str, cursor: &'a str },
    Unsubscribed,
    Pong,
    Gap { cursor: &'a str },
    Continue { cursor: &'a str },
    Live { recovered: bool, cursor: &'a str },
    Error { code: &'a str, message: &'a str },
}

impl Answer {
    pub(crate) fn to_json(&self) -> String {
        let wire = match self {
            Answer::Subscribed { filter, cursor } => Wire::Subscribed { filter, cursor },
            Answer::Unsubscribed => Wire::Unsubscribed,
            Answer::Pong => Wire::Pong,
            Answer::Gap { cursor } => Wire::Gap { cursor },
            Answer::Continue { cursor } => Wire::Continue { cursor },
            Answer::Live { recovered, cursor } => Wire::Live {
                recovered: *recovered,
                cursor,
            },
            Answer::Error(bad) => Wire::Error {
                code: bad.code,
                message: &bad.message,
            },
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_as_documented() {
        let live = Answer::Live {
            recovered: true,
            cursor: "c".into(),
        };
        assert_eq!(
            live.to_json(),
            r#"{"type":"live","recovered":true,"cursor":"c"}"#
        );
        assert_eq!(Answer::Pong.to_json(), r#"{"type":"pong"}"#);
        let gap = Answer::Gap { cursor: "c".into() };
        assert_eq!(gap.to_json(), r#"{"type":"gap","cursor":"c"}"#);
    }
}
