//! Plain HTTP requests and their answers.

use std::sync::Arc;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;

/// A client for the HTTP API.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    base: String,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Http {
    /// A client of the API at `base`, such as `http://localhost:8080`.
    ///
    /// # Panics
    /// When there can be no HTTP client.
    #[must_use]
    pub fn new(base: &str) -> Http {
        // The stack speaks no TLS, but the client wants to know how it would.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("a TLS version")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .build()
            .expect("an HTTP client");
        Http {
            client,
            base: base.to_owned(),
        }
    }

    /// Makes a request; `path` may have a query.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .body(body);
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("the name of a header");
            request = request.header(name, *value);
        }
        Answer::read(request.send().await.expect("an answer")).await
    }

    /// A GET whose answer is read by the caller, as it comes.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn send(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.expect("an answer")
    }

    /// A POST of JSON with a bearer token, and with these headers.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn post(
        &self,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        let always = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let headers = [&always, headers].concat();
        self.request(Method::POST, path, &headers, body).await
    }

    /// A GET with a bearer token.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.request(Method::GET, path, &[("authorization", &bearer)], "")
            .await
    }
}

impl Answer {
    /// Reads a response to its end.
    pub(crate) async fn read(response: Response) -> Answer {
        Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.expect("the answer's body"),
        }
    }

    /// A header; empty when it is not there.
    ///
    /// # Panics
    /// When it is no text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("text"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{error} in {} {:?}", self.status, self.body),
        }
    }

    /// The status, and the code of the error in the body.
    ///
    /// # Panics
    /// When the body is no error.
    #[must_use]
    pub fn error(&self) -> (u16, String) {
        let json = self.json();
        let code = json["error"]["code"].as_str();
        let code = code.unwrap_or_else(|| panic!("no error: {json}"));
        assert!(json["error"]["message"].is_string(), "{json}");
        (self.status.as_u16(), code.to_owned())
    }
}
