//! What the local workload would have cost on AWS.

pub mod prices;

use local_aws::bill::{Pricing, Usage};
use serde_json::{Map, Value, json};

use prices::{prices, total};

/// About how many bytes the line is that a function writes to its log in an invocation.
pub const LOG_LINE_BYTES: f64 = 290.0;

/// About how many bytes of metrics a function, by its binary, writes to its log in an invocation:
/// measured in `functions.log`. Those of `webhook` are for ten events of four types; each type has
/// a line.
#[must_use]
pub fn metric_bytes(binary: &str) -> f64 {
    match binary {
        "webhook" => 1_120.0,
        "push" => 270.0,
        _ => 50.0,
    }
}

/// The prices of the local stack's bill.
pub(crate) const PRICING: Pricing = Pricing {
    log_bytes: |binary| LOG_LINE_BYTES + metric_bytes(binary),
    of: priced,
};

fn priced(usage: &Usage) -> Map<String, Value> {
    let (region, lines) = match prices() {
        Ok(prices) => (prices.region.as_str(), prices.lines(usage, false)),
        Err(_) => ("", Vec::new()),
    };
    Map::from_iter([
        ("region".to_owned(), json!(region)),
        ("total_usd".to_owned(), json!(total(&lines))),
        ("lines".to_owned(), json!(lines)),
        ("notes".to_owned(), json!(NOTES)),
    ])
}

const NOTES: &[&str] = &[
    "Counted since this process started, at full price: nothing that is free is taken off.",
    "Lambda's duration is what the functions took on this machine, at the price of arm64. With --functions that includes starting a process, as AWS bills it; in this process there is nothing to start.",
    "Log bytes are those of functions.log with --functions, and estimated by invocation otherwise.",
    "What costs by the month is left out: storage, backup, the secret, alarms, metrics, traces. See `posthorn cost`.",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use local_aws::bill::{Bill, Readings};
    use local_aws::clock::Millis;

    use super::*;

    #[test]
    fn nothing_is_billed_as_zero_without_a_sign() {
        let bill = Bill::new(&[], PRICING, Millis(0)).to_json(&Readings {
            now: Millis(300_000),
            open_since: Vec::new(),
            dynamodb: BTreeMap::new(),
            log_bytes: None,
        });
        let zero = |number: &Value| number.as_f64().unwrap().to_bits() == 0;
        let lines = bill["lines"].as_array().unwrap();
        let mut lines = lines.iter();
        assert!(lines.all(|line| zero(&line["quantity"]) && zero(&line["usd"])));
        assert!(zero(&bill["total_usd"]), "{bill}");
    }
}
