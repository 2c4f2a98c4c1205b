//! Receiving from a queue for a function, as Lambda does. ("Using Lambda with Amazon SQS".)

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedRwLockReadGuard;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::mapping::failures;
use crate::account::REGION;
use crate::functions::PAYLOAD_BYTES;
use crate::functions::recursion::{self, Lineage};
use crate::policies::Caller;
use crate::sqs::{Message, SqsError, record};
use crate::stack::services::Services;
use crate::template::QueueMapping;

/// What Lambda has to be allowed.
const ACTIONS: [&str; 3] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];
/// The most messages of one call of SQS.
const CALL: usize = 10;
/// Batches that run at once at first, and pollers of an idle queue.
const FIRST: usize = 5;
/// The most batches at once when the template sets no bound. ("Lambda scaling with SQS".)
const MOST: usize = 1_250;
/// So many more batches are let run at once after each [`GROWTH`] in which all had something to do.
/// Lambda adds as many in a second.
const STEP: usize = 5;
const GROWTH: Duration = Duration::from_millis(100);
/// How long a poller waits for a message: the longest that SQS lets it.
const LONG_POLL: Duration = Duration::from_secs(20);
/// A pause after something that should not be.
const PAUSE: Duration = Duration::from_secs(1);
/// `{"Records":[` … `]}`.
const ENVELOPE_BYTES: usize = 64;

/// Time does not jump while it is held.
type Held = Arc<OwnedRwLockReadGuard<()>>;

/// Reads a mapping's queue, for ever.
pub(crate) async fn run(services: Arc<Services>, mapping: QueueMapping) {
    let place = services.aws.sqs.place(&mapping.queue_arn);
    let role = services.aws.role(&mapping.function);
    let (Some(queue), Some(role)) = (place, role) else {
        return;
    };
    let most = mapping.max_concurrency.unwrap_or(MOST);
    let poller = Poller {
        services,
        mapping,
        queue,
        role,
    };
    let mut batches = Batches {
        running: JoinSet::new(),
        limit: FIRST.min(most),
        most,
    };
    let poller = Arc::new(poller);
    loop {
        if let Err(error) = poller.poll(&mut batches).await {
            tracing::error!(%error, function = poller.mapping.function, "A queue cannot be read.");
            sleep(PAUSE).await;
        }
    }
}

struct Poller {
    services: Arc<Services>,
    mapping: QueueMapping,
    /// Where it is among the queues.
    queue: usize,
    /// Lambda receives and deletes with the function's rights.
    role: Arc<Caller>,
}

/// The batches that are with the function.
struct Batches {
    running: JoinSet<()>,
    limit: usize,
    most: usize,
}

impl Batches {
    /// Waits until another one may run.
    async fn place(&mut self) {
        while self.running.try_join_next().is_some() {}
        while self.running.len() >= self.limit {
            let growth = Instant::now() + GROWTH;
            tokio::select! {
                _ = self.running.join_next() => {}
                () = sleep_until(growth), if self.limit < self.most => {
                    self.limit = (self.limit + STEP).min(self.most);
                }
            }
        }
    }

    /// Begins anew with few when there is nothing to do.
    fn rest(&mut self) {
        if self.running.is_empty() {
            self.limit = FIRST.min(self.most);
        }
    }
}

impl Poller {
    /// Starts batches for as long as all goes well.
    async fn poll(self: &Arc<Self>, batches: &mut Batches) -> Result<(), SqsError> {
        let mut until = Instant::now() + LONG_POLL;
        loop {
            batches.place().await;
            if !self.may_receive() {
                sleep(PAUSE).await;
                continue;
            }
            let arrivals = self.services.aws.sqs.arrivals(self.queue);
            let held = Arc::new(self.services.faults.running().await);
            let (messages, next_change) = self.receive(self.mapping.batch_size).await?;
            if messages.is_empty() {
                drop(held);
                batches.rest();
                if Instant::now() >= until {
                    (0..FIRST).for_each(|_| self.services.aws.bill.queue_request(0));
                    until = Instant::now() + LONG_POLL;
                }
                arrivals.wait(next_change, until).await;
                continue;
            }
            let messages = self.gather(messages).await?;
            let messages = self.without_loops(messages);
            for batch in split(&messages, &self.mapping.queue_arn) {
                let (poller, held) = (self.clone(), held.clone());
                batches
                    .running
                    .spawn(async move { poller.run(batch, held).await });
            }
            until = Instant::now() + LONG_POLL;
        }
    }

    fn may_receive(&self) -> bool {
        let arn = &self.mapping.queue_arn;
        let mut actions = ACTIONS.into_iter();
        actions.all(|action| self.role.authorize(action, arn).is_ok())
    }

    /// Up to `most` messages, and when there may be more.
    async fn receive(
        &self,
        most: usize,
    ) -> Result<(Vec<Message>, Option<crate::clock::Millis>), SqsError> {
        let aws = &self.services.aws;
        let received = aws.sqs.take(self.queue, most.min(CALL), None).await?;
        if !received.messages.is_empty() {
            let bytes = received.messages.iter().map(|one| one.content.body.len());
            aws.bill.queue_request(bytes.sum());
        }
        Ok((received.messages, received.next_change))
    }

    /// Waits for more for the length of the window.
    async fn gather(&self, mut messages: Vec<Message>) -> Result<Vec<Message>, SqsError> {
        let window = Duration::from_secs(u64::from(self.mapping.window_seconds));
        let end = Instant::now() + window;
        let is_full = |messages: &[Message]| {
            let bytes: usize = messages.iter().map(|one| one.content.body.len()).sum();
            messages.len() >= self.mapping.batch_size || bytes >= PAYLOAD_BYTES
        };
        while !is_full(&messages) && Instant::now() < end {
            let arrivals = self.services.aws.sqs.arrivals(self.queue);
            let left = self.mapping.batch_size - messages.len();
            let (more, next_change) = self.receive(left).await?;
            if more.is_empty() {
                arrivals.wait(next_change, end).await;
            }
            messages.extend(more);
        }
        Ok(messages)
    }

