//! The real SDK against these buckets, through a connector in place of HTTP.

use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use http_body_util::BodyExt;
use tempfile::TempDir;

use super::*;
use crate::template::{Settings, Template};

const BUCKET: &str = "kept";
const ARN: &str = "arn:aws:s3:::kept";
const DAY: u64 = 24 * 60 * 60;

fn template(actions: &str) -> Template {
    let text = format!(
        "Transform: AWS::Serverless-2016-10-31
Resources:
  Kept:
    Type: AWS::S3::Bucket
    Properties:
      BucketName: {BUCKET}
      LifecycleConfiguration:
        Rules:
          - {{Status: Enabled, Prefix: short/, ExpirationInDays: '2'}}
          - {{Status: Disabled, Prefix: long/, ExpirationInDays: 1}}
  Writer:
    Type: AWS::Serverless::Function
    Metadata: {{BuildMethod: rust-cargolambda, BuildProperties: {{Binary: writer}}}}
    Properties:
      CodeUri: .
      Handler: bootstrap
      Runtime: provided.al2023
      Policies:
        - Statement:
            - {{Effect: Allow, Action: [{actions}], Resource: [!GetAtt Kept.Arn, !Sub '${{Kept.Arn}}/*']}}
"
    );
    Template::parse(&text, &Settings::default()).unwrap()
}

struct Buckets {
    s3: Arc<S3>,
    caller: Arc<Caller>,
    client: Client,
    directory: TempDir,
}

impl Buckets {
    fn new(actions: &str) -> Buckets {
        Buckets::with(actions, tempfile::tempdir().unwrap(), |config| {
            config
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        })
    }

    fn with(
        actions: &str,
        directory: TempDir,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Buckets {
        let template = template(actions);
        let caller = Arc::new(Caller::function(&template, &template.functions[0]));
        let s3 = Arc::new(S3::open(directory.path(), template.buckets).unwrap());
        let connector = SharedHttpConnector::new(Direct(s3.clone(), caller.clone()));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::from_keys("key", "secret", None))
            .endpoint_url("http://localhost")
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Buckets {
            client: Client::from_conf(configure(config).build()),
            s3,
            caller,
            directory,
        }
    }

    async fn put(&self, key: &str, body: &[u8]) -> Result<String, String> {
        let body = ByteStream::from(body.to_vec());
        let put = self.client.put_object().bucket(BUCKET).key(key).body(body);
        match put.send().await {
            Ok(answer) => Ok(answer.e_tag.unwrap()),
            Err(error) => Err(error.code().unwrap().to_owned()),
        }
    }

    async fn get(&self, key: &str) -> Result<Vec<u8>, String> {
        match self
            .client
            .get_object()
            .bucket(BUCKET)
            .key(key)
            .send()
            .await
        {
            Ok(answer) => Ok(answer.body.collect().await.unwrap().to_vec()),
            Err(error) => Err(error.code().unwrap().to_owned()),
        }
    }

