//! Answers that no standard allows, as real servers, proxies and frameworks send them: the status
//! line decides.

use super::*;

/// A server that sends these bytes and ends the connection.
async fn sends(bytes: impl Into<Vec<u8>>) -> Uri {
    let bytes = bytes.into();
    let (uri, _) = server(move |mut stream| async move {
        // Who has heard enough may have gone.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    uri
}

/// Heads after whose status line something is odd; what stands for the line is put in front.
fn odd_rests() -> Vec<(&'static str, Vec<u8>)> {
    let fields = |count: usize| "x-field: 1\r\n".repeat(count) + "\r\n";
    let long = |bytes: usize| format!("x-long: {}\r\n\r\n", "a".repeat(bytes));
    let texts = [
        ("120 fields", fields(120)),
        ("5,000 fields", fields(5_000)),
        ("40,000 fields", fields(40_000)),
        ("a field of 60 KB", long(60_000)),
        ("a field of 200 KB", long(200_000)),
        ("a folded field", "x-a: 1\r\n\t2\r\n  3\r\n\r\n".to_owned()),
        ("a fold in front", " x-a: 1\r\n\r\n".to_owned()),
        ("a space before the colon", "x-a : 1\r\n\r\n".to_owned()),
        (
            "a space before a name",
            " x-a: 1\r\nx-b: 2\r\n\r\n".to_owned(),
        ),
        (
            "a warning of PHP",
            "PHP Warning:  PHP Startup: no mcrypt.so in Unknown on line 0\r\n\r\n".to_owned(),
        ),
        (
            "a value that goes on without a fold",
            "x-a: 1;\r\npreload\r\n\r\n".to_owned(),
        ),
        (
            "a letter in a length",
            "content-length: 5O\r\n\r\nabc".to_owned(),
        ),
        ("a space in a name", "x a: 1\r\n\r\n".to_owned()),
        ("a line without a colon", "nonsense\r\n\r\n".to_owned()),
        ("a field without a name", ": 1\r\n\r\n".to_owned()),
        ("a name that is no token", "x@(a)<b>: 1\r\n\r\n".to_owned()),
        ("a name beyond ASCII", "größe: 1\r\n\r\n".to_owned()),
        ("a value beyond ASCII", "x-a: größe\r\n\r\n".to_owned()),
        ("NUL in a value", "x-a: a\0b\r\n\r\n".to_owned()),
        ("NUL in a name", "x\0a: b\r\n\r\n".to_owned()),
        (
            "control bytes in a value",
            "x-a: \u{1}\u{7f}\r\n\r\n".to_owned(),
        ),
        ("LF alone", "x-a: 1\nx-b: 2\n\n".to_owned()),
        ("CR in a value", "x-a: 1\r2\r\n\r\n".to_owned()),
        ("a long name", format!("{}: 1\r\n\r\n", "a".repeat(70_000))),
        (
            "two lengths",
            "content-length: 2\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        ),
        (
            "a list of lengths",
            "content-length: 2, 3\r\n\r\nabc".to_owned(),
        ),
        (
            "a length in words",
            "content-length: many\r\n\r\nabc".to_owned(),
        ),
        (
            "a negative length",
            "content-length: -1\r\n\r\nabc".to_owned(),
        ),
        (
            "a huge length",
            format!("content-length: {}\r\n\r\nabc", "9".repeat(40)),
        ),
        ("an empty length", "content-length:\r\n\r\nabc".to_owned()),
        (
            "a hexadecimal length",
            "content-length: 0x3\r\n\r\nabc".to_owned(),
        ),
        (
            "an odd coding",
            "transfer-encoding: nonsense\r\n\r\nabc".to_owned(),
        ),
        (
            "two codings",
            "transfer-encoding: chunked, gzip\r\n\r\nabc".to_owned(),
        ),
        (
            "length and chunks",
            "content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "no chunk",
            "transfer-encoding: chunked\r\n\r\nnonsense".to_owned(),
        ),
        (
            "a huge chunk",
            "transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc".to_owned(),
        ),
        (
            "a chunk that ends early",
            "transfer-encoding: chunked\r\n\r\n9\r\nabc".to_owned(),
        ),
        (
            "an odd trailer",
            "transfer-encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n".to_owned(),
        ),
        (
            "a body that ends early",
            "content-length: 9\r\n\r\nabc".to_owned(),
        ),
        (
            "more than its length",
            "content-length: 1\r\n\r\nabc".to_owned(),
        ),
        (
            "a second answer",
            "content-length: 0\r\n\r\nHTTP/1.1 500 x\r\n\r\n".to_owned(),
        ),
        (
            "no gzip",
            "content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
        ),
        (
            "an upgrade",
            "connection: upgrade\r\nupgrade: h2c\r\n\r\n".to_owned(),
        ),
        ("a head that ends early", "x-a: 1\r\nx-".to_owned()),
        ("nothing behind it", String::new()),
    ];
    let mut rests: Vec<_> = texts
        .into_iter()
        .map(|(what, text)| (what, text.into_bytes()))
        .collect();
    rests.push(("bytes that are no UTF-8", b"x-a: \xff\xfe\r\n\r\n".to_vec()));
    rests.push(("a name that is no UTF-8", b"x\xff: 1\r\n\r\n".to_vec()));
    rests
}

#[tokio::test]
async fn whatever_follows_a_status_line_the_status_stands() {
    for status in [200, 204, 299, 410, 500] {
        for (what, rest) in odd_rests() {
            let mut bytes = format!("HTTP/1.1 {status} x\r\n").into_bytes();
            bytes.extend(rest);
            let answer = post(sends(bytes).await).await;
            let found = answer.as_ref().map(|answer| answer.status);
            assert_eq!(found, Ok(status), "{status} with {what}");
        }
    }
}

#[tokio::test]
async fn a_status_line_counts_in_every_form_that_servers_send() {
    for line in [
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 200\r\n",
        "HTTP/1.1 200 \r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 200 OK\n",
        "\r\n\r\nHTTP/1.1 200 OK\r\n",
        "http/1.1 200 ok\r\n",
        "HTTP/1.1 200 größer\r\n",
        "HTTP/1.1 200 \u{1}\u{7f}\r\n",
        "HTTP/1.1 200 a\0b\r\n",
        "HTTP/1.2 200 OK\r\n",
        "HTTP/1 200 OK\r\n",
        "HTTP/2 200\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\nbad header\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 102 x\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 200 OK\r\n",
    ] {
        for end in ["\r\n", "content-length: 0\r\n\r\n", "nonsense\r\n\r\n", ""] {
            let answer = post(sends(format!("{line}{end}")).await).await;
            let status = answer.as_ref().map(|answer| answer.status);
            assert_eq!(status, Ok(200), "{line:?} and {end:?}");
        }
    }
    let answer = post(sends("HTTP/1.1 200 OK").await).await.unwrap();
    assert_eq!(answer.status, 200);
    let switched = post(sends("HTTP/1.1 101 x\r\nupgrade: x\r\n\r\n").await).await;
    assert_eq!(switched.unwrap().status, 101);
}

#[tokio::test]
async fn what_is_no_http_says_so_and_what_says_nothing_is_a_reset() {
    for text in [
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "220 mail.example ESMTP\r\n",
        "ICY 200 OK\r\n\r\n",
        "<html>it works</html>",
        "200 OK\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200OK\r\n\r\n",
        // HTTP/2's SETTINGS, and the answer of redis.
        "\0\0\u{12}\u{4}\0\0\0\0\0\0\u{3}\0\0\0\u{64}",
        "-ERR unknown command 'POST'\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nnonsense\r\n\r\n",
    ] {
        let class = class_of(sends(text).await).await;
        assert_eq!(class, ErrorClass::NotHttp, "{text:?}");
    }
    for text in [
        "",
        "\r\n",
        "HTTP",
        "HTTP/1.1 2",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let class = class_of(sends(text).await).await;
        assert_eq!(class, ErrorClass::Reset, "{text:?}");
    }
}

/// A server that speaks first, does not read, and ends each of its connections in the way that is
/// asked for.
async fn speaks_first(text: &'static str, has_reset: bool) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            if has_reset {
                stream.set_zero_linger().unwrap();
            }
        }
    });
    uri.parse().unwrap()
}

