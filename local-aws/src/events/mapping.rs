//! What a function says of a batch that an event source mapping gave it.

use serde::Deserialize;

/// A partial batch response: what has to come again.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchResponse {
    batch_item_failures: Option<Vec<BatchItemFailure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

/// The identifiers in a partial batch response; none when it cannot be read. An answer of nothing
/// is a success. ("Reporting batch item failures": success and failure conditions.)
pub(super) fn failures(answer: &str) -> Option<Vec<String>> {
    if answer.trim().is_empty() {
        return Some(Vec::new());
    }
    let response: Option<BatchResponse> = serde_json::from_str(answer).ok()?;
    let failures = response.unwrap_or_default().batch_item_failures;
    let failures = failures.unwrap_or_default().into_iter();
    Some(failures.map(|failure| failure.item_identifier).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_a_success_and_nonsense_a_failure() {
        for success in [
            "",
            "null",
            "{}",
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":null}"#,
        ] {
            assert_eq!(failures(success), Some(Vec::new()), "{success}");
        }
        for failure in [
            "nonsense",
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifer":"1"}]}"#,
        ] {
            assert_eq!(failures(failure), None, "{failure}");
        }
        let one = r#"{"batchItemFailures":[{"itemIdentifier":"1"}]}"#;
        assert_eq!(failures(one), Some(vec!["1".to_owned()]));
    }
}
