//! The events in a batch of stream records.

use aws_lambda_events::event::dynamodb::EventRecord;
use domain::{Event, Millis};
use platform::stream;
use store::item;

/// The new events of a batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event<'static>>,
    /// Records that can never be read.
    pub(crate) discarded: usize,
    /// Records of events that clients were sent before: see [`stream::is_stale`].
    pub(crate) stale: usize,
}

impl Batch {
    /// A record that cannot be read would block its shard for ever if it were to come again: it is
    /// logged and left out. The event itself stays in the table.
    pub(crate) fn decode(records: Vec<EventRecord>, now: Millis) -> Batch {
        let mut batch = Batch::default();
        for record in records
            .into_iter()
            .filter(|record| record.event_name == "INSERT")
        {
            match item::from_image(&record.change.new_image) {
                Ok(event) if stream::is_stale(event.received_at, now) => batch.stale += 1,
                Ok(event) => batch.events.push(event),
                Err(error) => {
                    batch.discarded += 1;
                    tracing::error!(
                        record.id = record.event_id,
                        record.sequence_number = record.change.sequence_number,
                        %error,
                        "A stream record holds no event that can be read, and is left out."
                    );
                }
            }
        }
        batch
    }

    /// When the event that was stored first was received.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        self.events.iter().map(|event| event.received_at).min()
    }

    /// When the event that was stored last was received.
    pub(crate) fn newest(&self) -> Option<Millis> {
        self.events.iter().map(|event| event.received_at).max()
    }
}
