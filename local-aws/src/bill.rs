//! What AWS would bill of the local workload, counted where it occurs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Millis;
use crate::dynamodb::Consumed;
use crate::template;

/// A request to the HTTP API is billed in these. ("Amazon API Gateway pricing".)
const HTTP_UNIT_BYTES: usize = 512 * 1024;
/// So is a message over WebSocket. (Same page.)
const MESSAGE_UNIT_BYTES: usize = 32 * 1024;
/// So is a request to SQS, a batch by what it holds in all. ("Amazon SQS pricing".)
const QUEUE_UNIT_BYTES: usize = 64 * 1024;
/// AWS's GB, of memory, storage and logs alike.
pub const GB: f64 = 1024.0 * 1024.0 * 1024.0;
/// So is Lambda's.
pub const MB_PER_GB: f64 = 1024.0;

/// Something that AWS counts and charges for. The order is that of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A request of up to 512 KB to the HTTP API.
    HttpRequest,
    /// 32 KB of a message over WebSocket, in either direction.
    Message,
    /// A minute of a WebSocket connection.
    ConnectionMinute,
    /// An invocation of a function.
    LambdaRequest,
    /// A GB of memory for a second, on arm64.
    LambdaGbSecondArm64,
    /// The same on `x86_64`.
    #[serde(rename = "lambda_gb_second_x86_64")]
    LambdaGbSecondX86,
    /// 1 KB written to a table or an index.
    WriteUnit,
    /// 4 KB read consistently, or 8 KB otherwise.
    ReadUnit,
    /// A GB in a table for a month, indexes included.
    TableGbMonth,
    /// A GB of a table with point-in-time recovery for a month.
    BackupGbMonth,
    /// A secret for a month.
    SecretMonth,
    /// A call of Secrets Manager.
    SecretCall,
    /// An object stored.
    S3Put,
    /// An object read.
    S3Get,
    /// 64 KB sent to a queue, received or deleted.
    QueueRequest,
    /// A function invoked by EventBridge Scheduler.
    ScheduledInvocation,
    /// A GB of log lines.
    LogGb,
    /// A GB of compressed log lines kept for a month.
    LogGbMonth,
    /// A trace that was recorded.
    Trace,
    /// A metric of our own for a month.
    MetricMonth,
    /// A metric of an alarm for a month; one with metric math has several.
    AlarmMonth,
    /// A CloudWatch dashboard for a month.
    DashboardMonth,
    /// A GB sent to the internet.
    EgressGb,
}

/// Quantities of what is charged for.
pub type Usage = BTreeMap<Item, f64>;

/// What a program knows of the bill.
#[derive(Debug, Clone, Copy)]
pub struct Pricing {
    /// About how many bytes a function, by its binary, writes to its log in an invocation.
    pub log_bytes: fn(binary: &str) -> f64,
    /// What the bill says of the quantities: prices, if they are known.
    pub of: fn(&Usage) -> Map<String, Value>,
}

impl Default for Pricing {
    /// The quantities alone, without any log.
    fn default() -> Pricing {
        Pricing {
            log_bytes: |_| 0.0,
            of: |usage| Map::from_iter([("usage".to_owned(), json!(usage))]),
        }
    }
}

/// Counts what AWS would bill, since the start.
#[derive(Debug)]
pub struct Bill {
    since: Millis,
    pricing: Pricing,
    http_requests: AtomicU64,
    messages: AtomicU64,
    connection_ms: AtomicU64,
    secret_calls: AtomicU64,
    s3_puts: AtomicU64,
    s3_gets: AtomicU64,
    queue_requests: AtomicU64,
    scheduled: AtomicU64,
    functions: BTreeMap<String, Arc<Function>>,
}

/// A function's part.
#[derive(Debug)]
struct Function {
    memory_mb: u32,
    log_bytes: f64,
    invocations: AtomicU64,
    billed_ms: AtomicU64,
}

/// An invocation that somebody waits for. Dropping it bills it.
#[derive(Debug)]
pub struct Running {
    function: Option<Arc<Function>>,
    began: Instant,
}

impl Running {
    /// It did not run after all.
    pub fn refused(mut self) {
        self.function = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(function) = &self.function {
            function.ran(self.began.elapsed());
        }
    }
}

/// What is known where the bill is asked for.
#[derive(Debug)]
pub struct Readings {
    /// The time.
    pub now: Millis,
    /// When the connections that are open were opened.
    pub open_since: Vec<Millis>,
    /// What DynamoDB has used, by logical id of a table, or of a table and `/index`.
    pub dynamodb: BTreeMap<String, Consumed>,
    /// What the functions have written to their log, when they run as processes of their own.
    pub log_bytes: Option<u64>,
}

