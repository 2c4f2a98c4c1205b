//! The Lambda Runtime API of one execution environment: where its process asks for invocations and
//! brings answers. ("Using the Lambda runtime API for custom runtimes", version 2018-06-01.)

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lambda_runtime::{Context, Diagnostic};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::PAYLOAD_BYTES;
use crate::server::{Answer, answer_json};

const PREFIX: &str = "/2018-06-01/runtime/";
/// How an answer that is streamed says so, that it has a prelude, and, in its trailers, that it has
/// failed. ("Using the Lambda runtime API for custom runtimes": response streaming.)
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
const HTTP_RESPONSE: &str = "application/vnd.awslambda.http-integration-response";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// What the process is to do next.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) payload: String,
    pub(super) context: Context,
}

/// What the process says.
#[derive(Debug)]
pub(super) enum Report {
    /// It waits for an invocation: its init is over, or the last invocation is.
    Waits,
    /// The answer to an invocation.
    Answered { request_id: String, answer: String },
    /// The answer to an invocation, which comes piece by piece.
    Streams {
        request_id: String,
        /// Whether it says its status and headers first.
        has_prelude: bool,
        chunks: mpsc::Receiver<Chunk>,
    },
    /// The answer to an invocation is larger than Lambda takes.
    AnsweredTooMuch { request_id: String },
    /// An invocation failed.
    Failed {
        request_id: String,
        error: Diagnostic,
    },
    /// Its init failed.
    InitFailed(Diagnostic),
}

/// A part of an answer. One that ends with neither end nor failure was cut by the process's end.
#[derive(Debug)]
pub(super) enum Chunk {
    Data(Bytes),
    End,
    /// The function has failed in the middle of it.
    Failed(Diagnostic),
}

/// The API, for one process. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    /// What goes into `AWS_LAMBDA_RUNTIME_API`.
    pub(super) address: SocketAddr,
    pub(super) invocations: mpsc::Sender<Invocation>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    server: JoinHandle<()>,
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RuntimeApi {
    /// Listens on a port of this machine's own.
    pub(super) async fn start() -> io::Result<RuntimeApi> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (invocations, waiting) = mpsc::channel(1);
        let (reporter, reports) = mpsc::unbounded_channel();
        let desk = Arc::new(Desk {
            waiting: Mutex::new(waiting),
            current: std::sync::Mutex::default(),
            reporter,
        });
        Ok(RuntimeApi {
            address,
            invocations,
            reports,
            server: tokio::spawn(serve(listener, desk)),
        })
    }
}

/// Where the process is served.
#[derive(Debug)]
struct Desk {
    waiting: Mutex<mpsc::Receiver<Invocation>>,
    /// The id of the invocation that is under way.
    current: std::sync::Mutex<String>,
    reporter: mpsc::UnboundedSender<Report>,
}

async fn serve(listener: TcpListener, desk: Arc<Desk>) {
    // Dropped with this task, and with it the connections.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, desk.clone()));
    }
}

