//! Built functions under the Lambda Runtime API, and what becomes of those that misbehave.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;

use flows::{DEADLINE, TestStack, eventually};
use futures::future::join_all;
use local_aws::functions::InvokeError;
use serde_json::{Value, json};

const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Parameters:
  Init: { Type: String, Default: normal }
Resources:
  HttpApi:
    Type: AWS::Serverless::HttpApi
  OddFunction:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: odd
      Timeout: 2
      MemorySize: 256
      ReservedConcurrentExecutions: 3
      Environment: { Variables: { VARIABLE: value, INIT: !Ref Init } }
      FunctionUrlConfig: { AuthType: NONE, InvokeMode: RESPONSE_STREAM }
      Events:
        Any: { Type: HttpApi, Properties: { ApiId: !Ref HttpApi } }
";

/// A stack whose function starts so, with this time limit.
async fn stack_with(init: &str, timeout: &str) -> (TestStack, tempfile::TempDir) {
    let built = tempfile::tempdir().unwrap();
    let function = built.path().join("odd");
    std::fs::create_dir(&function).unwrap();
    symlink(env!("CARGO_BIN_EXE_odd"), function.join("bootstrap")).unwrap();
    let stack = TestStack::start_with(|options| {
        options.local.functions = Some(built.path().to_owned());
        options.local.template = TEMPLATE.replace("Timeout: 2", timeout);
        options
            .local
            .parameters
            .insert("Init".to_owned(), init.to_owned());
    });
    (stack.await, built)
}

async fn stack() -> (TestStack, tempfile::TempDir) {
    stack_with("normal", "Timeout: 2").await
}

async fn invoke(stack: &TestStack, what: &str) -> Result<Value, InvokeError> {
    let answer = stack.invoke("OddFunction", json!({ "do": what }).to_string());
    answer
        .await
        .map(|text| serde_json::from_str(&text).unwrap())
}

