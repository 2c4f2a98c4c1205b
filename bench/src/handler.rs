//! What a batch of 1,000 events costs the `webhook` function, against the least that the same
//! bytes can cost: decoding base64 and the form, the HMAC, and one pass over the JSON.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use mandrill::{Form, WebhookKey};
use platform::payload::Payload;
use platform::{Aws, clients, clock, config};
use serde::de::IgnoredAny;
use sha1::Sha1;
use store::{EventWriter, NewEvent, OversizedWriter};

use crate::batches::{self, Batch};
use crate::server::Server;
use crate::{Result, cpu, out};

const EVENTS: usize = 1_000;
/// How often each step is run; the least counts.
const RUNS: usize = 200;
/// How often a batch is stored, each time another one.
const STORED: usize = 20;
const URL: &str = "https://hooks.example.com/mandrill";
const KEY: &str = "kT3_sample-webhook-key";

/// Prints all of it.
///
/// # Errors
/// When something cannot be measured.
pub async fn run() -> Result<()> {
    let batch = batches::batches(1, 1, EVENTS)?.remove(0);
    out::line(format!(
        "handler: a batch of {EVENTS} events, {} B of JSON, {} B of form; load {}",
        batch.json.len(),
        batch.body.len(),
        out::load()
    ));
    let (bound, ours) = handler(&batch)?;
    out::line(format!(
        "  {:<58}{:>9.2}",
        "ratio",
        ours.as_secs_f64() / bound.as_secs_f64()
    ));
    store_steps(&batch)?;
    store_calls().await
}

fn print(name: &str, time: Duration) {
    out::line(format!("  {name:<58}{:>9.0} us", out::us(time)));
}

/// The bound and what the handler takes without the store.
fn handler(batch: &Batch) -> Result<(Duration, Duration)> {
    let encoded = STANDARD.encode(&batch.body);
    let signature = mandrill::sign(KEY.as_bytes(), URL, &Form::parse(batch.body.as_bytes()));
    let keys = [WebhookKey {
        name: "main".to_owned(),
        key: KEY.to_owned(),
    }];
    let json = batch.json.as_bytes();

    let base64 = cpu::least(RUNS, || STANDARD.decode(&encoded));
    let form = cpu::least(RUNS, || {
        form_urlencoded::parse(batch.body.as_bytes())
            .map(|(_, value)| value.len())
            .sum::<usize>()
    });
    let hmac = cpu::least(RUNS, || {
        Hmac::<Sha1>::new_from_slice(KEY.as_bytes()).map(|mut mac| {
            mac.update(URL.as_bytes());
            mac.update(json);
            mac.finalize().into_bytes()
        })
    });
    let pass = cpu::least(RUNS, || serde_json::from_slice::<IgnoredAny>(json).is_ok());
    let bound = base64 + form + hmac + pass;
    print("base64", base64);
    print("form_urlencoded", form);
    print("HMAC-SHA1", hmac);
    print("serde_json, one pass that keeps nothing", pass);
    print("bound", bound);

    let body = STANDARD.decode(&encoded)?;
    let parsed = Form::parse(&body);
    let decoding = cpu::least(RUNS, || drop(Form::parse(&body)));
    let verifying = cpu::least(RUNS, || {
        mandrill::verify(&parsed, Some(&signature), &[URL], &keys).is_ok()
    });
    let raw = mandrill::split(json);
    let splitting = cpu::least(RUNS, || mandrill::split(json).len());
    let facts = cpu::least(RUNS, || {
        raw.iter().map(|raw| raw.facts().tags.len()).sum::<usize>()
    });
    let events = cpu::least(RUNS, || webhook::intake::events(&raw, Some("main")).len());
    print("form", decoding);
    print("signature", verifying);
    print("split into events", splitting);
    print("facts", facts);
    print("identity and content", events.saturating_sub(facts));
    let ours = cpu::least(RUNS, || -> Result<usize> {
        let body = STANDARD.decode(&encoded)?;
        let form = Form::parse(&body);
        let webhook = mandrill::verify(&form, Some(&signature), &[URL], &keys)?;
        let raw = form.events();
        Ok(webhook::intake::events(&raw, Some(webhook)).len())
    });
    print("handler without the store, from base64 on", ours);
    Ok((bound, ours))
}

/// What Lambda's own envelope costs, and what storing costs before the first call.
fn store_steps(batch: &Batch) -> Result<()> {
    let envelope = serde_json::json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/mandrill",
        "rawQueryString": "",
        "headers": { "content-type": "application/x-www-form-urlencoded" },
        "requestContext": {
            "http": { "method": "POST", "path": "/mandrill" },
            "stage": "$default",
            "timeEpoch": 0,
        },
        "isBase64Encoded": true,
        "body": STANDARD.encode(&batch.body),
    })
    .to_string();
    let reading = cpu::least(RUNS, || serde_json::from_str::<Payload>(&envelope).is_ok());
    out::line("beside it");
    print("the invocation is read", reading);
    let raw = mandrill::split(batch.json.as_bytes());
    let events = webhook::intake::events(&raw, Some("main"));
    let borrowed: Vec<&NewEvent<'_>> = events.iter().collect();
    let encoding = cpu::least(RUNS, || store::events::prepare(&borrowed).is_ok());
    print("the store encodes and compresses the items", encoding);
    Ok(())
}

/// What the calls of the store cost, against the local stack's DynamoDB in another process.
async fn store_calls() -> Result<()> {
    let stack = Server::posthorn(&[]).await?;
    let lookup = |name: &str| stack.variable(name);
    let aws = Aws::new(&lookup, clients::http_client(&lookup))?;
    let writer = EventWriter::new(
        aws.dynamodb(),
        config::required(&lookup, "EVENTS_TABLE")?,
        config::required_parsed(&lookup, "FEED_SHARDS")?,
        config::required_parsed(&lookup, "RETENTION_DAYS")?,
        OversizedWriter::new(aws.s3(), config::required(&lookup, "OVERSIZED_BUCKET")?),
    );
    let batches = batches::batches(2, STORED, EVENTS)?;
    for (round, done) in [("new events", "stored"), ("the same again", "found")] {
        let (mut cpu, mut wall) = (Duration::MAX, Duration::MAX);
        for batch in &batches {
            let raw = mandrill::split(batch.json.as_bytes());
            let events = webhook::intake::events(&raw, Some("main"));
            let (started, cpu_before) = (Instant::now(), cpu::of_process());
            writer.append(&events, clock::now).await?;
            cpu = cpu.min(cpu::of_process().saturating_sub(cpu_before));
            wall = wall.min(started.elapsed());
        }
        print(&format!("the store, {round}: CPU of the function"), cpu);
        print(&format!("the store, {round}: until all are {done}"), wall);
    }
    Ok(())
}
