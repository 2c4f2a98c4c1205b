//! Reading the head of an answer that hyper refuses, or that did not come to its end: the status
//! line decides, and headers are read as far as they can be.

use http::{HeaderMap, HeaderName, HeaderValue};

const NAME: &[u8] = b"HTTP/";
const SWITCHING_PROTOCOLS: u16 = 101;

/// What a connection has said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<'a> {
    Head(Head<'a>),
    /// Nothing yet, or the beginning of a status line, or nothing but interim answers.
    Unfinished,
    /// Something else than HTTP/1.
    NotHttp,
}

/// An answer as far as it can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    /// Those that can be read.
    pub(super) headers: HeaderMap,
    /// What came behind the empty line.
    pub(super) body: &'a [u8],
}

/// Reads what has come by the end of the connection or of the time limit. The status line needs no
/// line end: the endpoint has decided all the same.
pub(super) fn read(mut bytes: &[u8]) -> Reading<'_> {
    loop {
        // "Robust" servers send the line end of the last body once more (RFC 9112, section 2.2).
        bytes = bytes.trim_ascii_start();
        let (line, rest) = split_line(bytes).unwrap_or((bytes, &[]));
        let Some(status) = status(line) else {
            let is_cut = rest.is_empty() && !bytes.ends_with(b"\n");
            return if is_cut && is_beginning(bytes) {
                Reading::Unfinished
            } else {
                Reading::NotHttp
            };
        };
        let (headers, body) = fields(rest);
        let is_interim = (100..200).contains(&status) && status != SWITCHING_PROTOCOLS;
        match body {
            Some(behind) if is_interim => bytes = behind,
            None if is_interim => return Reading::Unfinished,
            body => {
                return Reading::Head(Head {
                    status,
                    headers,
                    body: body.unwrap_or_default(),
                });
            }
        }
    }
}

/// The line without its end, CR LF or LF alone, and what follows; none without an end.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// Whether a status line can begin like this. curl reads the name in either case as well.
fn is_beginning(bytes: &[u8]) -> bool {
    let length = bytes.len().min(NAME.len());
    bytes[..length].eq_ignore_ascii_case(&NAME[..length])
}

/// The status of a status line: its name, digits and points of a version, white space, and three
/// digits by themselves. What the reason says does not matter, or whether there is one.
fn status(line: &[u8]) -> Option<u16> {
    if line.len() < NAME.len() || !is_beginning(line) {
        return None;
    }
    let line = &line[NAME.len()..];
    let version = line.iter().position(u8::is_ascii_whitespace)?;
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    if version == 0 || !line[..version].iter().all(is_number) {
        return None;
    }
    let line = line[version..].trim_ascii_start();
    let (code, rest) = line.split_at_checked(3)?;
    let is_alone = rest.first().is_none_or(u8::is_ascii_whitespace);
    let code: u16 = std::str::from_utf8(code).ok()?.parse().ok()?;
    (is_alone && (100..1_000).contains(&code)).then_some(code)
}

