//! AWS clients, built by hand from what Lambda puts into the environment. The crate that usually
//! does it, `aws-config`, is half of a function's binary: it can sign in with SSO, which no
//! function needs.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;

use crate::config::{self, ConfigError, Lookup};

/// Everything that the clients of one function share.
#[derive(Debug, Clone)]
pub struct Aws {
    region: String,
    credentials: Credentials,
    http: SharedHttpClient,
    /// Where every service is, off AWS.
    endpoint: Option<String>,
}

/// An HTTP client with its pool of connections. The local stack's address needs no TLS, and
/// reading the system's root certificates takes longer than all the rest of a start.
#[must_use]
pub fn http_client(lookup: Lookup<'_>) -> SharedHttpClient {
    match config::optional(lookup, "AWS_ENDPOINT_URL") {
        Some(url) if url.starts_with("http://") => Builder::new().build_http(),
        _ => Builder::new()
            .tls_provider(tls::Provider::Rustls(
                tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https(),
    }
}

impl Aws {
    /// Reads region and credentials: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN`, and, off AWS, `AWS_ENDPOINT_URL`. In Lambda they hold for as long as
    /// the process lives.
    ///
    /// # Errors
    /// When one is missing.
    pub fn new(lookup: Lookup<'_>, http: SharedHttpClient) -> Result<Aws, ConfigError> {
        let credentials = Credentials::new(
            config::required(lookup, "AWS_ACCESS_KEY_ID")?,
            config::required(lookup, "AWS_SECRET_ACCESS_KEY")?,
            config::optional(lookup, "AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        Ok(Aws {
            region: config::required(lookup, "AWS_REGION")?,
            credentials,
            http,
            endpoint: config::optional(lookup, "AWS_ENDPOINT_URL"),
        })
    }

    /// A client for DynamoDB.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut builder = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
            .timeout_config(timeouts(Duration::from_secs(5)));
        builder.set_endpoint_url(self.endpoint.clone());
        aws_sdk_dynamodb::Client::from_conf(builder.build())
    }

    /// A client for S3.
    ///
    /// Bodies carry no checksum beside the SHA-256 that every request is signed with: nothing more
    /// would be found by it.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
        let mut builder = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
            // A batch has 20 s, and an object at most 6 MB.
            .timeout_config(timeouts(Duration::from_secs(6)))
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // Off AWS there is one host, and no bucket is a part of its name.
            .force_path_style(self.endpoint.is_some());
        builder.set_endpoint_url(self.endpoint.clone());
        aws_sdk_s3::Client::from_conf(builder.build())
    }

    /// A client for Secrets Manager.
    #[must_use]
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut builder = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(aws_sdk_secretsmanager::config::BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http.clone())
            .timeout_config(timeouts(Duration::from_secs(3)));
        builder.set_endpoint_url(self.endpoint.clone());
        aws_sdk_secretsmanager::Client::from_conf(builder.build())
    }

    /// A client for SQS.
    #[must_use]
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut builder = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http.clone())
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(50)))
            .timeout_config(timeouts(Duration::from_secs(5)));
        builder.set_endpoint_url(self.endpoint.clone());
        aws_sdk_sqs::Client::from_conf(builder.build())
    }

    /// A client for the connections of a stage of a WebSocket API. It never retries by itself:
    /// who posts knows what a late message is worth.
    ///
    /// The address is the API's own, since behind a custom domain the stage is not in the path.
    #[must_use]
    pub fn connections(&self, api_id: &str, stage: &str) -> aws_sdk_apigatewaymanagement::Client {
        let host = self.endpoint.clone().unwrap_or_else(|| {
            let region = &self.region;
            let suffix = if region.starts_with("cn-") {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            format!("https://{api_id}.execute-api.{region}.{suffix}")
        });
        let config = aws_sdk_apigatewaymanagement::Config::builder()
            .behavior_version(aws_sdk_apigatewaymanagement::config::BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(self.credentials.clone())
            .http_client(self.http.clone())
            .endpoint_url(format!("{host}/{stage}"))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(Duration::from_secs(2)))
            // Watching the speed of a body is a task for each of thousands of small messages, and
            // the time limit ends a slow one anyway.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        aws_sdk_apigatewaymanagement::Client::from_conf(config)
    }
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(1_500))
        .operation_attempt_timeout(attempt)
        .build()
}
