//! From a workload to the quantities that AWS bills, for a month of 30 days.
//!
//! What follows from the code and the template is held to `/_stack/bill` by `tests/it/bill.rs`.
//! What only AWS could tell (how long functions run there, above all) is an assumption, and
//! `docs/COST-MODEL.md` lists it.

use domain::delivery::ErrorClass;
use local_aws::bill::{GB, Item, MB_PER_GB, Usage};
use platform::metrics;
use serde::Serialize;

use crate::bill::{LOG_LINE_BYTES, metric_bytes};

const DAYS: f64 = 30.0;
const DAY_SECONDS: f64 = 86_400.0;

/// Of the template: the memory of every function, and the partitions of a day's feed.
const MEMORY_MB: f64 = 512.0;
const FEED_SHARDS: f64 = 8.0;
/// A new table that is billed on demand takes 4,000 writes a second, in four partitions, each of
/// which is a shard of its stream. ("DynamoDB on-demand capacity mode", initial throughput.)
const STREAM_SHARDS: f64 = 4.0;
/// What one partition takes in a second. (Same guide.)
const PARTITION_WRITES: f64 = 1_000.0;
/// Lambda polls a shard so often. ("Using AWS Lambda with Amazon DynamoDB".)
const POLL_SECONDS: f64 = 0.25;
/// Of the mapping in the template.
const PUSH_RECORDS: f64 = 500.0;

/// An item, by the bytes of its event: `docs/DATA-MODEL.md`, values foreign.
const ITEM_BYTES: f64 = 200.0;
const ITEM_BYTES_PER_BYTE: f64 = 0.40;
/// DynamoDB's own for each item and entry that it stores. ("Table classes", storage.)
const STORED_OVERHEAD_BYTES: f64 = 100.0;
/// Keys and names of an entry of `feed`, and of one of `by_recipient`.
const FEED_ENTRY_BYTES: f64 = 125.0;
const RECIPIENT_ENTRY_BYTES: f64 = 132.0;
/// Events with a recipient, of those that are simulated.
const WITH_RECIPIENT: f64 = 0.99;
/// An event as it is pushed, without `data`: measured on simulated events.
const PUSHED_BYTES: f64 = 430.0;
const PUSHED_BYTES_PER_BYTE: f64 = 0.235;
/// JSON as a form.
const FORM_BYTES_PER_BYTE: f64 = 1.5;
const HTTP_UNIT_BYTES: f64 = 512.0 * 1024.0;
const MESSAGE_UNIT_BYTES: f64 = 32.0 * 1024.0;
const WRITE_UNIT_BYTES: f64 = 1024.0;
const READ_UNIT_BYTES: f64 = 4096.0;
const CONNECTION_ROW_BYTES: f64 = 250.0;
const CONNECTION_SHARDS: f64 = 4.0;

/// Of the page: a ping each minute, and three resumes for a connection, which lasts two hours.
const PINGS_PER_HOUR: f64 = 60.0;
const CONNECTION_HOURS: f64 = 2.0;
const RESUMES: f64 = 3.0;
/// How far a resume looks back.
const LOOK_BACK_SECONDS: f64 = 15.0;
/// The secret is read again so often.
const SECRET_READS_PER_DAY: f64 = DAY_SECONDS / 300.0;

/// Milliseconds that an invocation takes, and each event or message in it: calls of 5 to 10 ms,
/// and CPU as `bench` measures it, at the 0.29 of a processor that 512 MB buy.
const WEBHOOK_MS: f64 = 15.0;
const WEBHOOK_MS_PER_EVENT: f64 = 0.16;
const PUSH_MS: f64 = 10.0;
const PUSH_MS_PER_EVENT: f64 = 0.02;
const PUSH_MS_PER_MESSAGE: f64 = 0.4;
const SOCKET_MS: f64 = 10.0;

/// CloudWatch keeps logs compressed.
const LOGS_KEPT: f64 = 0.15;
const LOG_RETENTION_MONTHS: f64 = 1.0;
/// The types that `EventsReceived` tells apart: Mandrill's, `unknown` and `other`.
const EVENT_TYPES: usize = mandrill::KINDS.len() + 2;
/// The codes with which `webhook` refuses a request, which `RequestsRefused` tells apart.
const REFUSAL_CODES: usize = 8;
/// Metrics of our own, and each again for each value of its dimension.
const METRICS: f64 =
    (metrics::ALL.len() + EVENT_TYPES + REFUSAL_CODES + ErrorClass::ALL.len()) as f64;
/// Metrics that the template's alarms watch by default. An alarm with metric math is billed for each
/// metric in it. ("Amazon CloudWatch pricing".)
const ALARM_METRICS: f64 = 65.0;

