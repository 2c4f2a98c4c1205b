//! Records that `dispatch` gave up.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use domain::{DAY_MS, Millis};
use tokio::time::Instant;

use super::item::attribute;
use crate::attributes::{key, number, text, time};
use crate::backoff::retrying;
use crate::error::{StoreError, classify};
use crate::keys;

/// How long noting one may take.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How much is kept of why, in characters.
const REASON_CHARS: usize = 1_000;

/// Notes records that were given up: for `dispatch`.
#[derive(Debug, Clone)]
pub struct ParkedRecords {
    client: Client,
    table: String,
    keep_ms: u64,
}

impl ParkedRecords {
    /// The IAM actions that it needs on the deliveries table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:PutItem"];

    /// On the deliveries table, for `keep_days`.
    #[must_use]
    pub fn new(client: Client, table: String, keep_days: u32) -> ParkedRecords {
        ParkedRecords {
            client,
            table,
            keep_ms: u64::from(keep_days) * DAY_MS,
        }
    }

    /// Notes that a record was given up, and why. `event` is the event's id, or what else tells
    /// which record it was; not empty. Safe to repeat.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn park(&self, event: &str, reason: &str, now: Millis) -> Result<(), StoreError> {
        let mut item = key(keys::PARKED, event);
        let reason: String = reason.chars().take(REASON_CHARS).collect();
        let expires_at = now.plus(self.keep_ms).as_secs();
        item.insert(attribute::V.to_owned(), number(1u64));
        item.insert(attribute::REASON.to_owned(), text(reason));
        item.insert(attribute::AT.to_owned(), time(now));
        item.insert(attribute::EXPIRES_AT.to_owned(), number(expires_at));
        retrying(Instant::now() + TIME_LIMIT, || async {
            let call = self.client.put_item().table_name(&self.table);
            let answer = call.set_item(Some(item.clone())).send().await;
            answer.map(drop).map_err(|error| classify("PutItem", error))
        })
        .await
    }
}
