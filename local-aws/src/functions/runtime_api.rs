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

use super::error::PAYLOAD_BYTES;
use crate::answer::{Answer, answer_json};

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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends a request as it stands here, and reads what comes of it until the other end is quiet.
    async fn ask(stream: &mut TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// The chunks of an answer to the invocation `r-1` that is sent like this.
    async fn chunks(body: &str) -> (bool, Vec<Chunk>) {
        let mut api = RuntimeApi::start().await.unwrap();
        let mut context = Context::default();
        context.request_id = "r-1".to_owned();
        let payload = "{}".to_owned();
        let invocation = Invocation { payload, context };
        api.invocations.send(invocation).await.unwrap();
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        let next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: x\r\n\r\n";
        assert!(ask(&mut stream, next).await.contains("r-1"));
        let request = format!(
            "POST /2018-06-01/runtime/invocation/r-1/response HTTP/1.1\r\nhost: x\r\n\
             content-type: {HTTP_RESPONSE}\r\n{RESPONSE_MODE}: streaming\r\n\
             transfer-encoding: chunked\r\ntrailer: {ERROR_TYPE}, {ERROR_BODY}\r\n\r\n{body}"
        );
        let answering = async {
            let (mut has, mut chunks) = (false, Vec::new());
            while let Some(report) = api.reports.recv().await {
                if let Report::Streams {
                    has_prelude,
                    chunks: mut received,
                    ..
                } = report
                {
                    has = has_prelude;
                    while let Some(chunk) = received.recv().await {
                        chunks.push(chunk);
                    }
                    break;
                }
            }
            (has, chunks)
        };
        let (answer, chunks) = tokio::join!(ask(&mut stream, &request), answering);
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
        chunks
    }

    #[tokio::test]
    async fn an_answer_that_is_streamed_comes_piece_by_piece_to_its_end() {
        let (has_prelude, chunks) = chunks("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").await;
        assert!(has_prelude);
        let [.., Chunk::End] = chunks.as_slice() else {
            panic!("{chunks:?}")
        };
        let data = chunks.iter().filter_map(|chunk| match chunk {
            Chunk::Data(data) => Some(data.as_ref()),
            Chunk::End | Chunk::Failed(_) => None,
        });
        assert_eq!(data.collect::<Vec<_>>().concat(), b"onetwo");
    }

    #[tokio::test]
    async fn a_function_that_fails_in_the_middle_says_so_in_trailers() {
        let error = STANDARD.encode("it broke");
        let body = format!("3\r\none\r\n0\r\n{ERROR_TYPE}: Odd\r\n{ERROR_BODY}: {error}\r\n\r\n");
        let (_, chunks) = chunks(&body).await;
        let [Chunk::Data(_), Chunk::Failed(failed)] = chunks.as_slice() else {
            panic!("{chunks:?}")
        };
        assert_eq!(failed.error_type, "Odd");
        assert_eq!(failed.error_message, "it broke");
    }
}