async fn connection(stream: TcpStream, desk: Arc<Desk>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    // It fails when the process ends, which the environment sees for itself.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix(PREFIX) else {
            return refuse(
                StatusCode::NOT_FOUND,
                "InvalidPath",
                "There is no such path.",
            );
        };
        if method == Method::GET && path == "invocation/next" {
            return self.next().await;
        }
        let id = path
            .strip_prefix("invocation/")
            .and_then(|rest| rest.split_once('/'))
            .map(|(id, _)| id);
        if id.is_some_and(|id| id != *self.current()) {
            return refuse(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "Invalid request ID",
            );
        }
        let is_response = path.ends_with("/response");
        let mode = request.headers().get(RESPONSE_MODE);
        if let Some(id) = id.filter(|_| is_response && mode.is_some_and(|mode| mode == "streaming"))
        {
            return self.stream(id.to_owned(), request).await;
        }
        let body = match Limited::new(request.into_body(), PAYLOAD_BYTES + 1)
            .collect()
            .await
        {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(error) if error.is::<LengthLimitError>() => return self.too_large(path),
            // The process has ended in the middle of it.
            Err(_) => return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", "Half a body"),
        };
        let report = match path
            .strip_prefix("invocation/")
            .map(|rest| rest.split_once('/'))
        {
            Some(Some((id, "response"))) => Report::Answered {
                request_id: id.to_owned(),
                answer: body,
            },
            Some(Some((id, "error"))) => Report::Failed {
                request_id: id.to_owned(),
                error: diagnostic(&body),
            },
            _ if path == "init/error" => Report::InitFailed(diagnostic(&body)),
            _ => {
                return refuse(
                    StatusCode::NOT_FOUND,
                    "InvalidPath",
                    "There is no such path.",
                );
            }
        };
        self.accept(report)
    }

    /// Takes an answer piece by piece, to its end, though nobody may want it any more.
    async fn stream(&self, request_id: String, request: Request<Incoming>) -> Answer {
        let content_type = request.headers().get(http::header::CONTENT_TYPE);
        let (sender, chunks) = mpsc::channel(1);
        let _ = self.reporter.send(Report::Streams {
            request_id,
            has_prelude: content_type.is_some_and(|it| it == HTTP_RESPONSE),
            chunks,
        });
        let mut body = request.into_body();
        let mut failure = None;
        while let Some(frame) = body.frame().await {
            // The process has ended in the middle of it.
            let Ok(frame) = frame else {
                return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", "Half a body");
            };
            match frame.into_data() {
                Ok(data) => drop(sender.send(Chunk::Data(data)).await),
                Err(frame) => failure = frame.trailers_ref().and_then(failure_of),
            }
        }
        let last = failure.map_or(Chunk::End, Chunk::Failed);
        let _ = sender.send(last).await;
        answer_json(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
    }

    /// The next invocation; it waits for as long as there is none.
    async fn next(&self) -> Answer {
        let _ = self.reporter.send(Report::Waits);
        let Some(Invocation { payload, context }) = self.waiting.lock().await.recv().await else {
            return refuse(StatusCode::GONE, "Gone", "The environment is shut down.");
        };
        self.current().clone_from(&context.request_id);
        let mut answer = Answer::new(Bytes::from(payload).into());
        let deadline = context.deadline.to_string();
        for (name, value) in [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", &context.request_id),
            ("lambda-runtime-deadline-ms", &deadline),
            (
                "lambda-runtime-invoked-function-arn",
                &context.invoked_function_arn,
            ),
            (
                "lambda-runtime-trace-id",
                context.xray_trace_id.as_deref().unwrap_or_default(),
            ),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }

    fn current(&self) -> MutexGuard<'_, String> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_large(&self, path: &str) -> Answer {
        let id = path.strip_prefix("invocation/");
        if let Some((id, _)) = id.and_then(|rest| rest.split_once('/')) {
            let _ = self.reporter.send(Report::AnsweredTooMuch {
                request_id: id.to_owned(),
            });
        }
        let message = format!("Exceeded maximum allowed payload size ({PAYLOAD_BYTES} bytes).");
        refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            &message,
        )
    }

    fn accept(&self, report: Report) -> Answer {
        let _ = self.reporter.send(report);
        answer_json(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
    }
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Answer {
    answer_json(
        status,
        &json!({ "errorType": kind, "errorMessage": message }),
    )
}

/// What went wrong in the middle of an answer.
fn failure_of(trailers: &HeaderMap) -> Option<Diagnostic> {
    let text = |name: &str| trailers.get(name)?.to_str().ok();
    let error_type = text(ERROR_TYPE)?.to_owned();
    let body = STANDARD.decode(text(ERROR_BODY).unwrap_or_default());
    Some(Diagnostic {
        error_type,
        error_message: String::from_utf8_lossy(&body.unwrap_or_default()).into_owned(),
    })
}

fn diagnostic(body: &str) -> Diagnostic {
    serde_json::from_str(body).unwrap_or_else(|_| Diagnostic {
        error_type: "Runtime.Unknown".to_owned(),
        error_message: body.to_owned(),
    })
}
