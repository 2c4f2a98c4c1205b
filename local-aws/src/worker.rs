//! An operating system thread that owns a state, so that SQLite never runs on a thread of the async runtime.

use std::io;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::oneshot;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// The thread is gone: it panicked, or the stack is stopping.
#[derive(Debug, thiserror::Error)]
#[error("the database thread has stopped")]
pub struct Stopped;

pub(crate) struct Worker<S> {
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Send + 'static> Worker<S> {
    pub(crate) fn start(name: &str, mut state: S) -> io::Result<Worker<S>> {
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            for job in queue {
                job(&mut state);
            }
        })?;
        Ok(Worker {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Runs `job` after those already waiting. It runs even when the caller stops waiting for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            // A caller that went away (a client that hung up) does not want the answer.
            let _ = answer.send(job(state));
        });
        let jobs = self.jobs.as_ref().ok_or(Stopped)?;
        jobs.send(job).map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }
}

impl<S> Drop for Worker<S> {
    /// Waits for the jobs in the queue and for SQLite to close its files, so that they can be opened or deleted next.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