/// X-Ray records one invocation a second of each function, and a twentieth of the others.
/// ("Visualize Lambda function invocations using AWS X-Ray".)
const TRACED_PER_SECOND: f64 = 1.0;
const TRACED_SHARE: f64 = 0.05;

/// A delivery that is taken at once: `docs/DATA-MODEL.md` counts its writes. It is looked for before
/// it is created, and its event and the version of the endpoints are read.
const DELIVERY_WRITES: f64 = 8.0;
const DELIVERY_READS: f64 = 3.0;
/// It is sent, received and deleted by itself, unless many come together.
const DELIVERY_QUEUE_REQUESTS: f64 = 3.0;
/// Half of it waits for the endpoint.
const DELIVERY_MS: f64 = 150.0;
const DISPATCH_MS: f64 = 10.0;
const REQUEUE_MS: f64 = 20.0;
const REQUEUES_PER_DAY: f64 = 24.0 * 60.0;
/// A read of the due deliveries of an endpoint, in this many partitions.
const DELIVERY_SHARDS: f64 = 4.0;
/// Lambda has five readers of a queue that wait up to 20 s for a message. ("Using Lambda with Amazon
/// SQS".)
const EMPTY_RECEIVES_PER_DAY: f64 = 5.0 * DAY_SECONDS / 20.0;

/// What is to be done in a day.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// Events that Mandrill posts.
    pub events_per_day: f64,
    /// Events in one POST, on average.
    pub batch: f64,
    /// Bytes of an event's JSON, on average.
    pub event_bytes: f64,
    /// Days that an event is kept.
    pub retention_days: f64,
    /// People who watch.
    pub viewers: f64,
    /// For how many hours of a day each of them does.
    pub viewer_hours: f64,
    /// Which part of the events each of them wants.
    pub wanted: f64,
    /// Endpoints that want every event.
    pub endpoints: f64,
    /// Whether the functions are built for arm64.
    pub is_arm64: bool,
    /// Whether invocations log their line, which is of level INFO; their metrics they always do.
    pub logs_info: bool,
    /// Whether invocations are traced.
    pub is_traced: bool,
}

/// What causes a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Receiving and storing events.
    Intake,
    /// Keeping them.
    Keeping,
    /// Pushing them to who watches.
    Push,
    /// That somebody watches: connections, pings, resumes.
    Viewers,
    /// The bytes that all this sends out of AWS.
    Transfer,
    /// Traces of a part of all this.
    Tracing,
    /// What stands there.
    Standing,
    /// Outbound webhooks: finding out who wants an event, and telling them.
    Deliveries,
}

/// The quantities of a month.
#[derive(Debug, Clone, Default)]
pub struct Month {
    /// By what causes them.
    pub parts: Vec<(Part, Usage)>,
    /// Events that are stored.
    pub events: f64,
    /// Messages that are pushed.
    pub pushed: f64,
    /// Invocations of `push`.
    pub pushes: f64,
}

impl Month {
    /// All quantities.
    #[must_use]
    pub fn all(&self) -> Usage {
        let mut all = Usage::new();
        for (item, quantity) in self.parts.iter().flat_map(|(_, usage)| usage) {
            *all.entry(*item).or_default() += quantity;
        }
        all
    }
}

impl Workload {
    /// The quantities of a month of such days, its events evenly spread.
    #[must_use]
    pub fn month(&self) -> Month {
        let pushes = self.pushes();
        let pushed = self.viewers_at_once() * self.messages_to_one(pushes);
        let mut parts = vec![
            (Part::Intake, self.intake()),
            (Part::Keeping, self.keeping()),
            (Part::Push, self.push(pushes, pushed)),
            (Part::Viewers, self.viewing()),
            (Part::Transfer, self.transfer()),
            (Part::Deliveries, self.deliveries(pushes)),
        ];
        if self.is_traced {
            parts.push((Part::Tracing, traces(&parts)));
        }
        for (part, usage) in &mut parts {
            // Storage is by the month already.
            if *part != Part::Keeping {
                usage.values_mut().for_each(|quantity| *quantity *= DAYS);
            }
        }
        parts.push((Part::Standing, standing()));
        parts.sort_by_key(|(part, _)| *part);
        Month {
            parts,
            events: self.events_per_day * DAYS,
            pushed: pushed * DAYS,
            pushes: pushes * DAYS,
        }
    }