    /// A request as it is, without the SDK.
    async fn raw(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (u16, String) {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let answer = self.s3.call(&self.caller, &parts, "body".into()).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (
            parts.status.as_u16(),
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }
}

#[derive(Debug)]
struct Direct(Arc<S3>, Arc<Caller>);

impl HttpConnector for Direct {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (s3, caller) = (self.0.clone(), self.1.clone());
        HttpConnectorFuture::new(async move {
            let (parts, body) = request.try_into_http1x().unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = s3.call(&caller, &parts, body).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = http::Response::from_parts(parts, SdkBody::from(body));
            Ok(HttpResponse::try_from(answer).unwrap())
        })
    }
}

#[tokio::test]
async fn an_object_is_read_as_it_was_written() {
    let buckets = Buckets::new("'s3:PutObject', 's3:GetObject'");
    let keys = ["oversized/evt_1", "a b/ü+?&%41", "../escape", "a/b"];
    for (key, body) in keys.iter().zip([&b"one"[..], b"\0\xff", b"", b"four"]) {
        let etag = HEXLOWER.encode(&Md5::digest(body));
        assert_eq!(
            buckets.put(key, body).await,
            Ok(format!("\"{etag}\"")),
            "{key}"
        );
        assert_eq!(buckets.get(key).await, Ok(body.to_vec()), "{key}");
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    let all = buckets.s3.objects(ARN).await.unwrap();
    let found: Vec<_> = all.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(found, sorted);

    let put = buckets
        .client
        .put_object()
        .bucket(BUCKET)
        .key("a/b")
        .content_type("text/plain");
    put.body(ByteStream::from_static(b"again"))
        .send()
        .await
        .unwrap();
    let get = buckets.client.get_object().bucket(BUCKET).key("a/b");
    let answer = get.send().await.unwrap();
    assert_eq!(answer.content_type.as_deref(), Some("text/plain"));
    assert!(answer.last_modified.is_some() && answer.e_tag.is_some());
}

#[tokio::test]
async fn objects_are_there_after_a_restart() {
    let buckets = Buckets::new("'s3:*'");
    buckets.put("a", &[7; 3_000_000]).await.unwrap();
    let directory = buckets.directory;
    drop((buckets.client, buckets.s3));
    let again = S3::open(directory.path(), template("'s3:*'").buckets).unwrap();
    let object = again.get(ARN, "a").await.unwrap().unwrap();
    assert_eq!(object.body.len(), 3_000_000);
}

#[tokio::test]
async fn who_may_not_is_refused_in_the_words_of_s3() {
    let buckets = Buckets::new("'s3:GetObject'");
    assert_eq!(buckets.put("a", b"x").await, Err("AccessDenied".into()));
    let (status, text) = buckets.raw(Method::PUT, "/kept/a", &[]).await;
    assert_eq!(status, 403);
    let message = "User: arn:aws:sts::000000000000:assumed-role/local-WriterRole/local-Writer-0LOCAL0STACK is not \
                   authorized to perform: s3:PutObject on resource: &quot;arn:aws:s3:::kept/a&quot; because no \
                   identity-based policy allows the s3:PutObject action";
    assert!(
        text.contains(&format!(
            "<Code>AccessDenied</Code><Message>{message}</Message>"
        )),
        "{text}"
    );
    assert!(buckets.s3.objects(ARN).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_who_may_list_a_bucket_learns_that_an_object_is_missing() {
    let reader = Buckets::new("'s3:GetObject'");
    assert_eq!(reader.get("absent").await, Err("AccessDenied".into()));
    let lister = Buckets::new("'s3:GetObject', 's3:ListBucket'");
    assert_eq!(lister.get("absent").await, Err("NoSuchKey".into()));
    let other = lister.client.get_object().bucket("other").key("a");
    let error = other.send().await.unwrap_err();
    assert_eq!(error.code(), Some("NoSuchBucket"));
}

#[tokio::test]
async fn what_is_not_done_here_is_refused_and_not_ignored() {
    let buckets = Buckets::with("'s3:*'", tempfile::tempdir().unwrap(), |config| config);
    // By default the SDK adds a checksum.
    assert_eq!(buckets.put("a", b"x").await, Err("NotImplemented".into()));
    let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    for (method, path, headers) in [
        (Method::PUT, "/kept/a?uploadId=1", vec![unsigned]),
        (
            Method::PUT,
            "/kept/a",
            vec![unsigned, ("if-none-match", "*")],
        ),
        (
            Method::PUT,
            "/kept/a",
            vec![unsigned, ("x-amz-tagging", "a=b")],
        ),
        (
            Method::PUT,
            "/kept/a",
            vec![("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")],
        ),
        (Method::GET, "/kept/a", vec![("range", "bytes=0-1")]),
        (Method::GET, "/kept?list-type=2", vec![]),
        (Method::DELETE, "/kept/a", vec![]),
    ] {
        let (status, text) = buckets.raw(method.clone(), path, &headers).await;
        assert_eq!(status, 501, "{method} {path}: {text}");
    }
    assert!(buckets.s3.objects(ARN).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_what_its_headers_say_is_refused() {
    let buckets = Buckets::new("'s3:*'");
    let wrong = "0".repeat(64);
    let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    for (headers, code) in [
        (
            vec![("x-amz-content-sha256", wrong.as_str())],
            "XAmzContentSHA256Mismatch",
        ),
        (vec![unsigned, ("content-md5", "AAAA")], "BadDigest"),
        (vec![], "InvalidRequest"),
    ] {
        let (status, text) = buckets.raw(Method::PUT, "/kept/a", &headers).await;
        assert!(
            status == 400 && text.contains(&format!("<Code>{code}</Code>")),
            "{text}"
        );
    }
    let long = format!("/kept/{}", "k".repeat(KEY_BYTES + 1));
    let (_, text) = buckets.raw(Method::PUT, &long, &[unsigned]).await;
    assert!(text.contains("KeyTooLongError"), "{text}");
}

#[tokio::test]
async fn objects_expire_at_the_midnight_after_their_days() {
    let buckets = Buckets::new("'s3:*'");
    for key in ["short/a", "short", "long/a"] {
        buckets.put(key, b"x").await.unwrap();
    }
    let written = buckets.s3.get(ARN, "short/a").await.unwrap().unwrap();
    let gone_at = (written.modified_at + 2 * DAY).next_multiple_of(DAY);
    assert_eq!(buckets.s3.maintain(gone_at - 1).await.unwrap(), 0);
    assert_eq!(buckets.s3.maintain(gone_at).await.unwrap(), 1);
    assert_eq!(buckets.get("short/a").await, Err("NoSuchKey".into()));
    assert_eq!(buckets.s3.maintain(gone_at + 400 * DAY).await.unwrap(), 0);
}

#[tokio::test]
async fn an_object_can_be_written_from_within() {
    let buckets = Buckets::new("'s3:GetObject'");
    let put = buckets.s3.put(ARN, "a", "application/json", "{}".into());
    put.await.unwrap();
    assert_eq!(buckets.get("a").await, Ok(b"{}".to_vec()));
    buckets.s3.delete(ARN, "a").await.unwrap();
    assert!(buckets.s3.objects(ARN).await.unwrap().is_empty());
    let elsewhere = buckets
        .s3
        .put("arn:aws:s3:::x", "a", "text/plain", Bytes::new());
    assert!(matches!(elsewhere.await, Err(S3Error::NoSuchBucket)));
}
