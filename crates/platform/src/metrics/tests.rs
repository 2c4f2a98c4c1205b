use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::level_filters::LevelFilter;

use super::*;
use crate::telemetry;

const NOW: Millis = Millis(1_795_300_000_123);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written at a level.
fn written(level: LevelFilter, record: impl FnOnce(&Metrics)) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = telemetry::lines(level, move || writer.clone());
    let metrics = Metrics::new(&|_: &str| Some("a \"stack\"".to_owned())).unwrap();
    tracing::subscriber::with_default(subscriber, || record(&metrics));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn values(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What the published schema asks for, and the limits beside it.
fn check(line: &Value) {
    let root = line.as_object().unwrap();
    let metadata = root["_aws"].as_object().unwrap();
    assert_eq!(
        metadata.keys().collect::<Vec<_>>(),
        ["CloudWatchMetrics", "Timestamp"]
    );
    // Milliseconds: of this century, and not of the next millennium.
    let timestamp = metadata["Timestamp"].as_u64().unwrap();
    assert!((1_000_000_000_000..10_000_000_000_000).contains(&timestamp));
    let directives = metadata["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty());
    for directive in directives {
        check_directive(directive, root);
    }
}

fn check_directive(directive: &Value, root: &Map<String, Value>) {
    let namespace = directive["Namespace"].as_str().unwrap();
    assert!((1..=1_024).contains(&namespace.len()));
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-_/#:".contains(c);
    assert!(namespace.chars().all(is_allowed) && !namespace.starts_with("AWS/"));
    let sets = directive["Dimensions"].as_array().unwrap();
    assert!(!sets.is_empty());
    for set in sets {
        let names = set.as_array().unwrap();
        assert!((1..=30).contains(&names.len()));
        for name in names {
            let value = root[name.as_str().unwrap()].as_str().unwrap();
            assert!((1..=1_024).contains(&value.len()) && value.is_ascii());
        }
    }
    let metrics = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&metrics.len()));
    for metric in metrics {
        let value = &root[metric["Name"].as_str().unwrap()];
        let list = value.as_array().cloned();
        let numbers = list.unwrap_or_else(|| vec![value.clone()]);
        assert!((1..=100).contains(&numbers.len()));
        assert!(numbers.iter().all(Value::is_number));
        assert!(["Count", "Milliseconds"].contains(&metric["Unit"].as_str().unwrap()));
    }
}

#[test]
fn a_line_holds_what_was_counted() {
    let lines = written(LevelFilter::INFO, |metrics| {
        metrics.record(NOW, &[(RESUMES, 1), (EVENTS_REPLAYED, 0)]);
        metrics.record(NOW, &[(MESSAGES_PUSHED, 3), (PUSH_LATENCY, 41)]);
        metrics.record(NOW, &[(RESUMES, 0)]);
        metrics.record(NOW, &[]);
    });
    assert_eq!(
        lines,
        [
            concat!(
                r#"{"Resumes":1,"_aws":{"CloudWatchMetrics":[{"Dimensions":[["stack"]],"#,
                r#""Metrics":[{"Name":"Resumes","Unit":"Count"}],"Namespace":"Posthorn"}],"#,
                r#""Timestamp":1795300000123},"stack":"a \"stack\""}"#
            ),
            concat!(
                r#"{"MessagesPushed":3,"PushLatency":41,"_aws":{"CloudWatchMetrics":[{"Dimensions":[["stack"]],"#,
                r#""Metrics":[{"Name":"MessagesPushed","Unit":"Count"},{"Name":"PushLatency","Unit":"Milliseconds"}],"#,
                r#""Namespace":"Posthorn"}],"Timestamp":1795300000123},"stack":"a \"stack\""}"#
            )
        ]
    );
    values(&lines).iter().for_each(check);
}

