mod odd;
mod secure;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// A server for one connection, and the request that it got.
async fn server<F>(
    answer: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (Uri, JoinHandle<String>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4_096];
        let read = stream.read(&mut request).await.unwrap();
        answer(stream).await;
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    (uri.parse().unwrap(), request)
}

async fn answers(text: &'static str) -> (Uri, JoinHandle<String>) {
    server(move |mut stream| async move { stream.write_all(text.as_bytes()).await.unwrap() }).await
}

async fn post(uri: Uri) -> Result<Answer, ErrorClass> {
    let client = Client::new(true).unwrap();
    let headers =
        HeaderMap::from_iter([(http::HeaderName::from_static("x-a"), "1".parse().unwrap())]);
    client.post(uri, headers, Bytes::from_static(b"{}")).await
}

async fn class_of(uri: Uri) -> ErrorClass {
    post(uri).await.unwrap_err()
}

#[tokio::test]
async fn a_request_is_a_plain_post_of_its_body() {
    let (uri, request) = answers("HTTP/1.1 204 No Content\r\n\r\n").await;
    let host = uri.authority().unwrap().clone();
    let answer = post(uri).await.unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(
        request.await.unwrap(),
        format!(
            "POST /hook?a=b HTTP/1.1\r\nx-a: 1\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}"
        )
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (uri, _) = answers("HTTP/1.1 308 x\r\nlocation: http://127.0.0.1:1/\r\n\r\n").await;
    let answer = post(uri).await.unwrap();
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some("http://127.0.0.1:1/"));
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let (uri, writer) = server(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\nserver: endless\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        // Until the client has dropped the connection.
        while stream.write_all(&[b'a'; 4_096]).await.is_ok() {}
    })
    .await;
    let answer = post(uri).await.unwrap();
    assert_eq!(answer.body.0, vec![b'a'; MAX_BODY_BYTES]);
    assert!(answer.is_cut);
    assert_eq!(answer.header("server"), Some("endless"));
    writer.await.unwrap();
}

#[tokio::test]
async fn what_comes_compressed_is_kept_as_it_came() {
    let (uri, _) = answers(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x00",
    )
    .await;
    let answer = post(uri).await.unwrap();
    assert_eq!(answer.body.0, b"\x1f\x0b\x08\x00");
    assert!(!answer.is_cut);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_waited_for_in_vain() {
    // The clock stands still while anything can happen, and then goes to the next timer.
    let (uri, _) = server(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 20").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let start = Instant::now();
    assert_eq!(class_of(uri).await, ErrorClass::Timeout);
    assert_eq!(start.elapsed().as_secs(), TIME_LIMIT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn the_status_stands_though_the_body_comes_too_slowly() {
    let (uri, _) = server(|mut stream| async move {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow";
        stream.write_all(head).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let answer = post(uri).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"slow"[..]));
}

#[tokio::test]
async fn failures_say_of_what_kind_they_are() {
    let (uri, _) = server(|stream| async move { drop(stream) }).await;
    assert_eq!(class_of(uri).await, ErrorClass::Reset);
    let (uri, _) = answers("SSH-2.0-OpenSSH_9.2p1\r\n").await;
    assert_eq!(class_of(uri.clone()).await, ErrorClass::NotHttp);
    // Nobody listens there any more.
    assert_eq!(class_of(uri).await, ErrorClass::Refused);
    let (uri, _) = answers("no TLS at all").await;
    let uri = uri.to_string().replace("http:", "https:").parse().unwrap();
    let not_tls = ErrorClass::Tls(TlsFault::NotTls.into());
    assert_eq!(class_of(uri).await, not_tls);
    let uri = "http://nothing.invalid/".parse().unwrap();
    assert_eq!(class_of(uri).await, ErrorClass::Dns);
    let client = Client::new(false).unwrap();
    let uri = "https://localhost/".parse().unwrap();
    let failed = client.post(uri, HeaderMap::new(), Bytes::new()).await;
    assert_eq!(failed, Err(ErrorClass::Blocked));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            let mut request = [0; 1_024];
            assert_ne!(stream.read(&mut request).await.unwrap(), 0);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.unwrap();
        }
    });
    let client = Client::new(true).unwrap();
    for _ in 0..2 {
        let answer = client
            .post(uri.clone(), HeaderMap::new(), Bytes::new())
            .await;
        assert_eq!(answer.unwrap().body.0, b"ok");
    }
    served.await.unwrap();
}
