//! The connections of the WebSocket API, and what each function may do to them.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Filter, Millis, Rights, Scope, Scopes};
use futures::future::try_join_all;

use crate::error::{StoreError, classify, is_condition_failure};
use crate::item::Item;
use crate::{keys, late};

/// API Gateway ends a connection after 2 h; its row goes a little later.
const ROW_LIFETIME_MS: u64 = (2 * 60 + 10) * 60 * 1_000;
/// How long after its row a socket may open: a message before that finds nobody, and the row has
/// to stay.
const OPENING_MS: u64 = 60_000;

mod attribute {
    pub(super) const FILTER: &str = "filter";
    pub(super) const WITH_DATA: &str = "with_data";
    pub(super) const SUBSCRIBED: &str = "subscribed";
    pub(super) const CONNECTED_AT: &str = "connected_at";
    pub(super) const RIGHTS_FILTER: &str = "rights_filter";
    pub(super) const RIGHTS_ASKED: &str = "rights_asked";
    pub(super) const RIGHTS_MASK: &str = "rights_mask";
    pub(super) const RIGHTS_UNTIL: &str = "rights_until";
    pub(super) const MISSED_SINCE: &str = "missed_since";
    pub(super) const EXPIRES_AT: &str = "expires_at";
}

/// A row of the connections table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// API Gateway's id.
    pub id: String,
    /// What its ticket lets it see.
    pub rights: Rights,
    /// The text of its own filter, which is ANDed with that of its rights.
    pub filter: String,
    /// Whether it wants `data` with live events.
    pub with_data: bool,
    /// Whether it wants live events at all.
    pub subscribed: bool,
    /// When it was registered.
    pub connected_at: Millis,
    /// Since when messages to it were given up, none when none was. It gets no live events until
    /// it has resumed, so that its cursor cannot pass what it missed.
    pub missed_since: Option<Millis>,
}

impl Connection {
    fn from_item(item: &Item) -> Option<Connection> {
        Some(Connection {
            id: text(item, "sk")?.to_owned(),
            rights: rights(item)?,
            filter: text(item, attribute::FILTER)?.to_owned(),
            with_data: flag(item, attribute::WITH_DATA)?,
            subscribed: flag(item, attribute::SUBSCRIBED)?,
            connected_at: time(item, attribute::CONNECTED_AT)?,
            missed_since: time(item, attribute::MISSED_SINCE),
        })
    }
}

/// Rights that cannot be read give none: a row without them is as good as no row.
fn rights(item: &Item) -> Option<Rights> {
    Some(Rights {
        scopes: Scopes::of(&[Scope::Read]),
        filter: Filter::stored(text(item, attribute::RIGHTS_FILTER)?).ok()?,
        asked: Filter::stored(text(item, attribute::RIGHTS_ASKED)?).ok()?,
        mask: flag(item, attribute::RIGHTS_MASK)?,
        until: time(item, attribute::RIGHTS_UNTIL)?,
    })
}

fn text<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn flag(item: &Item, name: &str) -> Option<bool> {
    item.get(name)?.as_bool().ok().copied()
}

fn time(item: &Item, name: &str) -> Option<Millis> {
    item.get(name)?.as_n().ok()?.parse().ok().map(Millis)
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn key(connection_id: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        (
            "pk".to_owned(),
            AttributeValue::S(keys::connection_shard(connection_id)),
        ),
        ("sk".to_owned(), AttributeValue::S(connection_id.to_owned())),
    ])
}

/// Registers connections: for `connect`.
#[derive(Debug, Clone)]
pub struct ConnectionRegister {
    client: Client,
    table: String,
}

impl ConnectionRegister {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:PutItem"];

    /// On the connections table.
    #[must_use]
    pub fn new(client: Client, table: String) -> ConnectionRegister {
        ConnectionRegister { client, table }
    }

