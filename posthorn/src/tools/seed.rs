//! `posthorn seed`: endpoints and events to play with, from a file. What is there already is left as it is.

mod file;

use std::collections::HashSet;

use serde::Deserialize;

use super::api::Api;
use super::send::read;
use super::target::{ApiArgs, Secret};
use super::{ToolError, out};
use crate::webhook::encoded;

use file::{Endpoint, Seed};

/// Endpoints that are asked for at once, the most there may be.
const PAGE: usize = 1_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON with `endpoints` and `events`, as they are posted; `-` reads stdin
    file: String,
    #[command(flatten)]
    target: ApiArgs,
}

/// A page of `GET /v1/endpoints`.
#[derive(Deserialize)]
struct Page {
    endpoints: Vec<There>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct There {
    id: String,
    url: String,
    description: String,
}

/// The answer to `POST /v1/endpoints`.
#[derive(Deserialize)]
struct Created {
    id: String,
    secret: Secret,
    ingest_secret: Secret,
}

/// The answer to `POST /v1/events`.
#[derive(Deserialize)]
struct Published {
    id: String,
}

/// Says what it made, secrets included, since nobody else will ever show them.
pub async fn run(args: Args) -> Result<(), ToolError> {
    let text = read(&args.file)?;
    let seed = Seed::parse(&text).map_err(ToolError::Usage)?;
    let api = Api::new(args.target.resolve()?)?;
    endpoints(&seed, &api).await?;
    events(&seed, &api).await
}

async fn endpoints(seed: &Seed<'_>, api: &Api) -> Result<(), ToolError> {
    if seed.endpoints.is_empty() {
        return Ok(());
    }
    let mut there = list(api).await?;
    let mut secrets = Vec::new();
    for endpoint in &seed.endpoints {
        if let Some(there) = there.iter().find(|there| is_same(there, endpoint)) {
            say("there", &there.id, endpoint)?;
            continue;
        }
        let body = endpoint.json()?;
        let created: Created = api.post("/v1/endpoints", body).await?;
        say("created", &created.id, endpoint)?;
        out::line(&format!(
            "          secret         {}",
            shown(&created.secret)
        ))?;
        out::line(&format!(
            "          ingest secret  {}",
            shown(&created.ingest_secret)
        ))?;
        secrets.push(format!("--secret {}", out::quoted(&shown(&created.secret))));
        // The file may name it twice.
        there.push(There {
            id: created.id,
            url: endpoint.url.clone(),
            description: endpoint.description.clone(),
        });
    }
    if !secrets.is_empty() {
        out::note("The secrets are not shown again. To be these endpoints:");
        out::note(&format!("  cargo run -- receive {}", secrets.join(" ")));
    }
    Ok(())
}

fn say(what: &str, id: &str, endpoint: &Endpoint<'_>) -> Result<(), ToolError> {
    let description = out::printable(&endpoint.description);
    let (id, url) = (out::printable(id), out::printable(&endpoint.url));
    out::line(format!("{what:<9} {id}  {url}  {description}").trim_end())
}

fn shown(secret: &Secret) -> String {
    out::printable(secret.reveal()).into_owned()
}

/// By what somebody who looks at the list tells them apart.
fn is_same(there: &There, endpoint: &Endpoint<'_>) -> bool {
    there.url == endpoint.url && there.description == endpoint.description
}

/// All endpoints that there are.
async fn list(api: &Api) -> Result<Vec<There>, ToolError> {
    let mut all = Vec::new();
    let mut path = format!("/v1/endpoints?limit={PAGE}");
    loop {
        let page: Page = api.get(&path).await?;
        all.extend(page.endpoints);
        match page.next {
            Some(next) => path = format!("/v1/endpoints?limit={PAGE}&after={}", encoded(&next)),
            None => return Ok(all),
        }
    }
}

async fn events(seed: &Seed<'_>, api: &Api) -> Result<(), ToolError> {
    let mut ids = HashSet::new();
    for event in seed.events() {
        let Published { id } = api
            .post_once("/v1/events", event.body.to_owned(), &event.key)
            .await?;
        let kind = out::printable(&event.kind);
        out::line(&format!("event     {}  {kind}", out::printable(&id)))?;
        ids.insert(id);
    }
    if !ids.is_empty() {
        let count = ids.len();
        out::note(&format!(
            "{count} events are stored. The same file makes no others."
        ));
    }
    Ok(())
}
