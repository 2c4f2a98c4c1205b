//! A feed against a server that the test plays.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::*;
use crate::tools::target::Secret;

const DEADLINE: Duration = Duration::from_secs(10);

struct Server(TcpListener);

/// The server's end of a connection.
struct Peer {
    query: String,
    socket: WebSocketStream<TcpStream>,
}

impl Server {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn options(&self) -> FeedOptions {
        let address = self.0.local_addr().unwrap();
        let address = Secret::new(format!("ws://{address}/live?ticket=tick%26t"));
        let hour = Duration::from_secs(3_600);
        let pause = Duration::from_millis(1);
        let pace = Pace {
            looks: [hour; 2],
            ping: hour,
            pong: hour,
            shortest_pause: pause,
            longest_pause: pause,
        };
        FeedOptions {
            pace,
            last: 10,
            ..FeedOptions::new(Entrance::Address(address))
        }
    }

    async fn accept(&self) -> Peer {
        let (stream, _) = timeout(DEADLINE, self.0.accept()).await.unwrap().unwrap();
        let mut query = String::new();
        #[expect(clippy::result_large_err, reason = "the type is the library's")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            query = request.uri().query().unwrap_or_default().to_owned();
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, look)
            .await
            .unwrap();
        Peer { query, socket }
    }

    async fn connect(&self, options: FeedOptions) -> (Feed, Peer) {
        let (feed, peer) = tokio::join!(Feed::connect(options), self.accept());
        (feed.unwrap(), peer)
    }

    /// Answers the next request with this status instead of a handshake.
    async fn refuse(&self, status: u16) {
        let (mut stream, _) = timeout(DEADLINE, self.0.accept()).await.unwrap().unwrap();
        stream
            .read_buf(&mut Vec::with_capacity(4_096))
            .await
            .unwrap();
        let answer =
            format!("HTTP/1.1 {status} .\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

impl Peer {
    async fn hears(&mut self, expected: Value) {
        let message = timeout(DEADLINE, self.socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let heard: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(heard, expected);
    }

    async fn says(&mut self, message: Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    async fn pushes(&mut self, id: &str, replay: bool) {
        let mut message =
            json!({"type": "events", "events": [{"id": id, "cursor": id}], "cursor": id});
        if replay {
            message["replay"] = json!(true);
        }
        self.says(message).await;
    }

    async fn says_live(&mut self, cursor: &str) {
        self.says(json!({"type": "live", "recovered": true, "cursor": cursor}))
            .await;
    }
}

/// The next item that is not a place.
async fn told(feed: &mut Feed) -> String {
    loop {
        let item = timeout(DEADLINE, feed.next()).await;
        let item = item.expect("an item in time");
        if !matches!(item, Ok(FeedItem::Place { .. })) {
            return text(item);
        }
    }
}

fn text(item: Result<FeedItem, FeedError>) -> String {
    match item {
        Ok(FeedItem::Event { id, replay, .. }) => {
            format!("{id}{}", if replay { " replayed" } else { "" })
        }
        Ok(FeedItem::Live { recovered }) => format!("live {recovered}"),
        Ok(FeedItem::Reconnecting { .. }) => "reconnecting".to_owned(),
        Ok(FeedItem::Place { cursor }) => format!("place {cursor}"),
        Ok(FeedItem::Filtered { filter, from }) => format!("{filter} from {from:?}"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_lost_connection_is_resumed_from_what_was_replayed_and_not_from_what_was_pushed() {
    let server = Server::start().await;
    let mut options = server.options();
    options.pace.looks = [Duration::ZERO; 2];
    let (mut feed, mut peer) = server.connect(options).await;
    peer.hears(json!({"action": "resume", "last": 10})).await;
    peer.pushes("c1", true).await;
    peer.pushes("c9", false).await;
    assert_eq!(told(&mut feed).await, "c1 replayed");
    assert_eq!(told(&mut feed).await, "c9");
    drop(peer);
    assert_eq!(told(&mut feed).await, "reconnecting");

    let mut peer = server.accept().await;
    peer.hears(json!({"action": "resume", "cursor": "c1"}))
        .await;
    peer.pushes("c2", true).await;
    peer.pushes("c9", true).await;
    peer.says_live("c9").await;
    assert_eq!(told(&mut feed).await, "c2 replayed");
    assert_eq!(told(&mut feed).await, "live true", "c9 was told before");
    for _ in 0..2 {
        peer.hears(json!({"action": "resume", "cursor": "c9"}))
            .await;
        // Nor is it resumed from what comes before the last look.
        peer.pushes("c95", false).await;
        peer.says_live("c9").await;
    }
    peer.pushes("d1", false).await;
    assert_eq!(told(&mut feed).await, "c95");
    assert_eq!(told(&mut feed).await, "live true");
    assert_eq!(told(&mut feed).await, "live true");
    assert_eq!(told(&mut feed).await, "d1");
    drop(peer);
    assert_eq!(told(&mut feed).await, "reconnecting");
    server
        .accept()
        .await
        .hears(json!({"action": "resume", "cursor": "d1"}))
        .await;
}

#[tokio::test]
async fn the_second_resume_follows_once_the_feed_is_live() {
    let server = Server::start().await;
    let mut options = server.options();
    options.pace.looks[0] = Duration::from_millis(20);
    let (mut feed, mut peer) = server.connect(options).await;
    peer.hears(json!({"action": "resume", "last": 10})).await;
    peer.says_live("c1").await;
    peer.hears(json!({"action": "resume", "cursor": "c1"}))
        .await;
    peer.pushes("c0", true).await;
    peer.says_live("c1").await;
    assert_eq!(told(&mut feed).await, "live true");
    assert_eq!(told(&mut feed).await, "c0 replayed");
    assert_eq!(told(&mut feed).await, "live true");
}

#[tokio::test]
async fn a_gap_found_by_a_ping_is_filled() {
    let server = Server::start().await;
    let mut options = server.options();
    options.pace.ping = Duration::from_millis(20);
    let (_feed, mut peer) = server.connect(options).await;
    peer.hears(json!({"action": "resume", "last": 10})).await;
    peer.says_live("c5").await;
    peer.hears(json!({"action": "ping"})).await;
    peer.says(json!({"type": "gap", "cursor": "c3"})).await;
    loop {
        let message = timeout(DEADLINE, peer.socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        let heard: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        if heard["action"] == "resume" {
            assert_eq!(heard["cursor"], "c3");
            break;
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_left() {
    let server = Server::start().await;
    let mut options = server.options();
    options.pace.pong = Duration::from_millis(20);
    let (mut feed, _peer) = server.connect(options).await;
    assert_eq!(told(&mut feed).await, "reconnecting");
    server.accept().await;
}

#[tokio::test]
async fn the_ticket_and_the_filter_stand_in_the_address_and_data_is_subscribed_to() {
    let server = Server::start().await;
    let options = FeedOptions {
        filter: Some("type:open".to_owned()),
        data: true,
        ..server.options()
    };
    let (_feed, mut peer) = server.connect(options).await;
    assert_eq!(peer.query, "ticket=tick%26t&filter=type%3Aopen");
    peer.hears(json!({"action": "subscribe", "filter": "type:open", "data": true}))
        .await;
    peer.says(json!({"type": "subscribed", "filter": "type:open", "cursor": "c1"}))
        .await;
    peer.hears(json!({"action": "resume", "last": 10})).await;
}

#[tokio::test]
async fn a_replay_that_stops_is_left_although_live_messages_come() {
    let server = Server::start().await;
    let mut options = server.options();
    options.pace.pong = Duration::from_millis(200);
    let (mut feed, mut peer) = server.connect(options).await;
    peer.pushes("c1", true).await;
    assert_eq!(told(&mut feed).await, "c1 replayed");
    let push =
        |n: usize| json!({"type": "events", "events": [{"id": n.to_string()}], "cursor": "c9"});
    let pushing = async {
        for n in 0.. {
            // It may be gone already.
            let _ = peer.socket.send(Message::text(push(n).to_string())).await;
            if told(&mut feed).await == "reconnecting" {
                break;
            }
        }
    };
    let left = timeout(DEADLINE, pushing).await;
    left.expect("a feed that does not wait for ever");
    let mut peer = server.accept().await;
    peer.hears(json!({"action": "resume", "cursor": "c1"}))
        .await;
}

#[tokio::test]
async fn a_new_filter_is_subscribed_to_and_then_resumed_by_and_stays_for_later_connections() {
    let server = Server::start().await;
    let (mut feed, mut peer) = server.connect(server.options()).await;
    peer.hears(json!({"action": "resume", "last": 10})).await;
    peer.says_live("c1").await;
    assert_eq!(told(&mut feed).await, "live true");
    feed.set_filter("type:open");
    peer.hears(json!({"action": "subscribe", "filter": "type:open", "data": false}))
        .await;
    peer.says(json!({"type": "subscribed", "filter": "type:open", "cursor": "c7"}))
        .await;
    peer.hears(json!({"action": "resume", "cursor": "c1"}))
        .await;
    assert_eq!(told(&mut feed).await, r#"type:open from Some("c1")"#);
    drop(peer);
    assert_eq!(told(&mut feed).await, "reconnecting");
    let mut peer = server.accept().await;
    assert_eq!(peer.query, "ticket=tick%26t&filter=type%3Aopen");
    peer.hears(json!({"action": "resume", "cursor": "c1"}))
        .await;
}

#[tokio::test]
async fn a_refused_token_ends_the_feed_at_once_or_later() {
    let server = Server::start().await;
    let (refused, ()) = tokio::join!(Feed::connect(server.options()), server.refuse(401));
    assert_eq!(refused.unwrap_err(), FeedError::Unauthorized);

    let (mut feed, peer) = server.connect(server.options()).await;
    drop(peer);
    assert_eq!(told(&mut feed).await, "reconnecting");
    server.refuse(503).await;
    assert_eq!(told(&mut feed).await, "reconnecting");
    server.refuse(401).await;
    assert_eq!(feed.next().await, Err(FeedError::Unauthorized));
    assert_eq!(feed.next().await, Err(FeedError::Ended));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_without_the_token() {
    let server = Server::start().await;
    let options = server.options();
    drop(server);
    let error = Feed::connect(options).await.unwrap_err();
    assert!(matches!(error, FeedError::Unreachable { .. }));
    assert!(!error.to_string().contains("tick"), "{error}");
}

#[tokio::test]
async fn who_is_let_in_and_closed_at_once_waits_ever_longer() {
    let server = Server::start().await;
    let mut options = server.options();
    // A pause that has doubled often enough is as good as endless.
    options.pace.longest_pause = Duration::from_secs(3_600);
    let (mut feed, mut peer) = server.connect(options).await;
    let mut connections = 1;
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        peer.says_live("c1").await;
        assert_eq!(told(&mut feed).await, "live true");
        drop(peer);
        assert_eq!(told(&mut feed).await, "reconnecting");
        peer = match timeout_at(end, server.accept()).await {
            Ok(peer) => peer,
            Err(_) => break,
        };
        connections += 1;
    }
    assert!(connections < 50, "{connections}");
}
