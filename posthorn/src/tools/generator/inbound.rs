//! Mail that came in: the whole message, and what Mandrill made of it.

use super::person::Person;
use super::php;
use super::shapes::{Dkim, Headers, InboundEvent, InboundMsg, SpamReport, SpamRule, Spf};
use super::words::INBOUND;
use crate::tools::random::Random;

const ADDRESS: &str = "support@in.example.com";

/// `id` becomes the `Message-Id`, which makes the raw message unique.
pub(super) fn write(ts: i64, id: &str, from: &Person, random: &mut Random) -> String {
    let &(subject, text) = random.pick(INBOUND);
    let is_html_only = random.chance(0.2);
    let html = format!("<p>{}</p>", text.trim().replace('\n', "<br>"));
    let headers = headers(id, from, subject, is_html_only);
    let msg = InboundMsg {
        raw_msg: raw(&headers, if is_html_only { &html } else { text }),
        headers,
        text: (!is_html_only).then(|| text.to_owned()),
        text_flowed: false,
        html: is_html_only.then_some(html),
        from_email: from.email.clone(),
        from_name: (!is_html_only).then_some(from.name),
        to: vec![(ADDRESS, (!is_html_only).then_some("Support"))],
        email: ADDRESS,
        subject: subject.to_owned(),
        tags: [],
        sender: None,
        template: None,
        spam_report: spam_report(random),
        dkim: Dkim {
            signed: !is_html_only,
            valid: !is_html_only,
        },
        // Usual for legitimate mail, too.
        spf: Spf {
            result: "none",
            detail: "",
        },
    };
    php::encode(&InboundEvent {
        event: "inbound",
        ts,
        msg,
    })
}

fn headers(id: &str, from: &Person, subject: &str, is_html_only: bool) -> Headers {
    let relay = "from out.example.org (unknown [198.51.100.7]) by relay-3.example (Postfix)";
    let origin = format!(
        "by out.example.org with ESMTPSA id {}",
        &id[..id.len().min(8)]
    );
    Headers {
        received: vec![relay.to_owned(), origin],
        mime_version: "1.0",
        message_id: format!("<{id}@mail.example.org>"),
        from: format!("{} <{}>", from.name, from.email),
        to: "Support <support@in.example.com>",
        subject: subject.to_owned(),
        content_type: if is_html_only {
            "text/html; charset=utf-8"
        } else {
            "text/plain; charset=utf-8"
        },
    }
}

/// The message as it came over the wire.
fn raw(headers: &Headers, body: &str) -> String {
    let mut lines: Vec<String> = headers
        .received
        .iter()
        .map(|hop| format!("Received: {hop}"))
        .collect();
    lines.push(format!("Mime-Version: {}", headers.mime_version));
    lines.push(format!("Message-Id: {}", headers.message_id));
    lines.push(format!("From: {}", headers.from));
    lines.push(format!("To: {}", headers.to));
    lines.push(format!("Subject: {}", headers.subject));
    lines.push(format!("Content-Type: {}", headers.content_type));
    format!("{}\n\n{body}\n", lines.join("\n"))
}

fn spam_report(random: &mut Random) -> SpamReport {
    let known = SpamRule {
        name: Some("RCVD_IN_DNSWL_LOW"),
        score: -0.7,
        description: Some("RBL: Sender listed, low trust"),
    };
    // Rules without a name occur.
    let nameless = SpamRule {
        name: None,
        score: 0.1,
        description: None,
    };
    match random.within(0..=2) {
        0 => SpamReport {
            score: 0.5,
            matched_rules: vec![],
        },
        1 => SpamReport {
            score: -0.7,
            matched_rules: vec![known],
        },
        _ => SpamReport {
            score: -0.6,
            matched_rules: vec![known, nameless],
        },
    }
}