    fn intake(&self) -> Usage {
        let posts = self.posts();
        let form_bytes = self.batch * self.event_bytes * FORM_BYTES_PER_BYTE;
        let ms = WEBHOOK_MS + WEBHOOK_MS_PER_EVENT * self.batch;
        let mut usage = self.invocations("webhook", posts, ms);
        usage.extend([
            (
                Item::HttpRequest,
                posts * units(form_bytes, HTTP_UNIT_BYTES),
            ),
            (
                Item::WriteUnit,
                self.events_per_day * self.write_units_per_event(),
            ),
            // The look-up of what is stored already.
            (Item::ReadUnit, self.events_per_day),
            (Item::SecretCall, posts.min(SECRET_READS_PER_DAY)),
        ]);
        usage
    }

    /// The item, and an entry of each index.
    #[must_use]
    pub fn write_units_per_event(&self) -> f64 {
        units(self.item_bytes(), WRITE_UNIT_BYTES) + 1.0 + WITH_RECIPIENT
    }

    fn keeping(&self) -> Usage {
        let events = self.events_per_day * self.retention_days;
        let item = self.item_bytes() + STORED_OVERHEAD_BYTES;
        let feed = FEED_ENTRY_BYTES + STORED_OVERHEAD_BYTES;
        let recipient = WITH_RECIPIENT * (RECIPIENT_ENTRY_BYTES + STORED_OVERHEAD_BYTES);
        Usage::from([
            (Item::TableGbMonth, events * (item + feed + recipient) / GB),
            (Item::BackupGbMonth, events * item / GB),
        ])
    }

    fn push(&self, pushes: f64, pushed: f64) -> Usage {
        let events = self.events_per_day;
        let ms = if pushes > 0.0 {
            PUSH_MS + (PUSH_MS_PER_EVENT * events + PUSH_MS_PER_MESSAGE * pushed) / pushes
        } else {
            0.0
        };
        let mut usage = self.invocations("push", pushes, ms);
        usage.extend([
            (Item::Message, pushed),
            (Item::ReadUnit, self.list_reads(pushes)),
        ]);
        usage
    }

    /// What viewers get, live and again after a resume, and endpoints.
    fn transfer(&self) -> Usage {
        let pushed = self.viewers_at_once() * self.events_per_day;
        let replayed = self.connects() * RESUMES * self.replayed_events();
        let to_viewers = (pushed + replayed) * self.wanted * self.pushed_bytes();
        let deliveries = self.events_per_day * self.endpoints;
        let to_endpoints = deliveries * (self.pushed_bytes() + self.event_bytes);
        Usage::from([(Item::EgressGb, (to_viewers + to_endpoints) / GB)])
    }

    /// Units for the lists of connections, which each running `push` keeps for a second.
    fn list_reads(&self, pushes: f64) -> f64 {
        let per_second = pushes / self.stream_shards() / DAY_SECONDS;
        let lists = pushes / (1.0 + per_second);
        let rows = self.viewers_at_once() / CONNECTION_SHARDS;
        let query = units(rows * CONNECTION_ROW_BYTES, READ_UNIT_BYTES) / 2.0;
        lists * CONNECTION_SHARDS * query
    }

    /// Invocations of `push` in a day: a POST has events for some of the shards, and each shard is
    /// polled four times a second.
    fn pushes(&self) -> f64 {
        let shards = self.stream_shards();
        let posts_per_second = self.posts() / DAY_SECONDS;
        let reached = 1.0 - (1.0 - 1.0 / shards).powf(self.batch);
        let waiting = 1.0 - (-posts_per_second * reached * POLL_SECONDS).exp();
        let by_polls = shards * waiting / POLL_SECONDS * DAY_SECONDS;
        by_polls.max(self.events_per_day / PUSH_RECORDS)
    }

    /// Messages to somebody who watches all day: one for each push that has something for them, or
    /// as many as it takes.
    fn messages_to_one(&self, pushes: f64) -> f64 {
        if pushes <= 0.0 {
            return 0.0;
        }
        let events = self.events_per_day / pushes;
        let has_some = 1.0 - (1.0 - self.wanted).powf(events);
        let full = events * self.wanted * self.pushed_bytes() / MESSAGE_UNIT_BYTES;
        pushes * has_some.max(full)
    }

