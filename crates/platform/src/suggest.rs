//! What a caller may have meant by a name that there is not: a name of another service for the same
//! thing, another way of writing one of ours, or a misspelling of it.

/// Our names, and what mailing and webhook services call the same, in lower case and without `_` and
/// `-`. (The API references of Stripe, Svix, GitHub, Mandrill, Mailgun, Postmark, Resend, Hookdeck.)
const OTHERS: &[(&str, &[&str])] = &[
    (
        "url",
        &[
            "targeturl",
            "target",
            "endpoint",
            "endpointurl",
            "callback",
            "callbackurl",
            "hook",
            "hookurl",
            "webhook",
            "webhookurl",
            "notifyurl",
            "notificationurl",
            "destination",
            "destinationurl",
            "deliveryurl",
            "posturl",
            "uri",
            "href",
            "link",
            "address",
            "config",
            "targeturi",
            "listenerurl",
        ],
    ),
    (
        "event_types",
        &[
            "enabledevents",
            "filtertypes",
            "events",
            "event",
            "types",
            "type",
            "topics",
            "topic",
            "subscribedevents",
            "subscriptions",
            "triggers",
            "eventtype",
            "eventnames",
        ],
    ),
    (
        "type",
        &[
            "event",
            "eventtype",
            "eventname",
            "name",
            "kind",
            "topic",
            "action",
            "trigger",
            "recordtype",
        ],
    ),
    (
        "description",
        &[
            "desc",
            "name",
            "label",
            "title",
            "displayname",
            "comment",
            "note",
            "notes",
        ],
    ),
    (
        "headers",
        &["customheaders", "httpheaders", "header", "requestheaders"],
    ),
    (
        "retry_schedule",
        &[
            "retries",
            "retry",
            "retrypolicy",
            "retrystrategy",
            "retryconfig",
            "retryrule",
            "maxretries",
            "backoff",
        ],
    ),
    (
        "rate_limit",
        &[
            "throttle",
            "throttlerate",
            "throttling",
            "maxrps",
            "ratelimitpersecond",
        ],
    ),
    (
        "filter",
        &[
            "query",
            "q",
            "search",
            "filters",
            "where",
            "rule",
            "rules",
            "condition",
            "conditions",
            "expression",
        ],
    ),
    (
        "data",
        &[
            "payload",
            "body",
            "content",
            "attributes",
            "properties",
            "object",
            "message",
            "params",
            "eventdata",
        ],
    ),
    (
        "message_id",
        &["id", "msgid", "emailid", "mailid", "sgmessageid", "smtpid"],
    ),
    (
        "recipient",
        &[
            "to",
            "email",
            "emailaddress",
            "rcpt",
            "rcptto",
            "address",
            "user",
        ],
    ),
    ("sender", &["from", "fromemail", "fromaddress", "mailfrom"]),
    (
        "occurred_at",
        &[
            "timestamp",
            "ts",
            "time",
            "date",
            "datetime",
            "created",
            "createdat",
            "eventtime",
            "at",
            "receivedat",
        ],
    ),
    ("tags", &["labels", "categories", "category", "keywords"]),
    (
        "metadata",
        &[
            "meta",
            "customdata",
            "customargs",
            "uniqueargs",
            "uservariables",
            "custom",
            "variables",
            "extra",
        ],
    ),
    (
        "subaccount",
        &[
            "account",
            "accountid",
            "tenant",
            "tenantid",
            "customer",
            "organization",
        ],
    ),
    ("template", &["templateid", "templatename", "templatealias"]),
    ("subject", &["title"]),
    (
        "overlap_hours",
        &[
            "overlap",
            "graceperiod",
            "gracehours",
            "expiresin",
            "expireafter",
            "hours",
        ],
    ),
    (
        "reason",
        &[
            "message",
            "comment",
            "note",
            "description",
            "disabledreason",
        ],
    ),
    (
        "since",
        &[
            "from",
            "start",
            "starttime",
            "startingat",
            "begin",
            "createdafter",
        ],
    ),
    (
        "after",
        &[
            "cursor",
            "next",
            "startingafter",
            "iterator",
            "pagetoken",
            "nexttoken",
            "position",
            "offset",
            "page",
            "sinceid",
        ],
    ),
    ("before", &["endingbefore", "previous", "until"]),
    (
        "from",
        &[
            "since",
            "start",
            "starttime",
            "datefrom",
            "begin",
            "createdafter",
        ],
    ),
    (
        "to",
        &["until", "end", "endtime", "dateto", "createdbefore"],
    ),
    (
        "limit",
        &[
            "perpage",
            "pagesize",
            "size",
            "count",
            "max",
            "maxresults",
            "first",
            "top",
        ],
    ),
    (
        "ticket",
        &["token", "accesstoken", "auth", "apikey", "key", "jwt"],
    ),
    ("wait", &["timeout", "waitseconds", "waittime", "poll"]),
    ("last", &["tail", "replay", "history", "backlog"]),
];

/// What other services set by a field and Posthorn does otherwise.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &[
            "secret",
            "signingsecret",
            "webhooksecret",
            "secretkey",
            "key",
        ],
        "Posthorn creates the signing secret; `POST …/rotate-secret` replaces it",
    ),
    (
        &[
            "active",
            "enabled",
            "disabled",
            "isactive",
            "isenabled",
            "disable",
            "enable",
            "status",
            "state",
            "paused",
        ],
        "use `POST …/enable` and `POST …/disable`",
    ),
    (
        &["ttl", "expiresin", "expiresat", "expires", "lifetime"],
        "the lifetime is fixed",
    ),
];

