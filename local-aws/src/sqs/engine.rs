//! The state of the queues' thread: what is in the file, and its order in memory.
//!
//! A call is one transaction. When one fails, the order is read anew from the file.

use std::sync::Arc;

use tokio::sync::watch;

use super::faults::Faults;
use super::line::{Counts, Entry, Id, Line};
use super::message::{Content, Handle, Message};
use super::rows::Rows;
use crate::clock::Millis;
use crate::template;

/// How many messages of a queue may be in flight. ("Amazon SQS standard queue quotas".)
const IN_FLIGHT: usize = 120_000;
/// How long a message may stay hidden by one receipt. ("Amazon SQS visibility timeout".)
pub(super) const VISIBILITY_MS: u64 = 12 * 60 * 60 * 1_000;
/// How often a queue may be purged. ("`PurgeQueue`".)
const PURGE_MS: u64 = 60_000;
/// Numbers are made of the time, so that no number comes twice when the newest message was deleted.
const NUMBERS_PER_MS: i64 = 1_000;

pub(super) type Result<T> = std::result::Result<T, rusqlite::Error>;

pub(super) struct Engine {
    rows: Rows,
    queues: Vec<Shelf>,
    last_id: Id,
    faults: Arc<Faults>,
    /// [`IN_FLIGHT`], but in a test that would rather not send as many.
    pub(super) in_flight_limit: usize,
}

/// A queue.
struct Shelf {
    queue: template::Queue,
    line: Line,
    /// Changes when there may be something to receive.
    arrivals: watch::Sender<u64>,
    /// Where the dead-letter queue is among the queues, and after how many receipts.
    redrive: Option<(usize, u32)>,
    purged_at: Option<Millis>,
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) content: Content,
    pub(super) group: String,
    /// In place of the queue's.
    pub(super) delay_ms: Option<u64>,
}

/// What a receive found.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) messages: Vec<Message>,
    /// Too many are in flight.
    pub(crate) is_over_limit: bool,
    /// When something becomes visible.
    pub(crate) next_change: Option<Millis>,
}

/// Why a message's visibility cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotChanged {
    /// It is gone, or somebody else has received it since.
    Gone,
    /// It is visible.
    NotInFlight,
    /// It would be hidden for more than twelve hours.
    TooLong,
}

impl Engine {
    pub(super) fn new(
        rows: Rows,
        queues: &[template::Queue],
        faults: Arc<Faults>,
        now: Millis,
    ) -> Result<Engine> {
        let place = |arn: &str| queues.iter().position(|queue| queue.arn == arn);
        let shelf = |queue: &template::Queue| Shelf {
            queue: queue.clone(),
            line: Line::default(),
            arrivals: watch::Sender::new(0),
            redrive: queue.redrive.as_ref().and_then(|redrive| {
                Some((place(&redrive.dead_letter_arn)?, redrive.max_receive_count))
            }),
            purged_at: None,
        };
        let mut engine = Engine {
            rows,
            queues: queues.iter().map(shelf).collect(),
            last_id: 0,
            faults,
            in_flight_limit: IN_FLIGHT,
        };
        engine.load(now)?;
        Ok(engine)
    }

    pub(super) fn arrivals(&self) -> Vec<watch::Receiver<u64>> {
        let shelves = self.queues.iter();
        shelves.map(|shelf| shelf.arrivals.subscribe()).collect()
    }

    fn load(&mut self, now: Millis) -> Result<()> {
        self.last_id = self.rows.last_id()?.max(self.last_id);
        for shelf in &mut self.queues {
            let mut line = Line::default();
            for (id, entry) in self.rows.entries(&shelf.queue.name)? {
                line.add(id, entry, now);
            }
            shelf.line = line;
        }
        Ok(())
    }

    /// Does something as one transaction, or not at all.
    fn transact<T>(
        &mut self,
        now: Millis,
        work: impl FnOnce(&mut Engine) -> Result<T>,
    ) -> Result<T> {
        self.rows.begin()?;
        let done = work(self).and_then(|done| self.rows.commit().map(|()| done));
        if done.is_err() {
            self.rows.roll_back()?;
            self.load(now)?;
        }
        done
    }

    fn next_id(&mut self, now: Millis) -> Id {
        let by_time = i64::try_from(now.0).unwrap_or(0) * NUMBERS_PER_MS;
        self.last_id = by_time.max(self.last_id + 1);
        self.last_id
    }