/// `errorType` and `errorMessage` of an invocation that fails.
async fn failure(stack: &TestStack, what: &str) -> (String, String) {
    match invoke(stack, what).await {
        Err(InvokeError::Failed { kind, message }) => (kind, message),
        other => panic!("{what}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_what_lambda_would_show_it() {
    let (stack, _built) = stack().await;
    let before = platform::clock::now().0;
    let seen = invoke(&stack, "tell").await.unwrap();
    assert_eq!(seen["variable"], "value");
    assert_eq!(seen["memory"], 256);
    assert_eq!(seen["home"], Value::Null, "the desk's own variables");
    let arn = seen["arn"].as_str().unwrap();
    let name = seen["function"].as_str().unwrap();
    assert!(arn.ends_with(&format!(":function:{name}")), "{arn} {name}");
    let deadline = seen["deadline"].as_u64().unwrap();
    assert!(deadline >= before + 2_000, "{deadline} {before}");
    let trace = seen["trace_id"].as_str().unwrap();
    assert!(
        trace.starts_with("Root=1-") && trace.ends_with("Sampled=0"),
        "{trace}"
    );
    assert_eq!(seen["request_id"].as_str().unwrap().len(), 36);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_serves_one_invocation_after_the_other() {
    let (stack, _built) = stack().await;
    let first = invoke(&stack, "tell").await.unwrap();
    let second = invoke(&stack, "tell").await.unwrap();
    assert_eq!(first["process"], second["process"]);
    assert_ne!(first["request_id"], second["request_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invocations_at_once_have_a_process_each_up_to_the_reserved_concurrency() {
    // Three that never answer, for long enough that the others are refused meanwhile.
    let (stack, _built) = stack_with("normal", "Timeout: 10").await;
    let hung = join_all((0..3).map(|_| failure(&stack, "hang")));
    let others = async {
        for _ in 0..3 {
            let refused = invoke(&stack, "tell").await;
            assert!(
                matches!(refused, Err(InvokeError::Throttled)),
                "{refused:?}"
            );
        }
        let answer = stack.http().get("/tell", "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (503, r#"{"message":"Service Unavailable"}"#)
        );
    };
    // The first is polled first, and takes its permit at once.
    let (hung, ()) = tokio::join!(hung, others);
    assert!(
        hung.iter().all(|(kind, _)| kind == "Sandbox.Timedout"),
        "{hung:?}"
    );

    let three = join_all((0..3).map(|_| invoke(&stack, "tell"))).await;
    let processes: BTreeSet<u64> = three
        .into_iter()
        .map(|seen| seen.unwrap()["process"].as_u64().unwrap())
        .collect();
    assert_eq!(processes.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_that_takes_too_long_is_ended_with_its_process() {
    let (stack, _built) = stack().await;
    let before = invoke(&stack, "tell").await.unwrap();
    let (kind, message) = failure(&stack, "hang").await;
    assert_eq!(kind, "Sandbox.Timedout");
    assert!(
        message.ends_with("Error: Task timed out after 2.00 seconds"),
        "{message}"
    );
    wait_until_gone(&before["process"]).await;
    let after = invoke(&stack, "tell").await.unwrap();
    assert_ne!(after["process"], before["process"]);
}

async fn wait_until_gone(process: &Value) {
    eventually(DEADLINE, async || {
        // Gone, or only its exit status is left.
        match std::fs::read_to_string(format!("/proc/{process}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_between_two_invocations_gets_none_of_them() {
    let (stack, _built) = stack().await;
    let before = invoke(&stack, "exit later").await.unwrap();
    wait_until_gone(&before["process"]).await;
    let after = invoke(&stack, "tell").await.unwrap();
    assert_ne!(after["process"], before["process"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_is_an_error_and_the_next_invocation_has_a_fresh_one() {
    let (stack, _built) = stack().await;
    let before = invoke(&stack, "tell").await.unwrap();
    let (kind, message) = failure(&stack, "exit").await;
    assert_eq!(kind, "Runtime.ExitError");
    assert!(
        message.contains("Runtime exited with error: exit status: 3"),
        "{message}"
    );
    let after = invoke(&stack, "tell").await.unwrap();
    assert_ne!(before["process"], after["process"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_panics_are_answered_and_the_process_goes_on() {
    let (stack, _built) = stack().await;
    let before = invoke(&stack, "tell").await.unwrap();
    let (_, message) = failure(&stack, "error").await;
    assert_eq!(message, "no");
    let (_, message) = failure(&stack, "panic").await;
    assert_eq!(message, "Lambda panicked: on purpose");
    let (kind, _) = failure(&stack, "answer too much").await;
    assert_eq!(kind, "Function.ResponseSizeTooLarge");
    let after = invoke(&stack, "tell").await.unwrap();
    assert_eq!(before["process"], after["process"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_hides_what_went_wrong() {
    let (stack, _built) = stack().await;
    for path in ["/exit", "/panic", "/error", "/hang"] {
        let answer = stack.http().get(path, "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (500, r#"{"message":"Internal Server Error"}"#),
            "{path}"
        );
    }
}

/// What comes of a stream, and whether it comes to an end.
async fn streamed(stack: &TestStack, what: &str) -> (String, bool) {
    let path = format!("/v1/stream?do={what}");
    let mut response = stack.http().send(&path, &[]).await;
    assert_eq!(response.status(), 418, "{what}");
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            end => return (String::from_utf8(body).unwrap(), end.is_ok()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_streamed_has_status_headers_and_cookies() {
    let (stack, _built) = stack().await;
    let response = stack.http().send("/v1/stream?do=it", &[]).await;
    assert_eq!(response.status(), 418);
    assert_eq!(
        response.headers()["content-type"],
        "application/octet-stream"
    );
    assert_eq!(response.headers()["set-cookie"], "a=b");
    assert_eq!(response.text().await.unwrap(), "one two");
    // The same process goes on.
    let first = invoke(&stack, "tell").await.unwrap();
    assert_eq!(streamed(&stack, "it").await, ("one two".to_owned(), true));
    let second = invoke(&stack, "tell").await.unwrap();
    assert_eq!(first["process"], second["process"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_streamed_is_cut_when_its_function_does_not_finish_it() {
    let (stack, _built) = stack().await;
    let before = invoke(&stack, "tell").await.unwrap();
    for what in ["hang", "exit"] {
        assert_eq!(
            streamed(&stack, what).await,
            ("one two".to_owned(), false),
            "{what}"
        );
    }
    wait_until_gone(&before["process"]).await;
    assert_eq!(streamed(&stack, "it").await, ("one two".to_owned(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_answers_for_a_function_that_fails_or_does_not_stream() {
    let (stack, _built) = stack().await;
    let failed = stack.http().get("/v1/stream?do=error", "").await;
    assert_eq!(
        (failed.status.as_u16(), failed.body.as_str()),
        (502, "Internal Server Error")
    );
    // Without status and headers of its own, what it answers is the body.
    let whole = stack.http().get("/v1/stream", "").await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.headers["content-type"], "application/octet-stream");
    assert_eq!(whole.json()["variable"], "value");
    // Who does not read it as it comes gets it all at once, with what is said first.
    let payload = json!({ "rawPath": "/v1/stream", "queryStringParameters": { "do": "it" } });
    let answer = stack
        .invoke("OddFunction", payload.to_string())
        .await
        .unwrap();
    let (prelude, body) = answer.split_once("\0\0\0\0\0\0\0\0").unwrap();
    let prelude: Value = serde_json::from_str(prelude).unwrap();
    assert_eq!(
        (prelude["statusCode"].as_u64(), body),
        (Some(418), "one two")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_printed_is_in_the_log_and_blocks_nobody() {
    let (stack, _built) = stack().await;
    assert_eq!(invoke(&stack, "print").await.unwrap(), "printed");
    let log = stack.data_dir().join("functions.log");
    eventually(DEADLINE, async || {
        let text = std::fs::read_to_string(Path::new(&log)).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("yyy")).count();
        (lines == 300).then_some(()).ok_or(format!("{lines} lines"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_fails_is_tried_once_more_and_then_an_error() {
    let (stack, _built) = stack_with("exit", "Timeout: 2").await;
    let (kind, message) = failure(&stack, "tell").await;
    assert_eq!(kind, "Runtime.ExitError");
    assert!(message.contains("exit status: 7"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_may_take_ten_seconds_and_its_second_try_as_long_as_an_invocation() {
    let (stack, _built) = stack_with("hang", "Timeout: 2").await;
    let (kind, message) = failure(&stack, "tell").await;
    assert_eq!(kind, "Sandbox.Timedout");
    // The first try's ten seconds are Lambda's own affair.
    assert!(
        message.ends_with("Task timed out after 2.00 seconds"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_is_not_built_is_named_at_the_start() {
    let empty = tempfile::tempdir().unwrap();
    let mut options = posthorn::Options::new(empty.path());
    options.local.functions = Some(empty.path().to_owned());
    let error = posthorn::Stack::start(options).await.unwrap_err();
    let error = platform::telemetry::Chain(&error).to_string();
    assert!(
        error.contains("is not built") && error.contains("make build"),
        "{error}"
    );
}