/// The longest name that is compared by its letters.
const LONGEST: usize = 40;

/// What to add to the refusal of a name: `; did you mean …?`, else which names are allowed.
#[must_use]
pub fn hint(name: &str, known: &[&str]) -> String {
    match meant(name, known) {
        Some(ours) => format!("; did you mean `{ours}`?"),
        None => elsewhere(name, known)
            .map_or_else(|| allowed(known), |sentence| format!("; {sentence}")),
    }
}

fn allowed(known: &[&str]) -> String {
    match known {
        [] => "; none are allowed".to_owned(),
        names => format!("; allowed: `{}`", names.join("`, `")),
    }
}

fn meant<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = plain(name);
    let written_otherwise = known.iter().find(|ours| self::plain(ours) == plain);
    let of_others = || {
        let mut others = OTHERS.iter().filter(|(_, names)| names.contains(&&*plain));
        others.find_map(|(ours, _)| known.iter().find(|known| *known == ours))
    };
    written_otherwise
        .or_else(of_others)
        .or_else(|| misspelt(&plain, known))
        .copied()
}

/// The nearest name, if no more than one letter in three is wrong.
fn misspelt<'a, 'k>(plain: &str, known: &'a [&'k str]) -> Option<&'a &'k str> {
    if plain.len() > LONGEST {
        return None;
    }
    let distance = |ours: &&'k str| strsim::osa_distance(plain, &self::plain(ours));
    let nearest = known.iter().min_by_key(|ours| distance(ours))?;
    (distance(nearest) * 3 <= plain.chars().count()).then_some(nearest)
}

/// Only where endpoints and tickets are described: elsewhere nobody means that.
fn elsewhere(name: &str, known: &[&str]) -> Option<&'static str> {
    let is_endpoint = known.contains(&"url");
    let is_ticket = known == ["filter"];
    let plain = plain(name);
    let (at, (_, sentence)) = ELSEWHERE
        .iter()
        .enumerate()
        .find(|(_, (names, _))| names.contains(&&*plain))?;
    let is_meant = if at < 2 { is_endpoint } else { is_ticket };
    is_meant.then_some(*sentence)
}

/// In lower case and without what separates words: `eventTypes`, `event-types` and `Event_Types` are
/// written alike.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '-' | ' ' | '.'))
        .flat_map(char::to_lowercase)
        .take(LONGEST + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: [&str; 7] = [
        "url",
        "description",
        "filter",
        "event_types",
        "headers",
        "retry_schedule",
        "rate_limit",
    ];
    const EVENT: [&str; 11] = [
        "type",
        "data",
        "message_id",
        "recipient",
        "sender",
        "subject",
        "tags",
        "subaccount",
        "template",
        "metadata",
        "occurred_at",
    ];

    #[test]
    fn a_name_of_another_service_is_said_in_ours() {
        for (name, known, ours) in [
            ("target_url", &ENDPOINT[..], "url"),
            ("endpoint", &ENDPOINT, "url"),
            ("callbackUrl", &ENDPOINT, "url"),
            ("config", &ENDPOINT, "url"),
            ("enabled_events", &ENDPOINT, "event_types"),
            ("filterTypes", &ENDPOINT, "event_types"),
            ("events", &ENDPOINT, "event_types"),
            ("name", &ENDPOINT, "description"),
            ("rateLimit", &ENDPOINT, "rate_limit"),
            ("event", &EVENT, "type"),
            ("name", &EVENT, "type"),
            ("payload", &EVENT, "data"),
            ("timestamp", &EVENT, "occurred_at"),
            ("MessageID", &EVENT, "message_id"),
            ("to", &EVENT, "recipient"),
            ("from", &EVENT, "sender"),
            ("per_page", &["after", "limit"], "limit"),
            ("starting_after", &["after", "limit"], "after"),
            ("query", &["filter"], "filter"),
        ] {
            assert_eq!(meant(name, known), Some(ours), "{name}");
        }
    }

    #[test]
    fn a_misspelling_is_corrected_and_another_word_is_not() {
        for (name, ours) in [
            ("fliter", "filter"),
            ("ulr", "url"),
            ("desciption", "description"),
            ("event_type", "event_types"),
            ("ratelimits", "rate_limit"),
            ("Headers", "headers"),
        ] {
            assert_eq!(meant(name, &ENDPOINT), Some(ours), "{name}");
        }
        for name in ["", "colour", "x", "zzz", &"filter".repeat(1_000)] {
            assert_eq!(meant(name, &ENDPOINT), None, "{name}");
        }
        assert_eq!(
            hint("colour", &["after", "limit"]),
            "; allowed: `after`, `limit`"
        );
        assert_eq!(hint("anything", &[]), "; none are allowed");
    }

    #[test]
    fn what_is_done_otherwise_is_said_in_a_sentence() {
        assert!(hint("secret", &ENDPOINT).contains("rotate-secret"));
        assert!(hint("disabled", &ENDPOINT).contains("/disable`"));
        assert!(hint("expires_in", &["filter"]).contains("fixed"));
        assert!(hint("secret", &EVENT).starts_with("; allowed: `type`"));
    }

    #[test]
    fn the_names_of_others_are_written_plainly() {
        let names = OTHERS.iter().flat_map(|(_, names)| names.iter());
        for name in names.chain(ELSEWHERE.iter().flat_map(|(names, _)| names.iter())) {
            assert_eq!(plain(name), *name);
        }
    }
}
