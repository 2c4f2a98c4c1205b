//! No text takes longer than in proportion to its length, whatever is in it: anybody's mail comes
//! through here, and one batch has to be stored before Mandrill gives up.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::form::tests::encode;
use crate::{Form, WebhookKey, sign, split, verify};

/// Four times the text may take six times as long: caches end, and keys are sorted.
const MOST: f64 = 6.0;
const BYTES: usize = 16_000;
const RUNS: usize = 3;

/// The time of this thread alone: the machine may be busy.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn least<T>(run: impl Fn() -> T) -> Duration {
    let time = || {
        let before = cpu();
        black_box(run());
        cpu() - before
    };
    (0..RUNS).map(|_| time()).min().unwrap()
}

/// That a text of four times the length does not cost much more than four times as much.
fn assert_linear<T>(what: &str, text: impl Fn(usize) -> Vec<u8>, run: impl Fn(&[u8]) -> T) {
    let (short, long) = (text(BYTES), text(4 * BYTES));
    let ratio =
        || least(|| run(&long)).as_secs_f64() / least(|| run(&short)).as_secs_f64().max(1e-6);
    // A neighbour can spoil one measurement, and hardly three.
    let ratios = [(); 3].map(|()| ratio);
    let is_linear = ratios.iter().any(|ratio| ratio() < MOST);
    assert!(is_linear, "{:.1} times as long for {what}", ratio());
}

/// So many bytes of a unit, between a beginning and an end.
fn repeated<'t>(begin: &'t str, unit: &'t [u8], end: &'t str) -> impl Fn(usize) -> Vec<u8> + 't {
    move |bytes| {
        [
            begin.as_bytes(),
            &unit.repeat(bytes / unit.len()),
            end.as_bytes(),
        ]
        .concat()
    }
}

/// Texts that look like the beginning of an event, a string, an array, and end nothing.
const UNITS: [&[u8]; 34] = [
    br#"{"event":"send","_id":"a","ts":5,"msg":{"email":"a@example.net","tags":["t"]}},"#,
    b"7,",
    b"[",
    b"[[[ , ",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\",",
    b"\\",
    b"\\\"",
    b"\"\\\",",
    b",",
    b", ",
    b" ",
    b",{",
    br#"{"event":["#,
    br#",{"event":["#,
    br#"{},{"event":"#,
    br#"{"event":"open,"ts":1},"#,
    br#"{"event":"open","msg":{"a":1},"#,
    br#"[{"type":"blacklist","reject":["#,
    br#",{"type":"blacklist""#,
    br#"{"a":[1,{"b":"#,
    br#"{"event":{"event":{"event":"#,
    b"1 ,",
    b"nul,",
    b"1e",
    b"-",
    b"\0",
    b"\xff",
    b"\"\xff\",",
    b"\"\\ud800\",",
    "ü,".as_bytes(),
];

#[test]
fn cutting_and_reading_a_batch_takes_time_in_proportion_to_its_length() {
    for unit in UNITS {
        for (begin, end) in [("[", "]"), ("[", ",x"), ("[[[{\"a\":\"", "]")] {
            let what = format!("{begin}{:?}{end}", String::from_utf8_lossy(unit));
            assert_linear(&what, repeated(begin, unit, end), |json| {
                let events = split(json);
                let facts = events
                    .iter()
                    .map(|event| event.facts().fingerprint()[1].len());
                facts.sum::<usize>()
            });
        }
    }
}

#[test]
fn reading_one_event_takes_time_in_proportion_to_its_length() {
    let message = r#"[{"event":"send","_id":"a","ts":5,"msg":{"email":"a@example.net","#;
    for (begin, unit, end) in [
        (r#""subject":""#, r"\u00fc", r#""}}]"#),
        (r#""subject":""#, r"\ud800", r#""}}]"#),
        (r#""subject":""#, "ü", r#""}}]"#),
        (r#""tags":["#, r#""t","#, r#""t"]}}]"#),
        (r#""tags":["#, "[],", r#"[]]}}]"#),
        (
            r#""smtp_events":["#,
            r#"{"ts":4,"diag":"","type":"sent"},"#,
            "7]}}]",
        ),
        (r#""smtp_events":["#, r#"{"ts":6,"diag":"450"},"#, "7]}}]"),
        (r#""metadata":{"#, r#""a":1,"#, r#""b":2}}}]"#),
        (r#""metadata":{"k":"#, "1", "}}}]"),
        (r#""metadata":{"k":0."#, "0", "1}}}]"),
        (r#""metadata":{"k":1e"#, "9", "}}}]"),
        ("", r#""email":"b","#, r#""z":1}}]"#),
        ("", r#""\ud800":1,"#, r#""z":1}}]"#),
    ] {
        let begin = format!("{message}{begin}");
        assert_linear(unit, repeated(&begin, unit.as_bytes(), end), |json| {
            let events = split(json);
            assert!(events.len() == 1 && events[0].is_json);
            let former = events[0].former_identity().fingerprint().len();
            (events[0].facts().fingerprint()[1].len(), former)
        });
    }
}

#[test]
fn depth_and_many_keys_cost_no_more_than_their_length() {
    let around = |inside: &dyn Fn(usize) -> String, bytes| {
        let metadata = inside(bytes);
        format!(r#"[{{"event":"send","_id":"a","msg":{{"metadata":{{"k":{metadata}}}}}}}]"#)
            .into_bytes()
    };
    let deep = |open: &'static str, close: &'static str| {
        move |bytes: usize| {
            let levels = bytes / (open.len() + close.len());
            format!("{}1{}", open.repeat(levels), close.repeat(levels))
        }
    };
    let keys = |bytes: usize| {
        let keys: Vec<_> = (0..bytes / 10).map(|n| format!(r#""{n:05}":1"#)).collect();
        format!("{{{}}}", keys.join(","))
    };
    let shapes: [(&str, &dyn Fn(usize) -> String); 4] = [
        ("lists in lists", &deep("[", "]")),
        ("objects in objects", &deep(r#"{"a":"#, "}")),
        ("both", &deep(r#"{"a":["#, "]}")),
        ("many keys", &keys),
    ];
    for (what, shape) in shapes {
        assert_linear(
            what,
            |bytes| around(shape, bytes),
            |json| split(json)[0].facts().fingerprint()[1].len(),
        );
    }
}

#[test]
fn a_form_and_its_signature_take_time_in_proportion_to_their_length() {
    let keys = [WebhookKey {
        name: "main".to_owned(),
        key: "k1".to_owned(),
    }];
    let url = "https://hooks.example.com/mandrill";
    let escaped = |bytes: usize| encode(&[(b"mandrill_events".to_vec(), vec![b'"'; bytes / 3])]);
    assert_linear("escapes alone", escaped, |body| {
        Form::parse(body).fields().len()
    });
    for unit in ["%", "%4", "%41", "+", "&", "&a", "=", "a=b&", "%26", "x"] {
        let text = repeated("mandrill_events=", unit.as_bytes(), "");
        assert_linear(unit, text, |body| {
            let form = Form::parse(body);
            let signature = sign(b"k1", url, &form);
            verify(&form, Some(&signature), &["https://a.example/", url], &keys).is_ok()
        });
    }
}
