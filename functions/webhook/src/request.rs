//! The request as API Gateway hands it over.
//!
//! `lambda_http` makes a URL of what is received, and panics on what no URL can hold: an odd `Host`
//! or `X-Forwarded-Proto`, a raw `<` in the query. Strangers send such. Therefore it gets what it
//! cannot choke on, the method and the headers, and the rest goes beside it, as it came; Mandrill's
//! signature is over the URL as it came, too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, header};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::aws_lambda_events::query_map::QueryMap;
use lambda_http::request::LambdaRequest;
use platform::payload::Payload;

/// What `lambda_http` would put together to a URL.
const OF_THE_URL: [header::HeaderName; 2] = [
    header::HOST,
    header::HeaderName::from_static("x-forwarded-proto"),
];

/// The parts of a request that `lambda_http` does not see, as they came.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// Decoded.
    pub(crate) path: String,
    query: String,
    domain: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The URL under which API Gateway saw the request.
    pub(crate) fn url(&self) -> Option<String> {
        let (domain, path) = (self.domain.as_deref()?, &self.path);
        Some(match &*self.query {
            "" => format!("https://{domain}{path}"),
            query => format!("https://{domain}{path}?{query}"),
        })
    }

    /// The first value of a parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let parameters = self.query.parse::<QueryMap>().ok()?;
        parameters.first(name).map(str::to_owned)
    }
}

/// What `lambda_http` gets, and what goes beside it.
pub(crate) fn divide(payload: Payload) -> (LambdaRequest, Received) {
    let mut request = ApiGatewayV2httpRequest::default();
    request.headers = headers(&payload);
    request.request_context.http.method = method(&payload);
    let body = payload.body.unwrap_or_default();
    let received = Received {
        path: payload.raw_path,
        query: payload.raw_query_string,
        domain: payload.request_context.domain_name,
        body: if payload.is_base64_encoded {
            // API Gateway encodes well. What somebody else did not is no form of Mandrill's.
            STANDARD.decode(body).unwrap_or_default()
        } else {
            body.into_bytes()
        },
    };
    (LambdaRequest::ApiGatewayV2(request), received)
}

fn headers(payload: &Payload) -> HeaderMap {
    let mut headers = payload.headers();
    for name in OF_THE_URL {
        headers.remove(name);
    }
    headers
}

/// What is no method at all is answered as any that is not taken here.
fn method(payload: &Payload) -> Method {
    payload.method().parse().unwrap_or(Method::TRACE)
}

#[cfg(test)]
mod tests {
    use lambda_http::Request;
    use serde_json::{Value, json};

    use super::*;

    fn payload(change: impl FnOnce(&mut Value)) -> (Request, Received) {
        let mut payload = json!({
            "version": "2.0",
            "rawPath": "/mandrill",
            "rawQueryString": "a=b&secret=q%2Bz",
            "headers": { "host": "hooks.example.com", "x-mandrill-signature": "s" },
            "requestContext": {
                "domainName": "hooks.example.com", "stage": "$default", "http": { "method": "POST" },
            },
            "body": "eD0x",
            "isBase64Encoded": true,
        });
        change(&mut payload);
        // As Lambda passes it: as text.
        let (request, received) = divide(serde_json::from_str(&payload.to_string()).unwrap());
        (request.into(), received)
    }

    #[test]
    fn a_request_is_read_as_it_came() {
        let (request, received) = payload(|_| {});
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.headers()["x-mandrill-signature"], "s");
        assert_eq!(
            (&*received.path, &*received.body),
            ("/mandrill", &b"x=1"[..])
        );
        assert_eq!(received.parameter("secret").as_deref(), Some("q+z"));
        let url = "https://hooks.example.com/mandrill?a=b&secret=q%2Bz";
        assert_eq!(received.url().as_deref(), Some(url));
    }

    #[test]
    fn whatever_stands_in_a_request_is_taken_without_a_panic() {
        let headers = [
            "host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "cookie",
            "x-amzn-trace-id",
        ];
        let odd = (0..=0xFF).map(|byte| char::from(byte).to_string());
        let more = [
            "",
            "<>",
            "a:b:c@d",
            "[::1",
            "%",
            "%zz",
            "\u{1F4E6}",
            "//",
            ":99999",
            "http://x",
        ];
        // Longer than any URL may be.
        let long = "<".repeat(70_000);
        for odd in odd.chain(more.map(str::to_owned)).chain([long]) {
            for text in [odd.clone(), format!("a{odd}b")] {
                for header in headers {
                    payload(|payload| payload["headers"][header] = json!(text));
                }
                payload(|payload| payload["headers"][&text] = json!("value"));
                payload(|payload| payload["requestContext"]["domainName"] = json!(text));
                payload(|payload| payload["requestContext"]["stage"] = json!(text));
                payload(|payload| payload["requestContext"]["http"]["method"] = json!(text));
                payload(|payload| payload["cookies"] = json!([text]));
                payload(|payload| payload["body"] = json!(text));
                let (_, received) = payload(|payload| {
                    payload["rawPath"] = json!(text);
                    payload["rawQueryString"] = json!(text);
                });
                assert_eq!((&received.path, &received.query), (&text, &text));
                received.parameter("a");
            }
        }
    }
}