    fn announce(&self, queue: usize) {
        self.queues[queue].arrivals.send_modify(|times| *times += 1);
    }

    pub(super) fn send(&mut self, queue: usize, drafts: &[Draft], now: Millis) -> Result<()> {
        self.transact(now, |engine| {
            for draft in drafts {
                engine.send_one(queue, draft, now)?;
            }
            Ok(())
        })?;
        self.announce(queue);
        Ok(())
    }

    fn send_one(&mut self, queue: usize, draft: &Draft, now: Millis) -> Result<()> {
        let id = self.next_id(now);
        let shelf = &mut self.queues[queue];
        let delay_ms = draft
            .delay_ms
            .unwrap_or_else(|| u64::from(shelf.queue.delay_seconds) * 1_000);
        let entry = Entry {
            group: draft.group.as_str().into(),
            sent_at: now,
            visible_at: now.plus(delay_ms),
            receives: 0,
        };
        self.rows
            .insert(id, &shelf.queue.name, &draft.content, &entry)?;
        shelf.line.add(id, entry, now);
        Ok(())
    }

    /// Takes up to `most` messages, which are hidden for a time, the queue's own when none is given.
    pub(super) fn receive(
        &mut self,
        queue: usize,
        most: usize,
        visibility_ms: Option<u64>,
        now: Millis,
    ) -> Result<Received> {
        self.forget_expired(queue, now)?;
        let shelf = &mut self.queues[queue];
        let own_ms = u64::from(shelf.queue.visibility_timeout_seconds) * 1_000;
        let visible_at = now.plus(visibility_ms.unwrap_or(own_ms));
        let mut received = Received {
            is_over_limit: shelf.line.counts(now).in_flight >= self.in_flight_limit,
            next_change: None,
            messages: Vec::new(),
        };
        if !received.is_over_limit && shelf.line.next(now).is_some() {
            received.messages = self.transact(now, |engine| {
                let mut taken = Vec::with_capacity(most);
                while taken.len() < most
                    && let Some(id) = engine.queues[queue].line.next(now)
                {
                    taken.extend(engine.take(queue, id, visible_at, now)?);
                }
                // Not before: a message that stays visible would be taken again.
                engine.duplicate(queue, &taken, now)?;
                taken.into_iter().map(|(_, message)| Ok(message)).collect()
            })?;
        }
        received.next_change = self.queues[queue].line.next_change();
        Ok(received)
    }

    /// Takes a message out of the line, unless it was received so often that it goes to the
    /// dead-letter queue.
    fn take(
        &mut self,
        queue: usize,
        id: Id,
        visible_at: Millis,
        now: Millis,
    ) -> Result<Option<(Id, Message)>> {
        let shelf = &mut self.queues[queue];
        let Some(entry) = shelf.line.get(id) else {
            return Ok(None);
        };
        if let Some((dead_letters, most)) = shelf.redrive
            && entry.receives >= most
        {
            self.redrive(queue, id, dead_letters, now)?;
            return Ok(None);
        }
        let entry = Entry {
            // Received for no time at all, it is where it was: it must not be taken twice in a call.
            visible_at: visible_at.max(now.plus(1)),
            receives: entry.receives + 1,
            ..entry.clone()
        };
        self.rows.received(id, now, &entry)?;
        let mut message = self.rows.message(id)?;
        let handle = Handle {
            id,
            receives: entry.receives,
            received_at: now,
        };
        message.receipt_handle = handle.text(&shelf.queue.arn);
        shelf.line.change(id, now, |known| *known = entry);
        Ok(Some((id, message)))
    }

    fn redrive(&mut self, queue: usize, id: Id, to: usize, now: Millis) -> Result<()> {
        let arn = self.queues[queue].queue.arn.clone();
        let Some(mut entry) = self.queues[queue].line.remove(id) else {
            return Ok(());
        };
        entry.visible_at = now;
        let shelf = &mut self.queues[to];
        self.rows.redrive(id, &shelf.queue.name, &arn, now)?;
        shelf.line.add(id, entry, now);
        self.announce(to);
        Ok(())
    }

