//! A running stack with queues, called by the real SDK over HTTP.

mod api;
mod durability;
mod fairness;
mod mapping;
mod model;
mod throughput;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Region};
use aws_sdk_sqs::types::Message;
use aws_smithy_http_client::Builder;
use aws_smithy_types::retry::RetryConfig;
use tempfile::TempDir;

use crate::functions::scripted::handlers;
use crate::stack::identity::Identity;
use crate::{Options, Stack};

/// Queues, and a function that may do everything with them but purge.
const TEMPLATE: &str = "
Transform: AWS::Serverless-2016-10-31
Resources:
  Work:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 30
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}
  Dead:
    Type: AWS::SQS::Queue
  Late:
    Type: AWS::SQS::Queue
    Properties: {DelaySeconds: 60, MessageRetentionPeriod: 600}
  Caller:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/scripted/
      Runtime: provided.al2023
      Handler: bootstrap
      Policies:
        - Statement:
            - Effect: Allow
              Action:
                - sqs:SendMessage
                - sqs:ReceiveMessage
                - sqs:DeleteMessage
                - sqs:ChangeMessageVisibility
                - sqs:GetQueueAttributes
                - sqs:GetQueueUrl
              Resource: '*'
";

/// The tests move the clock of their process; where several share one, they take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Desk {
    stack: Stack,
    client: Client,
    _directory: TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Desk {
    async fn new() -> Desk {
        Desk::with(TEMPLATE).await
    }

    /// With another template, whose function `Caller` calls.
    async fn with(template: &str) -> Desk {
        Desk::with_options(|options| template.clone_into(&mut options.template)).await
    }

    async fn with_options(configure: impl FnOnce(&mut Options)) -> Desk {
        let turn = TURN.lock().await;
        let directory = tempfile::tempdir().unwrap();
        let mut options = Options::new(TEMPLATE, directory.path());
        options.handlers = handlers();
        configure(&mut options);
        let stack = Stack::start(options).await.unwrap();
        Desk {
            client: client_of(&stack, "Caller"),
            stack,
            _directory: directory,
            _turn: turn,
        }
    }

    fn url(&self, queue: &str) -> String {
        let mut queues = self.stack.template().queues.iter();
        let queue = queues.find(|known| known.logical_id == queue).unwrap();
        queue.url.clone()
    }

    async fn send(&self, queue: &str, body: &str) {
        let send = self.client.send_message().queue_url(self.url(queue));
        send.message_body(body).send().await.unwrap();
    }

    /// What is there now, at most ten.
    async fn receive(&self, queue: &str) -> Vec<Message> {
        let receive = self.client.receive_message().queue_url(self.url(queue));
        let all = aws_sdk_sqs::types::MessageSystemAttributeName::All;
        let receive = receive
            .max_number_of_messages(10)
            .message_system_attribute_names(all)
            .message_attribute_names("All");
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn bodies(&self, queue: &str) -> Vec<String> {
        let messages = self.receive(queue).await.into_iter();
        messages.map(|message| message.body.unwrap()).collect()
    }

    async fn delete(&self, queue: &str, message: &Message) {
        let delete = self.client.delete_message().queue_url(self.url(queue));
        let handle = message.receipt_handle().unwrap();
        delete.receipt_handle(handle).send().await.unwrap();
    }

    async fn hide(&self, queue: &str, message: &Message, seconds: i32) {
        let change = self.client.change_message_visibility();
        let change = change
            .queue_url(self.url(queue))
            .visibility_timeout(seconds);
        let handle = message.receipt_handle().unwrap();
        change.receipt_handle(handle).send().await.unwrap();
    }

    /// Visible, delayed, in flight.
    async fn counts(&self, queue: &str) -> (usize, usize, usize) {
        let counts = self.stack.queue_counts(queue).await.unwrap();
        (counts.visible, counts.delayed, counts.in_flight)
    }

    /// Lets time pass while no function runs.
    async fn pass(&self, seconds: u64) {
        let _held = self.stack.faults().hold_functions().await;
        crate::clock::advance(Duration::from_secs(seconds));
    }
}

fn client_of(stack: &Stack, function: &str) -> Client {
    let identity = Identity::load(stack.data_dir()).unwrap();
    let key = &identity.access_keys[function];
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, "local", None, None, "test"))
        .http_client(Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(&stack.urls().http)
        .build();
    Client::from_conf(config)
}

/// Tries until it succeeds.
async fn eventually<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(
    mut attempt: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
