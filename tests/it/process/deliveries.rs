//! Deliveries that are under way when the program dies.

use std::collections::BTreeSet;
use std::time::Duration;

use flows::{Http, Receiver, Reply, eventually, sends};
use reqwest::Method;
use serde_json::{Value, json};

use super::running::Running;

const EVENTS: usize = 250;
const ENDPOINTS: usize = 4;
/// An attempt that was under way is claimed for a minute, and its delivery is due a minute after it
/// was created, with a clock that is 60 times as fast for such waits.
const LATEST: Duration = Duration::from_secs(240);

async fn make_endpoint(stack: &Running, url: &str) -> String {
    let http = Http::new(stack.text("http"));
    let token = format!("Bearer {}", stack.text("token"));
    let headers = [("authorization", token.as_str())];
    let body = json!({ "url": url, "retry_schedule": vec![60; 20] }).to_string();
    let answer = http
        .request(Method::POST, "/v1/endpoints", &headers, body)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// The deliveries of an event; the answer if the stack is too busy for another.
async fn deliveries(stack: &Running, event: &Value) -> Result<Vec<Value>, String> {
    let http = Http::new(stack.text("http"));
    let path = format!("/v1/events/{}/deliveries", event["id"].as_str().unwrap());
    let answer = http.get(&path, stack.text("token")).await;
    if answer.status == 503 {
        return Err(answer.body);
    }
    assert_eq!(answer.status, 200, "{}", answer.body);
    Ok(answer.json()["deliveries"].as_array().unwrap().clone())
}

/// What Mandrill posted, read in small pages, which a busy machine gives in time as well.
async fn mandrill_events(stack: &Running) -> Vec<Value> {
    let first = "/v1/events?filter=source:mandrill&limit=50";
    let http = Http::new(stack.text("http"));
    let (mut path, mut events) = (first.to_owned(), Vec::new());
    loop {
        let answer = http.get(&path, stack.text("token")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = answer.json();
        events.extend(page["events"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => path = format!("{first}&before={next}"),
            None => return events,
        }
    }
}

/// Fails three times in ten.
fn flaky(receiver: &Receiver, path: &str) {
    let mut random = fastrand::Rng::with_seed(7);
    let replies = (0..3_000).map(|_| Reply::status(if random.u8(..10) < 3 { 500 } else { 200 }));
    receiver.script(
        path,
        replies
            .collect::<Vec<_>>()
            .into_iter()
            .chain([Reply::status(200)]),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_is_forgotten_when_the_program_is_killed_in_the_middle() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--time-scale", "60"];
    let mut stack = Running::start(directory.path(), 0, &arguments).await;
    let receiver = Receiver::start().await;
    for number in 0..ENDPOINTS {
        let path = format!("/{number}");
        flaky(&receiver, &path);
        make_endpoint(&stack, &receiver.url(&path)).await;
    }
    stack.mandrill().deliver(sends(0..EVENTS)).await;
    // Some are done, some wait for another attempt, some were not tried yet.
    eventually(LATEST, async || {
        let received = receiver.received().len();
        (received > EVENTS / 2)
            .then_some(())
            .ok_or(format!("{received} attempts"))
    })
    .await;
    stack.child.kill().await.unwrap();

    let stack = Running::start(directory.path(), stack.port(), &arguments).await;
    let events = mandrill_events(&stack).await;
    assert_eq!(events.len(), EVENTS);
    for event in &events {
        eventually(LATEST, async || {
            let all = deliveries(&stack, event).await?;
            let is_done =
                all.len() == ENDPOINTS && all.iter().all(|it| it["status"] == "delivered");
            is_done
                .then_some(all)
                .ok_or_else(|| event["id"].to_string())
        })
        .await
        .iter()
        .for_each(assert_contiguous);
    }
    for number in 0..ENDPOINTS {
        let received = receiver.received_at(&format!("/{number}"));
        let ids: BTreeSet<_> = received
            .iter()
            .map(|request| request.webhook_id())
            .collect();
        let missing = events
            .iter()
            .filter(|event| !ids.contains(event["id"].as_str().unwrap()));
        assert_eq!(missing.count(), 0);
    }
    stack.assert_no_panic();
}

/// The attempts are numbered without a gap, and the last is the only one that succeeded.
fn assert_contiguous(delivery: &Value) {
    let attempts = delivery["attempts"].as_array().unwrap();
    let numbers = attempts
        .iter()
        .rev()
        .map(|attempt| attempt["number"].as_u64().unwrap());
    let count = attempts.len() as u64;
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        (1..=count).collect::<Vec<_>>(),
        "{delivery}"
    );
    let succeeded = attempts.iter().filter(|attempt| attempt["error"].is_null());
    assert_eq!(succeeded.count(), 1, "{delivery}");
}