    /// Those whose chain of invocations is not taken for a recursive loop. The others stay where
    /// they are, as messages of an invocation that fails (`RecursiveInvocationException`): they are
    /// handed out again when their visibility timeout has passed, and end as dead letters.
    fn without_loops(&self, messages: Vec<Message>) -> Vec<Message> {
        let template = &self.services.template;
        let Some(function) = template.function(&self.mapping.function) else {
            return messages;
        };
        if function.allows_recursion {
            return messages;
        }
        let (kept, stopped): (Vec<_>, Vec<_>) = messages
            .into_iter()
            .partition(|message| lineage(message).count(&function.arn) < recursion::MOST);
        if !stopped.is_empty() {
            tracing::error!(
                function = self.mapping.function,
                messages = stopped.len(),
                "Lambda detects a recursive loop and stops it; RecursiveLoop of the function does not say Allow."
            );
        }
        kept
    }

    /// Invokes the function, and deletes what it has done. What it has not done comes again when
    /// its visibility timeout has passed.
    async fn run(&self, batch: Batch, _held: Held) {
        let function = &self.mapping.function;
        let (services, payload) = (&self.services, batch.payload());
        let answer = services.invoke_in_chain(function, payload, &batch.chain);
        let answer = answer.await;
        let failed = match &answer {
            Ok(answer) if self.mapping.reports_batch_item_failures => failures(answer),
            Ok(_) => Some(Vec::new()),
            Err(error) => {
                tracing::warn!(%error, function, messages = batch.messages.len(), "A batch failed.");
                None
            }
        };
        let done = batch.done(failed);
        if let Err(error) = self.delete(&done).await {
            tracing::error!(%error, function, "Messages cannot be deleted.");
        }
    }

    async fn delete(&self, handles: &[&str]) -> Result<(), SqsError> {
        let aws = &self.services.aws;
        for handles in handles.chunks(CALL) {
            aws.bill
                .queue_request(handles.iter().map(|one| one.len()).sum());
            aws.sqs.delete_received(self.queue, handles).await?;
        }
        Ok(())
    }
}

/// The messages of an invocation.
struct Batch {
    /// Their ids and receipt handles.
    messages: Vec<(String, String)>,
    records: Vec<String>,
    chain: Lineage,
}

fn lineage(message: &Message) -> Lineage {
    Lineage::read(message.content.trace_header.as_deref())
}

/// The messages in batches that Lambda takes as one payload each.
fn split(messages: &[Message], queue_arn: &str) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    for message in messages {
        let record = record(message, queue_arn, REGION);
        if batches.is_empty() || bytes + record.len() + 1 > PAYLOAD_BYTES {
            bytes = ENVELOPE_BYTES;
            batches.push(Batch {
                messages: Vec::new(),
                records: Vec::new(),
                chain: Lineage::default(),
            });
        }
        bytes += record.len() + 1;
        if let Some(batch) = batches.last_mut() {
            let id = message.content.message_id.clone();
            batch.messages.push((id, message.receipt_handle.clone()));
            batch.records.push(record);
            batch.chain.join(&lineage(message));
        }
    }
    batches
}

impl Batch {
    fn payload(&self) -> String {
        format!(r#"{{"Records":[{}]}}"#, self.records.join(","))
    }

    /// The receipt handles of what has not failed: none when it is unknown what has, or something
    /// is said to have failed that was not in the batch.
    fn done(&self, failed: Option<Vec<String>>) -> Vec<&str> {
        let is_known = |failed: &String| self.messages.iter().any(|(id, _)| id == failed);
        match failed {
            Some(failed) if failed.iter().all(is_known) => {
                let messages = self.messages.iter().filter(|(id, _)| !failed.contains(id));
                messages.map(|(_, handle)| handle.as_str()).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqs::Content;

    fn message(id: &str, bytes: usize) -> Message {
        Message {
            content: Content {
                message_id: id.to_owned(),
                body: "x".repeat(bytes),
                ..Content::default()
            },
            group: None,
            sent_at: crate::clock::Millis(1),
            first_received_at: None,
            receives: 1,
            visible_at: crate::clock::Millis(2),
            dead_letter_source: None,
            receipt_handle: format!("handle-{id}"),
        }
    }

    #[test]
    fn only_what_has_not_failed_is_done() {
        let messages = [message("a", 1), message("b", 1)];
        let batch = &split(&messages, "arn")[0];
        assert_eq!(batch.done(Some(Vec::new())), ["handle-a", "handle-b"]);
        assert_eq!(batch.done(Some(vec!["a".into()])), ["handle-b"]);
        assert!(batch.done(None).is_empty());
        for unknown in ["c", ""] {
            assert!(
                batch
                    .done(Some(vec!["a".into(), unknown.into()]))
                    .is_empty()
            );
        }
    }

    #[test]
    fn a_payload_is_never_larger_than_lambda_takes() {
        let messages: Vec<_> = (0..10)
            .map(|id| message(&id.to_string(), 1_000_000))
            .collect();
        let batches = split(&messages, "arn");
        assert_eq!(batches.len(), 2);
        let payloads = batches.iter().map(|batch| batch.payload().len());
        assert!(payloads.max() <= Some(PAYLOAD_BYTES));
        let all: usize = batches.iter().map(|batch| batch.messages.len()).sum();
        assert_eq!(all, 10);
    }
}
