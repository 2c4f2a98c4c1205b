//! Records attempts as they end, those that end together with one call, and queues the retries that
//! follow.

use std::collections::HashSet;
use std::time::Duration;

use domain::delivery::{DeliveryId, Settled};
use platform::queue::Message;
use platform::telemetry::Chain;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::deps::Deps;

/// How long sending messages may take.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// Takes attempts that have to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(mpsc::UnboundedSender<Entry>);

#[derive(Debug)]
struct Entry {
    settled: Settled,
    is_recorded: oneshot::Sender<bool>,
}

impl Recorder {
    /// A recorder, and the future that has to run for as long as the recorder exists.
    pub(crate) fn new(deps: &Deps) -> (Recorder, impl Future<Output = ()>) {
        let (sender, entries) = mpsc::unbounded_channel();
        (Recorder(sender), run(deps, entries))
    }

    /// Records an attempt; whether it is on record then.
    pub(crate) async fn record(&self, settled: Settled) -> bool {
        let (is_recorded, answer) = oneshot::channel();
        let entry = Entry {
            settled,
            is_recorded,
        };
        self.0.send(entry).is_ok() && answer.await.unwrap_or(false)
    }
}

async fn run(deps: &Deps, mut entries: mpsc::UnboundedReceiver<Entry>) {
    while let Some(first) = entries.recv().await {
        let (mut settled, mut waiting) = (vec![first.settled], vec![first.is_recorded]);
        while let Ok(entry) = entries.try_recv() {
            settled.push(entry.settled);
            waiting.push(entry.is_recorded);
        }
        let recorded = record(deps, &settled).await;
        for (one, settled) in waiting.into_iter().zip(&settled) {
            // The receiver is dropped when the function times out.
            let _ = one.send(recorded.contains(&settled.delivery.id));
        }
    }
}

/// Writes the rows first: a message for an attempt whose predecessor is not on record would be dropped.
/// If the message is not sent then, `requeue` sends it when the row is due. Answers the deliveries whose
/// attempts are on record.
async fn record(deps: &Deps, settled: &[Settled]) -> HashSet<DeliveryId> {
    let unrecorded = match deps.records.record(settled).await {
        Ok(unrecorded) => unrecorded,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "Attempts could not be recorded.");
            return HashSet::new();
        }
    };
    let recorded = |settled: &&Settled| !unrecorded.contains(&settled.delivery.id);
    let recorded: Vec<_> = settled.iter().filter(recorded).collect();
    let next: Vec<_> = recorded.iter().copied().filter_map(next).collect();
    let sent = deps.queue.send(&next, Instant::now() + SEND_LIMIT).await;
    if let Err(error) = sent {
        tracing::warn!(error = %Chain(&error), "Retries could not be queued, and will be late.");
    }
    recorded.iter().map(|settled| settled.delivery.id).collect()
}

fn next(settled: &Settled) -> Option<Message> {
    let message = settled.delivery.message();
    Some(Message::for_attempt(&message, settled.delay_ms()?))
}
