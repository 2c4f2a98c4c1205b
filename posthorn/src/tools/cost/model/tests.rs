//! That what is counted by hand is what the code and the template have.

use std::collections::BTreeSet;

use regex::Regex;

use super::*;
use crate::template::TEMPLATE;

/// The template's text of each resource of a kind that exists by default.
fn resources(kind: &str) -> Vec<&'static str> {
    let (_, resources) = TEMPLATE.split_once("\nResources:\n").unwrap();
    let (resources, _) = resources.split_once("\nOutputs:\n").unwrap();
    let kind = format!("\n    Type: {kind}\n");
    let mut starts: Vec<_> = Regex::new(r"(?m)^  \w+:$")
        .unwrap()
        .find_iter(resources)
        .map(|name| name.start())
        .collect();
    starts.push(resources.len());
    let texts = starts.windows(2).map(|ends| &resources[ends[0]..ends[1]]);
    texts
        .filter(|text| text.contains(&kind) && exists_by_default(text))
        .collect()
}

fn exists_by_default(resource: &str) -> bool {
    let condition = Regex::new(r"(?m)^    Condition: (\w+)$").unwrap();
    let name = condition
        .captures(resource)
        .map(|found| found[1].to_owned());
    match name.as_deref() {
        None | Some("HasAlarms") => true,
        Some("WatchesQuiet" | "WatchesTail") => false,
        Some(unknown) => panic!("say whether {unknown} holds by default"),
    }
}

#[test]
fn each_metric_of_the_templates_alarms_is_counted() {
    let metrics = Regex::new(r"(?m)\bMetricStat:|^      MetricName:").unwrap();
    let alarms = resources("AWS::CloudWatch::Alarm");
    let each: Vec<_> = alarms
        .iter()
        .map(|alarm| metrics.find_iter(alarm).count())
        .collect();
    assert!(each.iter().all(|count| *count > 0), "{each:?}");
    assert_eq!(ALARM_METRICS, each.iter().sum::<usize>() as f64);
}

#[test]
fn one_dashboard_and_one_secret_stand_there() {
    for kind in ["AWS::CloudWatch::Dashboard", "AWS::SecretsManager::Secret"] {
        assert_eq!(resources(kind).len(), 1, "{kind}");
    }
}

#[test]
fn no_metric_has_another_dimension_than_those_that_are_counted() {
    let dimensions: Vec<_> = metrics::ALL.iter().filter_map(|metric| metric.by).collect();
    assert_eq!(dimensions, ["type", "code", "class"]);
}

#[test]
fn each_code_of_the_webhook_is_counted() {
    const SOURCES: [&str; 2] = [
        include_str!("../../../../../functions/webhook/src/lib.rs"),
        include_str!("../../../../../functions/webhook/src/admission.rs"),
    ];
    let code = Regex::new(r#"StatusCode::[A-Z_]+,\s*"(\w+)"|HttpError::(internal|unavailable)\("#);
    let code = code.unwrap();
    let codes: BTreeSet<_> = SOURCES
        .iter()
        .flat_map(|source| code.captures_iter(source))
        .filter_map(|found| found.get(1).or(found.get(2)))
        .map(|code| code.as_str())
        .collect();
    assert_eq!(codes.len(), REFUSAL_CODES, "{codes:?}");
}
