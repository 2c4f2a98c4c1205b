//! The attempts that a batch of messages asks for.

use std::collections::BTreeMap;

use aws_lambda_events::event::sqs::SqsMessage;
use domain::EndpointId;
use domain::delivery::DeliveryMessage;

/// A message and the attempt that it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Its id in SQS.
    pub(crate) message_id: String,
    pub(crate) message: DeliveryMessage,
}

/// The messages of a batch.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) asked: Vec<Asked>,
    /// The ids of messages that none of our functions can have sent.
    pub(crate) unreadable: Vec<String>,
}

impl Inbox {
    pub(crate) fn read(messages: Vec<SqsMessage>) -> Inbox {
        let mut inbox = Inbox::default();
        for message in messages {
            let message_id = message.message_id.unwrap_or_default();
            let body = message.body.as_deref().unwrap_or_default();
            match DeliveryMessage::from_json(body) {
                Ok(message) => inbox.asked.push(Asked {
                    message_id,
                    message,
                }),
                Err(error) => {
                    tracing::error!(message.id = message_id, %error, "A message in the queue cannot be read.");
                    inbox.unreadable.push(message_id);
                }
            }
        }
        inbox
    }
}

/// The messages for each endpoint.
pub(crate) fn by_endpoint(asked: Vec<Asked>) -> BTreeMap<EndpointId, Vec<Asked>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for asked in asked {
        let endpoint = asked.message.id.endpoint;
        groups.entry(endpoint).or_default().push(asked);
    }
    groups
}
