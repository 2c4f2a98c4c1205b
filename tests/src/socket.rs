//! A WebSocket client that does nothing by itself.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{self, Error, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::DEADLINE;

/// An open connection.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Its connection id, when it is known.
    pub(crate) id: Option<String>,
}

/// A message of the server.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its exact text.
    pub text: String,
    /// The same, parsed.
    pub json: Value,
}

impl Message {
    /// What it is: `events`, `live`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        self.json["type"].as_str().unwrap_or_default()
    }

    /// Its events; none when it has none.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        self.json["events"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Whether it was asked for, and not pushed.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.json["replay"] == true
    }

    /// Its cursor.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn cursor(&self) -> String {
        let cursor = self.json["cursor"].as_str();
        cursor.expect("a message with a cursor").to_owned()
    }
}

impl Socket {
    /// Opens a connection to `url`, ticket and all.
    ///
    /// # Errors
    /// With the status of the answer when it is refused.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn open(url: &str) -> Result<Socket, u16> {
        let request = url.into_client_request().expect("a URL");
        match connect_async(request).await {
            Ok((stream, _)) => Ok(Socket { stream, id: None }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no connection: {error}"),
        }
    }

    /// The connection id.
    ///
    /// # Panics
    /// When the socket was not opened by [`crate::TestStack::connect`].
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().expect("a connection whose id is known")
    }

    /// Sends a JSON message.
    pub async fn say(&mut self, message: Value) {
        self.send(tungstenite::Message::text(message.to_string()))
            .await;
    }

    /// Sends any message.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub async fn send(&mut self, message: tungstenite::Message) {
        self.try_send(message).await.expect("an open connection");
    }

    /// Sends any message.
    ///
    /// # Errors
    /// When it cannot be sent: the server may close the connection before it has read everything.
    pub async fn try_send(&mut self, message: tungstenite::Message) -> Result<(), Error> {
        self.stream.send(message).await
    }

    /// The next message, or the code with which the server closed.
    async fn next(&mut self, end: Instant) -> Option<Result<Message, u16>> {
        loop {
            let received = timeout_at(end, self.stream.next()).await.ok()?;
            match received {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    let text = text.as_str().to_owned();
                    let json = serde_json::from_str(&text);
                    let json = json.unwrap_or_else(|error| panic!("{error} in {text}"));
                    return Some(Ok(Message { text, json }));
                }
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    return Some(Err(frame.map_or(1005, |frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Some(Err(1006)),
            }
        }
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes in time, or the connection is closed.
    pub async fn hear(&mut self) -> Message {
        self.hear_until("a message", |_| true).await.remove(0)
    }

    /// All messages up to the first that `is_wanted`, which is the last.
    ///
    /// # Panics
    /// When it does not come in time, or the connection is closed.
    pub async fn hear_until(
        &mut self,
        what: &str,
        mut is_wanted: impl FnMut(&Message) -> bool,
    ) -> Vec<Message> {
        let end = Instant::now() + DEADLINE;
        let mut heard: Vec<Message> = Vec::new();
        loop {
            match self.next(end).await {
                Some(Ok(message)) => {
                    let is_last = is_wanted(&message);
                    heard.push(message);
                    if is_last {
                        return heard;
                    }
                }
                Some(Err(code)) => panic!("closed with {code} before {what}; {}", told(&heard)),
                None => panic!("no {what}; {}", told(&heard)),
            }
        }
    }

    /// The next message of a kind, past all others.
    pub async fn hear_kind(&mut self, kind: &str) -> Message {
        let mut heard = self
            .hear_until(kind, |message| message.kind() == kind)
            .await;
        heard.swap_remove(heard.len() - 1)
    }

    /// The events of the next messages, until there are `count` of them or more.
    pub async fn hear_events(&mut self, count: usize) -> Vec<Value> {
        let mut left = count;
        let what = format!("{count} events");
        let heard = self
            .hear_until(&what, |message| {
                left = left.saturating_sub(message.events().len());
                left == 0
            })
            .await;
        events_of(&heard)
    }

    /// Says something and hears the answer to it, past everything that is pushed.
    pub async fn ask(&mut self, message: Value) -> Message {
        self.say(message).await;
        let mut heard = self
            .hear_until("an answer", |message| message.kind() != "events")
            .await;
        heard.swap_remove(heard.len() - 1)
    }

    /// Everything that came before the answer to a ping which is sent now.
    pub async fn drain(&mut self) -> Vec<Message> {
        self.say(json!({ "action": "ping" })).await;
        let mut heard = self
            .hear_until("pong", |message| {
                message.kind() == "pong" || message.kind() == "gap"
            })
            .await;
        heard.pop();
        heard
    }

    /// Resumes; answers what came up to and with the `live` at its end. A `continue` is followed.
    pub async fn resume(&mut self, cursor: &str) -> Vec<Message> {
        self.replay(json!({ "action": "resume", "cursor": cursor }))
            .await
    }

    /// The newest events; answers what came up to and with the `live` at the end.
    pub async fn resume_last(&mut self, last: usize) -> Vec<Message> {
        self.replay(json!({ "action": "resume", "last": last }))
            .await
    }

    async fn replay(&mut self, request: Value) -> Vec<Message> {
        let mut all = Vec::new();
        let mut request = request;
        loop {
            self.say(request).await;
            let heard = self
                .hear_until("live or continue", |message| {
                    matches!(message.kind(), "live" | "continue" | "error")
                })
                .await;
            all.extend(heard);
            let last: &Message = all.last().expect("an answer");
            match last.kind() {
                "continue" => request = json!({ "action": "resume", "cursor": last.cursor() }),
                "live" => return all,
                _ => panic!("{}", last.text),
            }
        }
    }

    /// Waits until the server closes, and answers its code.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn closed(&mut self) -> u16 {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.next(end).await {
                Some(Ok(_)) => {}
                Some(Err(code)) => return code,
                None => panic!("the connection was not closed"),
            }
        }
    }

    /// Everything that comes before the server closes the connection.
    ///
    /// # Panics
    /// When it is not closed in time.
    pub async fn hear_close(&mut self) -> Vec<Message> {
        let end = Instant::now() + DEADLINE;
        let mut heard = Vec::new();
        loop {
            match self.next(end).await {
                Some(Ok(message)) => heard.push(message),
                Some(Err(_)) => return heard,
                None => panic!("the connection was not closed; {}", told(&heard)),
            }
        }
    }

    /// Closes the connection as a client should.
    pub async fn close(mut self) {
        // A server that is gone needs no farewell.
        let _ = self.stream.close(None).await;
        let _ = tokio::time::timeout(Duration::from_secs(5), self.closed()).await;
    }
}

/// The events of messages, in their order.
pub(crate) fn events_of(messages: &[Message]) -> Vec<Value> {
    messages
        .iter()
        .flat_map(|message| message.events().iter().cloned())
        .collect()
}

fn told(heard: &[Message]) -> String {
    let last = heard.last().map(|message| message.text.as_str());
    let last: String = last.unwrap_or("nothing").chars().take(300).collect();
    format!("{} messages were heard, the last: {last}", heard.len())
}
