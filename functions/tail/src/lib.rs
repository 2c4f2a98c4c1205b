//! Woken by its Function URL. Lets a reader wait for events over plain HTTP, where sockets do not
//! get through: a long poll, or a stream of Server-Sent Events. It writes nothing.
//!
//! It reads the feed again and again until there is something, for as long as the reader waits:
//! who waits is paid for by the second, so that the function has a concurrency of its own.

mod ask;
mod body;
mod call;
mod deps;
mod pace;
mod poll;
mod sse;
mod stream;

use std::sync::Arc;

use domain::Millis;
use http::{HeaderValue, Response, StatusCode, header};
use lambda_runtime::{Error, LambdaEvent, StreamResponse};
use platform::clock;
use platform::http::{HttpError, empty};
use platform::payload::Payload;

pub use body::Body;
pub use deps::{Deps, permissions};

use crate::ask::Ask;
use crate::body::whole;
use crate::call::{Call, HAND_OVER_MS, instant};

/// An answer as Lambda streams it.
pub type Answer = StreamResponse<Body>;

/// Answers a request.
///
/// # Errors
/// None: the answer says what failed.
pub async fn handle(deps: &Arc<Deps>, event: LambdaEvent<Payload>) -> Result<Answer, Error> {
    let (payload, context) = (event.payload, event.context);
    let call = Call {
        request_id: context.request_id,
        headers: payload.headers(),
        received_at: payload.received_at(clock::now()),
        ends_at: instant(Millis(context.deadline).minus(HAND_OVER_MS)),
        query: payload.raw_query_string.clone(),
    };
    let cors = deps.origins.headers(&call.headers);
    let mut response = match payload.method() {
        "OPTIONS" => with_allow(whole(empty(StatusCode::NO_CONTENT))),
        "GET" => answer(deps, &payload.raw_path, &call)
            .await
            .unwrap_or_else(refusal),
        _ => with_allow(refusal(HttpError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "only `GET` is allowed",
        ))),
    };
    response.headers_mut().extend(cors);
    let (parts, body) = response.into_parts();
    let mut answer = Answer::from(body);
    answer.metadata_prelude.status_code = parts.status;
    answer.metadata_prelude.headers = parts.headers;
    Ok(answer)
}

async fn answer(deps: &Arc<Deps>, path: &str, call: &Call) -> Result<Response<Body>, HttpError> {
    match path.strip_suffix('/').unwrap_or(path) {
        "/v1/events" => {
            let ask = Ask::read(deps, call, ask::POLL).await?;
            poll::answer(deps, call, ask).await
        }
        "/v1/stream" => {
            let known = [ask::STREAM, ask::LAST_EVENT_ID].concat();
            let ask = Ask::read(deps, call, &known).await?;
            stream::answer(deps, call, ask.come_back(deps, call).await?).await
        }
        _ => Err(HttpError::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "no such path",
        )),
    }
}

fn refusal(error: HttpError) -> Response<Body> {
    whole(error.into_response())
}

/// Says which methods there are. (RFC 9110, section 15.5.6.)
fn with_allow(mut response: Response<Body>) -> Response<Body> {
    let methods = HeaderValue::from_static("GET, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}
