//! The function `greeter`: `POST /guests/{name}` writes a guest, `GET` reads one, which its policy
//! does not allow.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::Builder;
use lambda_runtime::LambdaEvent;
use local_aws::functions::{Variables, forwarding};
use local_aws::{Handler, Handlers};
use serde_json::{Value, json};

/// The functions of the template.
pub(crate) fn handlers() -> Handlers {
    Handlers::new().with_init("greeter", |variables| {
        let greeter = Arc::new(Greeter::new(variables)?);
        Ok(Handler::event(move |event| {
            let greeter = greeter.clone();
            async move { greeter.handle(event).await }
        }))
    })
}

/// What an invocation needs.
struct Greeter {
    dynamodb: Client,
    table: String,
}

impl Greeter {
    fn new(variables: &Variables) -> Result<Greeter, Box<dyn Error + Send + Sync>> {
        let variable = |name: &str| variables.get(name).cloned().ok_or(format!("no {name}"));
        let credentials = Credentials::new(
            variable("AWS_ACCESS_KEY_ID")?,
            variable("AWS_SECRET_ACCESS_KEY")?,
            None,
            None,
            "variables",
        );
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(variable("AWS_REGION")?))
            .endpoint_url(variable("AWS_ENDPOINT_URL")?)
            .credentials_provider(credentials)
            .http_client(forwarding(Builder::new().build_http()))
            .build();
        Ok(Greeter {
            dynamodb: Client::from_conf(config),
            table: variable("GUESTS")?,
        })
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
        let path = event.payload["rawPath"].as_str().unwrap_or_default();
        let name = path.trim_start_matches("/guests/");
        let key = HashMap::from([("name".to_owned(), AttributeValue::S(name.to_owned()))]);
        let table = &self.table;
        let done = if event.payload["requestContext"]["http"]["method"] == "POST" {
            let put = self.dynamodb.put_item().table_name(table);
            let put = put.set_item(Some(key)).send().await;
            put.map(|_| format!("Welcome, {name}.")).map_err(text)
        } else {
            let get = self.dynamodb.get_item().table_name(table);
            let get = get.set_key(Some(key)).send().await;
            get.map(|_| format!("{name} was here.")).map_err(text)
        };
        Ok(match done {
            Ok(body) => json!({ "statusCode": 200, "body": body }),
            Err(body) => json!({ "statusCode": 500, "body": body }),
        })
    }
}

fn text(error: impl Error) -> String {
    DisplayErrorContext(error).to_string()
}
