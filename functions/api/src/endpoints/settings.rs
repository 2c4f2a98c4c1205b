//! What an endpoint's owner chooses, read from the body of a request.

use std::num::NonZeroU32;

use domain::RetrySchedule;
use domain::endpoint::{
    CustomHeaders, HeaderError, MAX_DESCRIPTION_BYTES, MAX_RATE, PrivateAddresses, Settings,
    Subscription, TargetUrl,
};
use platform::http::HttpError;
use platform::parameters::{self, bad};
use serde::Deserialize;

use crate::body::{Fields, bad_field};
use crate::call::Call;

/// Twenty headers with their values, a filter and a URL, with all their escapes.
const BODY_BYTES: usize = 64 * 1024;
const FIELDS: [&str; 7] = [
    "url",
    "description",
    "filter",
    "event_types",
    "headers",
    "retry_schedule",
    "rate_limit",
];
/// What is shown in place of a header's value, and keeps the one that is there.
pub(super) const MASKED: &str = "***";

/// The body of a request that makes or changes an endpoint.
pub(super) fn fields(call: &Call) -> Result<Fields<'_>, HttpError> {
    Fields::read(call, &FIELDS, BODY_BYTES)
}

/// The settings of a new endpoint.
pub(super) fn new(fields: &Fields<'_>, private: PrivateAddresses) -> Result<Settings, HttpError> {
    let url = url(fields, private)?;
    let url = url.ok_or_else(|| bad("missing_field", "field `url` is missing"))?;
    let mut settings = Settings {
        url,
        description: String::new(),
        subscription: Subscription::default(),
        headers: CustomHeaders::default(),
        schedule: RetrySchedule::default(),
        rate_limit: None,
    };
    change_rest(&mut settings, fields)?;
    Ok(settings)
}

/// Changes what the body names; null is like in a new endpoint.
pub(super) fn change(
    settings: &mut Settings,
    fields: &Fields<'_>,
    private: PrivateAddresses,
) -> Result<(), HttpError> {
    if fields.has("url") {
        let what = "a URL, not null";
        let url = url(fields, private)?.ok_or_else(|| bad_field("url", what))?;
        if url.origin() != settings.url.origin() {
            leave_headers_behind(settings, fields)?;
        }
        settings.url = url;
    }
    change_rest(settings, fields)
}

/// The values of headers are shown to nobody, so they do not go along to another host, where they
/// could be read: they are given anew, or nothing is changed.
fn leave_headers_behind(settings: &mut Settings, fields: &Fields<'_>) -> Result<(), HttpError> {
    if settings.headers.iter().next().is_some() && !fields.has("headers") {
        let message = "field `headers` is missing: a `url` on another host needs all headers with their values, or null";
        return Err(bad("bad_header", message));
    }
    settings.headers = CustomHeaders::default();
    Ok(())
}

fn change_rest(settings: &mut Settings, fields: &Fields<'_>) -> Result<(), HttpError> {
    if fields.has("description") {
        settings.description = description(fields)?;
    }
    if fields.has("filter") || fields.has("event_types") {
        settings.subscription = subscription(fields, &settings.subscription)?;
    }
    if fields.has("headers") {
        settings.headers = headers(fields, &settings.headers)?;
    }
    if fields.has("retry_schedule") {
        settings.schedule = schedule(fields)?;
    }
    if fields.has("rate_limit") {
        settings.rate_limit = rate_limit(fields)?;
    }
    Ok(())
}

fn url(fields: &Fields<'_>, private: PrivateAddresses) -> Result<Option<TargetUrl>, HttpError> {
    let text: Option<String> = fields.value("url", "a string")?;
    let url = text.map(|text| TargetUrl::parse(&text, private));
    // The URL itself may have a secret in it, and is not repeated.
    url.transpose()
        .map_err(|error| bad("bad_url", format!("field `url` {error}")))
}

fn description(fields: &Fields<'_>) -> Result<String, HttpError> {
    let what = || format!("a string of at most {MAX_DESCRIPTION_BYTES} bytes");
    let text: Option<String> = fields.value("description", &what())?;
    let text = text.unwrap_or_default();
    if text.len() > MAX_DESCRIPTION_BYTES {
        return Err(bad_field("description", &what()));
    }
    Ok(text)
}

