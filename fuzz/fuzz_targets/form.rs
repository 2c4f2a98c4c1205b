//! A form as it is posted, and all that is read from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mandrill::{Form, WebhookKey};

fuzz_target!(|body: &[u8]| {
    let form = Form::parse(body);
    let url = "https://hooks.example.com/mandrill";
    let keys = [WebhookKey {
        name: "main".to_owned(),
        key: "kT3_sample-webhook-key".to_owned(),
    }];
    let signature = mandrill::sign(keys[0].key.as_bytes(), url, &form);
    assert!(mandrill::verify(&form, Some(&signature), &[url], &keys).is_ok());
    // The JSON alone, too, or nobody would ever get through the form's encoding to it.
    for json in [form.batch().unwrap_or_default(), body] {
        for event in mandrill::split(json).unwrap_or_default() {
            assert!(!event.text.is_empty());
            let facts = event.facts();
            assert!(!facts.kind.is_empty());
        }
    }
});
