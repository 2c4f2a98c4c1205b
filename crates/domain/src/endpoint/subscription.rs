//! Which events an endpoint wants.

use crate::event::Content;
use crate::filter::Filter;

/// The most event types that can be listed.
pub const MAX_TYPES: usize = 100;
/// The longest of them, in bytes.
pub const MAX_TYPE_BYTES: usize = 128;

/// A filter, and event types as a shorthand for a term of it: an event has to pass both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscription {
    filter: Filter,
    event_types: Vec<String>,
    /// Both in one, so that matching is one walk.
    joined: Filter,
}

/// Why event types are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventTypesError {
    /// There are more than [`MAX_TYPES`].
    #[error("at most {MAX_TYPES} event types are allowed")]
    TooMany,
    /// One is empty or has more than [`MAX_TYPE_BYTES`] bytes.
    #[error("an event type must have 1 to {MAX_TYPE_BYTES} bytes")]
    Length,
}

impl Subscription {
    /// What passes both. An empty filter, and an empty list, let everything pass. A `*` at either
    /// end of a type stands for anything.
    ///
    /// # Errors
    /// When there are too many types, or one is empty or too long.
    pub fn new(filter: Filter, event_types: Vec<String>) -> Result<Subscription, EventTypesError> {
        if event_types.len() > MAX_TYPES {
            return Err(EventTypesError::TooMany);
        }
        let has_length = |kind: &String| (1..=MAX_TYPE_BYTES).contains(&kind.len());
        if !event_types.iter().all(has_length) {
            return Err(EventTypesError::Length);
        }
        Ok(Subscription::stored(filter, event_types))
    }

    /// One that was checked when it was stored.
    #[must_use]
    pub fn stored(filter: Filter, event_types: Vec<String>) -> Subscription {
        let types = Filter::of_types(event_types.iter().map(String::as_str));
        Subscription {
            joined: filter.and(&types),
            filter,
            event_types,
        }
    }

    /// The filter without the types.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The types, as they were given.
    #[must_use]
    pub fn event_types(&self) -> &[String] {
        &self.event_types
    }

    /// Whether it lets this event pass. Allocates nothing.
    #[must_use]
    pub fn matches(&self, content: &Content<'_>) -> bool {
        self.joined.matches(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Source;

    fn wants(filter: &str, types: &[&str], kind: &str) -> bool {
        let types = types.iter().map(|kind| (*kind).to_owned()).collect();
        let subscription = Subscription::new(filter.parse().unwrap(), types).unwrap();
        subscription.matches(&Content::new(kind, Source::Mandrill))
    }

    #[test]
    fn an_event_has_to_pass_the_filter_and_to_be_of_one_of_the_types() {
        assert!(wants("", &[], "open"));
        assert!(wants("", &["click", "Open"], "open") && !wants("", &["click"], "open"));
        assert!(wants("type:open,send", &["open"], "open"));
        assert!(!wants("type:open,send", &["open"], "send"));
        assert!(
            !wants("type:open", &["click"], "open") && !wants("type:open", &["click"], "click")
        );
        assert!(!wants("-type:open", &["open"], "open"));
    }

    #[test]
    fn a_star_at_either_end_of_a_type_stands_for_anything() {
        assert!(
            wants("", &["*_bounce"], "hard_bounce") && wants("", &["order.*"], "order.created")
        );
        assert!(wants("", &["*"], "anything") && !wants("", &["order.*"], "user.created"));
        // In the middle it is a letter as others are, and so are quotes and commas.
        assert!(wants("", &["a*b"], "a*b") && !wants("", &["a*b"], "axb"));
        assert!(wants("", &["a,\"b"], "a,\"b") && !wants("", &["a,b"], "a"));
    }

    #[test]
    fn types_have_bounds() {
        let new = |types: Vec<String>| Subscription::new(Filter::default(), types).map(drop);
        assert_eq!(new(vec!["a".into(); 101]), Err(EventTypesError::TooMany));
        assert_eq!(new(vec![String::new()]), Err(EventTypesError::Length));
        assert_eq!(new(vec!["a".repeat(129)]), Err(EventTypesError::Length));
        assert_eq!(new(vec!["a".repeat(128); 100]), Ok(()));
    }
}
