//! Reading a stream for a function, as Lambda does.
//!
//! Each shard is read on its own, from a position that outlives the process. What a mapping promises
//! (batch size, window, filters, retries, bisecting, partial responses, age, destination) comes from
//! the template. ("Using AWS Lambda with Amazon DynamoDB".)

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::mapping::failures;
use crate::chain::Chain;
use crate::clock;
use crate::dynamodb::{SHARDS, StreamError, StreamRecord, parse_sequence, sequence_text};
use crate::functions::{InvokeError, PAYLOAD_BYTES};
use crate::ids::request_id;
use crate::policies::Caller;
use crate::stack::services::Services;
use crate::template::{StartingPosition, StreamMapping};

/// How often Lambda polls a shard.
const AWS_POLL: Duration = Duration::from_millis(250);
/// A look without being woken, in case something is written past the endpoint.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// Pauses between tries of a batch double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// `{"Records":[` … `]}` and the commas.
const ENVELOPE_BYTES: usize = 64;

/// Reads one shard of a mapping's stream, for ever.
pub(crate) async fn run(
    services: Arc<Services>,
    mapping: Arc<StreamMapping>,
    table: String,
    shard: usize,
    at_aws_pace: bool,
) {
    let Some(role) = services.aws.role(&mapping.function) else {
        return;
    };
    let mut reader = Reader {
        services,
        role,
        mapping,
        table,
        shard,
    };
    loop {
        if let Err(error) = reader.read(at_aws_pace).await {
            tracing::error!(%error, shard, "A shard cannot be read.");
            sleep(IDLE_POLL).await;
        }
    }
}

struct Reader {
    services: Arc<Services>,
    /// Lambda polls, and sends what is given up, with the function's rights.
    role: Arc<Caller>,
    mapping: Arc<StreamMapping>,
    table: String,
    shard: usize,
}

/// How an invocation ended.
enum Outcome {
    Done,
    /// Everything from this index on has to come again.
    FailedFrom(usize),
    Error(InvokeError),
}

impl Reader {
    async fn read(&mut self, at_aws_pace: bool) -> Result<(), StreamError> {
        let mut writes = self.services.dynamodb().subscribe_writes();
        let mut paused = self.services.faults.paused();
        let mut position = self.start().await?;
        // Also when it is where the stream ends now: what comes later must not be passed over.
        self.save(position).await?;
        let mut saved = position;
        loop {
            wait_while_paused(&mut paused, self.shard).await;
            if !self.may("dynamodb:GetRecords", &self.mapping.stream_arn) {
                sleep(IDLE_POLL).await;
                continue;
            }
            writes.mark_unchanged();
            let (records, next, more) = self.gather(position).await?;
            position = next;
            if !records.is_empty() {
                self.process(&records).await?;
                self.save(position).await?;
                saved = position;
            }
            let is_idle = if at_aws_pace {
                sleep(AWS_POLL).await;
                records.is_empty()
            } else {
                // Woken by the next write, or by nothing for a while.
                !more
                    && tokio::time::timeout(IDLE_POLL, writes.changed())
                        .await
                        .is_err()
            };
            // Records of other shards are passed over at every write, which is not worth a
            // commit: read again after a start, they are passed over again.
            if is_idle && saved != position {
                self.save(position).await?;
                saved = position;
            }
        }
    }

    fn may(&self, action: &str, resource: &str) -> bool {
        self.role.authorize(action, resource).is_ok()
    }

    async fn start(&self) -> Result<u64, StreamError> {
        let name = &self.mapping.function;
        if let Some(position) = self
            .services
            .dynamodb()
            .position(name, &self.table, self.shard)
            .await?
        {
            return Ok(position);
        }
        match self.mapping.starting_position {
            StartingPosition::TrimHorizon => Ok(0),
            StartingPosition::Latest => self.services.dynamodb().latest_position(&self.table).await,
        }
    }

    async fn save(&self, position: u64) -> Result<(), StreamError> {
        self.services
            .dynamodb()
            .save_position(&self.mapping.function, &self.table, self.shard, position)
            .await
    }

