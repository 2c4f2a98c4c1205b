//! S3, as far as somebody calls it: `PutObject` and `GetObject` on the template's buckets, addressed
//! by path. What goes beyond - conditions, ranges, checksums, tags, parts - is refused and not
//! ignored.

mod objects;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use sha2::Sha256;

use crate::answer::Answer;
use crate::clock;
use crate::ids::request_id;
use crate::policies::{Caller, Denied};
use crate::template::Bucket;
use crate::worker::{Stopped, Worker};

pub use objects::Object;
use objects::Objects;

/// The longest key. ("Naming Amazon S3 objects".)
const KEY_BYTES: usize = 1024;
/// What an object is when its writer does not say.
const CONTENT_TYPE: &str = "binary/octet-stream";
/// Headers and a parameter that ask for nothing: they are for the log, or belong to the signature.
const KNOWN_HEADERS: [&str; 4] = [
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-user-agent",
];
const KNOWN_PARAMETER: &str = "x-id";

/// Why something could not be done with a bucket.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// There is none of this name.
    #[error("there is no such bucket")]
    NoSuchBucket,
    /// `objects.sqlite` cannot be used.
    #[error("objects.sqlite cannot be used")]
    Storage(#[from] rusqlite::Error),
    /// The thread could not be started.
    #[error("a thread cannot be started")]
    Thread(#[from] io::Error),
    /// The thread is gone.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The buckets of the template.
pub struct S3 {
    buckets: Vec<Bucket>,
    objects: Worker<Objects>,
}

impl fmt::Debug for S3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.buckets.iter().map(|bucket| &bucket.name);
        formatter.debug_set().entries(names).finish()
    }
}

impl S3 {
    /// Opens or makes `objects.sqlite` in `directory`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(directory: &Path, buckets: Vec<Bucket>) -> Result<S3, S3Error> {
        let objects = Objects::open(&directory.join("objects.sqlite"))?;
        Ok(S3 {
            buckets,
            objects: Worker::start("s3", objects)?,
        })
    }

    /// Writes an object into the bucket with this ARN; answers its entity tag.
    ///
    /// # Errors
    /// When there is no such bucket, or the object cannot be kept.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        body: Bytes,
    ) -> Result<String, S3Error> {
        let name = self.name(bucket)?;
        let etag = HEXLOWER.encode(&Md5::digest(&body));
        let object = Object {
            key: key.to_owned(),
            content_type: content_type.to_owned(),
            etag: etag.clone(),
            modified_at: clock::now().as_secs(),
            body,
        };
        self.objects
            .run(move |objects| objects.put(&name, &object))
            .await??;
        Ok(etag)
    }

    /// An object of the bucket with this ARN.
    ///
    /// # Errors
    /// When there is no such bucket, or it cannot be read.
    pub async fn get(&self, bucket: &str, key: &str) -> Result<Option<Object>, S3Error> {
        let (name, key) = (self.name(bucket)?, key.to_owned());
        let object = self.objects.run(move |objects| objects.get(&name, &key));
        Ok(object.await??)
    }

    /// All objects of the bucket with this ARN, in the order of their keys.
    ///
    /// # Errors
    /// When there is no such bucket, or it cannot be read.
    pub async fn objects(&self, bucket: &str) -> Result<Vec<Object>, S3Error> {
        let name = self.name(bucket)?;
        Ok(self
            .objects
            .run(move |objects| objects.all(&name))
            .await??)
    }

    /// Deletes an object of the bucket with this ARN; none is no failure.
    ///
    /// # Errors
    /// When there is no such bucket, or it cannot be written.
    pub async fn delete(&self, bucket: &str, key: &str) -> Result<(), S3Error> {
        let (name, key) = (self.name(bucket)?, key.to_owned());
        let deleted = self.objects.run(move |objects| objects.delete(&name, &key));
        Ok(deleted.await??)
    }

    /// Deletes the objects that have expired at `now`, in Unix seconds; answers how many.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub async fn maintain(&self, now: u64) -> Result<usize, S3Error> {
        let mut expired = 0;
        for bucket in &self.buckets {
            for expiration in &bucket.expirations {
                let (name, expiration) = (bucket.name.clone(), expiration.clone());
                expired += self
                    .objects
                    .run(move |objects| objects.expire(&name, &expiration, now))
                    .await??;
            }
        }
        Ok(expired)
    }

    fn name(&self, arn: &str) -> Result<String, S3Error> {
        let bucket = self.buckets.iter().find(|bucket| bucket.arn == arn);
        Ok(bucket.ok_or(S3Error::NoSuchBucket)?.name.clone())
    }

    /// Answers a call as AWS does.
    pub async fn call(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Answer {
        let answered = self.answer(caller, parts, body).await;
        answered.unwrap_or_else(|refusal| refusal.answer())
    }

    async fn answer(&self, caller: &Caller, parts: &Parts, body: Bytes) -> Result<Answer, Refusal> {
        let path = parts.uri.path().trim_start_matches('/');
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        let key = percent_decode_str(key)
            .decode_utf8()
            .map_err(|_| INVALID_URI)?;
        if asks_for_more(parts) || key.is_empty() {
            return Err(NOT_IMPLEMENTED);
        }
        let bucket = self.buckets.iter().find(|bucket| bucket.name == name);
        let bucket = bucket.ok_or(NO_SUCH_BUCKET)?;
        match parts.method {
            Method::PUT => {
                allow(caller, "s3:PutObject", &format!("{}/{key}", bucket.arn))?;
                self.put_object(bucket, &key, &parts.headers, body).await
            }
            Method::GET => {
                allow(caller, "s3:GetObject", &format!("{}/{key}", bucket.arn))?;
                match self.get(&bucket.arn, &key).await.map_err(internal)? {
                    Some(object) => Ok(found(object)),
                    // Who may not list a bucket is not told what is not in it. ("GetObject":
                    // permissions.)
                    None => {
                        allow(caller, "s3:ListBucket", &bucket.arn)?;
                        Err(NO_SUCH_KEY)
                    }
                }
            }
            _ => Err(NOT_IMPLEMENTED),
        }
    }

    async fn put_object(
        &self,
        bucket: &Bucket,
        key: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Refusal> {
        if key.len() > KEY_BYTES {
            return Err(KEY_TOO_LONG);
        }
        check(headers, &body)?;
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or(CONTENT_TYPE);
        let put = self.put(&bucket.arn, key, content_type, body);
        let etag = put.await.map_err(internal)?;
        let mut answer = answer(StatusCode::OK, Bytes::new());
        set(&mut answer, header::ETAG, &format!("\"{etag}\""));
        Ok(answer)
    }
}

/// Whether a request has a header or a parameter that means something which is not done here.
fn asks_for_more(parts: &Parts) -> bool {
    let is_unknown = |name: &HeaderName| {
        let name = name.as_str();
        name == "range"
            || name.starts_with("if-")
            || name.starts_with("x-amz-") && !KNOWN_HEADERS.contains(&name)
    };
    let parameters = parts.uri.query().unwrap_or_default();
    let mut parameters = parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty());
    parts.headers.keys().any(is_unknown)
        || parameters.any(|parameter| parameter.split('=').next() != Some(KNOWN_PARAMETER))
}

