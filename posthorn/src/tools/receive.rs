//! `posthorn receive`: somebody's endpoint on a desk, which verifies what it gets and fails on demand.

mod seen;
mod verify;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::target::Secret;
use super::{ToolError, duration, out, simulate};

use seen::{Answered, Seen};
use verify::{Secrets, Verdict};

/// Far more than an event can be.
const BODY_BYTES: usize = 32 * 1024 * 1024;

/// Requests that wait for their line. Who sends more waits for the terminal.
const LINES: usize = 1_024;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port to listen on; 0 takes any that is free
    #[arg(long, default_value_t = 8888, allow_negative_numbers = true)]
    port: u16,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Answer with this status
    #[arg(long, value_parser = clap::value_parser!(u16).range(200..=599), allow_negative_numbers = true)]
    status: Option<u16>,
    /// Answer 410, which ends an endpoint
    #[arg(long, conflicts_with = "status")]
    gone: bool,
    /// Never answer
    #[arg(long, conflicts_with_all = ["status", "gone"])]
    hang: bool,
    /// The fraction of requests to fail so, with 500 if nothing else is said; the others get 200
    #[arg(long, value_name = "FRACTION", value_parser = simulate::fraction, allow_hyphen_values = true)]
    fail_rate: Option<f64>,
    /// Take so long to answer: 500ms, 3s, 1m
    #[arg(long, value_name = "TIME", value_parser = duration::duration, allow_hyphen_values = true)]
    slow: Option<Duration>,
    /// The endpoint's signing secret, whsec_…; what it did not sign gets 401. Can be repeated
    #[arg(long, value_name = "SECRET")]
    secret: Vec<Secret>,
    /// One request a line as JSON
    #[arg(long)]
    json: bool,
    /// Only the summary at the end
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
}

/// Answers until Ctrl-C, then says how much there was.
pub async fn run(args: Args) -> Result<(), ToolError> {
    let desk = Arc::new(Desk::new(&args)?);
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => ": `--port 0` takes any that is free",
            _ => "",
        };
        ToolError::Failed(format!("cannot listen on {address}: {error}{hint}"))
    })?;
    let address = listener.local_addr()?;
    out::note(&format!(
        "Receiving on http://{address}/ and every path below. Ctrl-C ends it."
    ));
    if desk.secrets.is_empty() {
        out::note("No signature is verified: pass the endpoint's --secret.");
    }
    let (tell, mut told) = mpsc::channel(LINES);
    let mut connections = JoinSet::new();
    let mut summary = Summary::default();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, desk.clone(), tell.clone()));
                }
                // Out of file descriptors, mostly: it gets better when others close.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(seen) = told.recv() => summary.tell(seen, &args)?,
            Some(_) = connections.join_next() => {}
            _ = &mut interrupted => break,
        }
    }
    out::note(&summary.text());
    Ok(())
}

/// What every request is answered by.
#[derive(Debug)]
struct Desk {
    secrets: Secrets,
    failure: Answered,
    fail_rate: f64,
    slow: Duration,
}

impl Desk {
    fn new(args: &Args) -> Result<Desk, ToolError> {
        let is_failing = args.status.is_some() || args.gone || args.hang;
        let failure = match args.status {
            _ if args.hang => Answered::Not,
            _ if args.gone => Answered::With(StatusCode::GONE.as_u16()),
            status => Answered::With(status.unwrap_or(500)),
        };
        Ok(Desk {
            secrets: Secrets::new(&args.secret)?,
            failure,
            fail_rate: args.fail_rate.unwrap_or(f64::from(u8::from(is_failing))),
            slow: args.slow.unwrap_or_default(),
        })
    }

    fn answer(&self, verdict: &Verdict) -> Answered {
        match verdict {
            Verdict::Wrong(_) => Answered::With(StatusCode::UNAUTHORIZED.as_u16()),
            Verdict::Verified(_) | Verdict::Unasked if fastrand::f64() < self.fail_rate => {
                self.failure
            }
            Verdict::Verified(_) | Verdict::Unasked => Answered::With(StatusCode::OK.as_u16()),
        }
    }
}

