//! The calls of the API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{
    Batch, BatchAnswer, Done, Failed, GetAttributes, MESSAGE_BYTES, OfMessage, OfQueue, Receive,
    Send, Sendable, Sent, read, write,
};
use super::engine::{Draft, NotChanged, VISIBILITY_MS};
use super::faults::Failure;
use super::message::{Content, Handle};
use super::refusal::{self, Refusal, invalid, missing};
use super::{Sqs, SqsError};
use crate::account::ACCOUNT_ID;
use crate::ids::request_id;
use crate::policies::Caller;
use crate::template::Queue;

type Answer = Result<Vec<u8>, Refusal>;

/// What `X-Amz-Target` names after `AmazonSQS.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    DeleteMessageBatch,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
    GetQueueAttributes,
    GetQueueUrl,
    PurgeQueue,
}

impl Operation {
    fn parse(name: &str) -> Option<Operation> {
        Some(match name {
            "SendMessage" => Operation::SendMessage,
            "SendMessageBatch" => Operation::SendMessageBatch,
            "ReceiveMessage" => Operation::ReceiveMessage,
            "DeleteMessage" => Operation::DeleteMessage,
            "DeleteMessageBatch" => Operation::DeleteMessageBatch,
            "ChangeMessageVisibility" => Operation::ChangeMessageVisibility,
            "ChangeMessageVisibilityBatch" => Operation::ChangeMessageVisibilityBatch,
            "GetQueueAttributes" => Operation::GetQueueAttributes,
            "GetQueueUrl" => Operation::GetQueueUrl,
            "PurgeQueue" => Operation::PurgeQueue,
            _ => return None,
        })
    }

    /// A batch is allowed as the single call is. ("Actions, resources, and condition keys for
    /// Amazon SQS".)
    fn action(self) -> &'static str {
        match self {
            Operation::SendMessage | Operation::SendMessageBatch => "sqs:SendMessage",
            Operation::ReceiveMessage => "sqs:ReceiveMessage",
            Operation::DeleteMessage | Operation::DeleteMessageBatch => "sqs:DeleteMessage",
            Operation::ChangeMessageVisibility | Operation::ChangeMessageVisibilityBatch => {
                "sqs:ChangeMessageVisibility"
            }
            Operation::GetQueueAttributes => "sqs:GetQueueAttributes",
            Operation::GetQueueUrl => "sqs:GetQueueUrl",
            Operation::PurgeQueue => "sqs:PurgeQueue",
        }
    }
}

/// Who sends, and in which chain of invocations.
#[derive(Clone, Copy)]
struct Sender<'a> {
    caller: &'a Caller,
    trace: Option<&'a str>,
}

