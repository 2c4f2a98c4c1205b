//! SQS of the local stack: the template's queues, as standard queues of AWS are, on SQLite.
//!
//! What time it is is what `clock` says: a test that lets time pass has delays and
//! visibility timeouts pass with it. All calls run on one thread, one after the other.

mod api;
mod attributes;
mod calls;
mod engine;
mod faults;
mod line;
mod message;
mod refusal;
mod rows;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::futures::Notified;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::clock::{self, Millis};
use crate::ids::request_id;
use crate::policies::Caller;
use crate::template::Queue;
use crate::worker::{Stopped, Worker};

pub(crate) use api::record;
use engine::{Draft, Engine, Received};
pub use faults::Faults;
pub use line::Counts;
use message::Handle;
pub use message::{Content, Message};
pub use refusal::Refusal;
use rows::Rows;

/// Why something could not be done with a queue.
#[derive(Debug, thiserror::Error)]
pub enum SqsError {
    /// There is none of this name.
    #[error("there is no such queue")]
    NoSuchQueue,
    /// `queues.sqlite` cannot be used.
    #[error("queues.sqlite cannot be used")]
    Storage(#[from] rusqlite::Error),
    /// The thread could not be started.
    #[error("a thread cannot be started")]
    Thread(#[from] io::Error),
    /// The thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The queues of the template.
pub struct Sqs {
    queues: Vec<Queue>,
    region: String,
    arrivals: Vec<watch::Receiver<u64>>,
    engine: Worker<Engine>,
    faults: Arc<Faults>,
}

impl fmt::Debug for Sqs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.queues.iter().map(|queue| &queue.name);
        formatter.debug_set().entries(names).finish()
    }
}

impl Sqs {
    /// Opens or makes `queues.sqlite` in `directory`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(
        directory: &Path,
        queues: Vec<Queue>,
        region: &str,
        faults: Arc<Faults>,
    ) -> Result<Sqs, SqsError> {
        let rows = Rows::open(&directory.join("queues.sqlite"))?;
        let engine = Engine::new(rows, &queues, faults.clone(), clock::steady())?;
        Ok(Sqs {
            arrivals: engine.arrivals(),
            engine: Worker::start("sqs", engine)?,
            region: region.to_owned(),
            queues,
            faults,
        })
    }

    /// Where the queue with this ARN is among the queues.
    pub(crate) fn place(&self, arn: &str) -> Option<usize> {
        self.queues.iter().position(|queue| queue.arn == arn)
    }

    /// Sends a message on behalf of a caller who may.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be kept.
    pub(crate) async fn put(
        &self,
        caller: &Caller,
        arn: &str,
        body: String,
    ) -> Result<(), SqsError> {
        let queue = self.place(arn).ok_or(SqsError::NoSuchQueue)?;
        let draft = Draft {
            content: Content {
                message_id: request_id(),
                body,
                sender: caller.id(),
                ..Content::default()
            },
            group: String::new(),
            delay_ms: None,
        };
        self.run(move |engine, now| engine.send(queue, &[draft], now))
            .await
    }

    /// What is in the queue with this logical id, in the order of sending.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be read.
    pub async fn messages(&self, logical_id: &str) -> Result<Vec<Message>, SqsError> {
        let queue = self.named(logical_id)?;
        self.run(move |engine, now| engine.messages(queue, now))
            .await
    }

    /// How much is in the queue with this logical id.
    ///
    /// # Errors
    /// When there is no such queue, or it cannot be read.
    pub async fn counts(&self, logical_id: &str) -> Result<Counts, SqsError> {
        let queue = self.named(logical_id)?;
        self.run(move |engine, now| engine.counts(queue, now)).await
    }

    fn named(&self, logical_id: &str) -> Result<usize, SqsError> {
        let mut queues = self.queues.iter();
        let place = queues.position(|queue| queue.logical_id == logical_id);
        place.ok_or(SqsError::NoSuchQueue)
    }

    /// Takes what is there now.
    pub(crate) async fn take(
        &self,
        queue: usize,
        most: usize,
        visibility_ms: Option<u64>,
    ) -> Result<Received, SqsError> {
        self.run(move |engine, now| engine.receive(queue, most, visibility_ms, now))
            .await
    }

    /// Deletes what a receiver of this queue has, by its receipt handles.
    pub(crate) async fn delete_received(
        &self,
        queue: usize,
        handles: &[&str],
    ) -> Result<(), SqsError> {
        let arn = &self.queues[queue].arn;
        let handles = handles.iter().filter_map(|text| Handle::parse(text, arn));
        self.delete(queue, handles.collect()).await
    }

    async fn delete(&self, queue: usize, handles: Vec<Handle>) -> Result<(), SqsError> {
        self.run(move |engine, now| engine.delete(queue, &handles, now))
            .await
    }

    async fn purge(&self, queue: usize) -> Result<bool, SqsError> {
        self.run(move |engine, now| engine.purge(queue, now)).await
    }

    /// To be had before a look into a queue, and waited for after it: nothing is missed in between.
    pub(crate) fn arrivals(&self, queue: usize) -> Arrivals {
        let mut told = self.arrivals[queue].clone();
        told.mark_unchanged();
        Arrivals {
            told,
            moved: clock::moved(),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, Millis) -> engine::Result<T> + Send + 'static,
    ) -> Result<T, SqsError> {
        let done = self.engine.run(move |engine| work(engine, clock::steady()));
        Ok(done.await??)
    }
}

/// Something to receive, maybe.
pub(crate) struct Arrivals {
    told: watch::Receiver<u64>,
    moved: Notified<'static>,
}

impl Arrivals {
    /// Waits until a message was sent, one becomes visible, or somebody moves the clock; no longer
    /// than `until`.
    pub(crate) async fn wait(self, next_change: Option<Millis>, until: Instant) {
        let Arrivals { mut told, moved } = self;
        let until = match next_change {
            Some(at) => {
                let left = at.0.saturating_sub(clock::steady().0);
                until.min(Instant::now() + Duration::from_millis(left))
            }
            None => until,
        };
        tokio::select! {
            _ = told.changed() => {}
            () = moved => {}
            () = sleep_until(until) => {}
        }
    }
}