async fn connection(stream: TcpStream, desk: Arc<Desk>, tell: mpsc::Sender<Seen>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let (desk, tell) = (desk.clone(), tell.clone());
        async move { Ok::<_, Infallible>(receive(request, &desk, tell).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // Whoever goes away early is as welcome as anybody else.
    let _ = connection.await;
}

/// The answer to a request, when it is due.
async fn receive(
    request: Request<Incoming>,
    desk: &Desk,
    tell: mpsc::Sender<Seen>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES).collect().await else {
        return status(StatusCode::PAYLOAD_TOO_LARGE.as_u16());
    };
    let body = body.to_bytes();
    let verdict = desk.secrets.verify(&parts.headers, &body);
    let answered = desk.answer(&verdict);
    // When nobody listens any more, the tool is about to end.
    let _ = tell.send(Seen::new(&parts, body, verdict, answered)).await;
    let Answered::With(code) = answered else {
        return pending().await;
    };
    sleep(desk.slow).await;
    status(code)
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    response
}

/// What there was so far.
#[derive(Debug, Default)]
struct Summary {
    /// How often each id came on each path.
    attempts: HashMap<(String, String), u32>,
    requests: u64,
    verified: u64,
    wrong: u64,
    succeeded: u64,
}

impl Summary {
    fn tell(&mut self, seen: Seen, args: &Args) -> Result<(), ToolError> {
        let attempt = self.attempt(&seen);
        self.requests += 1;
        match seen.verdict {
            Verdict::Verified(_) => self.verified += 1,
            Verdict::Wrong(_) => self.wrong += 1,
            Verdict::Unasked => {}
        }
        self.succeeded += u64::from(seen.is_success());
        if args.quiet {
            return Ok(());
        }
        out::line(&if args.json {
            seen.json(attempt)
        } else {
            seen.line(attempt, out::is_coloured())
        })
    }

    fn attempt(&mut self, seen: &Seen) -> u32 {
        // What has no id cannot come again.
        let Some(id) = &seen.id else { return 1 };
        let key = (seen.path.clone(), id.clone());
        let attempts = self.attempts.entry(key).or_default();
        *attempts += 1;
        *attempts
    }

    fn text(&self) -> String {
        format!(
            "{} requests with {} ids: {} verified, {} refused, {} answered with success",
            self.requests,
            self.attempts.len(),
            self.verified,
            self.wrong,
            self.succeeded
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(args: &[&str]) -> Desk {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            args: Args,
        }
        let args = [&["receive"], args].concat();
        Desk::new(&<Cli as clap::Parser>::parse_from(args).args).unwrap()
    }

    #[test]
    fn it_fails_as_it_is_told() {
        let fine = Verdict::Unasked;
        for (args, expected) in [
            (&[][..], Answered::With(200)),
            (&["--status", "503"], Answered::With(503)),
            (&["--gone"], Answered::With(410)),
            (&["--hang"], Answered::Not),
            (&["--fail-rate", "1"], Answered::With(500)),
            (&["--fail-rate", "0", "--hang"], Answered::With(200)),
        ] {
            assert_eq!(desk(args).answer(&fine), expected, "{args:?}");
        }
        let flaky = desk(&["--fail-rate", "0.5", "--status", "429"]);
        let answers: Vec<_> = (0..200).map(|_| flaky.answer(&fine)).collect();
        assert!(answers.contains(&Answered::With(429)) && answers.contains(&Answered::With(200)));
    }

    #[test]
    fn a_wrong_signature_is_401_whatever_else_was_asked() {
        let wrong = Verdict::Wrong("no signature".to_owned());
        assert_eq!(desk(&["--hang"]).answer(&wrong), Answered::With(401));
    }
}