fn subscription(fields: &Fields<'_>, before: &Subscription) -> Result<Subscription, HttpError> {
    let filter = if fields.has("filter") {
        let text: Option<String> = fields.value("filter", "a string")?;
        parameters::filter(&text.unwrap_or_default())?
    } else {
        before.filter().clone()
    };
    let types = if fields.has("event_types") {
        let types: Option<Vec<String>> = fields.value("event_types", "a list of strings")?;
        types.unwrap_or_default()
    } else {
        before.event_types().to_vec()
    };
    Subscription::new(filter, types)
        .map_err(|error| bad("bad_field", format!("field `event_types`: {error}")))
}

fn headers(fields: &Fields<'_>, before: &CustomHeaders) -> Result<CustomHeaders, HttpError> {
    let what = "an object of strings";
    let given: Fields<'_> = fields.value("headers", what)?.unwrap_or_default();
    let mut headers = Vec::new();
    for (name, value) in given.iter() {
        let value =
            serde_json::from_str::<String>(value.get()).map_err(|_| bad_field("headers", what))?;
        let value = if value == MASKED {
            kept(name, before)?
        } else {
            value
        };
        headers.push((name, value));
    }
    CustomHeaders::new(headers).map_err(|error| bad_header(&error))
}

/// The value that a header has already.
fn kept(name: &str, before: &CustomHeaders) -> Result<String, HttpError> {
    let mut there = before.iter();
    let kept = there.find(|(there, _)| there.eq_ignore_ascii_case(name));
    let kept = kept.map(|(_, value)| value.to_owned());
    kept.ok_or_else(|| {
        let message = format!(
            "field `headers`: there is no stored value of `{}` for `{MASKED}` to keep",
            name.escape_debug()
        );
        bad("bad_header", message)
    })
}

fn bad_header(error: &HeaderError) -> HttpError {
    bad("bad_header", format!("field `headers`: {error}"))
}

fn rate_limit(fields: &Fields<'_>) -> Result<Option<NonZeroU32>, HttpError> {
    let what = format!("a number from 1 to {MAX_RATE}, or null");
    let rate: Option<NonZeroU32> = fields.value("rate_limit", &what)?;
    match rate {
        Some(rate) if rate.get() > MAX_RATE => Err(bad_field("rate_limit", &what)),
        rate => Ok(rate),
    }
}

/// A schedule by its name, or its steps in seconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Schedule {
    Named(String),
    Steps(Vec<u32>),
}