#[tokio::test]
async fn a_server_that_speaks_first_and_does_not_read_is_no_http() {
    for banner in [
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "220 mail.example ESMTP\r\n",
        "J\0\0\0\n8.0.36\0",
    ] {
        for has_reset in [false, true] {
            let uri = speaks_first(banner, has_reset).await;
            for _ in 0..20 {
                let class = class_of(uri.clone()).await;
                assert_eq!(class, ErrorClass::NotHttp, "{banner:?}, {has_reset}");
            }
        }
    }
}

#[tokio::test]
async fn what_an_odd_head_asks_for_counts() {
    let head = "HTTP/1.1 503 x\r\nnonsense\r\nRetry-After : 30\r\nServer: a\r\n b\r\nx y: 1\r\n";
    for odd in [
        "",
        "content-length: many\r\n",
        "transfer-encoding: nonsense\r\n",
    ] {
        let answer = post(sends(format!("{head}{odd}\r\nbusy")).await).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("30"), "{odd}");
        assert_eq!(answer.header("server"), Some("a b"), "{odd}");
        assert_eq!(answer.body.0, b"busy", "{odd}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_line_stands_though_the_head_or_the_line_never_ends() {
    for head in [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nx-a: 1\r\nx-b",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    ] {
        let (uri, _) = server(move |mut stream| async move {
            stream.write_all(head.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        assert_eq!(post(uri).await.unwrap().status, 200, "{head}");
    }
    for head in [
        "",
        "HTTP/1.1",
        "HTTP/1.1 20",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let (uri, _) = server(move |mut stream| async move {
            stream.write_all(head.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        assert_eq!(class_of(uri).await, ErrorClass::Timeout, "{head}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_request_has_been_read_counts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = b"HTTP/1.1 413 x\r\nbad header\r\nconnection: close\r\n\r\n";
        stream.read_exact(&mut [0; 100]).await.unwrap();
        stream.write_all(answer).await.unwrap();
        stream.shutdown().await.unwrap();
        // What is left unread would reset the connection, and the reset could overtake the answer.
        while stream
            .read(&mut [0; 65_536])
            .await
            .is_ok_and(|read| read > 0)
        {}
    });
    let client = Client::new(true).unwrap();
    let body = Bytes::from(vec![b'a'; 8_000_000]);
    let posted = client.post(uri.parse().unwrap(), HeaderMap::new(), body);
    assert_eq!(posted.await.unwrap().status, 413);
}

#[tokio::test]
async fn an_earlier_answer_of_a_connection_is_no_answer_to_a_request_that_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 1_024]).await.unwrap(), 0);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
        // Then both are closed: whether the client has seen it yet or not, nobody is there.
    });
    let client = Client::new(true).unwrap();
    let post = || client.post(uri.clone(), HeaderMap::new(), Bytes::new());
    assert_eq!(post().await.unwrap().status, 200);
    served.await.unwrap();
    for _ in 0..3 {
        let class = post().await.unwrap_err();
        let is_one = matches!(class, ErrorClass::Refused | ErrorClass::Reset);
        assert!(is_one, "{class:?}");
    }
}

#[tokio::test]
async fn each_answer_of_a_connection_is_read_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: Uri = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for answer in [
            &b"HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 2\r\n\r\nok"[..],
            b"HTTP/1.1 500 x\r\ncontent-length: many\r\n\r\n",
        ] {
            assert_ne!(stream.read(&mut [0; 1_024]).await.unwrap(), 0);
            stream.write_all(answer).await.unwrap();
        }
    });
    let client = Client::new(true).unwrap();
    for status in [200, 500] {
        let answer = client.post(uri.clone(), HeaderMap::new(), Bytes::new());
        assert_eq!(answer.await.unwrap().status, status);
    }
    served.await.unwrap();
}