    /// A batch: what is there, waiting for more for the length of the window. Records that no filter
    /// lets pass are passed over. Answers as well how far was read, and whether there is more.
    async fn gather(&self, from: u64) -> Result<(Vec<StreamRecord>, u64, bool), StreamError> {
        let end = Instant::now() + Duration::from_secs(u64::from(self.mapping.window_seconds));
        let mut writes = self.services.dynamodb().subscribe_writes();
        let mut batch: Vec<StreamRecord> = Vec::new();
        let mut position = from;
        let mut bytes = ENVELOPE_BYTES;
        loop {
            let left = self.mapping.batch_size - batch.len();
            let page = self
                .services
                .dynamodb()
                .read_records(&self.table, self.shard, position, left)
                .await?;
            for record in page.records {
                if bytes + record.json.len() + 1 > PAYLOAD_BYTES && !batch.is_empty() {
                    return Ok((batch, position, true));
                }
                position = record.sequence;
                if self.wants(&record) {
                    bytes += record.json.len() + 1;
                    batch.push(record);
                }
            }
            position = position.max(page.position);
            if batch.len() >= self.mapping.batch_size || batch.is_empty() && !page.more {
                return Ok((batch, position, page.more));
            }
            if !page.more && timeout_at(end, writes.changed()).await.is_err() {
                return Ok((batch, position, false));
            }
        }
    }

    fn wants(&self, record: &StreamRecord) -> bool {
        self.mapping.filters.is_empty()
            || serde_json::from_str::<Value>(&record.json)
                .is_ok_and(|value| self.mapping.matches(&value))
    }

    /// Invokes the function until every record is done or given up.
    async fn process(&self, records: &[StreamRecord]) -> Result<(), StreamError> {
        let mut waiting = VecDeque::from([records]);
        while let Some(records) = waiting.pop_front() {
            let mut records = records;
            let mut tries = 0;
            loop {
                let (expired, live) = self.split_expired(records);
                if !expired.is_empty() {
                    self.give_up(expired, "RecordAgeExceeded", tries).await;
                }
                records = live;
                if records.is_empty() {
                    break;
                }
                let outcome = self.invoke(records).await;
                tries += 1;
                match outcome {
                    Outcome::Done => break,
                    Outcome::FailedFrom(index) => {
                        if index > 0 {
                            self.save(records[index - 1].sequence).await?;
                            records = &records[index..];
                            tries = 0;
                        }
                    }
                    Outcome::Error(error) => {
                        tracing::warn!(%error, shard = self.shard, function = self.mapping.function, "A batch failed.");
                        // Smaller batches do not help against throttling.
                        let may_be_a_record = !matches!(error, InvokeError::Throttled);
                        if may_be_a_record && self.mapping.bisects_on_error && records.len() > 1 {
                            // Halving does not count as a try.
                            let (first, second) = records.split_at(records.len() / 2);
                            waiting.push_front(second);
                            waiting.push_front(first);
                            sleep(pause(tries)).await;
                            break;
                        }
                    }
                }
                if self
                    .mapping
                    .max_retry_attempts
                    .is_some_and(|most| tries > most)
                {
                    self.give_up(records, "RetryAttemptsExhausted", tries).await;
                    break;
                }
                sleep(pause(tries)).await;
            }
        }
        Ok(())
    }