    fn viewing(&self) -> Usage {
        let hours = self.viewers * self.viewer_hours;
        let connects = self.connects();
        let (pings, resumes) = (hours * PINGS_PER_HOUR, connects * RESUMES);
        let again = self.replayed_events();
        let replays = again * self.wanted * self.pushed_bytes() / MESSAGE_UNIT_BYTES;
        let replays = replays.max((again * self.wanted).min(1.0));
        let asked = pings + resumes;
        let mut usage = self.invocations("message", asked, SOCKET_MS);
        for (item, quantity) in self.invocations("connect", connects * 2.0, SOCKET_MS) {
            *usage.entry(item).or_default() += quantity;
        }
        // A resume reads the row, the notes on late records, the feed's partitions, and events.
        let resume_reads = 1.0 + FEED_SHARDS / 2.0 + again;
        usage.extend([
            (Item::Message, asked * 2.0 + resumes * replays),
            (Item::ConnectionMinute, hours * 60.0),
            (Item::ReadUnit, asked + resumes * resume_reads),
            (Item::WriteUnit, connects * 2.0),
            (Item::SecretCall, connects.min(SECRET_READS_PER_DAY)),
        ]);
        usage
    }

    fn connects(&self) -> f64 {
        self.viewers * self.viewer_hours / CONNECTION_HOURS
    }

    /// What was stored in the last seconds comes again at each resume, filtered when it is read.
    fn replayed_events(&self) -> f64 {
        self.events_per_day / DAY_SECONDS * LOOK_BACK_SECONDS
    }

    /// `dispatch` is invoked as often as `push`, and something waits for deliveries though there are
    /// none.
    fn deliveries(&self, pushes: f64) -> Usage {
        let deliveries = self.events_per_day * self.endpoints;
        let mut usage = self.invocations("deliver", deliveries, DELIVERY_MS);
        let dispatches = self.invocations("dispatch", pushes, DISPATCH_MS);
        let requeues = self.invocations("requeue", REQUEUES_PER_DAY, REQUEUE_MS);
        for (item, quantity) in dispatches.into_iter().chain(requeues) {
            *usage.entry(item).or_default() += quantity;
        }
        let due = REQUEUES_PER_DAY * self.endpoints * DELIVERY_SHARDS / 2.0;
        usage.extend([
            (
                Item::QueueRequest,
                deliveries * DELIVERY_QUEUE_REQUESTS + EMPTY_RECEIVES_PER_DAY,
            ),
            (Item::ScheduledInvocation, REQUEUES_PER_DAY),
            (Item::WriteUnit, deliveries * DELIVERY_WRITES),
            (
                Item::ReadUnit,
                deliveries * DELIVERY_READS + pushes + REQUEUES_PER_DAY + due,
            ),
        ]);
        usage
    }

    /// What Lambda and its log take for invocations in a day.
    fn invocations(&self, binary: &str, count: f64, ms: f64) -> Usage {
        let duration = if self.is_arm64 {
            Item::LambdaGbSecondArm64
        } else {
            Item::LambdaGbSecondX86
        };
        let line = if self.logs_info { LOG_LINE_BYTES } else { 0.0 };
        let log_gb = count * (line + metric_bytes(binary)) / GB;
        Usage::from([
            (Item::LambdaRequest, count),
            (duration, count * ms / 1_000.0 * MEMORY_MB / MB_PER_GB),
            (Item::LogGb, log_gb),
            (Item::LogGbMonth, log_gb * LOGS_KEPT * LOG_RETENTION_MONTHS),
        ])
    }

    fn posts(&self) -> f64 {
        self.events_per_day / self.batch
    }

    fn stream_shards(&self) -> f64 {
        STREAM_SHARDS.max((self.events_per_day / DAY_SECONDS / PARTITION_WRITES).ceil())
    }

    /// How many watch at any time, when they are evenly spread over the day.
    fn viewers_at_once(&self) -> f64 {
        self.viewers * self.viewer_hours / 24.0
    }

    fn item_bytes(&self) -> f64 {
        ITEM_BYTES + ITEM_BYTES_PER_BYTE * self.event_bytes
    }

    fn pushed_bytes(&self) -> f64 {
        PUSHED_BYTES + PUSHED_BYTES_PER_BYTE * self.event_bytes
    }
}

/// Traces of a day. Each part has one function that is invoked often.
fn traces(parts: &[(Part, Usage)]) -> Usage {
    let traced = |(_, usage): &(Part, Usage)| {
        let invocations = usage.get(&Item::LambdaRequest).copied().unwrap_or(0.0);
        let always = invocations.min(TRACED_PER_SECOND * DAY_SECONDS);
        always + (invocations - always) * TRACED_SHARE
    };
    Usage::from([(Item::Trace, parts.iter().map(traced).sum())])
}

fn standing() -> Usage {
    Usage::from([
        (Item::SecretMonth, 1.0),
        (Item::MetricMonth, METRICS),
        (Item::AlarmMonth, ALARM_METRICS),
        (Item::DashboardMonth, 1.0),
    ])
}

/// Started units of a size, at least one.
fn units(bytes: f64, size: f64) -> f64 {
    (bytes / size).ceil().max(1.0)
}

#[cfg(test)]
mod tests;
