//! What the template has to say so that the functions work, beyond what the local stack refuses.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use local_aws::template::{Function, Template};
use platform::{Aws, ConfigError, Lookup, clients};
use serde_json::Value;

use crate::fixtures::fixture;
use crate::policies::template;

/// Set by Lambda itself, or only off AWS.
const NOT_OURS: &str = "AWS_";
/// Set for all functions at once, though not all of them have something to count.
const GLOBAL: &str = "METRICS_STACK";

fn build(binary: &str, lookup: Lookup<'_>) -> Result<(), ConfigError> {
    let aws = Aws::new(lookup, clients::http_client(lookup))?;
    match binary {
        "webhook" => webhook::Deps::new(&aws, lookup).map(drop),
        "api" => api::Deps::new(&aws, lookup).map(drop),
        "connect" => connect::Deps::new(&aws, lookup).map(drop),
        "disconnect" => disconnect::Deps::new(&aws, lookup).map(drop),
        "message" => message::Deps::new(&aws, lookup).map(drop),
        "push" => push::Deps::new(&aws, lookup).map(drop),
        "dispatch" => dispatch::Deps::new(&aws, lookup).map(drop),
        "deliver" => deliver::Deps::new(&aws, lookup).map(drop),
        "requeue" => requeue::Deps::new(&aws, lookup).map(drop),
        "tail" => tail::Deps::new(&aws, lookup).map(drop),
        unknown => panic!("the test does not know the function {unknown}"),
    }
}

/// The names that a function looks up when it starts, and those that every function is given; an
/// error when it does not start.
fn read(function: &Function) -> Result<BTreeSet<String>, ConfigError> {
    let names = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        names.borrow_mut().insert(name.to_owned());
        match name {
            "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:1".to_owned()),
            _ if name.starts_with(NOT_OURS) => Some("set-by-lambda".to_owned()),
            _ => function.environment.get(name).cloned(),
        }
    };
    build(&function.binary, &lookup)?;
    let mut names = names.into_inner();
    names.retain(|name| !name.starts_with(NOT_OURS));
    names.insert(GLOBAL.to_owned());
    Ok(names)
}

/// Where the variables that the template sets are not those that the code reads.
pub(crate) fn differences(template: &Template) -> Vec<String> {
    let of_function = |function: &Function| {
        let set: BTreeSet<String> = function.environment.keys().cloned().collect();
        let problem = match read(function) {
            Err(error) => error.to_string(),
            Ok(read) if read != set => format!("reads {read:?}, and is given {set:?}"),
            Ok(_) => return None,
        };
        Some(format!("{}: {problem}", function.logical_id))
    };
    template.functions.iter().filter_map(of_function).collect()
}

#[test]
fn every_variable_that_a_function_reads_is_set_and_no_other() {
    assert_eq!(differences(&template()), [""; 0]);
}

#[test]
fn every_function_is_a_package_with_a_binary_and_the_reverse() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let packages: BTreeSet<String> = functions
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| functions.join(name).join("src/main.rs").is_file())
        .collect();
    let named = template()
        .functions
        .iter()
        .map(|f| f.binary.clone())
        .collect();
    assert_eq!(packages, named);
}

#[test]
fn every_mapping_heeds_which_records_failed() {
    let template = template();
    assert!(!template.mappings.is_empty());
    for mapping in &template.mappings {
        assert!(mapping.reports_batch_item_failures, "{}", mapping.function);
        // Without a bound, one record that always fails holds its shard for a day.
        assert!(mapping.max_retry_attempts.is_some(), "{}", mapping.function);
        assert!(mapping.on_failure_arn.is_some(), "{}", mapping.function);
    }
}

#[test]
fn push_is_woken_by_new_items_only() {
    let template = template();
    let mapping = template
        .mappings
        .iter()
        .find(|m| m.function == "PushFunction")
        .unwrap();
    for (file, passes) in [
        ("push/insert.json", true),
        ("push/modify.json", false),
        ("push/remove-ttl.json", false),
    ] {
        let event: Value = serde_json::from_str(&fixture(file)).unwrap();
        let records = event["Records"].as_array().unwrap();
        assert!(!records.is_empty(), "{file}");
        for record in records {
            assert_eq!(mapping.matches(record), passes, "{file}");
        }
    }
}
