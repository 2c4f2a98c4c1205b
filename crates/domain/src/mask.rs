//! Events for those who may not recognise people in them.

use crate::event::Event;

impl<'a> Event<'a> {
    /// The event without anything that could tell of a person.
    #[must_use]
    pub fn masked(&self) -> Event<'a> {
        Event {
            id: self.id,
            received_at: self.received_at,
            content: self.content.stripped(),
            data: None,
        }
    }
}