    /// Opens the way to DynamoDB, by a put whose condition never holds.
    pub async fn open(&self) {
        let call = self.client.put_item().table_name(&self.table);
        let never = "attribute_exists(pk) AND attribute_not_exists(pk)";
        let call = call.set_item(Some(key("init"))).condition_expression(never);
        let _ = call.send().await;
    }

    /// Stores a connection that is about to open, with what it may see and the text of its own
    /// filter.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn register(
        &self,
        connection_id: &str,
        rights: &Rights,
        filter: String,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut item = key(connection_id);
        item.insert("v".to_owned(), number(2));
        item.insert(
            attribute::RIGHTS_FILTER.to_owned(),
            AttributeValue::S(rights.filter.to_string()),
        );
        item.insert(
            attribute::RIGHTS_ASKED.to_owned(),
            AttributeValue::S(rights.asked.to_string()),
        );
        item.insert(
            attribute::RIGHTS_MASK.to_owned(),
            AttributeValue::Bool(rights.mask),
        );
        item.insert(attribute::RIGHTS_UNTIL.to_owned(), number(rights.until.0));
        item.insert(attribute::FILTER.to_owned(), AttributeValue::S(filter));
        item.insert(attribute::WITH_DATA.to_owned(), AttributeValue::Bool(false));
        item.insert(attribute::SUBSCRIBED.to_owned(), AttributeValue::Bool(true));
        item.insert(attribute::CONNECTED_AT.to_owned(), number(now.0));
        item.insert(
            attribute::EXPIRES_AT.to_owned(),
            number(now.plus(ROW_LIFETIME_MS).as_secs()),
        );
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await;
        call.map(drop).map_err(|error| classify("PutItem", error))
    }
}

/// Forgets connections: for `disconnect`.
#[derive(Debug, Clone)]
pub struct ConnectionForget {
    client: Client,
    table: String,
}

impl ConnectionForget {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:DeleteItem"];

    /// On the connections table.
    #[must_use]
    pub fn new(client: Client, table: String) -> ConnectionForget {
        ConnectionForget { client, table }
    }

    /// Opens the way to DynamoDB, by forgetting a connection that there cannot be.
    pub async fn open(&self) {
        let _ = self.forget("init").await;
    }

    /// Deletes the row of a connection that is closed; none is no failure.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn forget(&self, connection_id: &str) -> Result<(), StoreError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(connection_id)));
        call.send()
            .await
            .map(drop)
            .map_err(|error| classify("DeleteItem", error))
    }
}

/// One connection, while it is open: for `message`.
#[derive(Debug, Clone)]
pub struct ConnectionSession {
    client: Client,
    table: String,
}

impl ConnectionSession {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] =
        &["dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"];

    /// On the connections table.
    #[must_use]
    pub fn new(client: Client, table: String) -> ConnectionSession {
        ConnectionSession { client, table }
    }

    /// The connection's row, none when there is none (any more).
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn get(&self, connection_id: &str) -> Result<Option<Connection>, StoreError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key(connection_id)));
        let answer = call
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| classify("GetItem", error))?;
        Ok(answer.item.as_ref().and_then(Connection::from_item))
    }

    /// Replaces what the connection wants. A row that is gone is not made again.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn subscribe(
        &self,
        connection_id: &str,
        filter: &str,
        with_data: bool,
    ) -> Result<(), StoreError> {
        self.update(
            self.client
                .update_item()
                .set_key(Some(key(connection_id)))
                .update_expression(
                    "SET #filter = :filter, with_data = :with_data, subscribed = :yes",
                )
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_names("#filter", attribute::FILTER)
                .expression_attribute_values(":filter", AttributeValue::S(filter.to_owned()))
                .expression_attribute_values(":with_data", AttributeValue::Bool(with_data))
                .expression_attribute_values(":yes", AttributeValue::Bool(true)),
        )
        .await
    }

    /// Ends live events.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn unsubscribe(&self, connection_id: &str) -> Result<(), StoreError> {
        self.update(
            self.client
                .update_item()
                .set_key(Some(key(connection_id)))
                .update_expression("SET subscribed = :no")
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":no", AttributeValue::Bool(false)),
        )
        .await
    }

    /// Lets live events flow again to a connection that resumes from `missed_since` or before,
    /// unless it missed earlier ones in the meantime.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn clear_missed(
        &self,
        connection_id: &str,
        missed_since: Millis,
    ) -> Result<(), StoreError> {
        self.update(
            self.client
                .update_item()
                .set_key(Some(key(connection_id)))
                .update_expression("REMOVE missed_since")
                .condition_expression("missed_since = :seen")
                .expression_attribute_values(":seen", number(missed_since.0)),
        )
        .await
    }

    async fn update(
        &self,
        call: aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder,
    ) -> Result<(), StoreError> {
        match call.table_name(&self.table).send().await {
            Err(error) if !is_condition_failure(&error) => Err(classify("UpdateItem", error)),
            _ => Ok(()),
        }
    }

    /// From when to read for a client that has seen everything up to `seen`, when records from
    /// before were still to be pushed at that time.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn late_since(&self, seen: Millis) -> Result<Option<Millis>, StoreError> {
        late::earliest(&self.client, &self.table, seen).await
    }
}

