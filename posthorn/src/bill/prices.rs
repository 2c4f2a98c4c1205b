//! What AWS charges for, and how much.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use local_aws::bill::{Item, Usage, sum};
use serde::{Deserialize, Serialize};

/// The prices, each with its date and source.
const TEXT: &str = include_str!("prices.json");

/// The price of an item.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Who charges it.
    pub service: String,
    /// The item, within its service.
    pub name: String,
    /// What one is.
    pub unit: String,
    /// US dollars for `per` of them.
    pub usd: f64,
    /// How many the price is for.
    pub per: f64,
    /// How many are free each month, for ever; what is free in the first year only is left out.
    pub free: f64,
    /// When it was read.
    pub date: String,
    /// Where it was read.
    pub source: String,
}

/// All prices of a region.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// The region.
    pub region: String,
    prices: BTreeMap<Item, Price>,
}

/// A line of a bill.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// What is charged.
    pub item: Item,
    /// By which service.
    pub service: &'static str,
    /// The item in words.
    pub name: &'static str,
    /// How many.
    pub quantity: f64,
    /// Of what.
    pub unit: &'static str,
    /// US dollars for `per` of them.
    pub usd_price: f64,
    /// How many the price is for.
    pub per: f64,
    /// US dollars.
    pub usd: f64,
}

/// The prices in this binary.
///
/// # Errors
/// When `prices.json` cannot be read, which a test rules out.
pub fn prices() -> Result<&'static Prices, &'static serde_json::Error> {
    static PRICES: LazyLock<Result<Prices, serde_json::Error>> =
        LazyLock::new(|| serde_json::from_str(TEXT));
    PRICES.as_ref()
}

impl Prices {
    /// The lines of a bill. `free` takes off what is free each month.
    #[must_use]
    pub fn lines(&'static self, usage: &Usage, free: bool) -> Vec<Line> {
        let line = |(item, quantity): (&Item, &f64)| {
            let price = self.prices.get(item)?;
            let charged = if free {
                (quantity - price.free).max(0.0)
            } else {
                *quantity
            };
            Some(Line {
                item: *item,
                service: &price.service,
                name: &price.name,
                quantity: *quantity,
                unit: &price.unit,
                usd_price: price.usd,
                per: price.per,
                usd: charged * price.usd / price.per,
            })
        };
        usage.iter().filter_map(line).collect()
    }
}

/// The sum of a bill in US dollars.
#[must_use]
pub fn total(lines: &[Line]) -> f64 {
    sum(lines.iter().map(|line| line.usd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_a_price_with_date_and_source() {
        let prices = &prices().unwrap().prices;
        // Serde refuses an unknown item, and this one is the last.
        assert_eq!(prices.len(), Item::EgressGb as usize + 1);
        for price in prices.values() {
            assert!(price.usd > 0.0 && price.per >= 1.0, "{price:?}");
            let date: jiff::civil::Date = price.date.parse().unwrap();
            assert!(!price.source.is_empty() && date.year() >= 2024);
        }
    }

    #[test]
    fn what_is_free_each_month_is_taken_off_when_that_is_wanted() {
        let usage = Usage::from([(Item::LambdaRequest, 3e6), (Item::DashboardMonth, 1.0)]);
        let prices = prices().unwrap();
        assert!((total(&prices.lines(&usage, false)) - 3.6).abs() < 1e-9);
        assert!((total(&prices.lines(&usage, true)) - 0.4).abs() < 1e-9);
    }
}
