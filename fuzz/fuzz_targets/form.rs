//! A form as it is posted, and all that is read from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mandrill::{Form, MAX_EVENTS, WebhookKey};

fuzz_target!(|body: &[u8]| {
    let form = Form::parse(body);
    let url = "https://hooks.example.com/mandrill";
    let keys = [WebhookKey {
        name: "main".to_owned(),
        key: "kT3_sample-webhook-key".to_owned(),
    }];
    let signature = mandrill::sign(keys[0].key.as_bytes(), url, &form);
    assert!(mandrill::verify(&form, Some(&signature), &[url], &keys).is_ok());
    let events = form.events();
    assert!(events.len() <= MAX_EVENTS + 1 + body.len() / "mandrill_events&".len());
    for event in events {
        assert!(!event.text.is_empty());
        assert!(!event.facts().kind.is_empty());
    }
});