fn allow(caller: &Caller, action: &str, resource: &str) -> Result<(), Refusal> {
    caller
        .authorize(action, resource)
        .map_err(|denied: Denied| Refusal {
            message: denied.by_s3().into(),
            ..ACCESS_DENIED
        })
}

/// Compares a body with what its headers say of it.
fn check(headers: &HeaderMap, body: &Bytes) -> Result<(), Refusal> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    match text("x-amz-content-sha256") {
        Some("UNSIGNED-PAYLOAD") => {}
        // Bodies in signed chunks, or with checksums behind them.
        Some(kind) if kind.starts_with("STREAMING-") => return Err(NOT_IMPLEMENTED),
        Some(hash) if hash == HEXLOWER.encode(&Sha256::digest(body)) => {}
        Some(_) => return Err(SHA256_MISMATCH),
        None => return Err(NO_SHA256),
    }
    match text("content-md5") {
        Some(hash) if hash != STANDARD.encode(Md5::digest(body)) => Err(BAD_DIGEST),
        _ => Ok(()),
    }
}

fn found(object: Object) -> Answer {
    let mut answer = answer(StatusCode::OK, object.body);
    set(&mut answer, header::CONTENT_TYPE, &object.content_type);
    set(&mut answer, header::ETAG, &format!("\"{}\"", object.etag));
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    let modified = i64::try_from(object.modified_at).unwrap_or_default();
    if let Ok(modified) = jiff::Timestamp::from_second(modified) {
        let text = modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        set(&mut answer, header::LAST_MODIFIED, &text);
    }
    answer
}

fn answer(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Answer::new(body.into());
    *answer.status_mut() = status;
    set(
        &mut answer,
        HeaderName::from_static("x-amz-request-id"),
        &request_id(),
    );
    answer
}

fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// An error in S3's words. ("Error responses": list of error codes.)
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: std::borrow::Cow<'static, str>,
}

const fn refusal(status: StatusCode, code: &'static str, message: &'static str) -> Refusal {
    Refusal {
        status,
        code,
        message: std::borrow::Cow::Borrowed(message),
    }
}

const ACCESS_DENIED: Refusal = refusal(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied");
const NO_SUCH_BUCKET: Refusal = refusal(
    StatusCode::NOT_FOUND,
    "NoSuchBucket",
    "The specified bucket does not exist",
);
const NO_SUCH_KEY: Refusal = refusal(
    StatusCode::NOT_FOUND,
    "NoSuchKey",
    "The specified key does not exist.",
);
const KEY_TOO_LONG: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "KeyTooLongError",
    "Your key is too long",
);
const INVALID_URI: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "InvalidURI",
    "Couldn't parse the specified URI.",
);
const NO_SHA256: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "InvalidRequest",
    "Missing required header for this request: x-amz-content-sha256",
);
const SHA256_MISMATCH: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "XAmzContentSHA256Mismatch",
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
);
const BAD_DIGEST: Refusal = refusal(
    StatusCode::BAD_REQUEST,
    "BadDigest",
    "The Content-MD5 you specified did not match what we received.",
);
const NOT_IMPLEMENTED: Refusal = refusal(
    StatusCode::NOT_IMPLEMENTED,
    "NotImplemented",
    "A header you provided implies functionality that is not implemented",
);
const INTERNAL: Refusal = refusal(
    StatusCode::INTERNAL_SERVER_ERROR,
    "InternalError",
    "We encountered an internal error. Please try again.",
);

impl Refusal {
    fn answer(&self) -> Answer {
        let id = request_id();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message><RequestId>{id}</RequestId></Error>",
            self.code,
            escaped(&self.message),
        );
        let mut answer = answer(self.status, body.into());
        set(&mut answer, header::CONTENT_TYPE, "application/xml");
        set(
            &mut answer,
            HeaderName::from_static("x-amz-request-id"),
            &id,
        );
        answer
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn internal(error: S3Error) -> Refusal {
    tracing::error!(%error, "An object cannot be read or written.");
    INTERNAL
}

/// The answer when S3 is not well.
#[must_use]
pub fn failed() -> Answer {
    INTERNAL.answer()
}
