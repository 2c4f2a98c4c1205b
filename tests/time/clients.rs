//! Clients that live and die, as `posthorn listen` does it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use posthorn::tools::feed::{Entrance, Feed, FeedError, FeedItem, FeedOptions, Pace};
use posthorn::tools::tickets::Tickets;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::oracle::Kinds;

/// As the documentation says, but for what only takes time: the list of connections is a second old
/// at most, and no index lags for two.
const PACE: Pace = Pace {
    looks: [Duration::from_millis(1_200), Duration::from_millis(2_400)],
    ping: Duration::from_millis(400),
    pong: Duration::from_secs(5),
    shortest_pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(50),
};

/// What a client has of the feed, over all its lives.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// The ids of the events that it was told.
    pub(crate) told: HashSet<String>,
    told_in_this_life: HashSet<String>,
    /// Where its next life begins.
    place: String,
    /// The cursors from which on it had each filter.
    pub(crate) filters: Vec<(String, Kinds)>,
    /// What must not happen.
    pub(crate) complaints: Vec<String>,
    /// What happened, for who looks for a fault.
    pub(crate) history: Vec<String>,
}

enum Command {
    Filter(Kinds),
    Die,
    /// To come back, perhaps with another filter.
    Live(Option<Kinds>),
}

/// A client that goes on by itself.
pub(crate) struct Client {
    pub(crate) is_alive: bool,
    commands: UnboundedSender<Command>,
    record: Arc<Mutex<Record>>,
    task: JoinHandle<()>,
}

impl Client {
    /// A client that wants everything after `cursor` that the filter lets pass.
    pub(crate) fn start(tickets: Tickets, cursor: String, kinds: Kinds) -> Client {
        let record = Record {
            place: cursor.clone(),
            filters: vec![(cursor, kinds.clone())],
            ..Record::default()
        };
        let record = Arc::new(Mutex::new(record));
        let (commands, receiver) = unbounded_channel();
        let mut life = Life {
            tickets,
            commands: receiver,
            record: record.clone(),
            asked: vec![kinds],
        };
        let task = tokio::spawn(async move { life.run().await });
        Client {
            is_alive: true,
            commands,
            record,
            task,
        }
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    pub(crate) fn filter(&self, kinds: Kinds) {
        self.command(Command::Filter(kinds));
    }

    pub(crate) fn die(&mut self) {
        self.is_alive = false;
        self.command(Command::Die);
    }

    pub(crate) fn live(&mut self, kinds: Option<Kinds>) {
        self.is_alive = true;
        self.command(Command::Live(kinds));
    }

    fn command(&self, command: Command) {
        assert!(self.commands.send(command).is_ok(), "{:?}", self.record());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Life {
    tickets: Tickets,
    commands: UnboundedReceiver<Command>,
    record: Arc<Mutex<Record>>,
    /// The filters that were asked for, the last one at the end.
    asked: Vec<Kinds>,
}

impl Life {
    async fn run(&mut self) {
        let mut filter = None;
        loop {
            let Some(mut feed) = self.begin(filter).await else {
                return;
            };
            loop {
                tokio::select! {
                    item = feed.next() => if !self.take(item) {
                        return;
                    },
                    command = self.commands.recv() => match command {
                        Some(Command::Filter(kinds)) => {
                            feed.set_filter(kinds.text());
                            self.asked.push(kinds);
                        }
                        Some(Command::Die) => break,
                        Some(Command::Live(_)) => {}
                        None => return,
                    },
                }
            }
            // What it was told and has not taken is lost, as in a process that dies.
            drop(feed);
            loop {
                match self.commands.recv().await {
                    Some(Command::Live(kinds)) => {
                        filter = kinds;
                        break;
                    }
                    Some(Command::Filter(_) | Command::Die) => {}
                    None => return,
                }
            }
        }
    }

    /// Connects, however often it takes.
    async fn begin(&mut self, kinds: Option<Kinds>) -> Option<Feed> {
        let (cursor, filter) = {
            let mut record = self.record.lock().unwrap();
            let place = record.place.clone();
            if let Some(kinds) = kinds {
                self.asked.push(kinds.clone());
                record.filters.push((place.clone(), kinds));
            }
            record.told_in_this_life.clear();
            record.history.push(format!("lives from {place}"));
            (place, record.filters.last().unwrap().1.text())
        };
        let mut options = FeedOptions::new(Entrance::Tickets(self.tickets.clone()));
        (options.cursor, options.filter) = (Some(cursor), Some(filter));
        options.pace = PACE;
        loop {
            match Feed::connect(options.clone()).await {
                Ok(feed) => return Some(feed),
                Err(FeedError::Unreachable { .. }) => tokio::task::yield_now().await,
                Err(error) => {
                    self.complain(error.to_string());
                    return None;
                }
            }
        }
    }

    /// Answers whether the feed goes on.
    fn take(&mut self, item: Result<FeedItem, FeedError>) -> bool {
        let mut record = self.record.lock().unwrap();
        match item {
            Ok(FeedItem::Event { id, text, .. }) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                let kind = event["type"].as_str().unwrap().to_owned();
                if !self.asked.iter().any(|kinds| kinds.lets_pass(&kind)) {
                    record.complaints.push(format!("was told {kind} {id}"));
                }
                if !record.told_in_this_life.insert(id.clone()) {
                    record.complaints.push(format!("was told {id} twice"));
                }
                record.told.insert(id);
            }
            Ok(FeedItem::Live { recovered: true }) => {
                let at = platform::clock::now();
                let place = record.place.clone();
                record.history.push(format!("live at {at:?}, {place}"));
            }
            Ok(FeedItem::Live { recovered: false }) => {
                record.complaints.push("was not recovered".to_owned());
            }
            Ok(FeedItem::Reconnecting { reason }) => {
                let at = platform::clock::now();
                record.history.push(format!("{reason} at {at:?}"));
            }
            Ok(FeedItem::Place { cursor }) => record.place = cursor,
            Ok(FeedItem::Filtered { filter, from }) => {
                let asked = self.asked.iter().find(|kinds| kinds.text() == filter);
                let (kinds, from) = (asked.unwrap().clone(), from.unwrap());
                record.history.push(format!("{filter} from {from}"));
                record.filters.push((from, kinds));
            }
            Err(error) => {
                record.complaints.push(error.to_string());
                return false;
            }
        }
        true
    }

    fn complain(&self, complaint: String) {
        self.record.lock().unwrap().complaints.push(complaint);
    }
}
