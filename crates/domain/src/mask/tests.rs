mod spellings;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::text::masked as text;
use super::*;
use crate::event::Source;
use crate::{EventId, Feed, Millis};

fn raw(json: &str) -> Option<Cow<'static, RawValue>> {
    RawValue::from_string(json.to_owned()).ok().map(Cow::Owned)
}

fn event(content: Content<'static>) -> Event<'static> {
    Event {
        id: EventId::of_content(&[b"m"], 1, &[b"f"], 0),
        received_at: Millis(1_795_300_005_123),
        content,
        data: Some(r#"{"msg":{"email":"reader1@example.net"}}"#.into()),
    }
}

fn click() -> Content<'static> {
    Content {
        webhook: Some("main".into()),
        recipient: Some("reader1@example.net".into()),
        sender: Some("orders@shop.example".into()),
        subject: Some("Your order has shipped".into()),
        tags: vec!["order-shipped".into()],
        metadata: raw(r#"{"user":"reader1"}"#),
        detail: Detail {
            url: Some("https://shop.example/orders/70814?u=reader1#top".into()),
            ip: Some("192.0.2.17".into()),
            user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0".into()),
            location: raw(
                r#"{"country_short":"DE","country":"Germany","region":"Hesse","city":"Frankfurt am Main","latitude":50.1}"#,
            ),
            diag: Some("smtp; 550 no such user reader1".into()),
            ..Detail::default()
        },
        ..Content::new("click", Source::Mandrill)
    }
}

#[test]
fn a_masked_event_says_what_happened_and_not_to_whom() {
    let event = event(click());
    let masked = event.masked();
    assert_eq!(
        (masked.id, masked.received_at),
        (event.id, event.received_at)
    );
    assert_eq!(masked.data, None);
    let content = serde_json::to_value(&masked.content).unwrap();
    assert_eq!(
        content,
        serde_json::json!({
            "type": "click", "source": "mandrill", "webhook": "main", "ts": null,
            "message_id": null, "recipient": "***@example.net", "sender": "***@shop.example",
            "subject": "Your order has shipped", "tags": ["order-shipped"], "subaccount": null,
            "template": null, "metadata": null,
            "detail": {
                "url": "https://shop.example/orders/70814", "ip": "***",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0",
                "location": { "country_short": "DE", "country": "Germany" },
            },
        })
    );
}

#[test]
fn what_needs_no_mask_is_not_copied() {
    let event = event(click());
    let masked = event.masked().content;
    assert!(matches!(masked.subject, Some(Cow::Borrowed(_))));
    assert!(matches!(masked.detail.url, Some(Cow::Borrowed(_))));
    assert!(matches!(masked.detail.user_agent, Some(Cow::Borrowed(_))));
    assert!(matches!(masked.tags[..], [Cow::Borrowed(_)]));
}

#[test]
fn a_location_without_a_country_is_dropped() {
    for location in [
        r#"{"city":"Bonn"}"#,
        "[]",
        r#"{"country":7}"#,
        r#"{"country":null}"#,
    ] {
        let location = raw(location).unwrap();
        assert!(country(&location).is_none(), "{location}");
    }
    let odd = raw(r#"{"country":"a@b.example 192.0.2.1"}"#).unwrap();
    assert_eq!(
        country(&odd).unwrap().get(),
        r#"{"country":"***@b.example ***"}"#
    );
}

#[test]
fn recipient_and_sender_keep_nothing_but_a_domain() {
    for (whole, left) in [
        ("Reader One <reader1@example.net>", "***@example.net"),
        ("\"reader one\"@example.net", "***@example.net"),
        ("***@example.net", "***@example.net"),
        ("ünï@bücher.example", "***@bücher.example"),
        ("reader1@[192.0.2.1]", "***"),
        ("reader1@192.0.2.1", "***"),
        ("reader1@", "***"),
        ("reader1%40example.net", "***"),
        ("reader1", "***"),
        ("", "***"),
    ] {
        assert_eq!(masked_address(whole), left, "{whole}");
    }
}

#[test]
fn addresses_are_found_in_texts_of_any_kind() {
    for (whole, left) in [
        ("Hello reader1@example.net!", "Hello ***@example.net!"),
        (
            "<a@b.example>,c@d.example;",
            "<***@b.example>,***@d.example;",
        ),
        ("\"a b@c\"@d.example", "***@d.example"),
        (r#"say "a \" b"@d.example"#, "say ***@d.example"),
        ("a@b@c.example", "***@c.example"),
        ("john(home)@d.example", "***@d.example"),
        ("a@[b@c]", "***@c]"),
        ("größe@x.example", "***@x.example"),
        ("@team, meet @ 5 and 50% off", "*** meet @ 5 and 50% off"),
        ("to a%40b.example now", "to *** now"),
        ("a%252540b.example", "***"),
        ("x 100%25@y.example", "x ***"),
        ("from 192.0.2.17:25, 10.0.0.1.", "from ***:25, ***"),
        ("192.0.2.17", "***"),
        ("1.2.3 at 12:30:45", "1.2.3 at 12:30:45"),
        (
            "[2001:db8::17]:443 ::1 fe80::1%eth0",
            "[***]:443 *** ***%eth0",
        ),
        ("2001:db8:0:0:0:0:0:17", "***"),
        ("::ffff:192.0.2.1 0:0:0:0:0:ffff:192.0.2.1", "*** ***"),
        ("00:11:22:33:44:55", "00:11:22:33:44:55"),
        ("Chrome/130.0.0.0 Safari/537.36", "Chrome/*** Safari/537.36"),
        ("a:b::c", "***"),
    ] {
        assert_eq!(text(whole), left, "{whole}");
    }
}

#[test]
fn links_lose_query_fragment_and_user_and_addresses_in_their_path() {
    for (whole, left) in [
        ("https://a.example/b/c", "https://a.example/b/c"),
        ("https://a.example/b?c=d", "https://a.example/b"),
        ("https://a.example#b@c", "https://a.example"),
        ("https://me:secret@a.example/b", "https://a.example/b"),
        ("//me@a.example/", "//a.example/"),
        ("https:\\\\me@a.example\\b", "https:\\\\a.example\\b"),
        ("me:secret@a.example/b", "***@a.example/b"),
        ("mailto:me@a.example?subject=x", "***@a.example"),
        (
            "https://a.example/u/me@b.example/x",
            "https://a.example/u/***/x",
        ),
        (
            "https://a.example/u=me%40b.example/x",
            "https://a.example/***/x",
        ),
        (
            "https://a.example/%22m%20e%22%2540b.example",
            "https://a.example/***",
        ),
        ("http://192.0.2.17:80/192.0.2.17/", "http://***:80/***/"),
        ("http://192%2E0%2E2%2E17/", "http://***/"),
        ("http://[2001:db8::17]/", "http://[***]/"),
        ("/u/me@b.example", "/u/***"),
        ("", ""),
    ] {
        assert_eq!(url::masked(whole), left, "{whole}");
    }
}

/// A local part that can be told from all else in an event, and an address with it.
fn address() -> impl Strategy<Value = (String, String)> {
    let local = select(vec![
        "QZ{}",
        "QZ.{}",
        "QZ+{}",
        "QZ-{}'s",
        "QZ={}",
        "\"QZ {}\"",
        "\"QZ@{}\"",
        "\"QZ\\\"{}\"",
        "QZé{}ü",
        "屋QZ{}",
    ]);
    let domain = select(vec![
        "example.net",
        "mail.example",
        "bücher.example",
        "[192.0.2.99]",
        "192.0.2.99",
    ]);
    (local, "[a-z0-9]{1,6}", domain).prop_map(|(local, random, domain)| {
        let local = local.replace("{}", &random);
        let address = format!("{local}@{domain}");
        (local, address)
    })
}

fn ip() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
        any::<[u8; 16]>().prop_map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        // With zeros to leave out.
        any::<(u16, u16)>().prop_map(|(a, b)| {
            std::net::Ipv6Addr::new(0x2001, a.max(1), 0, 0, 0, 0, 0, b.max(1)).to_string()
        }),
        any::<[u8; 4]>()
            .prop_map(|bytes| { std::net::Ipv4Addr::from(bytes).to_ipv6_mapped().to_string() }),
        any::<[u16; 8]>().prop_map(|parts| parts.map(|part| format!("{part:X}")).join(":")),
    ]
}

fn percent_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The same thing in the clothes in which it may come.
fn dressed(thing: &str, how: usize) -> String {
    match how {
        0 => thing.to_owned(),
        1 => format!("Reader <{thing}>, and others"),
        2 => format!("https://a.example/u/{thing}/x"),
        3 => format!("https://a.example/u/{}/x", percent_encoded(thing)),
        4 => format!("see {}.", percent_encoded(&percent_encoded(thing))),
        5 => format!("https://a.example/?u={thing}#{thing}"),
        6 => format!("[{thing}]"),
        7 => format!("https://{thing}/x"),
        8 => format!("client={thing};from={thing}"),
        9 => format!("<mailto:{thing}> @ {thing}"),
        10 => format!("Grüße {thing}\t\"{thing}\""),
        _ => format!("({thing})"),
    }
}

fn content(texts: &[String]) -> Content<'static> {
    let one = |index: usize| Cow::Owned(texts[index % texts.len()].clone());
    let some = |index: usize| Some(one(index));
    let json = |index: usize| {
        raw(&serde_json::json!({ "country": one(index), "city": one(index) }).to_string())
    };
    Content {
        webhook: some(0),
        message_id: some(1),
        recipient: some(2),
        sender: some(3),
        subject: some(4),
        tags: vec![one(5), one(6)],
        subaccount: some(7),
        template: some(8),
        metadata: json(9),
        detail: Detail {
            url: some(10),
            ip: some(11),
            user_agent: some(12),
            location: json(13),
            diag: some(14),
            bounce_description: some(15),
            reason: some(16),
        },
        ..Content::new(one(17), Source::Api)
    }
}

/// The text itself, and all that decoding its percent signs makes of it.
fn layers(text: &str) -> Vec<String> {
    let mut layers = vec![text.to_owned()];
    while let Some(last) = layers.last().filter(|last| last.contains('%')) {
        let mut decoded = Vec::new();
        let mut rest = last.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            let byte = hex
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                .filter(|_| first == b'%');
            decoded.push(byte.unwrap_or(first));
            rest = if byte.is_some() { &after[2..] } else { after };
        }
        let decoded = String::from_utf8_lossy(&decoded).into_owned();
        if decoded == *last {
            break;
        }
        layers.push(decoded);
    }
    layers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_address_of_an_event_is_left_in_it(found in vec((address(), ip(), 0..12_usize, 0..12_usize), 1..18)) {
        let texts: Vec<_> = found
            .iter()
            .map(|((_, address), ip, one, other)| format!("{} {}", dressed(address, *one), dressed(ip, *other)))
            .collect();
        let event = event(content(&texts));
        let shown = event.masked().to_json(&Feed::new("f"));
        for text in layers(&shown) {
            for ((local, address), ip, ..) in &found {
                for secret in [local, address, ip] {
                    let escaped = serde_json::to_string(secret).unwrap();
                    let escaped = &escaped[1..escaped.len() - 1];
                    prop_assert!(!text.contains(secret.as_str()) && !text.contains(escaped), "{} in {}", secret, text);
                }
            }
        }
    }

    #[test]
    fn masking_any_text_never_panics_and_twice_is_once(whole in prop_oneof![".{0,60}", "[a-f0-9@%:./?#\\[\\]\"\\\\ *<,é]{0,40}", "(@|%|25|40|&#|64|;|x|\\(|\\)|at|dot|\\.|=|\\?|\"|\\\\|u00|\u{200B}|\u{FF20}| |\\*|1){0,30}"]) {
        let event = event(content(std::slice::from_ref(&whole)));
        let once = event.masked();
        let feed = Feed::new("f");
        prop_assert_eq!(once.masked().to_json(&feed), once.to_json(&feed));
    }

    #[test]
    fn before_each_at_sign_there_is_a_mask_or_nothing(whole in "([ab]|@|\"|\\\\|\\(|\\)|\\[|\\]|<|>|,|:|\\.| |%|40|\u{200B}|\\*){0,24}") {
        let shown = text(&whole);
        for (at, _) in shown.match_indices('@') {
            let before = shown[..at].trim_end_matches(super::reading::is_invisible);
            let is_masked = before.is_empty() || before.ends_with(char::is_whitespace) || before.ends_with(MASK);
            prop_assert!(is_masked, "{:?} {:?}", whole, shown);
        }
    }
}
