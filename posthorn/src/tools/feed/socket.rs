//! The socket of a feed: connecting, talking, pausing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::session::{Address, Session, Step};
use super::{Entrance, FeedError, FeedItem, FeedOptions, Pace};
use crate::tools::client::{explain, tls};
use crate::tools::random::Random;
use crate::tools::target::Secret;
use crate::tools::tickets::NoTicket;
use crate::webhook::encoded;

/// A server that does not finish a handshake within this time is taken for dead.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

/// API Gateway refuses a longer WebSocket URL than 4,096 characters, and says nothing that could be told from a bad
/// network.
const ADDRESS_BYTES: usize = 4_000;

/// With the shortest pause of 250 ms the longest is reached by then.
const MAX_DOUBLINGS: u32 = 16;

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

type Items = mpsc::Sender<Result<FeedItem, FeedError>>;
type Filters = watch::Receiver<Option<String>>;

/// Why there is no connection (any more).
#[derive(Debug)]
pub(super) enum Failure {
    /// Trying again makes no sense.
    Fatal(FeedError),
    Lost(String),
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    entrance: Entrance,
    tls: tokio_tungstenite::Connector,
}

impl Connector {
    pub(super) fn new(options: &FeedOptions) -> Result<Self, FeedError> {
        let tls = tls().map_err(|error| FeedError::Unreachable {
            reason: error.to_string(),
        })?;
        Ok(Self {
            entrance: options.entrance.clone(),
            tls: tokio_tungstenite::Connector::Rustls(Arc::new(tls)),
        })
    }

    /// A filter that is too long for the address has to be subscribed to.
    pub(super) async fn connect(&self, filter: Option<&str>) -> Result<(Socket, Address), Failure> {
        let secret = match &self.entrance {
            Entrance::Address(address) => address.clone(),
            Entrance::Tickets(tickets) => tickets.socket_url().await.map_err(without_ticket)?,
        };
        let (url, address) = with_filter(secret.reveal(), filter);
        let connecting = connect_async_tls_with_config(url, None, true, Some(self.tls.clone()));
        match timeout(HANDSHAKE_TIMEOUT, connecting).await {
            Ok(Ok((socket, _))) => Ok((socket, address)),
            Ok(Err(error)) => Err(match (self.failure(&error, &secret), filter) {
                (Failure::Fatal(FeedError::Refused { status }), Some(filter)) => {
                    Failure::Fatal(self.refused(status, filter).await)
                }
                (failure, _) => failure,
            }),
            Err(_) => Err(Failure::Lost("the handshake took too long".to_owned())),
        }
    }

    /// What is wrong with a filter that was refused with the connection: API Gateway drops the text.
    async fn refused(&self, status: u16, filter: &str) -> FeedError {
        let refusal = match &self.entrance {
            Entrance::Tickets(tickets) => tickets.refusal_of(filter).await,
            Entrance::Address(_) => None,
        };
        match refusal {
            Some(NoTicket::Refused { message, .. }) => FeedError::Filter { message },
            _ => FeedError::Refused { status },
        }
    }

    fn failure(&self, error: &tungstenite::Error, address: &Secret) -> Failure {
        match (error, &self.entrance) {
            (tungstenite::Error::Http(answer), entrance) => {
                match (answer.status().as_u16(), entrance) {
                    // It was not good for long enough.
                    (401, Entrance::Tickets(_)) => {
                        Failure::Lost("the server does not accept the ticket".to_owned())
                    }
                    (401 | 403, _) => Failure::Fatal(FeedError::Unauthorized),
                    (status @ (408 | 429 | 500..), _) => {
                        Failure::Lost(format!("the server answered {status}"))
                    }
                    (status, _) => Failure::Fatal(FeedError::Refused { status }),
                }
            }
            // These texts may quote the address, and with it the ticket.
            (tungstenite::Error::Url(_), _) => {
                Failure::Lost("no connection to that address".to_owned())
            }
            (other, _) => {
                let query = address.reveal().split_once('?');
                let ticket = query.map_or(address.reveal(), |(_, query)| query);
                Failure::Lost(explain(other).replace(ticket, "…"))
            }
        }
    }
}