impl Sqs {
    /// Answers a call: `operation` is what `X-Amz-Target` names after the dot, `body` and the
    /// answer are AWS JSON 1.0. `trace` is the call's trace header, which messages are sent with
    /// that have none of their own.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn call(
        &self,
        caller: &Caller,
        operation: &str,
        body: &[u8],
        trace: Option<&str>,
    ) -> Answer {
        let operation = Operation::parse(operation).ok_or(refusal::UNKNOWN_OPERATION)?;
        let name = queue_name(&read(body)?, operation)?;
        let region = &self.region;
        let arn = format!("arn:aws:sqs:{region}:{ACCOUNT_ID}:{name}");
        caller.authorize(operation.action(), &arn)?;
        let queue = self.place(&arn).ok_or(refusal::NO_SUCH_QUEUE)?;
        let failure = self.faults.failure_of_this_call();
        match failure {
            Some(Failure::Throttled) => return Err(refusal::THROTTLED),
            Some(Failure::Before) => return Err(refusal::FAILED),
            Some(Failure::After) | None => {}
        }
        let sender = Sender { caller, trace };
        let answer = self.answer(sender, operation, queue, body).await;
        match failure {
            Some(_) => Err(refusal::FAILED),
            None => answer,
        }
    }

    async fn answer(
        &self,
        sender: Sender<'_>,
        operation: Operation,
        queue: usize,
        body: &[u8],
    ) -> Answer {
        match operation {
            Operation::SendMessage => self.send_message(sender, queue, read(body)?).await,
            Operation::SendMessageBatch => self.send_batch(sender, queue, read(body)?).await,
            Operation::ReceiveMessage => self.receive_message(queue, read(body)?).await,
            Operation::DeleteMessage => {
                let handle = self.handle(queue, &read(body)?)?;
                self.delete(queue, vec![handle]).await?;
                Ok(Vec::new())
            }
            Operation::DeleteMessageBatch => self.delete_batch(queue, read(body)?).await,
            Operation::ChangeMessageVisibility => {
                let request: OfMessage = read(body)?;
                let change = (self.handle(queue, &request)?, request.visibility_ms()?);
                let changed = self.change_visibility(queue, vec![change]).await?;
                changed.into_iter().collect::<Result<Vec<()>, _>>()?;
                Ok(Vec::new())
            }
            Operation::ChangeMessageVisibilityBatch => self.change_batch(queue, read(body)?).await,
            Operation::GetQueueAttributes => self.attributes(queue, &read(body)?).await,
            Operation::GetQueueUrl => write(&json!({ "QueueUrl": self.queues[queue].url })),
            Operation::PurgeQueue => match self.purge(queue).await? {
                true => Ok(Vec::new()),
                false => Err(refusal::PURGE_IN_PROGRESS),
            },
        }
    }

    async fn send_message(&self, sender: Sender<'_>, queue: usize, request: Send) -> Answer {
        let sent = self.send(sender, queue, vec![request.check()?]).await?;
        match sent.first() {
            Some(sent) => write(sent),
            None => Err(refusal::FAILED),
        }
    }

    async fn send_batch(&self, sender: Sender<'_>, queue: usize, request: Batch<Send>) -> Answer {
        request.check(|entry| &entry.id)?;
        if request.entries.iter().map(Send::size).sum::<usize>() > MESSAGE_BYTES {
            return Err(refusal::BATCH_TOO_LONG);
        }
        let (entries, mut failed) = self.halve(request.entries, |entry| &entry.id);
        let mut sendable = Vec::with_capacity(entries.len());
        for entry in entries {
            let id = entry.id.clone();
            match entry.check() {
                Ok(entry) => sendable.push(entry),
                Err(refusal) => failed.push(Failed::new(&id, &refusal)),
            }
        }
        let successful = self.send(sender, queue, sendable).await?;
        write(&BatchAnswer { successful, failed })
    }

    async fn send(
        &self,
        sender: Sender<'_>,
        queue: usize,
        messages: Vec<Sendable>,
    ) -> Result<Vec<Sent>, Refusal> {
        let mut sent = Vec::with_capacity(messages.len());
        let mut drafts = Vec::with_capacity(messages.len());
        for message in messages {
            let attributes = match message.attributes.is_empty() {
                true => String::new(),
                false => serde_json::to_string(&message.attributes).unwrap_or_default(),
            };
            let message_id = request_id();
            sent.push(Sent {
                message_id: message_id.clone(),
                ..message.answer
            });
            drafts.push(Draft {
                content: Content {
                    message_id,
                    attributes,
                    body: message.body,
                    trace_header: message.trace_header.or(sender.trace.map(str::to_owned)),
                    sender: sender.caller.id(),
                },
                group: message.group,
                delay_ms: message.delay_ms,
            });
        }
        self.run(move |engine, now| engine.send(queue, &drafts, now))
            .await?;
        Ok(sent)
    }

    async fn receive_message(&self, queue: usize, request: Receive) -> Answer {
        request.check()?;
        let (most, visibility_ms) = (request.most()?, request.visibility_ms()?);
        let own_ms = u64::from(self.queues[queue].receive_wait_seconds) * 1_000;
        let wait_ms = request.wait_ms()?.unwrap_or(own_ms);
        let until = Instant::now() + Duration::from_millis(wait_ms);
        loop {
            let arrivals = self.arrivals(queue);
            let received = self.take(queue, most, visibility_ms).await?;
            if !received.messages.is_empty() {
                let messages: Vec<_> = received
                    .messages
                    .iter()
                    .map(|one| request.show(one))
                    .collect();
                return write(&json!({ "Messages": messages }));
            }
            // Who waits is not told. ("Amazon SQS standard queue quotas": in-flight messages.)
            if received.is_over_limit && wait_ms == 0 {
                return Err(refusal::OVER_LIMIT);
            }
            if Instant::now() >= until {
                return Ok(b"{}".to_vec());
            }
            arrivals.wait(received.next_change, until).await;
        }
    }

    fn handle(&self, queue: usize, request: &OfMessage) -> Result<Handle, Refusal> {
        let text = request.receipt_handle.as_deref();
        let text = text.ok_or_else(|| missing("ReceiptHandle"))?;
        Handle::parse(text, &self.queues[queue].arn).ok_or(refusal::INVALID_HANDLE)
    }

    async fn delete_batch(&self, queue: usize, request: Batch<OfMessage>) -> Answer {
        request.check(|entry| &entry.id)?;
        let (entries, mut failed) = self.halve(request.entries, |entry| &entry.id);
        let (mut successful, mut handles) = (Vec::new(), Vec::new());
        for entry in entries {
            match self.handle(queue, &entry) {
                Ok(handle) => {
                    handles.push(handle);
                    successful.push(Done { id: entry.id });
                }
                Err(refusal) => failed.push(Failed::new(&entry.id, &refusal)),
            }
        }
        self.delete(queue, handles).await?;
        write(&BatchAnswer { successful, failed })
    }

    async fn change_batch(&self, queue: usize, request: Batch<OfMessage>) -> Answer {
        request.check(|entry| &entry.id)?;
        let (entries, mut failed) = self.halve(request.entries, |entry| &entry.id);
        let (mut ids, mut changes) = (Vec::new(), Vec::new());
        for entry in entries {
            match (self.handle(queue, &entry), entry.visibility_ms()) {
                (Ok(handle), Ok(timeout_ms)) => {
                    ids.push(entry.id);
                    changes.push((handle, timeout_ms));
                }
                (Err(refusal), _) | (_, Err(refusal)) => {
                    failed.push(Failed::new(&entry.id, &refusal));
                }
            }
        }
        let mut successful = Vec::new();
        let changed = self.change_visibility(queue, changes).await?;
        for (id, changed) in ids.into_iter().zip(changed) {
            match changed {
                Ok(()) => successful.push(Done { id }),
                Err(refusal) => failed.push(Failed::new(&id, &refusal)),
            }
        }
        write(&BatchAnswer { successful, failed })
    }

    async fn change_visibility(
        &self,
        queue: usize,
        changes: Vec<(Handle, u64)>,
    ) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let changed = self
            .run(move |engine, now| engine.change_visibility(queue, &changes, now))
            .await?;
        let refused = |why| match why {
            NotChanged::NotInFlight => refusal::NOT_IN_FLIGHT,
            NotChanged::Gone => invalid(
                "The receipt handle is invalid. Reason: Message does not exist or is not available for visibility timeout change.",
            ),
            NotChanged::TooLong => invalid(format!(
                "Total VisibilityTimeout for the message is beyond the limit [{} seconds].",
                VISIBILITY_MS / 1_000
            )),
        };
        Ok(changed
            .into_iter()
            .map(|changed| changed.map_err(refused))
            .collect())
    }

    /// The entries that are to be done, and those that fail because a test wants it.
    fn halve<E>(&self, entries: Vec<E>, id: impl Fn(&E) -> &str) -> (Vec<E>, Vec<Failed>) {
        if !self.faults.halves_this_batch() {
            return (entries, Vec::new());
        }
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (index, entry) in entries.into_iter().enumerate() {
            if index % 2 == 0 {
                done.push(entry);
            } else {
                failed.push(Failed::new(id(&entry), &refusal::FAILED));
            }
        }
        (done, failed)
    }

    async fn attributes(&self, queue: usize, request: &GetAttributes) -> Answer {
        let counts = self
            .run(move |engine, now| engine.counts(queue, now))
            .await?;
        let known = queue_attributes(&self.queues[queue]);
        let counted = [
            ("ApproximateNumberOfMessages", counts.visible),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight),
        ];
        let counted = counted.map(|(name, count)| (name, count.to_string()));
        let mut all: BTreeMap<_, _> = known.into_iter().chain(counted).collect();
        let names = &request.attribute_names;
        if !names.iter().any(|name| name == "All") {
            let mut names = names.iter();
            if names.any(|name| !all.contains_key(name.as_str()) && name != "RedrivePolicy") {
                return Err(refusal::INVALID_ATTRIBUTE);
            }
            all.retain(|known, _| request.attribute_names.iter().any(|name| name == known));
        }
        write(&json!({ "Attributes": all }))
    }
}