impl Bill {
    /// A bill of nothing yet, for these functions.
    #[must_use]
    pub fn new(functions: &[template::Function], pricing: Pricing, since: Millis) -> Bill {
        let function = |function: &template::Function| {
            let meter = Function {
                memory_mb: function.memory_mb,
                log_bytes: (pricing.log_bytes)(&function.binary),
                invocations: AtomicU64::new(0),
                billed_ms: AtomicU64::new(0),
            };
            (function.logical_id.clone(), Arc::new(meter))
        };
        Bill {
            since,
            pricing,
            http_requests: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            connection_ms: AtomicU64::new(0),
            secret_calls: AtomicU64::new(0),
            s3_puts: AtomicU64::new(0),
            s3_gets: AtomicU64::new(0),
            queue_requests: AtomicU64::new(0),
            scheduled: AtomicU64::new(0),
            functions: functions.iter().map(function).collect(),
        }
    }

    /// A request to the HTTP API with a body, or an answer, of so many bytes, whichever is more.
    pub fn http_request(&self, bytes: usize) {
        add(&self.http_requests, units(bytes, HTTP_UNIT_BYTES));
    }

    /// A message to or from a connection.
    pub fn message(&self, bytes: usize) {
        add(&self.messages, units(bytes, MESSAGE_UNIT_BYTES));
    }

    /// A connection that has ended.
    pub fn connection(&self, opened: Millis, ended: Millis) {
        add(&self.connection_ms, ended.0.saturating_sub(opened.0));
    }

    /// A call of Secrets Manager that was answered with a secret.
    pub fn secret_call(&self) {
        add(&self.secret_calls, 1);
    }

    /// A PUT that S3 did not answer with 5xx: one that it refused is billed, too, since it comes
    /// from the bucket's own account. ("Billing for Amazon S3 error responses".)
    pub fn s3_put(&self) {
        add(&self.s3_puts, 1);
    }

    /// A GET of which the same holds.
    pub fn s3_get(&self) {
        add(&self.s3_gets, 1);
    }

    /// A call of SQS, of a body or with an answer of so many bytes, whichever is more. One that
    /// finds nothing is billed, too.
    pub fn queue_request(&self, bytes: usize) {
        add(&self.queue_requests, units(bytes, QUEUE_UNIT_BYTES));
    }

    /// An invocation by EventBridge Scheduler. Those by rules are free.
    pub fn scheduled(&self) {
        add(&self.scheduled, 1);
    }

    /// An invocation that begins. It is billed by the time until it has answered. Whoever gives up
    /// earlier drops it: then it is billed until there, although it goes on and AWS bills it all.
    /// Only a gateway gives up, and no sooner than the template ends a function: what outlives it
    /// began with the start of a process. Behind a URL of its own a function is billed to its end.
    #[must_use]
    pub fn invocation(&self, logical_id: &str) -> Running {
        Running {
            function: self.functions.get(logical_id).cloned(),
            began: Instant::now(),
        }
    }

    /// The quantities so far.
    #[must_use]
    pub fn usage(&self, readings: &Readings) -> Usage {
        let open_ms: u64 = readings
            .open_since
            .iter()
            .map(|opened| readings.now.0.saturating_sub(opened.0))
            .sum();
        let connection_ms = get(&self.connection_ms) + open_ms as f64;
        let of_functions = |quantity: fn(&Function) -> f64| {
            sum(self.functions.values().map(|function| quantity(function)))
        };
        let written = readings.log_bytes.map(|bytes| bytes as f64);
        let log_bytes = written.unwrap_or_else(|| of_functions(Function::log_bytes));
        let units = |unit: fn(&Consumed) -> f64| sum(readings.dynamodb.values().map(unit));
        Usage::from([
            (Item::HttpRequest, get(&self.http_requests)),
            (Item::Message, get(&self.messages)),
            (Item::ConnectionMinute, connection_ms / 60_000.0),
            (Item::LambdaRequest, of_functions(Function::invocations)),
            (
                Item::LambdaGbSecondArm64,
                of_functions(Function::gb_seconds),
            ),
            (Item::WriteUnit, units(|consumed| consumed.write_units)),
            (Item::ReadUnit, units(|consumed| consumed.read_units)),
            (Item::SecretCall, get(&self.secret_calls)),
            (Item::S3Put, get(&self.s3_puts)),
            (Item::S3Get, get(&self.s3_gets)),
            (Item::QueueRequest, get(&self.queue_requests)),
            (Item::ScheduledInvocation, get(&self.scheduled)),
            (Item::LogGb, log_bytes / GB),
        ])
    }

