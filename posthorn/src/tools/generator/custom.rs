//! Events of other systems, as somebody would publish them.

use serde_json::{Value, json};

use super::words::{DOMAINS, NAMES};
use crate::tools::random::Random;

const PRODUCTS: &[&str] = &[
    "seeds-basil",
    "pot-terracotta-14",
    "gloves-m",
    "watering-can",
];
const PLANS: &[&str] = &["free", "team", "business"];
const CURRENCIES: &[&str] = &["EUR", "USD", "GBP"];

/// A request to publish an event of this type. What it says goes by the type's first word.
pub(crate) fn event(kind: &str, random: &mut Random) -> Value {
    let (name, local) = *random.pick(NAMES);
    let recipient = format!("{local}@{}", random.pick(DOMAINS));
    let number = random.within(10_000..=99_999);
    let data = match kind.split(['.', '_', '-']).next().unwrap_or_default() {
        "order" | "cart" | "checkout" => order(number, random),
        "invoice" | "payment" | "refund" => json!({
            "invoice": format!("R-{number}"),
            "amount": cents(random),
            "currency": random.pick(CURRENCIES),
        }),
        "user" | "account" | "customer" | "member" => json!({
            "user": number,
            "name": name,
            "plan": random.pick(PLANS),
        }),
        _ => json!({ "number": number, "by": name }),
    };
    json!({ "type": kind, "recipient": recipient, "data": data })
}

fn order(number: u64, random: &mut Random) -> Value {
    let items: Vec<Value> = (0..random.within(1..=3))
        .map(|_| {
            let quantity = random.within(1..=4);
            json!({ "sku": random.pick(PRODUCTS), "quantity": quantity, "price": cents(random) })
        })
        .collect();
    json!({ "order": number, "currency": random.pick(CURRENCIES), "items": items })
}

/// An amount as text, which no reader rounds.
fn cents(random: &mut Random) -> String {
    let cents = random.within(199..=19_999);
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_event_and_its_type_says_what_is_in_it() {
        let make = |kind| event(kind, &mut Random::seeded(7));
        assert_eq!(make("order.created"), make("order.created"));
        assert!(make("order.created")["data"]["items"][0]["sku"].is_string());
        assert!(make("user.signup")["data"]["plan"].is_string());
        assert!(make("invoice_paid")["data"]["amount"].is_string());
        assert!(make("sensor.moved")["data"]["number"].is_u64());
    }
}