/// The headers that can be read, and what is behind the empty line if there is one.
fn fields(mut bytes: &[u8]) -> (HeaderMap, Option<&[u8]>) {
    let mut fields: Vec<Option<(&[u8], Vec<u8>)>> = Vec::new();
    while let Some((line, rest)) = split_line(bytes) {
        bytes = rest;
        if line.is_empty() {
            return (to_headers(fields), Some(rest));
        }
        if line[0].is_ascii_whitespace() {
            // A folded line belongs to the one before.
            if let Some(Some((_, value))) = fields.last_mut() {
                value.push(b' ');
                value.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        fields.push(colon.map(|at| (&line[..at], line[at + 1..].trim_ascii().to_vec())));
    }
    (to_headers(fields), None)
}

fn to_headers(fields: Vec<Option<(&[u8], Vec<u8>)>>) -> HeaderMap {
    let readable = fields.into_iter().flatten().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.trim_ascii()).ok()?;
        Some((name, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
    });
    // A map refuses more than 32,768.
    let mut headers = HeaderMap::new();
    for (name, value) in readable {
        if headers.try_append(name, value).is_err() {
            break;
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status_of(text: &[u8]) -> Option<u16> {
        match read(text) {
            Reading::Head(head) => Some(head.status),
            Reading::Unfinished | Reading::NotHttp => None,
        }
    }

    #[test]
    fn a_status_line_is_read_in_every_form_that_servers_send() {
        for line in [
            "HTTP/1.1 200 OK",
            "HTTP/1.0 200 OK",
            "HTTP/1.1 200",
            "HTTP/1.1 200 ",
            "HTTP/1.1  200  OK",
            "HTTP/1.1\t200\tOK",
            "http/1.1 200 ok",
            "HTTP/2 200",
            "HTTP/2.0 200 OK",
            "HTTP/1 200 OK",
            "HTTP/1.2 200 OK",
            "HTTP/1.1 200 \u{1}\u{7f}",
            "HTTP/1.1 200 ü",
        ] {
            let whole = format!("{line}\r\n");
            assert_eq!(status_of(whole.as_bytes()), Some(200), "{line}");
            assert_eq!(status_of(line.as_bytes()), Some(200), "{line}");
        }
        for (text, status) in [
            (&b"\r\n\r\nHTTP/1.1 204 x\r\n"[..], 204),
            (b"HTTP/1.1 200 OK\n\n", 200),
            (b"HTTP/1.1 599 \xff\xfe\r\n", 599),
            (b"HTTP/1.1 101 x\r\n\r\n", 101),
            (b"HTTP/1.1 200 OK\0\r\nno colon", 200),
        ] {
            assert_eq!(status_of(text), Some(status), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_status_line_is_not_taken_for_one() {
        for text in [
            "SSH-2.0-OpenSSH_9.2p1\r\n",
            "ICY 200 OK\r\n\r\n",
            "220 mail.example ESMTP\r\n",
            "<html>200 OK</html>",
            "200 OK\r\n",
            "HTTP 200 OK\r\n",
            "HTTP/ 200 OK\r\n",
            "HTTP/1.1200 OK\r\n",
            "HTTP/one 200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 2000 OK\r\n",
            "HTTP/1.1 200OK\r\n",
            "HTTP/1.1 +20 OK\r\n",
            "HTTP/1.1 099 OK\r\n",
            "HTTP/1.1 OK\r\n",
            "HTTP/1.1\r\n200 OK\r\n",
            "HTTPS/1.1 200 OK\r\n",
            "\0\0\u{12}\u{4}\0\0\0\0\0\0",
        ] {
            assert_eq!(read(text.as_bytes()), Reading::NotHttp, "{text}");
        }
    }

    #[test]
    fn a_status_line_without_a_whole_status_is_unfinished() {
        for text in ["", "\r\n", "H", "http", "HTTP/1.1 2", "HTTP/1.1 20"] {
            assert_eq!(read(text.as_bytes()), Reading::Unfinished, "{text}");
        }
    }

    #[test]
    fn interim_answers_are_no_answer() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n";
        assert_eq!(read(interim.as_bytes()), Reading::Unfinished);
        let text = format!("{interim}HTTP/1.1 204 x\r\nbad header\r\n\r\n");
        assert_eq!(status_of(text.as_bytes()), Some(204));
        let text = format!("{interim}nonsense\r\n");
        assert_eq!(read(text.as_bytes()), Reading::NotHttp);
    }

    #[test]
    fn headers_are_read_as_far_as_they_can_be() {
        let text = b"HTTP/1.1 503 x\r\n folded onto nothing\r\nno colon\r\n and folded\r\n\
            Retry-After :\t30 \r\nbad name: 1\r\n: nameless\r\nServer: a\r\n\tb\r\nDate: \xff\r\n\
            Via: \0\nAllow: POST\n\nbody";
        let Reading::Head(head) = read(text) else {
            panic!("no head");
        };
        let get = |name| {
            head.headers
                .get(name)
                .map(|value| value.as_bytes().to_vec())
        };
        assert_eq!(get("retry-after"), Some(b"30".to_vec()));
        assert_eq!(get("server"), Some(b"a b".to_vec()));
        assert_eq!(get("allow"), Some(b"POST".to_vec()));
        assert_eq!(get("via"), None);
        assert_eq!((head.status, head.body), (503, &b"body"[..]));
    }

    #[test]
    fn any_number_of_headers_is_read() {
        let text = format!("HTTP/1.1 200 x\r\n{}\r\n", "a: b\r\n".repeat(100_000));
        assert_eq!(status_of(text.as_bytes()), Some(200));
    }
}