    /// The bill as it is answered.
    #[must_use]
    pub fn to_json(&self, readings: &Readings) -> Value {
        let functions: BTreeMap<_, _> = self
            .functions
            .iter()
            .map(|(name, function)| (name, function.to_json()))
            .collect();
        let tables: BTreeMap<_, _> = readings
            .dynamodb
            .iter()
            .map(|(name, consumed)| {
                let units = json!({ "write_units": consumed.write_units, "read_units": consumed.read_units });
                (name, units)
            })
            .collect();
        let mut bill = (self.pricing.of)(&self.usage(readings));
        bill.extend([
            ("since".to_owned(), json!(self.since)),
            ("until".to_owned(), json!(readings.now)),
            ("functions".to_owned(), json!(functions)),
            ("tables".to_owned(), json!(tables)),
        ]);
        Value::Object(bill)
    }
}

impl Function {
    fn invocations(&self) -> f64 {
        get(&self.invocations)
    }

    fn gb_seconds(&self) -> f64 {
        get(&self.billed_ms) / 1_000.0 * f64::from(self.memory_mb) / MB_PER_GB
    }

    fn log_bytes(&self) -> f64 {
        self.invocations() * self.log_bytes
    }

    /// Lambda bills by the started millisecond.
    fn ran(&self, took: Duration) {
        let ms = took.as_micros().div_ceil(1_000).max(1);
        add(&self.invocations, 1);
        add(&self.billed_ms, u64::try_from(ms).unwrap_or(u64::MAX));
    }

    fn to_json(&self) -> Value {
        json!({
            "invocations": self.invocations.load(Ordering::Relaxed),
            "billed_ms": self.billed_ms.load(Ordering::Relaxed),
            "memory_mb": self.memory_mb,
            "gb_seconds": self.gb_seconds(),
        })
    }
}

/// Started units of a size, at least one.
fn units(bytes: usize, size: usize) -> u64 {
    bytes.div_ceil(size).max(1) as u64
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// A sum that is 0 without a sign when there is nothing; `Iterator::sum` of nothing is -0.0.
#[must_use]
pub fn sum(quantities: impl Iterator<Item = f64>) -> f64 {
    quantities.fold(0.0, |sum, quantity| sum + quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings() -> Readings {
        Readings {
            now: Millis(300_000),
            open_since: Vec::new(),
            dynamodb: BTreeMap::new(),
            log_bytes: None,
        }
    }

    fn function() -> template::Function {
        let text = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Reader:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: reader/, Runtime: provided.al2023, Handler: bootstrap, MemorySize: 512}";
        let template = template::Template::parse(text, &template::Settings::default());
        template.unwrap().functions.remove(0)
    }

    #[test]
    fn bytes_are_billed_by_started_units() {
        let bill = Bill::new(&[], Pricing::default(), Millis(0));
        for bytes in [0, 1, 32 * 1024, 32 * 1024 + 1] {
            bill.message(bytes);
        }
        bill.http_request(512 * 1024 + 1);
        bill.queue_request(0);
        bill.queue_request(64 * 1024 + 1);
        let usage = bill.usage(&readings());
        assert_eq!(usage[&Item::Message], 5.0);
        assert_eq!(usage[&Item::HttpRequest], 2.0);
        assert_eq!(usage[&Item::QueueRequest], 3.0);
    }

    #[test]
    fn open_connections_count_like_those_that_have_ended() {
        let bill = Bill::new(&[], Pricing::default(), Millis(0));
        bill.connection(Millis(60_000), Millis(180_000));
        let readings = Readings {
            open_since: vec![Millis(240_000)],
            ..readings()
        };
        assert_eq!(bill.usage(&readings)[&Item::ConnectionMinute], 3.0);
    }

    #[test]
    fn an_invocation_that_was_refused_is_not_billed() {
        let bill = Bill::new(&[function()], Pricing::default(), Millis(0));
        bill.invocation("Reader").refused();
        drop(bill.invocation("Reader"));
        drop(bill.invocation("NoFunction"));
        assert_eq!(bill.usage(&readings())[&Item::LambdaRequest], 1.0);
    }

    #[test]
    fn a_function_is_billed_by_the_started_millisecond_and_its_memory() {
        let bill = Bill::new(&[function()], Pricing::default(), Millis(0));
        let reader = &bill.functions["Reader"];
        reader.ran(Duration::from_micros(1));
        reader.ran(Duration::from_micros(2_001));
        let usage = bill.usage(&readings());
        assert_eq!(usage[&Item::LambdaRequest], 2.0);
        assert!((usage[&Item::LambdaGbSecondArm64] - 0.002).abs() < 1e-9);
    }
}
