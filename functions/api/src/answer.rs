//! The answer as API Gateway takes it: compressed if that is worth it, in base64 if it is no text.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use axum::body::{Body, to_bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use lambda_runtime::Error;
use serde::Serialize;

use crate::payload::Asked;

/// What is shorter is one or two packets anyway.
const GZIP_FROM_BYTES: usize = 8 * 1024;

/// What a function answers to API Gateway.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The HTTP status.
    pub(crate) status_code: u16,
    headers: BTreeMap<String, String>,
    pub(crate) body: String,
    is_base64_encoded: bool,
}

/// The answer to what was asked, with these headers besides its own.
pub(crate) async fn of(
    response: Response<Body>,
    asked: &Asked,
    more: HeaderMap,
) -> Result<Answer, Error> {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await?;
    list_options(&mut parts.headers);
    // The gateway counts by itself.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(more);
    let body = encode(Vec::from(body), asked, &mut parts.headers)?;
    let (body, is_base64_encoded) = match String::from_utf8(body) {
        Ok(text) => (text, false),
        Err(bytes) => (STANDARD.encode(bytes.as_bytes()), true),
    };
    Ok(Answer {
        status_code: parts.status.as_u16(),
        headers: joined(&parts.headers),
        body,
        is_base64_encoded,
    })
}

/// The methods as a list with spaces, with the one that every path has.
fn list_options(headers: &mut HeaderMap) {
    let Some(allow) = headers.get(header::ALLOW) else {
        return;
    };
    let methods = allow.to_str().unwrap_or_default();
    let methods = methods
        .split(',')
        .map(str::trim)
        .filter(|method| !method.is_empty())
        .chain(["OPTIONS"]);
    let list = methods.collect::<Vec<_>>().join(", ");
    if let Ok(list) = HeaderValue::from_str(&list) {
        headers.insert(header::ALLOW, list);
    }
}

/// Compresses what is large, and unpacks what is compressed, as the caller accepts it.
fn encode(body: Vec<u8>, asked: &Asked, headers: &mut HeaderMap) -> Result<Vec<u8>, Error> {
    let accepts = accepts_gzip(&asked.headers);
    let is_packed = headers.contains_key(header::CONTENT_ENCODING);
    if is_packed || body.len() >= GZIP_FROM_BYTES {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if is_packed && !accepts {
        headers.remove(header::CONTENT_ENCODING);
        let mut plain = Vec::new();
        // The answer to HEAD has nothing to unpack.
        if !body.is_empty() {
            GzDecoder::new(&body[..]).read_to_end(&mut plain)?;
        }
        return Ok(plain);
    }
    if is_packed || !accepts || body.len() < GZIP_FROM_BYTES {
        return Ok(body);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(&body)?;
    let packed = encoder.finish()?;
    // In base64 it is a third larger, which is what counts for Lambda.
    if packed.len() / 3 * 4 >= body.len() {
        return Ok(body);
    }
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(packed)
}

/// Whether the caller takes gzip. (RFC 9110, section 12.5.3.)
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let weight = |wanted: &str| {
        accepted.split(',').find_map(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight.trim();
            let weight = weight.strip_prefix(['q', 'Q']).unwrap_or("=1");
            let weight = weight.strip_prefix('=').unwrap_or("1");
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| weight.trim().parse().unwrap_or(0.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).unwrap_or(0.0_f32) > 0.0
}

/// Each name once, as the gateway takes them.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |name: &HeaderName| {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        texts.join(", ")
    };
    headers
        .keys()
        .map(|name| (name.as_str().to_owned(), text(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_who_takes_it() {
        let accepts = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            accepts_gzip(&headers)
        };
        for text in ["gzip", "br, GZIP;q=0.5", "*", "identity, *;q=0.1", "gzip;x"] {
            assert!(accepts(text), "{text}");
        }
        for text in [
            "",
            "br",
            "gzip;q=0",
            "gzip;Q=0",
            "*;q=0",
            "gzip;q=0, *",
            "gzip;q=x",
            "identity",
        ] {
            assert!(!accepts(text), "{text}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
