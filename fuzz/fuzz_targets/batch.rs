//! The text of a batch, what is read from each of its events, and their bounds.
#![no_main]

use domain::{Content, Source};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|json: &[u8]| {
    for event in mandrill::split(json) {
        assert!(!event.text.is_empty());
        assert_eq!(event.is_json, serde_json::from_str::<&RawValue>(&event.text).is_ok());
        let facts = event.facts();
        let former = event.former_identity();
        let _ = (facts.message_key(), facts.fingerprint(), former.message_key());
        let content = Content {
            subject: facts.subject.clone(),
            metadata: facts.metadata.map(std::borrow::Cow::Borrowed),
            ..Content::new(facts.kind.clone(), Source::Mandrill)
        };
        let content = content.bounded();
        let text = serde_json::to_string(&content).unwrap();
        assert!(serde_json::from_str::<&RawValue>(&text).is_ok());
    }
});
