//! `posthorn token`: mints a token, from the local stack's key or from a deployed stack's secret.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use data_encoding::BASE32_NOPAD;
use domain::{Filter, Millis, Rights, Scopes};
use platform::clock;
use platform::tokens::TokenKeys;
use serde_json::json;

use super::duration::duration;
use super::send::read;
use super::target::{missing, read_stack};
use super::{ToolError, out};
use crate::random::random;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Data directory of the local stack whose key signs
    #[arg(long, value_name = "DIR", default_value = ".posthorn")]
    data_dir: PathBuf,
    /// The JSON of a deployed stack's secret, in place of the local stack's key; `-` reads stdin
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    secret: Option<String>,
    /// What it allows: read, write, endpoints, with commas between them
    #[arg(long, default_value = "read")]
    scope: Scopes,
    /// The events that its holder may see [default: all]
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    filter: Filter,
    /// Show its holder no address, no IP and nothing of what was received
    #[arg(long)]
    mask: bool,
    /// How long it is good for: 90s, 15m, 1h, 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime, allow_hyphen_values = true)]
    ttl: Duration,
    /// Who holds it: the same name with the same `Idempotency-Key` is the same event [default: a
    /// random name]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    subject: Option<String>,
}

/// At least a second, since a token counts whole ones.
fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration(text)?;
    if lifetime.as_secs() == 0 {
        return Err("less than a second".to_owned());
    }
    Ok(lifetime)
}

/// Prints a token, and nothing else.
pub fn run(args: &Args) -> Result<(), ToolError> {
    let token = mint(args, clock::now())?;
    out::line(&token)
}

fn mint(args: &Args, now: Millis) -> Result<String, ToolError> {
    let ttl_ms = u64::try_from(args.ttl.as_millis()).unwrap_or(u64::MAX);
    let rights = Rights {
        scopes: args.scope,
        filter: args.filter.clone(),
        asked: Filter::default(),
        mask: args.mask,
        until: now.plus(ttl_ms),
    };
    let subject = subject(args.subject.as_deref())?;
    let token = keys(args)?.mint(&subject, &rights, now);
    token
        .map(|token| token.0)
        .map_err(|error| ToolError::Usage(error.to_string()))
}

/// A name of its own for who has none: one for all would let them meet each other's keys.
fn subject(given: Option<&str>) -> io::Result<String> {
    match given {
        Some(name) => Ok(name.to_owned()),
        None => Ok(BASE32_NOPAD.encode(&random::<10>()?).to_ascii_lowercase()),
    }
}

/// The parser's own message could quote a key.
fn keys(args: &Args) -> Result<TokenKeys, ToolError> {
    if let Some(secret) = &args.secret {
        return serde_json::from_str(&read(secret)?).map_err(|_| {
            ToolError::Usage(
                "the secret is not JSON with a token_key of at least 32 bytes".to_owned(),
            )
        });
    }
    let stack = read_stack(&args.data_dir)?;
    let key = stack.and_then(|stack| stack.token_key);
    let key = key.ok_or_else(|| missing(&args.data_dir, "pass --secret"))?;
    serde_json::from_value(json!({ "token_key": key.reveal() }))
        .map_err(|_| ToolError::Usage("the local stack's key is too short".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_at_least_a_second() {
        assert_eq!(lifetime("90s"), Ok(Duration::from_secs(90)));
        assert!(lifetime("10ms").is_err());
    }

    #[test]
    fn who_is_given_no_name_has_one_that_nobody_else_has() {
        assert_eq!(subject(Some("shop")).unwrap(), "shop");
        let own = subject(None).unwrap();
        assert_eq!(own.len(), 16);
        assert_ne!(own, subject(None).unwrap());
    }
}