#[test]
fn each_value_of_a_dimension_is_a_line_and_the_rest_is_in_the_first() {
    let lines = written(LevelFilter::INFO, |metrics| {
        let each = [("open", 2), ("send", 0), ("click", 1)];
        metrics.record_by(NOW, &[(BATCHES, 1)], EVENTS_RECEIVED, &each);
        metrics.record_by(NOW, &[(BATCHES, 1)], EVENTS_RECEIVED, &[]);
        metrics.record_by(NOW, &[], REQUESTS_REFUSED, &[("bad_signature", 1)]);
    });
    let lines = values(&lines);
    lines.iter().for_each(check);
    let told: Vec<Value> = lines
        .into_iter()
        .map(|mut line| {
            line.as_object_mut().unwrap().remove("_aws");
            line.as_object_mut().unwrap().remove("stack");
            line
        })
        .collect();
    assert_eq!(
        told,
        [
            json!({ "Batches": 1, "EventsReceived": 2, "type": "open" }),
            json!({ "EventsReceived": 1, "type": "click" }),
            json!({ "Batches": 1 }),
            json!({ "RequestsRefused": 1, "code": "bad_signature" }),
        ]
    );
}

#[test]
fn what_is_counted_by_a_dimension_is_counted_without_it_too() {
    let lines = written(LevelFilter::INFO, |metrics| {
        metrics.record_by(NOW, &[(BATCHES, 1)], EVENTS_RECEIVED, &[("open", 2)]);
    });
    let directives = &values(&lines)[0]["_aws"]["CloudWatchMetrics"];
    assert_eq!(directives[0]["Dimensions"], json!([["stack"]]));
    assert_eq!(directives[0]["Metrics"][0]["Name"], "Batches");
    assert_eq!(
        directives[1]["Dimensions"],
        json!([["stack"], ["stack", "type"]])
    );
    assert_eq!(directives[1]["Metrics"][0]["Name"], "EventsReceived");
}

#[test]
fn metrics_pass_whatever_the_level_is() {
    let record = |metrics: &Metrics| {
        metrics.record(NOW, &[(BATCHES, 1)]);
        tracing::info!(target: "webhook", "A line.");
    };
    for (level, said) in [
        (LevelFilter::ERROR, Some("ERROR")),
        (LevelFilter::WARN, Some("WARN")),
        (LevelFilter::INFO, None),
        (LevelFilter::DEBUG, None),
    ] {
        let lines = values(&written(level, record));
        check(&lines[0]);
        // Lambda takes a line without a level for INFO.
        assert_eq!(lines[0]["level"].as_str(), said);
        let timestamp = lines[0]["timestamp"].as_str();
        assert_eq!(timestamp.is_some(), said.is_some());
        assert!(timestamp.is_none_or(|text| text.ends_with('Z') && text.contains('T')));
        assert_eq!(lines.len(), if said.is_some() { 1 } else { 2 });
    }
}

#[test]
fn the_stack_has_to_have_a_name() {
    let error = Metrics::new(&|_: &str| None).unwrap_err();
    assert_eq!(error.to_string(), "the variable METRICS_STACK is not set");
}

#[test]
fn the_list_has_every_metric_once() {
    let source = include_str!("../metrics.rs");
    let constants = source.lines().filter(|line| {
        line.strip_prefix("pub const ")
            .is_some_and(|rest| rest.contains(": Metric = "))
    });
    let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!((ALL.len(), names.len()), (constants.count(), ALL.len()));
}

/// The rows of the table that begins with the column `name`.
fn documented() -> Vec<Vec<String>> {
    let text = include_str!("../../../../docs/LOGGING.md");
    text.lines()
        .skip_while(|line| !line.starts_with("| metric |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect()
}

#[test]
fn the_documentation_lists_the_metrics_as_they_are() {
    let rows: Vec<[String; 3]> = documented()
        .into_iter()
        .map(|row| [row[0].clone(), row[1].clone(), row[2].clone()])
        .collect();
    let metrics: Vec<[String; 3]> = ALL
        .iter()
        .map(|metric| {
            let by = metric.by.map(|by| format!(", {by}")).unwrap_or_default();
            [metric.name.into(), metric.unit.into(), format!("stack{by}")]
        })
        .collect();
    assert_eq!(rows, metrics);
}
