//! The events in a batch of stream records.

use aws_lambda_events::event::dynamodb::EventRecord;
use domain::{Event, Millis};
use platform::stream;
use store::item;

/// The records of a batch that tell something new.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) records: Vec<Record>,
    /// Records of events that endpoints were sent before: see [`stream::is_stale`].
    pub(crate) stale: usize,
}

/// A record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) sequence_number: Option<String>,
    pub(crate) event: Result<Event<'static>, Unreadable>,
}

/// A record that holds no event that can be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The event that it names, or what else tells which record it is.
    pub(crate) id: String,
    pub(crate) reason: String,
}

impl Batch {
    pub(crate) fn decode(records: Vec<EventRecord>, now: Millis) -> Batch {
        let mut batch = Batch::default();
        for record in records
            .into_iter()
            .filter(|record| record.event_name == "INSERT")
        {
            let event = match item::from_image(&record.change.new_image) {
                Ok(event) if stream::is_stale(event.received_at, now) => {
                    batch.stale += 1;
                    continue;
                }
                Ok(event) => Ok(event),
                Err(error) => {
                    tracing::error!(
                        record.id = record.event_id,
                        record.sequence_number = record.change.sequence_number,
                        %error,
                        "A stream record holds no event that can be read, and is parked."
                    );
                    Err(Unreadable {
                        id: name(&record),
                        reason: error.to_string(),
                    })
                }
            };
            batch.records.push(Record {
                sequence_number: record.change.sequence_number,
                event,
            });
        }
        batch
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event<'static>> {
        self.records
            .iter()
            .filter_map(|record| record.event.as_ref().ok())
    }
}

/// The event that a record names, or what else tells which record it is.
fn name(record: &EventRecord) -> String {
    match item::id_from_keys(&record.change.keys) {
        Ok(id) => id.to_string(),
        Err(keys) if keys.is_empty() => record.event_id.clone(),
        Err(keys) => keys,
    }
}
