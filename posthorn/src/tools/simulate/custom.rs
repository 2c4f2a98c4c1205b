//! `posthorn simulate --custom`: events of another system, published one after the other.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};

use crate::tools::api::{Api, CallError};
use crate::tools::generator::custom_event;
use crate::tools::random::Random;
use crate::tools::{ToolError, out};

/// How many events in a row may find no server.
const UNREACHABLE: u32 = 5;

/// What is published.
#[derive(Debug)]
pub(super) struct Custom {
    /// One of these types each time; not empty.
    pub(super) types: Vec<String>,
    pub(super) every: Duration,
    pub(super) count: Option<u64>,
    pub(super) random: Random,
}

#[derive(Deserialize)]
struct Published {
    id: String,
}

impl Custom {
    /// One event a line, published nowhere.
    pub(super) fn print(mut self) -> Result<(), ToolError> {
        let count = self.count.unwrap_or(u64::MAX);
        (0..count).try_for_each(|_| out::line(&self.next().1))
    }

    /// Publishes until the count is reached or Ctrl-C. Fails when something was not published.
    pub(super) async fn publish(mut self, api: &Api) -> Result<(), ToolError> {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut published, mut lost) = (0, 0);
        // How many in a row did not find a server.
        let mut unreachable = 0;
        while self.count.is_none_or(|count| published + lost < count) {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = tokio::signal::ctrl_c() => break,
            }
            let (kind, body) = self.next();
            let answer: Result<Published, CallError> = api.post("/v1/events", body).await;
            match answer {
                Ok(Published { id }) => {
                    published += 1;
                    unreachable = 0;
                    out::line(&format!("{kind:<16} {}", out::printable(&id)))?;
                }
                // The next one may be luckier.
                Err(error) if error.is_passing() => {
                    lost += 1;
                    unreachable = if error.is_unreachable() {
                        unreachable + 1
                    } else {
                        0
                    };
                    if unreachable == UNREACHABLE || (published == 0 && unreachable > 0) {
                        return Err(error.into());
                    }
                    out::note(&error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        out::note(&format!("{published} events published"));
        match lost {
            0 => Ok(()),
            lost => Err(ToolError::Failed(format!(
                "{lost} events were not published"
            ))),
        }
    }

    /// A type, and the request that publishes an event of it.
    fn next(&mut self) -> (String, String) {
        let kind = self.random.pick(&self.types).clone();
        let body = custom_event(&kind, &mut self.random).to_string();
        (kind, body)
    }
}