fn queue_attributes(queue: &Queue) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        ("DelaySeconds", queue.delay_seconds.to_string()),
        ("MaximumMessageSize", MESSAGE_BYTES.to_string()),
        (
            "MessageRetentionPeriod",
            queue.retention_seconds.to_string(),
        ),
        ("QueueArn", queue.arn.clone()),
        (
            "ReceiveMessageWaitTimeSeconds",
            queue.receive_wait_seconds.to_string(),
        ),
        (
            "VisibilityTimeout",
            queue.visibility_timeout_seconds.to_string(),
        ),
    ];
    if let Some(redrive) = &queue.redrive {
        let policy: Value = json!({
            "deadLetterTargetArn": redrive.dead_letter_arn,
            "maxReceiveCount": redrive.max_receive_count,
        });
        attributes.push(("RedrivePolicy", policy.to_string()));
    }
    attributes
}

/// The queue that a call names. The host of its address does not matter.
fn queue_name(request: &OfQueue, operation: Operation) -> Result<String, Refusal> {
    if operation == Operation::GetQueueUrl {
        let name = request.queue_name.clone();
        return name.ok_or_else(|| missing("QueueName"));
    }
    let url = request.queue_url.as_deref();
    let url = url.ok_or_else(|| missing("QueueUrl"))?;
    let mut parts = url.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(name), Some(ACCOUNT_ID)) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(refusal::INVALID_ADDRESS),
    }
}

impl From<SqsError> for Refusal {
    fn from(error: SqsError) -> Refusal {
        tracing::error!(%error, "A queue cannot be read or written.");
        refusal::FAILED
    }
}
