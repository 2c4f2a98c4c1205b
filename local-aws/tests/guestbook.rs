//! The example's template and function.

#![cfg(test)]

#[path = "../examples/guestbook/greeter.rs"]
mod greeter;

use local_aws::{Options, Stack};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TEMPLATE: &str = include_str!("../examples/guestbook/template.yaml");

async fn ask(stack: &Stack, method: &str) -> String {
    let address = stack.urls().http.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} /guests/ann HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_may_do_what_its_policy_says_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let stack = Stack::start(Options {
        handlers: greeter::handlers(),
        ..Options::new(TEMPLATE, directory.path())
    })
    .await
    .unwrap();

    let written = ask(&stack, "POST").await;
    assert!(written.ends_with("Welcome, ann."), "{written}");

    let refused = ask(&stack, "GET").await;
    let words = "is not authorized to perform: dynamodb:GetItem";
    assert!(refused.contains(words), "{refused}");
    let refused = stack.refused_calls();
    assert_eq!(
        refused,
        [("Greeter".into(), "dynamodb:GetItem".into())].into()
    );
}