fn without_ticket(error: NoTicket) -> Failure {
    match error {
        NoTicket::Unauthorized { .. } => Failure::Fatal(FeedError::Unauthorized),
        NoTicket::Refused { status, message } if message.is_empty() => {
            Failure::Fatal(FeedError::Refused { status })
        }
        NoTicket::Refused { status, message } => Failure::Fatal(FeedError::Rejected {
            code: status.to_string(),
            message,
        }),
        NoTicket::Unanswered { reason } => Failure::Lost(reason),
    }
}

/// What a feed talks with beside its server.
pub(super) struct Ends {
    pub(super) items: Items,
    pub(super) filters: Filters,
}

/// Keeps a feed going until its reader is gone or an error is final.
pub(super) async fn follow(
    connector: Connector,
    first: (Socket, Address),
    options: FeedOptions,
    mut ends: Ends,
) {
    let mut session = Session::new(&options);
    let mut random = Random::seeded(Random::fresh_seed());
    let mut failures = 0;
    let mut connection = Ok(first);
    loop {
        let failure = match connection {
            Ok((socket, address)) => {
                let mut conversation = Conversation::new(socket, &mut session, &options.pace);
                conversation.run(address, &mut ends, &mut failures).await
            }
            Err(failure) => failure,
        };
        let item = match failure {
            Failure::Fatal(error) => Err(error),
            Failure::Lost(reason) => Ok(FeedItem::Reconnecting { reason }),
        };
        let is_final = item.is_err();
        if ends.items.send(item).await.is_err() || is_final {
            return;
        }
        sleep(pause(&options.pace, failures, random.fraction())).await;
        failures += 1;
        if let Some(filter) = changed(&mut ends.filters) {
            // The connection will begin with it.
            session.set_filter(&filter);
        }
        connection = connector.connect(session.filter()).await;
    }
}

/// The filter that is wanted from now on, if it is another one than before.
fn changed(filters: &mut Filters) -> Option<String> {
    if !filters.has_changed().unwrap_or(false) {
        return None;
    }
    filters.borrow_and_update().clone()
}

/// One connection from its first message to its end.
struct Conversation<'f> {
    socket: Socket,
    session: &'f mut Session,
    pace: &'f Pace,
    /// When to look once more.
    looks: VecDeque<Instant>,
    /// Set while an answer is awaited.
    silence: Option<Instant>,
    /// The place that the reader was told last.
    place: Option<String>,
}

impl<'f> Conversation<'f> {
    fn new(socket: Socket, session: &'f mut Session, pace: &'f Pace) -> Self {
        Self {
            socket,
            place: session.place().map(str::to_owned),
            session,
            pace,
            looks: VecDeque::new(),
            silence: None,
        }
    }

    async fn run(&mut self, address: Address, ends: &mut Ends, failures: &mut u32) -> Failure {
        let opening = self.session.open(address);
        self.look_from_now();
        if let Err(failure) = self.act(opening, ends).await {
            return failure;
        }
        let mut ping = Instant::now() + self.pace.ping;
        loop {
            let look = self.looks.front().copied();
            let look = look.filter(|_| self.session.may_look());
            let steps = tokio::select! {
                received = self.socket.next() => match text(received) {
                    Ok(text) => {
                        let steps = self.session.receive(&text);
                        if self.session.has_progressed() {
                            self.silence = None;
                        }
                        steps
                    }
                    Err(Some(failure)) => return failure,
                    Err(None) => continue,
                },
                () = until(look) => {
                    // Any earlier, a server that lets everybody in and closes would be hammered.
                    *failures = 0;
                    self.looks.pop_front();
                    vec![self.session.look()]
                }
                Ok(()) = ends.filters.changed() => match ends.filters.borrow_and_update().clone() {
                    Some(filter) => self.session.set_filter(&filter),
                    None => continue,
                },
                () = sleep_until(ping) => {
                    ping = Instant::now() + self.pace.ping;
                    vec![Session::ping()]
                }
                () = until(self.silence) => return Failure::Lost("the server is silent".to_owned()),
            };
            if let Err(failure) = self.act(steps, ends).await {
                return failure;
            }
        }
    }

    /// The server knows of a connection, or of its new filter, after a moment.
    fn look_from_now(&mut self) {
        let now = Instant::now();
        self.looks = self.pace.looks.map(|look| now + look).into();
    }

