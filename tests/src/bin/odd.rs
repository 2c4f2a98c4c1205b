//! A Lambda function that misbehaves as its payload says, to see what the local stack makes of it.

#![expect(clippy::panic, reason = "this is what it is there for")]

use std::io::Write;
use std::process;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use lambda_runtime::{Error, FunctionResponse, LambdaEvent, StreamResponse, run, service_fn};
use platform::config;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    match config::process("INIT").as_deref() {
        Some("exit") => process::exit(7),
        Some("hang") => std::future::pending().await,
        _ => run(service_fn(handle)).await,
    }
}

type Stream = BoxStream<'static, Result<Bytes, Error>>;

/// The answer to a payload, at once or piece by piece.
async fn handle(event: LambdaEvent<Value>) -> Result<FunctionResponse<Value, Stream>, Error> {
    let is_stream = event.payload["rawPath"] == "/v1/stream";
    let how = event.payload["queryStringParameters"]["do"].as_str();
    let Some(how) = how.filter(|_| is_stream) else {
        return whole(event).await.map(FunctionResponse::BufferedResponse);
    };
    let said = stream::iter([
        Ok(Bytes::from_static(b"one ")),
        Ok(Bytes::from_static(b"two")),
    ]);
    let stream: Stream = match how {
        "hang" => said.chain(stream::pending()).boxed(),
        "exit" => said
            .chain(stream::once(async {
                // What was said before is on its way.
                tokio::time::sleep(Duration::from_millis(100)).await;
                process::exit(6)
            }))
            .boxed(),
        "error" => return Err("no".into()),
        _ => said.boxed(),
    };
    let mut response = StreamResponse::from(stream);
    response.metadata_prelude.status_code = reqwest::StatusCode::IM_A_TEAPOT;
    response.metadata_prelude.cookies = vec!["a=b".to_owned()];
    Ok(FunctionResponse::StreamingResponse(response))
}

async fn whole(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (payload, context) = event.into_parts();
    let path = payload["rawPath"]
        .as_str()
        .map(|path| path.trim_matches('/'));
    match path.or_else(|| payload["do"].as_str()).unwrap_or_default() {
        "exit" => process::exit(3),
        "exit later" => {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(50));
                process::exit(5)
            });
            Ok(json!({ "process": process::id() }))
        }
        "hang" => std::future::pending().await,
        "panic" => panic!("on purpose"),
        "error" => Err("no".into()),
        "answer too much" => Ok(Value::from("x".repeat(6 * 1024 * 1024))),
        // More than a pipe holds.
        "print" => {
            let line = "y".repeat(1_000);
            for _ in 0..300 {
                writeln!(std::io::stdout(), "{line}")?;
            }
            Ok(json!("printed"))
        }
        _ => Ok(json!({
            "process": process::id(),
            "request_id": context.request_id,
            "arn": context.invoked_function_arn,
            "trace_id": context.xray_trace_id,
            "deadline": context.deadline,
            "function": context.env_config.function_name,
            "memory": context.env_config.memory,
            "variable": config::process("VARIABLE"),
            "home": config::process("HOME"),
        })),
    }
}
