//! The receiver of the flow tests does what the tests say of it.

use std::time::Duration;

use flows::{DEADLINE, Received, Receiver, Reply, eventually};
use reqwest::{Client, Response};
use standardwebhooks::Webhook;

fn client() -> Client {
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

async fn post(receiver: &Receiver, path: &str) -> reqwest::Result<Response> {
    let client = client();
    client.post(receiver.url(path)).body("hello").send().await
}

#[tokio::test]
async fn it_answers_as_scripted_and_keeps_what_it_was_sent() {
    let receiver = Receiver::start().await;
    let angry = Reply::status(503).header("retry-after", "7").body("no");
    receiver.script("/a", [angry, Reply::status(200)]);
    let client = client();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let request = client.post(receiver.url("/a?b=c")).header("X-Own", "1");
        let answer = request.body("\u{fc}").send().await.unwrap();
        answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
    }
    let ok = (200, String::new());
    assert_eq!(answers, [(503, "no".to_owned()), ok.clone(), ok]);
    let received = receiver.wait_for("/a", 3).await;
    let last: &Received = &received[2];
    assert_eq!(last.target, "/a?b=c");
    assert_eq!((last.header("x-own"), last.text()), ("1", "\u{fc}"));
    assert_eq!(last.connection, 1, "the connection was kept");
    assert!(receiver.received_at("/b").is_empty());
}

#[tokio::test]
async fn it_holds_an_answer_until_it_is_released_and_counts_who_waits() {
    let receiver = Receiver::start().await;
    receiver.reply("/a", Reply::status(204).held());
    let both = futures::future::join(post(&receiver, "/a"), post(&receiver, "/a"));
    let release = async {
        receiver.wait_for("/a", 2).await;
        assert_eq!(receiver.outstanding("/a"), 2);
        receiver.release();
    };
    let ((one, other), ()) = futures::future::join(both, release).await;
    assert_eq!(one.unwrap().status(), 204);
    assert_eq!(other.unwrap().status(), 204);
    eventually(DEADLINE, async || match receiver.outstanding("/a") {
        0 => Ok(()),
        left => Err(format!("{left} outstanding")),
    })
    .await;
    assert_eq!(receiver.most_outstanding("/a"), 2);
}

#[tokio::test]
async fn it_misbehaves_as_it_is_told() {
    let receiver = Receiver::start().await;
    receiver.reply("/close", Reply::close());
    receiver.reply("/garbage", Reply::raw("SMTP\r\n\r\n"));
    receiver.reply("/endless", Reply::endless(200));
    receiver.reply(
        "/drip",
        Reply::status(418).dripping(Duration::from_millis(1)),
    );
    receiver.reply("/slow", Reply::status(418).after(Duration::from_millis(20)));
    for path in ["/close", "/garbage"] {
        assert!(post(&receiver, path).await.is_err(), "{path}");
    }
    for path in ["/drip", "/slow"] {
        assert_eq!(post(&receiver, path).await.unwrap().status(), 418, "{path}");
    }
    let mut endless = post(&receiver, "/endless").await.unwrap();
    for _ in 0..50 {
        assert!(endless.chunk().await.unwrap().is_some());
    }

    receiver.reply("/hang", Reply::hang());
    tokio::select! {
        answer = post(&receiver, "/hang") => panic!("it answered {answer:?}"),
        _ = receiver.wait_for("/hang", 1) => assert_eq!(receiver.outstanding("/hang"), 1),
    }
    eventually(DEADLINE, async || match receiver.outstanding("/hang") {
        0 => Ok(()),
        _ => Err("it did not see that its client had gone".to_owned()),
    })
    .await;
}

#[tokio::test]
async fn it_knows_a_signature_when_it_sees_one() {
    let receiver = Receiver::start().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let webhook = Webhook::new(secret).unwrap();
    let now = platform::clock::now().as_secs();
    for (path, timestamp) in [("/new", now), ("/old", now - 600)] {
        let signature = webhook.sign("msg_1", i64::try_from(timestamp).unwrap(), b"hello");
        let request = client().post(receiver.url(path)).body("hello");
        let request = request
            .header("webhook-id", "msg_1")
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                format!("v1,other {}", signature.unwrap()),
            );
        request.send().await.unwrap();
    }
    let new = &receiver.received_at("/new")[0];
    let old = &receiver.received_at("/old")[0];
    assert!(new.verify(secret).is_ok() && new.is_signed_by(secret));
    assert!(old.verify(secret).is_err() && old.is_signed_by(secret));
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(new.verify(other).is_err() && !new.is_signed_by(other));
}