fn schedule(fields: &Fields<'_>) -> Result<RetrySchedule, HttpError> {
    let what = "`default`, `standard`, or a list of seconds";
    let wrong = || bad_field("retry_schedule", what);
    let schedule: Option<Schedule> = fields.value("retry_schedule", what)?;
    match schedule {
        None => Ok(RetrySchedule::default()),
        Some(Schedule::Named(name)) => RetrySchedule::named(&name).ok_or_else(wrong),
        Some(Schedule::Steps(steps)) => RetrySchedule::new(steps)
            .map_err(|error| bad("bad_field", format!("field `retry_schedule`: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> Call {
        Call {
            body: body.as_bytes().to_vec().into(),
            ..Call::default()
        }
    }

    fn read(body: &str) -> Result<Settings, HttpError> {
        new(&fields(&call(body))?, PrivateAddresses::Refused)
    }

    fn with(rest: &str) -> Result<Settings, HttpError> {
        read(&format!(r#"{{"url":"https://a.example/"{rest}}}"#))
    }

    #[test]
    fn what_is_at_its_bound_is_taken() {
        let headers: Vec<_> = (0..20).map(|n| format!(r#""x-{n}":"1""#)).collect();
        for rest in [
            format!(r#","description":"{}""#, "x".repeat(MAX_DESCRIPTION_BYTES)),
            format!(r#","filter":"{}""#, "a ".repeat(50)),
            format!(r#","event_types":[{}"a"]"#, r#""a","#.repeat(99)),
            format!(r#","headers":{{{}}}"#, headers.join(",")),
            format!(r#","retry_schedule":[{}604800]"#, "1,".repeat(19)),
            format!(r#","rate_limit":{MAX_RATE}"#),
            r#","rate_limit":1"#.to_owned(),
        ] {
            assert!(with(&rest).is_ok(), "{rest}");
        }
    }

    #[test]
    fn what_is_over_its_bound_is_named() {
        let headers: Vec<_> = (0..21).map(|n| format!(r#""x-{n}":"1""#)).collect();
        for (rest, code) in [
            (
                format!(
                    r#","description":"{}""#,
                    "x".repeat(MAX_DESCRIPTION_BYTES + 1)
                ),
                "bad_field",
            ),
            (format!(r#","filter":"{}""#, "a ".repeat(51)), "bad_filter"),
            (
                format!(r#","event_types":[{}"a"]"#, r#""a","#.repeat(100)),
                "bad_field",
            ),
            (
                format!(r#","headers":{{{}}}"#, headers.join(",")),
                "bad_header",
            ),
            (
                format!(r#","retry_schedule":[{}1]"#, "1,".repeat(20)),
                "bad_field",
            ),
            (r#","retry_schedule":[604801]"#.to_owned(), "bad_field"),
            (r#","retry_schedule":[0]"#.to_owned(), "bad_field"),
            (format!(r#","rate_limit":{}"#, MAX_RATE + 1), "bad_field"),
            (r#","rate_limit":0"#.to_owned(), "bad_field"),
        ] {
            assert_eq!(with(&rest).unwrap_err().code, code, "{rest}");
        }
        assert_eq!(read("{}").unwrap_err().code, "missing_field");
        let refused = read(r#"{"url":"https://u:canary@a.example/canary"}"#).unwrap_err();
        assert_eq!(refused.code, "bad_url");
        assert!(!refused.message.contains("canary"), "{}", refused.message);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_keeps_masked_values() {
        let before = with(
            r#","filter":"type:a","event_types":["b"],"headers":{"x-a":"1","x-b":"2"},"rate_limit":3"#,
        )
        .unwrap();
        let changed = |body: &str| {
            let mut settings = before.clone();
            let call = call(body);
            let fields = fields(&call).unwrap();
            change(&mut settings, &fields, PrivateAddresses::Refused).map(|()| settings)
        };
        assert_eq!(changed("{}").unwrap(), before);
        let types = changed(r#"{"event_types":null}"#).unwrap().subscription;
        assert_eq!(types.filter().to_string(), "type:a");
        assert!(types.event_types().is_empty());
        let headers = changed(r#"{"headers":{"X-B":"***","x-c":"3"}}"#)
            .unwrap()
            .headers;
        let headers: Vec<_> = headers.iter().collect();
        assert_eq!(headers, [("x-b", "2"), ("x-c", "3")]);
        let refused = changed(r#"{"headers":{"x-c":"***"}}"#).unwrap_err();
        assert_eq!(refused.code, "bad_header");
        assert_eq!(changed(r#"{"url":null}"#).unwrap_err().code, "bad_field");
        let moved = changed(r#"{"url":"https://a.example/b"}"#).unwrap();
        assert_eq!(moved.headers, before.headers);
        assert_eq!(changed(r#"{"rate_limit":null}"#).unwrap().rate_limit, None);
    }

    #[test]
    fn what_nobody_may_read_does_not_go_to_another_host() {
        let before = with(r#","headers":{"x-a":"1"}"#).unwrap();
        let moved = |host: &str, rest: &str| {
            let mut settings = before.clone();
            let call = call(&format!(r#"{{"url":"{host}/"{rest}}}"#));
            let fields = fields(&call).unwrap();
            change(&mut settings, &fields, PrivateAddresses::Allowed).map(|()| settings)
        };
        for host in [
            "https://b.example",
            "https://a.example:8443",
            "http://a.example",
        ] {
            for rest in ["", r#","headers":{"x-a":"***"}"#] {
                assert_eq!(
                    moved(host, rest).unwrap_err().code,
                    "bad_header",
                    "{host} {rest}"
                );
            }
            let given = moved(host, r#","headers":{"x-a":"2"}"#).unwrap();
            assert_eq!(given.headers.iter().collect::<Vec<_>>(), [("x-a", "2")]);
            let none = moved(host, r#","headers":null"#).unwrap();
            assert_eq!(none.headers, CustomHeaders::default());
        }
    }
}