    async fn act(&mut self, steps: Vec<Step>, ends: &mut Ends) -> Result<(), Failure> {
        let nobody = |_| Failure::Lost("nobody reads the feed".to_owned());
        for step in steps {
            match step {
                Step::Tell(item) => ends.items.send(Ok(item)).await.map_err(nobody)?,
                Step::Send(message) => {
                    let sent = self.socket.send(Message::text(message)).await;
                    sent.map_err(|error| Failure::Lost(explain(&error)))?;
                    self.silence = Some(Instant::now() + self.pace.pong);
                }
                Step::Reconnect(reason) => return Err(Failure::Lost(reason)),
                Step::Fail(error) => return Err(Failure::Fatal(error)),
            }
        }
        if self.session.take_restart() {
            self.look_from_now();
        }
        // A replay has to go on.
        if self.silence.is_none() && self.session.is_waiting() {
            self.silence = Some(Instant::now() + self.pace.pong);
        }
        if self.place.as_deref() != self.session.place() {
            self.place = self.session.place().map(str::to_owned);
            if let Some(cursor) = self.place.clone() {
                let place = FeedItem::Place { cursor };
                ends.items.send(Ok(place)).await.map_err(nobody)?;
            }
        }
        Ok(())
    }
}

/// `Err(None)` for frames that say nothing.
fn text(received: Option<Result<Message, tungstenite::Error>>) -> Result<String, Option<Failure>> {
    match received {
        Some(Ok(Message::Text(text))) => Ok(text.as_str().to_owned()),
        Some(Ok(Message::Close(Some(frame)))) => {
            let (code, reason) = (u16::from(frame.code), frame.reason.as_str());
            Err(Some(Failure::Lost(
                format!("the server closed the connection: {code} {reason}")
                    .trim_end()
                    .to_owned(),
            )))
        }
        Some(Ok(Message::Close(None))) | None => {
            Err(Some(Failure::Lost("the connection was closed".to_owned())))
        }
        Some(Ok(_)) => Err(None),
        Some(Err(error)) => Err(Some(Failure::Lost(explain(&error)))),
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Full jitter: anything up to a bound that doubles, but never at once.
fn pause(pace: &Pace, failures: u32, random: f64) -> Duration {
    let doubled = pace
        .shortest_pause
        .saturating_mul(1 << failures.min(MAX_DOUBLINGS))
        .saturating_mul(2);
    let bound = doubled.min(pace.longest_pause).max(pace.shortest_pause);
    pace.shortest_pause + (bound - pace.shortest_pause).mul_f64(random)
}

fn with_filter(address: &str, filter: Option<&str>) -> (String, Address) {
    let Some(filter) = filter else {
        return (address.to_owned(), Address::Complete);
    };
    let url = format!("{address}&filter={}", encoded(filter));
    if url.len() > ADDRESS_BYTES {
        return (address.to_owned(), Address::WithoutFilter);
    }
    (url, Address::Complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_within_their_bounds_and_grow() {
        let pace = Pace::default();
        let milliseconds = |failures, random| pause(&pace, failures, random).as_millis();
        assert_eq!(milliseconds(0, 0.0), 250);
        assert_eq!(milliseconds(0, 1.0), 500);
        assert_eq!(milliseconds(2, 1.0), 2_000);
        assert_eq!(milliseconds(u32::MAX, 1.0), 15_000);
        assert_eq!(milliseconds(u32::MAX, 0.0), 250);
    }

    #[test]
    fn a_filter_is_one_query_value() {
        assert_eq!(encoded("a&b=ü/"), "a%26b%3D%C3%BC%2F");
    }

    #[test]
    fn a_filter_stands_in_the_address_as_long_as_the_gateway_takes_it() {
        let address = "wss://host/live?ticket=t";
        let fitting = "a".repeat(ADDRESS_BYTES - address.len() - "&filter=".len());
        let (url, complete) = with_filter(address, Some(&fitting));
        assert_eq!((url.len(), complete), (ADDRESS_BYTES, Address::Complete));
        for too_long in [fitting.clone() + "a", " ".repeat(ADDRESS_BYTES / 3)] {
            let without = (address.to_owned(), Address::WithoutFilter);
            assert_eq!(with_filter(address, Some(&too_long)), without);
        }
    }
}