    /// The records that are too old to be tried (again), and those after them.
    fn split_expired<'r>(
        &self,
        records: &'r [StreamRecord],
    ) -> (&'r [StreamRecord], &'r [StreamRecord]) {
        let Some(most) = self.mapping.max_record_age_seconds else {
            return (&[], records);
        };
        let oldest = clock::now().as_secs().saturating_sub(u64::from(most));
        let expired = records
            .iter()
            .take_while(|record| record.written_at < oldest)
            .count();
        records.split_at(expired)
    }

    async fn invoke(&self, records: &[StreamRecord]) -> Outcome {
        let payload = payload(records);
        if self.services.faults.replays_records() {
            // An answer that got lost: Lambda sends the batch again.
            let _ = self
                .services
                .invoke(&self.mapping.function, payload.clone())
                .await;
        }
        match self.services.invoke(&self.mapping.function, payload).await {
            Ok(answer) if self.mapping.reports_batch_item_failures => failed_from(&answer, records),
            Ok(_) => Outcome::Done,
            Err(error) => Outcome::Error(error),
        }
    }

    /// Sends what Lambda says of records that it gives up to the destination: to a bucket with the
    /// records, to a queue without.
    async fn give_up(&self, records: &[StreamRecord], condition: &str, tries: u32) {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return;
        };
        tracing::error!(
            function = self.mapping.function,
            shard = self.shard,
            records = records.len(),
            condition,
            "Records were given up."
        );
        let Some(arn) = &self.mapping.on_failure_arn else {
            return;
        };
        let function = self.services.template.function(&self.mapping.function);
        let time = |record: &StreamRecord| crate::clock::Millis(record.written_at * 1_000);
        let mut message = json!({
            "requestContext": {
                "requestId": request_id(),
                "functionArn": function.map(|function| &function.arn),
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
            "version": "1.0",
            "timestamp": jiff::Timestamp::now().to_string(),
            "DDBStreamBatchInfo": {
                "shardId": format!("shardId-{:020}", self.shard),
                "startSequenceNumber": sequence_text(first.sequence),
                "endSequenceNumber": sequence_text(last.sequence),
                "approximateArrivalOfFirstRecord": time(first),
                "approximateArrivalOfLastRecord": time(last),
                "batchSize": records.len(),
                "streamArn": self.mapping.stream_arn,
            },
        });
        let kept = if self.services.template.queue(arn).is_some() {
            self.send(arn, &message).await
        } else {
            message["payload"] = Value::from(payload(records));
            self.put(arn, &message).await
        };
        if let Err(error) = kept {
            tracing::error!(error = %Chain(&*error), "The destination of given-up records cannot be written.");
        }
    }

    async fn send(&self, queue: &str, message: &Value) -> Result<(), Box<dyn Error>> {
        self.role.authorize("sqs:SendMessage", queue)?;
        let body = message.to_string();
        let aws = &self.services.aws;
        aws.bill.queue_request(body.len());
        aws.sqs.put(&self.role, queue, body).await?;
        Ok(())
    }

    /// Keys are as "Retain discarded batch records" names them.
    async fn put(&self, bucket: &str, message: &Value) -> Result<(), Box<dyn Error>> {
        let key = format!(
            "aws/lambda/{}/shardId-{:020}/{}-{}",
            mapping_id(&self.mapping),
            self.shard,
            jiff::Zoned::now()
                .with_time_zone(jiff::tz::TimeZone::UTC)
                .strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S"),
            request_id(),
        );
        let object = format!("{bucket}/{key}");
        self.role.authorize("s3:ListBucket", bucket)?;
        self.role.authorize("s3:PutObject", &object)?;
        let body = Bytes::from(message.to_string());
        let s3 = &self.services.aws.s3;
        s3.put(bucket, &key, "application/json", body).await?;
        Ok(())
    }
}

/// The same for the same mapping, in the form of a UUID.
fn mapping_id(mapping: &StreamMapping) -> String {
    let name = format!("{} {}", mapping.function, mapping.stream_arn);
    let hex = HEXLOWER.encode(&Sha256::digest(name)[..16]);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// The event that a batch is.
fn payload(records: &[StreamRecord]) -> String {
    let bytes: usize = records.iter().map(|record| record.json.len() + 1).sum();
    let mut payload = String::with_capacity(bytes + ENVELOPE_BYTES);
    payload.push_str(r#"{"Records":["#);
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            payload.push(',');
        }
        payload.push_str(&record.json);
    }
    payload.push_str("]}");
    payload
}

/// Where a partial batch response says that records failed: the lowest sequence number counts. A
/// response that cannot be read, or names a record that was not there, fails the whole batch.
fn failed_from(answer: &str, records: &[StreamRecord]) -> Outcome {
    let Some(failures) = failures(answer) else {
        return Outcome::FailedFrom(0);
    };
    let index = |identifier: &String| {
        let sequence = parse_sequence(identifier)?;
        records
            .iter()
            .position(|record| record.sequence == sequence)
    };
    let failures = failures.iter();
    match failures.map(|failure| index(failure).unwrap_or(0)).min() {
        Some(index) => Outcome::FailedFrom(index),
        None => Outcome::Done,
    }
}

fn pause(tries: u32) -> Duration {
    Duration::from_millis(100)
        .saturating_mul(1 << tries.min(10))
        .min(LONGEST_PAUSE)
}

async fn wait_while_paused(paused: &mut watch::Receiver<[bool; SHARDS]>, shard: usize) {
    // It fails only when the faults are gone, and with them the stack.
    let _ = paused
        .wait_for(|paused| !paused.get(shard).copied().unwrap_or(false))
        .await;
}
