//! The Lambda binary of `deliver`.

// The SDK's calls are deeply nested futures.
#![recursion_limit = "256"]

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use platform::{Aws, clients, config, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let aws = Aws::new(&config::process, clients::http_client(&config::process))?;
    let deps = deliver::Deps::new(&aws, &config::process)?;
    deps.open().await;
    run(service_fn(|event: LambdaEvent<_>| {
        deliver::handle(&deps, event)
    }))
    .await
}
