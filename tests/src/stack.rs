//! A local stack of a test's own.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use domain::{Rights, View};
use local_aws::dynamodb::SHARDS;
use platform::clock;
use platform::tokens::{Audience, TokenKeys};
use posthorn::tools::feed::{Entrance, Feed, FeedItem, FeedOptions};
use posthorn::tools::target::Secret;
use posthorn::tools::tickets::Tickets;
use posthorn::{Options, Stack};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{DEADLINE, Http, Mandrill, Socket, eventually};

/// A running local stack; its data goes when it is dropped.
#[derive(Debug)]
pub struct TestStack {
    stack: Option<Stack>,
    options: Options,
    http: Http,
    // Last, so that the stack is gone when its directory goes.
    _directory: TempDir,
}

impl Deref for TestStack {
    type Target = Stack;

    fn deref(&self) -> &Stack {
        self.stack.as_ref().expect("a stack that runs")
    }
}

impl TestStack {
    /// A stack as `cargo run` starts it, on any free port.
    pub async fn start() -> TestStack {
        TestStack::start_with(|_| {}).await
    }

    /// A stack with options of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(configure: impl FnOnce(&mut Options)) -> TestStack {
        let directory = tempfile::tempdir().expect("a directory");
        let mut options = Options::new(directory.path());
        options.local.functions = built_functions();
        configure(&mut options);
        let stack = Stack::start(options.clone()).await.expect("a stack");
        let http = Http::new(&stack.urls().http);
        let port = stack.urls().http.rsplit(':').next();
        options.local.port = port.and_then(|port| port.parse().ok()).expect("a port");
        TestStack {
            stack: Some(stack),
            options,
            http,
            _directory: directory,
        }
    }

    /// Stops the stack. Its data stays.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn stop(&mut self) {
        self.stack.take().expect("a stack that runs").stop().await;
    }

    /// The template for the next start.
    pub fn set_template(&mut self, template: &str) {
        template.clone_into(&mut self.options.local.template);
    }

    /// A parameter of the template for the next start.
    pub fn set_parameter(&mut self, name: &str, value: &str) {
        let parameters = &mut self.options.local.parameters;
        parameters.insert(name.to_owned(), value.to_owned());
    }

    /// Starts the stack again, with its data and on its port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        // Connections of the old one may still be closing, with the database in their hands.
        let options = self.options.clone();
        let stack = eventually(DEADLINE, async || {
            Stack::start(options.clone())
                .await
                .map_err(|error| format!("{error:?}"))
        });
        self.stack = Some(stack.await);
    }

    /// A client of the HTTP API.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Mandrill, as the stack is configured for it.
    #[must_use]
    pub fn mandrill(&self) -> Mandrill {
        let urls = self.urls();
        Mandrill::new(&self.webhook(), &urls.webhook_url, &urls.webhook_keys[0])
    }

    /// Where to post a batch, whatever URL is signed.
    #[must_use]
    pub fn webhook(&self) -> String {
        format!("{}/mandrill", self.urls().http)
    }

    /// The address of the WebSocket API with a valid ticket.
    #[must_use]
    pub fn socket_url(&self) -> String {
        format!("{}?ticket={}", self.urls().ws, self.ticket())
    }

    /// A ticket for everything, as `POST /v1/tickets` would make it.
    ///
    /// # Panics
    /// When the stack's token is not one.
    #[must_use]
    pub fn ticket(&self) -> String {
        let (keys, now) = (self.token_keys(), clock::now());
        let holder = keys.verify(&self.urls().token, Audience::Api, now);
        let holder = holder.expect("the stack's own token");
        let ticket = keys.ticket(&holder, &View::default(), now);
        ticket.expect("a ticket").text.0
    }

    /// Where a client that comes back gets its tickets.
    ///
    /// # Panics
    /// When there can be no HTTP client.
    #[must_use]
    pub fn tickets(&self) -> Tickets {
        let token = Secret::new(self.urls().token.clone());
        Tickets::new(&self.urls().http, token).expect("an HTTP client")
    }

    /// A token with these rights.
    ///
    /// # Panics
    /// When there can be none.
    #[must_use]
    pub fn token(&self, rights: &Rights) -> String {
        let token = self.token_keys().mint("test", rights, clock::now());
        token.expect("a token").0
    }

    fn token_keys(&self) -> TokenKeys {
        let key = json!({ "token_key": self.urls().token_key });
        serde_json::from_value(key).expect("a key")
    }

    /// A connection without a filter. Not while others connect: its id would not be known.
    pub async fn connect(&self) -> Socket {
        self.connect_with("").await
    }

    /// A connection with more in its query, such as `&filter=type:open`. Not while others connect.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_with(&self, query: &str) -> Socket {
        let before: BTreeSet<String> = self.sockets().ids().into_iter().collect();
        let url = format!("{}{query}", self.socket_url());
        let mut socket = Socket::open(&url).await.expect("a connection");
        // The answer to the handshake comes a moment before the connection can be posted to.
        let id = eventually(DEADLINE, async || {
            let ids = self.sockets().ids();
            ids.into_iter()
                .find(|id| !before.contains(id))
                .ok_or("the connection is not open".to_owned())
        });
        socket.id = Some(id.await);
        socket
    }

    /// A client that misses nothing.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn feed(&self, configure: impl FnOnce(&mut FeedOptions)) -> FeedReader {
        let mut options = FeedOptions::new(Entrance::Tickets(self.tickets()));
        configure(&mut options);
        let feed = Feed::connect(options).await.expect("a feed");
        FeedReader {
            feed,
            told: Vec::new(),
        }
    }

    /// A page of `GET /v1/events`; `query` without the question mark.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn page(&self, query: &str) -> Value {
        let path = format!("/v1/events?{query}");
        let answer = self.http.get(&path, &self.urls().token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// What the workload so far would have cost.
    ///
    /// # Panics
    /// When it is not said.
    pub async fn bill(&self) -> Value {
        let token = &self.urls().stack_token;
        self.http.get("/_stack/bill", token).await.json()
    }

    /// All events by `GET /v1/events`, newest first.
    ///
    /// # Panics
    /// When a page is refused.
    pub async fn history(&self) -> Vec<Value> {
        let mut events = Vec::new();
        let mut query = "limit=1000".to_owned();
        loop {
            let page = self.page(&query).await;
            events.extend(page["events"].as_array().expect("events").clone());
            match page["next"].as_str() {
                Some(next) => query = format!("limit=1000&before={next}"),
                None => return events,
            }
        }
    }

    /// The physical name of a table.
    ///
    /// # Panics
    /// When the template has no such table.
    #[must_use]
    pub fn table(&self, logical_id: &str) -> String {
        let table = self.template().table(logical_id);
        table.expect("a table of the template").name.clone()
    }

    /// A variable of a function.
    ///
    /// # Panics
    /// When the template sets none.
    #[must_use]
    pub fn variable(&self, function: &str, name: &str) -> String {
        let function = self.template().function(function);
        let variables = &function.expect("a function of the template").environment;
        variables.get(name).expect("a variable").clone()
    }

    /// Changes the deployment's secret, as an operator does.
    ///
    /// # Panics
    /// When there is none.
    pub fn change_secret(&self, change: impl FnOnce(&mut Value)) {
        let text = self.secret("PosthornSecret").expect("a secret");
        let mut value: Value = serde_json::from_str(&text).expect("JSON");
        change(&mut value);
        self.set_secret("PosthornSecret", value.to_string());
    }

    /// The feed whose cursors the stack gives.
    #[must_use]
    pub fn cursors(&self) -> domain::Feed {
        domain::Feed::new(self.variable("ApiFunction", "FEED_ID"))
    }

    /// A call of DynamoDB, past the functions.
    ///
    /// # Panics
    /// When it fails.
    pub async fn dynamo(&self, operation: &str, request: Value) -> Value {
        let body = Bytes::from(request.to_string());
        let answer = self.dynamodb().call(operation, body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{operation}: {error}"));
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// All items of a table, as DynamoDB JSON.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn items(&self, logical_id: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut start = Value::Null;
        loop {
            let mut request =
                json!({ "TableName": self.table(logical_id), "ConsistentRead": true });
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let mut page = self.dynamo("Scan", request).await;
            items.extend(page["Items"].as_array().expect("items").iter().cloned());
            start = page["LastEvaluatedKey"].take();
            if start.is_null() {
                return items;
            }
        }
    }

    /// All records in the stream of the events table, as Lambda gets them.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn records(&self) -> Vec<Value> {
        let table = self.table("EventsTable");
        let mut records = Vec::new();
        for shard in 0..SHARDS {
            let mut after = 0;
            loop {
                let page = self.dynamodb().read_records(&table, shard, after, 1_000);
                let page = page.await.expect("a page of records");
                let texts = page.records.iter().map(|record| &record.json);
                records.extend(texts.map(|text| {
                    let record: Value = serde_json::from_str(text).expect("JSON");
                    record
                }));
                if !page.more {
                    break;
                }
                after = page.position;
            }
        }
        records
    }

    /// The names of those records: `INSERT`, …
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn record_names(&self) -> Vec<String> {
        let records = self.records().await;
        let name = |record: &Value| record["eventName"].as_str().expect("a name").to_owned();
        records.iter().map(name).collect()
    }

    /// The connections that have a row.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn connection_ids(&self) -> BTreeSet<String> {
        let rows = self.items("ConnectionsTable").await;
        let ids = rows.iter().filter(|row| row["pk"]["S"] != "late");
        ids.map(|row| row["sk"]["S"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// Waits until every record of the stream was read by `push`, and what it did about it is done.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn wait_until_pushed(&self) {
        let table = self.table("EventsTable");
        let database = self.dynamodb();
        eventually(DEADLINE, async || {
            for shard in 0..SHARDS {
                let position = database.position("PushFunction", &table, shard).await;
                let position = position.expect("a position").unwrap_or(0);
                let page = database.read_records(&table, shard, position, 1).await;
                if !page.expect("a page of records").records.is_empty() {
                    return Err(format!("shard {shard} is at {position}"));
                }
            }
            Ok(())
        })
        .await;
    }

    /// Lets time pass at once, between two invocations of functions. The clock of the process moves
    /// with it, so this is for tests in a process of their own (`tests/time`), and for functions that
    /// run in it.
    pub async fn pass(&self, time: Duration) {
        let _held = self.hold().await;
        crate::clock::advance(time);
    }

    /// Sets the wall clock of the process back, between two invocations of functions.
    pub async fn set_back(&self, time: Duration) {
        let _held = self.hold().await;
        crate::clock::set_back(time);
    }

    /// Lets no function run, with every index up to date.
    async fn hold(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        let held = self.faults().hold_functions().await;
        // No index lags for minutes.
        self.dynamodb().faults().set_index_lag(Duration::ZERO);
        let tables = self.dynamodb().call("ListTables", Bytes::from("{}"));
        // One that fails on purpose has caught up as well.
        let _ = tables.await;
        held
    }

    /// Stops or goes on reading every shard of the stream.
    pub fn pause_shards(&self, is_paused: bool) {
        for shard in 0..SHARDS {
            self.faults().pause_shard(shard, is_paused);
        }
    }
}

/// Where the binaries of the functions are, if the tests are to run them in processes of their own:
/// `make test-built` says so.
fn built_functions() -> Option<PathBuf> {
    let directory = platform::config::process("POSTHORN_FUNCTIONS")?;
    Some(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(directory),
    )
}

/// A feed client and what it has told.
#[derive(Debug)]
pub struct FeedReader {
    feed: Feed,
    /// The events that were told, each once.
    pub told: Vec<Value>,
}

impl FeedReader {
    /// The next item.
    ///
    /// # Panics
    /// When none comes in time, or the feed has ended.
    pub async fn next(&mut self) -> FeedItem {
        let next = tokio::time::timeout(DEADLINE, self.feed.next()).await;
        let item = next.unwrap_or_else(|_| panic!("no item; {} events were told", self.told.len()));
        let item = item.expect("a feed that goes on");
        if let FeedItem::Event { text, .. } = &item {
            self.told.push(serde_json::from_str(text).expect("JSON"));
        }
        item
    }

    /// Reads until everything stored so far was told; answers whether nothing was lost.
    pub async fn live(&mut self) -> bool {
        loop {
            if let FeedItem::Live { recovered } = self.next().await {
                return recovered;
            }
        }
    }

    /// Reads until `count` events were told in all.
    pub async fn read(&mut self, count: usize) {
        while self.told.len() < count {
            self.next().await;
        }
    }
}
