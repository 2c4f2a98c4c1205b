//! What a test can make the local AWS do that the real one does now and then. All off by default.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

use crate::dynamodb::SHARDS;

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

/// Switches that take effect at once.
#[derive(Debug)]
pub struct Faults {
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
