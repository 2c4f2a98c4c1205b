//! The deployment's secret: one JSON object in Secrets Manager, read again every few minutes, so
//! that it is rotated without a deploy.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Moment;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::clock;
use crate::config::{self, ConfigError, Lookup};
use crate::telemetry::Chain;

/// How old a copy may be.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How soon after the last attempt the secret is read again because something did not match it.
const MIN_AGE: Duration = Duration::from_secs(30);

/// A cached secret, of which each function parses what it needs into its own `T`.
#[derive(Debug)]
pub struct Secret<T> {
    client: aws_sdk_secretsmanager::Client,
    id: String,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<Arc<T>>,
    /// When reading it was last tried.
    tried_at: Option<Moment>,
}

/// The secret has never been read.
#[derive(Debug, thiserror::Error)]
#[error("the secret could not be read")]
pub struct Unreadable;

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("Secrets Manager did not answer")]
    Service(#[source] Box<dyn Error + Send + Sync>),
    #[error("the secret has no text")]
    Binary,
    // Without a source: a parser's message may show a part of what it could not parse.
    #[error("the secret is not the JSON object that it should be (line {0}, column {1})")]
    Malformed(usize, usize),
}

impl<T: DeserializeOwned> Secret<T> {
    /// The IAM actions that it needs.
    pub const ACTIONS: &'static [&'static str] = &["secretsmanager:GetSecretValue"];

    /// The secret that the variable `SECRET_ID` names. Nothing is read yet.
    ///
    /// # Errors
    /// When the variable is not set.
    pub fn new(
        client: aws_sdk_secretsmanager::Client,
        lookup: Lookup<'_>,
    ) -> Result<Secret<T>, ConfigError> {
        Ok(Secret {
            client,
            id: config::required(lookup, "SECRET_ID")?,
            state: Mutex::new(State {
                value: None,
                tried_at: None,
            }),
        })
    }

    /// The secret, from a copy that is at most some minutes old. When reading it fails, an older
    /// copy is kept.
    ///
    /// # Errors
    /// When it has never been read.
    pub async fn get(&self) -> Result<Arc<T>, Unreadable> {
        self.read_if(|state, now| match (&state.value, state.tried_at) {
            (None, _) | (_, None) => true,
            (Some(_), Some(tried_at)) => !now.is_within(MAX_AGE, tried_at),
        })
        .await
    }

    /// The secret, read anew because something did not match it; at most twice a minute, so that
    /// strangers with wrong signatures cause no calls.
    ///
    /// # Errors
    /// When it has never been read.
    async fn get_anew(&self) -> Result<Arc<T>, Unreadable> {
        self.read_if(|state, now| {
            state
                .tried_at
                .is_none_or(|tried_at| !now.is_within(MIN_AGE, tried_at))
        })
        .await
    }

    /// Looks for something that matches the secret: in the copy at hand, and when it is not there,
    /// in the secret read anew, since it may have been rotated a moment ago.
    ///
    /// # Errors
    /// When the secret has never been read.
    pub async fn find<R>(
        &self,
        matching: impl Fn(&T) -> Option<R>,
    ) -> Result<Option<R>, Unreadable> {
        match matching(&*self.get().await?) {
            Some(found) => Ok(Some(found)),
            None => Ok(matching(&*self.get_anew().await?)),
        }
    }

    /// The lock is held while reading, so that requests that come together read once.
    async fn read_if(
        &self,
        due: impl FnOnce(&State<T>, Moment) -> bool,
    ) -> Result<Arc<T>, Unreadable> {
        let mut state = self.state.lock().await;
        let now = clock::moment();
        if due(&state, now) {
            state.tried_at = Some(now);
            match self.read().await {
                Ok(value) => state.value = Some(Arc::new(value)),
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "The secret could not be read.")
                }
            }
        }
        state.value.clone().ok_or(Unreadable)
    }

    async fn read(&self) -> Result<T, ReadError> {
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.id)
            .send()
            .await;
        let answer = answer.map_err(|error| ReadError::Service(error.into()))?;
        let text = answer.secret_string().ok_or(ReadError::Binary)?;
        serde_json::from_str(text)
            .map_err(|error| ReadError::Malformed(error.line(), error.column()))
    }
}
