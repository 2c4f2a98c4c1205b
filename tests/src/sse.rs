//! A client of Server-Sent Events, as simple as that of a browser.

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use crate::{Answer, DEADLINE, Http};

/// A stream that is being read.
#[derive(Debug)]
pub struct Sse {
    response: Response,
    unread: String,
    /// How many comments were read so far.
    pub comments: usize,
    /// The id of the last event that had one.
    pub last_id: String,
}

/// An event of a stream.
#[derive(Debug, Clone)]
pub struct SseEvent {
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: Value,
}

impl SseEvent {
    /// The events that it carries.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        self.data["events"].as_array().map_or(&[], Vec::as_slice)
    }
}

impl Sse {
    /// Opens a stream, or answers why not.
    ///
    /// # Errors
    /// The answer, when it is no stream.
    ///
    /// # Panics
    /// When there is no answer in time.
    pub async fn open(http: &Http, path: &str, headers: &[(&str, &str)]) -> Result<Sse, Answer> {
        let response = timeout(DEADLINE, http.send(path, headers)).await;
        let response = response.expect("an answer in time");
        let media_type = response.headers().get("content-type");
        if media_type.is_none_or(|media_type| media_type != "text/event-stream") {
            return Err(Answer::read(response).await);
        }
        Ok(Sse {
            response,
            unread: String::new(),
            comments: 0,
            last_id: String::new(),
        })
    }

    /// The next event; none at the end of the stream.
    ///
    /// # Panics
    /// When none comes in time, or the stream is cut.
    pub async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.unread = rest;
                if let Some(event) = self.read(&block) {
                    return Some(event);
                }
                continue;
            }
            let chunk = timeout(DEADLINE, self.response.chunk()).await;
            let chunk = chunk.expect("something in time").expect("a whole stream")?;
            self.unread += std::str::from_utf8(&chunk).expect("text");
        }
    }

    /// The next event, of this name.
    ///
    /// # Panics
    /// When it is another, or there is none.
    pub async fn next_named(&mut self, name: &str) -> SseEvent {
        let event = self.next().await.expect("an event");
        assert_eq!(event.name, name, "{}", event.data);
        event
    }

    /// Reads on until so many events have come.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn next_events(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend_from_slice(self.next_named("events").await.events());
        }
        events
    }

    fn read(&mut self, block: &str) -> Option<SseEvent> {
        let (mut name, mut data) = (String::new(), Vec::new());
        for line in block.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", id) => id.clone_into(&mut self.last_id),
                ("event", event) => event.clone_into(&mut name),
                ("data", line) => data.push(line),
                ("" | ":", _) => self.comments += 1,
                ("retry", ms) => assert!(ms.parse::<u32>().is_ok(), "{ms}"),
                _ => panic!("no line of a stream: {line:?}"),
            }
        }
        let data = serde_json::from_str(&data.join("\n")).ok()?;
        Some(SseEvent { name, data })
    }
}
