//! What is too large for an item: the whole of an event as an object in S3.
//!
//! An object is what the item's `body` would be. Its key is made from the event's id, so writing it
//! again changes nothing, and one whose item was never written does no harm: all of them expire by
//! the bucket's lifecycle, as their items do by their time to live.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use tokio::time::{Instant, timeout_at};

use crate::error::{StoreError, classify};

const CONTENT_TYPE: &str = "application/zstd";

/// Writes the objects: for [`EventWriter`](crate::EventWriter).
#[derive(Debug, Clone)]
pub struct OversizedWriter {
    client: Client,
    bucket: String,
}

impl OversizedWriter {
    /// The IAM actions that it needs on the objects.
    pub const ACTIONS: &'static [&'static str] = &["s3:PutObject"];

    /// Into `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: String) -> OversizedWriter {
        OversizedWriter { client, bucket }
    }

    pub(crate) async fn put(
        &self,
        key: String,
        body: Vec<u8>,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let call = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .body(ByteStream::from(body));
        timeout_at(deadline, call.send())
            .await
            .map_err(|_| StoreError::too_slow("PutObject"))?
            .map(drop)
            .map_err(|error| classify("PutObject", error))
    }
}

/// Reads the objects: for [`EventReader`](crate::EventReader).
#[derive(Debug, Clone)]
pub struct OversizedReader {
    client: Client,
    bucket: String,
}

impl OversizedReader {
    /// The IAM actions that it needs on the objects.
    pub const ACTIONS: &'static [&'static str] = &["s3:GetObject"];
    /// The IAM actions that it needs on the bucket: who may not list it is not told what is not in
    /// it, and could not tell a missing object from a missing right. ("GetObject": permissions.)
    pub const BUCKET_ACTIONS: &'static [&'static str] = &["s3:ListBucket"];

    /// From `bucket`.
    #[must_use]
    pub fn new(client: Client, bucket: String) -> OversizedReader {
        OversizedReader { client, bucket }
    }

    /// The content of an object; none when there is none (any more), which is logged.
    pub(crate) async fn get(
        &self,
        key: &str,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let read = async {
            let call = self.client.get_object().bucket(&self.bucket).key(key);
            let answer = match call.send().await {
                Ok(answer) => answer,
                Err(error) if error.code() == Some("NoSuchKey") => {
                    tracing::error!(object.key = key, "An object is not there.");
                    return Ok(None);
                }
                Err(error) => return Err(classify("GetObject", error)),
            };
            match answer.body.collect().await {
                Ok(body) => Ok(Some(body.to_vec())),
                Err(error) => Err(StoreError::Unavailable {
                    operation: "GetObject",
                    source: error.into(),
                }),
            }
        };
        timeout_at(deadline, read)
            .await
            .map_err(|_| StoreError::too_slow("GetObject"))?
    }
}
