//! What a test can make the local AWS do that the real one does now and then. All off by default.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

use crate::dynamodb::SHARDS;
use crate::sqs;

/// What happens to a message that is posted to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostFault {
    /// 429: the client's buffer is full, or the account's rate is used up.
    Throttle,
    /// 500.
    Fail,
    /// No answer.
    Hang,
}

/// What happens at a call of AWS by a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// 500, and nothing was done. The SDK may repeat the call.
    Fail,
    /// 500, although it was done.
    FailAfter,
    /// The function's process dies, and nothing was done.
    Crash,
    /// The function's process dies when it was done.
    CrashAfter,
}

/// A call that is waited for.
#[derive(Debug)]
struct Planned {
    function: String,
    operation: String,
    /// So many calls pass before it.
    skipped: u64,
    fault: CallFault,
}

/// Switches that take effect at once.
#[derive(Debug)]
pub struct Faults {
    calls: Mutex<Vec<Planned>>,
    has_calls: AtomicBool,
    crashes: Mutex<HashMap<String, Arc<Notify>>>,
    sqs: Arc<sqs::Faults>,
    posts: Mutex<HashMap<String, PostFault>>,
    has_posts: AtomicBool,
    paused: watch::Sender<[bool; SHARDS]>,
    replays_records: AtomicBool,
    s3_fails: AtomicBool,
    /// Read by each invocation while it runs.
    functions: Arc<RwLock<()>>,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            calls: Mutex::default(),
            has_calls: AtomicBool::new(false),
            crashes: Mutex::default(),
            sqs: Arc::default(),
            posts: Mutex::default(),
            has_posts: AtomicBool::new(false),
            paused: watch::Sender::new([false; SHARDS]),
            replays_records: AtomicBool::new(false),
            s3_fails: AtomicBool::new(false),
            functions: Arc::default(),
        }
    }
}

impl Faults {
    /// What goes wrong with queues.
    #[must_use]
    pub fn sqs(&self) -> &Arc<sqs::Faults> {
        &self.sqs
    }

    /// Lets something happen once, at a call that a function (by its logical id) makes of an
    /// operation (`SendMessageBatch`, `GetItem`, …), after `skipped` other calls of it. A crash ends
    /// all invocations of the function that run at that moment; it is for functions in this process.
    pub fn plan_call(&self, function: &str, operation: &str, skipped: u64, fault: CallFault) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(Planned {
            function: function.to_owned(),
            operation: operation.to_owned(),
            skipped,
            fault,
        });
        self.has_calls.store(true, Ordering::Release);
    }

    /// How many of the planned calls have not come.
    #[must_use]
    pub fn planned_calls(&self) -> usize {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.len()
    }

    pub(crate) fn call(&self, function: &str, operation: &str) -> Option<CallFault> {
        if !self.has_calls.load(Ordering::Acquire) {
            return None;
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |call: &Planned| call.function == function && call.operation == operation;
        let index = calls.iter().position(is_it)?;
        if calls[index].skipped > 0 {
            calls[index].skipped -= 1;
            return None;
        }
        let planned = calls.remove(index);
        self.has_calls.store(!calls.is_empty(), Ordering::Release);
        Some(planned.fault)
    }

    /// Ends the invocations of a function.
    pub(crate) fn crash(&self, function: &str) {
        self.of_function(function).notify_waiters();
    }

    /// Ends when the function crashes from now on.
    pub(crate) fn crashed(&self, function: &str) -> OwnedNotified {
        self.of_function(function).notified_owned()
    }

    fn of_function(&self, function: &str) -> Arc<Notify> {
        let mut crashes = self.crashes.lock().unwrap_or_else(PoisonError::into_inner);
        crashes.entry(function.to_owned()).or_default().clone()
    }

    /// What happens to posts to a connection from now on; `None` for nothing out of the ordinary.
    pub fn set_post(&self, connection_id: &str, fault: Option<PostFault>) {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            Some(fault) => posts.insert(connection_id.to_owned(), fault),
            None => posts.remove(connection_id),
        };
        self.has_posts.store(!posts.is_empty(), Ordering::Release);
    }

    /// Ends what happens to posts, to all connections.
    pub fn heal_posts(&self) {
        let mut posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.clear();
        self.has_posts.store(false, Ordering::Release);
    }

    pub(crate) fn post(&self, connection_id: &str) -> Option<PostFault> {
        if !self.has_posts.load(Ordering::Acquire) {
            return None;
        }
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        posts.get(connection_id).copied()
    }

    /// Stops reading one shard of every stream, or goes on.
    pub fn pause_shard(&self, shard: usize, is_paused: bool) {
        self.paused.send_modify(|paused| {
            if let Some(paused) = paused.get_mut(shard) {
                *paused = is_paused;
            }
        });
    }

    pub(crate) fn paused(&self) -> watch::Receiver<[bool; SHARDS]> {
        self.paused.subscribe()
    }

    /// Delivers every batch of stream records twice, as Lambda may.
    pub fn set_replays_records(&self, replays: bool) {
        self.replays_records.store(replays, Ordering::Release);
    }

    pub(crate) fn replays_records(&self) -> bool {
        self.replays_records.load(Ordering::Acquire)
    }

    /// Makes every call of S3 fail, or none.
    pub fn set_s3_fails(&self, fails: bool) {
        self.s3_fails.store(fails, Ordering::Release);
    }

    pub(crate) fn s3_fails(&self) -> bool {
        self.s3_fails.load(Ordering::Acquire)
    }

    /// Waits until no function runs. None begins before the answer is dropped: a moment in which the
    /// clock can be moved without that an invocation seems to have taken so long.
    pub async fn hold_functions(&self) -> OwnedRwLockWriteGuard<()> {
        self.functions.clone().write_owned().await
    }

    pub(crate) async fn running(&self) -> OwnedRwLockReadGuard<()> {
        self.functions.clone().read_owned().await
    }
}
