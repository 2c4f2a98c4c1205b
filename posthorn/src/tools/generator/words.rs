//! The invented world: names, mailings, places, mail programs. Domains and addresses are reserved for documentation
//! (RFC 2606, RFC 5737, RFC 3849).

use super::shapes::{Location, UserAgent};

/// Shown name and what stands before the `@`.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("Ana Díaz", "ana.diaz"),
    ("Noel Brandt", "noel.brandt"),
    ("Mina Okafor", "mina.okafor"),
    ("Jürgen Weiß", "juergen.weiss"),
    ("Sofia Rossi", "sofia"),
    ("Haruka Mori", "h.mori"),
    ("Tomás Novák", "tomas_novak"),
    ("Priya Raman", "priya+shop"),
    ("Liam O'Connor", "liam.oconnor"),
    ("Zeynep Aydın", "zeynep"),
    ("Elin Sjöberg", "elin.sjoberg"),
    ("Chidi Eze", "chidi.eze"),
];

pub(super) const DOMAINS: &[&str] = &[
    "example.com",
    "example.net",
    "example.org",
    "mail.example.net",
    "inbox.example.org",
    "post.example.com",
];

/// One of the things that are sent; `{n}` stands for a number, `{name}` for a first name.
#[derive(Debug)]
pub(super) struct Mailing {
    pub(super) subject: &'static str,
    pub(super) sender: &'static str,
    pub(super) tags: &'static [&'static str],
    pub(super) template: Option<&'static str>,
    pub(super) subaccount: Option<&'static str>,
    /// The links, followed by a number.
    pub(super) links: &'static [&'static str],
}

pub(super) const MAILINGS: &[Mailing] = &[
    Mailing {
        subject: "Your order #{n} has shipped",
        sender: "orders@mail.example.com",
        tags: &["order-shipped"],
        template: Some("order-shipped-v3"),
        subaccount: None,
        links: &[
            "https://shop.example.com/track?utm_source=mail&o=",
            "https://shop.example.com/help/returns?o=",
        ],
    },
    Mailing {
        subject: "Welcome aboard, {name}",
        sender: "hello@example.com",
        tags: &["welcome", "onboarding"],
        template: Some("welcome"),
        subaccount: None,
        links: &[
            "https://app.example.com/start?step=1&u=",
            "https://app.example.com/tour#part-",
        ],
    },
    Mailing {
        subject: "Reset your password",
        sender: "no-reply@accounts.example.com",
        tags: &["password-reset", "security"],
        template: Some("password-reset-v2"),
        subaccount: None,
        links: &["https://accounts.example.com/reset?t="],
    },
    Mailing {
        subject: "Rechnung Nr. {n} für Ihre Bestellung",
        sender: "rechnung@shop.example.com",
        tags: &["invoice"],
        template: Some("invoice-de"),
        subaccount: Some("cust-123"),
        links: &["https://shop.example.com/rechnungen/gr%C3%BC%C3%9Fe/"],
    },
    Mailing {
        subject: "The week in gardens 🌱 No. {n}",
        sender: "news@letters.example.org",
        tags: &["newsletter", "weekly"],
        template: Some("newsletter"),
        subaccount: Some("cust-456"),
        links: &[
            "https://letters.example.org/read/",
            "https://letters.example.org/share?via=mail&n=",
        ],
    },
    Mailing {
        subject: "ご注文 {n} が発送されました",
        sender: "orders@mail.example.com",
        tags: &["order-shipped", "ja"],
        template: Some("order-shipped-ja"),
        subaccount: None,
        links: &["https://shop.example.com/ja/track?o="],
    },
    Mailing {
        subject: "{name} invited you to a project",
        sender: "team@app.example.com",
        tags: &[],
        template: None,
        subaccount: None,
        links: &["https://app.example.com/invitations/"],
    },
];

pub(super) const PLACES: &[Location] = &[
    place(
        "DE",
        "Germany",
        "Hessen",
        "Frankfurt am Main",
        50.1109,
        8.6821,
        "60311",
        "+01:00",
    ),
    place(
        "US",
        "United States",
        "Oregon",
        "Portland",
        45.5202,
        -122.6742,
        "97204",
        "-08:00",
    ),
    place(
        "BR",
        "Brazil",
        "Sao Paulo",
        "São Paulo",
        -23.5475,
        -46.6361,
        "01000",
        "-03:00",
    ),
    place(
        "JP", "Japan", "Tokyo", "Tokyo", 35.6895, 139.6917, "100-0001", "+09:00",
    ),
    place(
        "NG", "Nigeria", "Lagos", "Lagos", 6.4531, 3.3958, "101001", "+01:00",
    ),
    place(
        "SE",
        "Sweden",
        "Stockholms Lan",
        "Stockholm",
        59.3326,
        18.0649,
        "111 21",
        "+01:00",
    ),
];

