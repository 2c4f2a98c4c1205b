//! The Lambda binary of `webhook`.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

use lambda_http::lambda_runtime::{LambdaEvent, run};
use lambda_http::{Error, service_fn};
use platform::payload::Payload;
use platform::{Aws, clients, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let aws = Aws::new(&config::process, clients::http_client(&config::process))?;
    let deps = webhook::Deps::new(&aws, &config::process)?;
    deps.open().await;
    run(service_fn(|event: LambdaEvent<Payload>| {
        webhook::handle(&deps, event)
    }))
    .await
}
