//! Woken by a message from a WebSocket client. Does what the client asks: `subscribe`,
//! `unsubscribe`, `resume`, `ping`. It answers through API Gateway's management API, and writes
//! what the client wants into its row.
//!
//! A client that is asked for nothing it could understand gets an `error` message and keeps its
//! connection.

mod action;
mod answer;
mod client;
mod deps;
mod resume;

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use domain::{Filter, Position};
use http::StatusCode;
use lambda_runtime::{Error, LambdaEvent};
use platform::connections::Connections;
use platform::http::websocket;
use platform::telemetry::Chain;
use platform::{clock, metrics};
use store::Connection;

pub use deps::{Deps, permissions};

use crate::action::{Action, Bad};
use crate::answer::Answer;
use crate::client::{Client, Failure};

/// Does what the message asks, and answers the client.
///
/// # Errors
/// None: the client is told what failed.
pub async fn handle(
    deps: &Deps,
    event: LambdaEvent<ApiGatewayWebsocketProxyRequest>,
) -> Result<ApiGatewayProxyResponse, Error> {
    let request_id = &event.context.request_id;
    let payload = &event.payload;
    let id = match platform::websocket::connection_id(payload) {
        Ok(id) => id,
        Err(error) => return Ok(error.into_websocket()),
    };
    let context = &payload.request_context;
    let (api_id, stage) = (
        context.apiid.as_deref().unwrap_or_default(),
        context.stage.as_deref().unwrap_or_default(),
    );
    let client = Client {
        deps,
        id,
        connections: Connections::new(deps.aws.connections(api_id, stage)),
        replayed: AtomicU64::new(0),
    };
    let action = action::read(payload.body.as_deref().unwrap_or_default());
    let name = action.as_ref().map_or("unreadable", Action::name);
    let is_resume = matches!(action, Ok(Action::Resume(_)));
    let answer = match act(&client, action).await {
        Ok(answer) => answer,
        Err(Failure::Bad(bad)) => Some(Answer::Error(bad)),
        Err(Failure::Store(error)) => {
            tracing::error!(request.id = request_id, connection.id = id, action = name, error = %Chain(&error), "A message failed.");
            Some(Answer::Error(Bad::internal(request_id)))
        }
        Err(Failure::Gone) => None,
    };
    count(&client, is_resume, answer.as_ref());
    if let Some(answer) = answer {
        client.answer(&answer).await;
    }
    tracing::info!(
        request.id = request_id,
        connection.id = id,
        action = name,
        "A message was served."
    );
    Ok(websocket(StatusCode::OK))
}

fn count(client: &Client<'_>, is_resume: bool, answer: Option<&Answer>) {
    let is_incomplete = matches!(answer, Some(Answer::Live { recovered, .. }) if !recovered);
    let replayed = client.replayed.load(Ordering::Relaxed);
    client.deps.metrics.record(
        clock::now(),
        &[
            (metrics::RESUMES, is_resume.into()),
            (metrics::EVENTS_REPLAYED, replayed),
            (metrics::RESUMES_NOT_RECOVERED, is_incomplete.into()),
        ],
    );
}

async fn act(client: &Client<'_>, action: Result<Action, Bad>) -> Result<Option<Answer>, Failure> {
    let Some(row) = client.deps.session.get(client.id).await? else {
        // Nobody pushes to a connection without a row: better closed than deaf.
        client.connections.close(client.id).await;
        return Err(Failure::Gone);
    };
    if !row.rights.hold(clock::now()) {
        // Its next ticket has newer rights, or is refused.
        client.connections.close(client.id).await;
        return Err(Failure::Gone);
    }
    match action? {
        Action::Ping => Ok(Some(ping(client, &row))),
        Action::Unsubscribe => {
            client.deps.session.unsubscribe(client.id).await?;
            Ok(Some(Answer::Unsubscribed))
        }
        Action::Subscribe { filter, with_data } => {
            subscribe(client, &row, &filter, with_data).await.map(Some)
        }
        Action::Resume(from) => resume::resume(client, &row, from).await.map(Some),
    }
}

/// A client that missed something learns it here, and from where to resume.
fn ping(client: &Client<'_>, row: &Connection) -> Answer {
    match row.missed_since {
        Some(since) => Answer::Gap {
            cursor: client.deps.feed.cursor_at(Position::start_of(since)),
        },
        None => Answer::Pong,
    }
}

async fn subscribe(
    client: &Client<'_>,
    row: &Connection,
    filter: &str,
    with_data: bool,
) -> Result<Answer, Failure> {
    let filter: Filter = filter.parse().map_err(Bad::filter)?;
    row.rights.narrow(&filter).map_err(Bad::forbidden)?;
    let filter = filter.to_string();
    client
        .deps
        .session
        .subscribe(client.id, &filter, with_data)
        .await?;
    let now = Position::start_of(clock::now());
    Ok(Answer::Subscribed {
        filter,
        cursor: client.deps.feed.cursor_at(now),
    })
}