#[expect(clippy::too_many_arguments, reason = "one row of a table")]
const fn place(
    country_short: &'static str,
    country: &'static str,
    region: &'static str,
    city: &'static str,
    latitude: f64,
    longitude: f64,
    postal_code: &'static str,
    timezone: &'static str,
) -> Location {
    Location {
        country_short,
        country,
        region,
        city,
        latitude,
        longitude,
        postal_code,
        timezone,
    }
}

/// A mail program: its header, its short form inside a message, and what Mandrill makes of it.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) header: &'static str,
    pub(super) short: &'static str,
    pub(super) parsed: Option<UserAgent>,
}

pub(super) const AGENTS: &[Agent] = &[
    Agent {
        header: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
        short: "Mobile/iOS/Mobile Safari",
        parsed: Some(agent(
            "Email Client",
            "Mobile Safari",
            "Mobile Safari 18.1",
            Some("18.1"),
            "iOS",
            "iOS 18",
            true,
        )),
    },
    Agent {
        header: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        short: "Windows/Windows 10/Chrome/Chrome 142.0.0.0",
        parsed: Some(agent(
            "Browser",
            "Chrome",
            "Chrome 142.0.0.0",
            Some("142.0.0.0"),
            "Windows",
            "Windows 10",
            false,
        )),
    },
    Agent {
        header: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Thunderbird/145.0",
        short: "Linux/Linux/Thunderbird/Thunderbird 145.0",
        parsed: Some(agent(
            "Email Client",
            "Thunderbird",
            "Thunderbird 145.0",
            Some("145.0"),
            "Linux",
            "Linux",
            false,
        )),
    },
    Agent {
        header: "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Mobile Safari/537.36",
        short: "Android/Android 16/Chrome Mobile",
        parsed: Some(agent(
            "Mobile Browser",
            "Chrome Mobile",
            "Chrome Mobile 142.0",
            None,
            "Android",
            "Android 16",
            true,
        )),
    },
    Agent {
        header: "GoogleImageProxy",
        short: "Unknown/Unknown/GoogleImageProxy",
        parsed: None,
    },
];

const fn agent(
    kind: &'static str,
    ua_family: &'static str,
    ua_name: &'static str,
    ua_version: Option<&'static str>,
    os_family: &'static str,
    os_name: &'static str,
    mobile: bool,
) -> UserAgent {
    UserAgent {
        kind,
        ua_family,
        ua_name,
        ua_version,
        ua_url: "http://browsers.example.com/",
        ua_company: "Example Browser Makers, Inc.",
        ua_company_url: "http://www.example.com/",
        ua_icon: "http://cdn.example.com/img/browser.png",
        os_family,
        os_name,
        os_url: "http://systems.example.com/",
        os_company: "Example Systems Corp.",
        os_company_url: "http://www.example.org/",
        os_icon: "http://cdn.example.com/img/system.png",
        mobile,
    }
}

/// Description, code and SMTP text of bounces that are for good.
pub(super) const HARD_BOUNCES: &[(&str, u32, &str)] = &[
    (
        "bad_mailbox",
        10,
        "smtp;550 5.1.1 The email account that you tried to reach does not exist.",
    ),
    (
        "bad_mailbox",
        10,
        "smtp;550 5.1.1 <unknown>: Recipient address rejected: User unknown in local table",
    ),
    (
        "invalid_domain",
        21,
        "smtp;550 5.1.2 Host or domain name not found",
    ),
];

/// The same for those that may pass.
pub(super) const SOFT_BOUNCES: &[(&str, u32, &str)] = &[
    (
        "mailbox_full",
        22,
        "smtp;552 5.2.2 Over quota: the mailbox is full",
    ),
    ("general", 40, ""),
];

pub(super) const DEFERRALS: &[&str] = &[
    "451 4.3.5 Temporarily unavailable, try again later.",
    "421 4.7.0 Too many connections from your IP, slow down",
];

pub(super) const REJECT_REASONS: &[&str] = &[
    "hard-bounce",
    "soft-bounce",
    "spam",
    "unsub",
    "custom",
    "invalid-sender",
    "invalid",
    "unsigned",
    "rule",
];

/// What people write to the inbound route.
pub(super) const INBOUND: &[(&str, &str)] = &[
    (
        "Where is my parcel?",
        "Hello,\n\nit should have come on Monday.\n\nThanks",
    ),
    (
        "Pregunta sobre la factura",
        "Hola,\n\n¿podría enviarme la factura otra vez?\n",
    ),
    ("Re: Your order has shipped", "Great, thank you!\n"),
];