/// All connections: for `push`.
#[derive(Debug, Clone)]
pub struct ConnectionList {
    client: Client,
    table: String,
}

impl ConnectionList {
    /// The IAM actions that it needs on the table.
    pub const ACTIONS: &'static [&'static str] = &[
        "dynamodb:DeleteItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
    ];

    /// On the connections table.
    #[must_use]
    pub fn new(client: Client, table: String) -> ConnectionList {
        ConnectionList { client, table }
    }

    /// Every connection whose row has not expired.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn list(&self, now: Millis) -> Result<Vec<Connection>, StoreError> {
        let shards = (0..keys::CONNECTION_SHARDS).map(|shard| self.list_shard(shard, now));
        Ok(try_join_all(shards).await?.concat())
    }

    async fn list_shard(&self, shard: u8, now: Millis) -> Result<Vec<Connection>, StoreError> {
        let mut connections = Vec::new();
        let mut start = None;
        loop {
            let answer = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(
                    ":pk",
                    AttributeValue::S(keys::connection_shard_name(shard)),
                )
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| classify("Query", error))?;
            let open =
                |connection: &Connection| connection.connected_at.plus(ROW_LIFETIME_MS) > now;
            let rows = answer.items.unwrap_or_default();
            connections.extend(rows.iter().filter_map(Connection::from_item).filter(open));
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(connections);
            }
        }
    }

    /// Deletes a connection that the gateway does not know (any more), unless its row is so young
    /// that its socket may only be about to open.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn forget_gone(&self, connection_id: &str, now: Millis) -> Result<(), StoreError> {
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(connection_id)))
            .condition_expression("connected_at < :opened")
            .expression_attribute_values(":opened", number(now.minus(OPENING_MS).0))
            .send()
            .await;
        match call {
            Err(error) if !is_condition_failure(&error) => Err(classify("DeleteItem", error)),
            _ => Ok(()),
        }
    }

    /// Notes that a message with events received since `since` was given up. A row that is gone is
    /// not made again, and an earlier note stays.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn mark_missed(&self, connection_id: &str, since: Millis) -> Result<(), StoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(connection_id)))
            .update_expression("SET missed_since = :since")
            .condition_expression("attribute_exists(pk) AND (attribute_not_exists(missed_since) OR missed_since > :since)")
            .expression_attribute_values(":since", number(since.0))
            .send()
            .await;
        match call {
            Err(error) if !is_condition_failure(&error) => Err(classify("UpdateItem", error)),
            _ => Ok(()),
        }
    }

    /// Notes, before they are sent, that records received since `from` are late, and that the last
    /// of them may be sent at `until`. The note is kept as long as a cursor from that time may come.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn note_late(
        &self,
        from: Millis,
        until: Millis,
        keep_until: Millis,
    ) -> Result<(), StoreError> {
        late::note(&self.client, &self.table, from, until, keep_until).await
    }
}
