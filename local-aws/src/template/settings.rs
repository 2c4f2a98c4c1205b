//! What a template is read with.

use std::collections::BTreeMap;

use crate::account::{ACCOUNT_ID, REGION};

/// What the template is read with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stack's name, with which physical names begin.
    pub stack_name: String,
    /// The region of every ARN.
    pub region: String,
    /// The end of `AWS::StackId`, a UUID; it binds cursors to a data directory.
    pub stack_uuid: String,
    /// The end of physical names, kept with the data: letters and digits, about 12.
    pub suffix: String,
    /// Where the HTTP API and the queues are, without a slash at the end.
    pub http_url: String,
    /// Where the WebSocket API is, without its stage.
    pub websocket_url: String,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Values for parameters that are given none: instead of the template's own defaults, and only
    /// if it has them.
    pub defaults: BTreeMap<String, String>,
}

impl Default for Settings {
    /// What a test needs; the local stack gives its own region, names and addresses.
    fn default() -> Self {
        Self {
            stack_name: "local".to_owned(),
            region: REGION.to_owned(),
            stack_uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            suffix: "0LOCAL0STACK".to_owned(),
            http_url: "http://localhost:8080".to_owned(),
            websocket_url: "ws://localhost:8080".to_owned(),
            parameters: BTreeMap::new(),
            defaults: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// What `AWS::StackId` gives.
    #[must_use]
    pub fn stack_id(&self) -> String {
        format!(
            "arn:aws:cloudformation:{}:{ACCOUNT_ID}:stack/{}/{}",
            self.region, self.stack_name, self.stack_uuid
        )
    }

    pub(super) fn pseudo_parameters(&self) -> BTreeMap<&'static str, String> {
        [
            ("AWS::AccountId", ACCOUNT_ID.to_owned()),
            ("AWS::Partition", "aws".to_owned()),
            ("AWS::Region", self.region.clone()),
            ("AWS::StackId", self.stack_id()),
            ("AWS::StackName", self.stack_name.clone()),
            ("AWS::URLSuffix", "amazonaws.com".to_owned()),
        ]
        .into()
    }
}