    /// Puts second copies of messages into the queue, as many as a test wants.
    fn duplicate(&mut self, queue: usize, taken: &[(Id, Message)], now: Millis) -> Result<()> {
        for (id, message) in taken {
            if message.receives > 1 || !self.faults.duplicates_this_message() {
                continue;
            }
            let copy = self.next_id(now);
            self.rows.duplicate(*id, copy, now)?;
            let line = &mut self.queues[queue].line;
            if let Some(entry) = line.get(*id).cloned() {
                let entry = Entry {
                    visible_at: now,
                    ..entry
                };
                line.add(copy, entry, now);
            }
            self.announce(queue);
        }
        Ok(())
    }

    /// Deletes messages. What is gone already, or was received by somebody else since, is not.
    pub(super) fn delete(&mut self, queue: usize, handles: &[Handle], now: Millis) -> Result<()> {
        self.transact(now, |engine| {
            for handle in handles {
                if engine.is_current(queue, handle) {
                    engine.rows.delete(handle.id)?;
                    engine.queues[queue].line.remove(handle.id);
                }
            }
            Ok(())
        })
    }

    fn is_current(&self, queue: usize, handle: &Handle) -> bool {
        let entry = self.queues[queue].line.get(handle.id);
        entry.is_some_and(|entry| entry.receives == handle.receives)
    }

    /// Hides messages for a time from now on.
    pub(super) fn change_visibility(
        &mut self,
        queue: usize,
        changes: &[(Handle, u64)],
        now: Millis,
    ) -> Result<Vec<std::result::Result<(), NotChanged>>> {
        let changed = self.transact(now, |engine| {
            let changes = changes.iter();
            changes
                .map(|(handle, timeout_ms)| engine.change_one(queue, handle, *timeout_ms, now))
                .collect()
        })?;
        self.announce(queue);
        Ok(changed)
    }

    fn change_one(
        &mut self,
        queue: usize,
        handle: &Handle,
        timeout_ms: u64,
        now: Millis,
    ) -> Result<std::result::Result<(), NotChanged>> {
        if !self.is_current(queue, handle) {
            return Ok(Err(NotChanged::Gone));
        }
        let line = &mut self.queues[queue].line;
        if line
            .get(handle.id)
            .is_some_and(|entry| entry.visible_at <= now)
        {
            return Ok(Err(NotChanged::NotInFlight));
        }
        let visible_at = now.plus(timeout_ms);
        if visible_at > handle.received_at.plus(VISIBILITY_MS) {
            return Ok(Err(NotChanged::TooLong));
        }
        self.rows.hide(handle.id, visible_at)?;
        line.change(handle.id, now, |entry| entry.visible_at = visible_at);
        Ok(Ok(()))
    }

    /// Deletes all messages; `false` when that was done less than a minute ago.
    pub(super) fn purge(&mut self, queue: usize, now: Millis) -> Result<bool> {
        let shelf = &mut self.queues[queue];
        if shelf
            .purged_at
            .is_some_and(|then| now < then.plus(PURGE_MS))
        {
            return Ok(false);
        }
        self.rows.purge(&shelf.queue.name)?;
        shelf.line = Line::default();
        shelf.purged_at = Some(now);
        Ok(true)
    }

    pub(super) fn counts(&mut self, queue: usize, now: Millis) -> Result<Counts> {
        self.forget_expired(queue, now)?;
        Ok(self.queues[queue].line.counts(now))
    }

    /// All messages, in the order of sending.
    pub(super) fn messages(&mut self, queue: usize, now: Millis) -> Result<Vec<Message>> {
        self.forget_expired(queue, now)?;
        let ids = self.queues[queue].line.ids();
        ids.into_iter().map(|id| self.rows.message(id)).collect()
    }

    /// Deletes what is older than the queue keeps messages. One that is in flight goes as well.
    fn forget_expired(&mut self, queue: usize, now: Millis) -> Result<()> {
        let shelf = &mut self.queues[queue];
        let kept_ms = u64::from(shelf.queue.retention_seconds) * 1_000;
        let oldest = Millis(now.0.saturating_sub(kept_ms));
        if shelf.line.sent_before(oldest).is_none() {
            return Ok(());
        }
        self.transact(now, |engine| {
            let Engine { rows, queues, .. } = engine;
            let line = &mut queues[queue].line;
            while let Some(id) = line.sent_before(oldest) {
                rows.delete(id)?;
                line.remove(id);
            }
            Ok(())
        })
    }
}
