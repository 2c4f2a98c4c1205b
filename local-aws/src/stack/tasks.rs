//! What runs for as long as a stack does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::dynamodb::SHARDS;
use crate::server::Entrance;
use crate::stack::services::Services;
use crate::{events, server};

/// How often expired items and old stream records are looked for.
const MAINTENANCE: Duration = Duration::from_secs(60);

/// Starts the servers, what Lambda and EventBridge do by themselves, and the tidying.
pub(crate) fn spawn(
    services: &Arc<Services>,
    entrances: [Entrance; 2],
    stopped: watch::Receiver<bool>,
    at_aws_pace: bool,
    time_scale: u32,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for entrance in entrances {
        tasks.spawn(server::serve(entrance, services.clone(), stopped.clone()));
    }
    for mapping in services
        .template
        .mappings
        .iter()
        .filter(|mapping| mapping.is_enabled)
    {
        let Some(table) = services.template.table(&mapping.table) else {
            continue;
        };
        let shared = Arc::new(mapping.clone());
        for shard in 0..SHARDS {
            tasks.spawn(events::stream::run(
                services.clone(),
                shared.clone(),
                table.name.clone(),
                shard,
                at_aws_pace,
            ));
        }
    }
    for mapping in &services.template.queue_mappings {
        if mapping.is_enabled {
            tasks.spawn(events::queue::run(services.clone(), mapping.clone()));
        }
    }
    for schedule in &services.template.schedules {
        if schedule.is_enabled {
            tasks.spawn(events::schedule::run(
                services.clone(),
                schedule.clone(),
                time_scale,
                clock::now(),
            ));
        }
    }
    let services = services.clone();
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(MAINTENANCE).await;
            services.functions.retire_idle();
            let now = clock::now().as_secs();
            if let Err(error) = services.dynamodb().maintain(now).await {
                tracing::error!(%error, "The database could not be tidied.");
            }
            if let Err(error) = services.aws.s3.maintain(now).await {
                tracing::error!(%error, "Expired objects could not be deleted.");
            }
        }
    });
    tasks
}
