//! The life of one message, from `send` to whatever its reader does with it.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::person::Person;
use super::php;
use super::shapes::{
    Allowed, Bounce, Click, Denied, FutureEvent, FutureMsg, MessageEvent, Metadata, MetadataValue,
    Msg, Open, Reject, Reputation, Sender, SmtpEvent, SyncEvent, TrackedMsg, TrackingEvent,
};
use super::words::{
    DEFERRALS, HARD_BOUNCES, MAILINGS, Mailing, PLACES, REJECT_REASONS, SOFT_BOUNCES,
};
use super::{Event, Kind, inbound};
use crate::tools::random::Random;

const DAY: i64 = 24 * 60 * 60;

#[derive(Debug)]
pub(super) struct Story {
    /// What is still to happen, each with the turns to wait for it.
    steps: VecDeque<(u64, Kind)>,
    person: Person,
    mailing: &'static Mailing,
    msg: Msg,
    last_ts: i64,
}

impl Story {
    /// `number` is unique in its run and makes addresses unique.
    pub(super) fn begin(
        number: u64,
        now: i64,
        random: &mut Random,
        regulars: &mut VecDeque<Person>,
    ) -> Self {
        let steps = plan(random);
        // A list entry is identified by its address, so whoever gets on a list is met only once.
        let gets_listed = steps.iter().any(|(_, kind)| kind.action().is_some());
        let person = if !gets_listed && !regulars.is_empty() && random.chance(0.4) {
            let chosen = random.within(0..=regulars.len() as u64 - 1) as usize;
            regulars[chosen].clone()
        } else {
            Person::new(number, random)
        };
        if !gets_listed && random.chance(0.2) {
            regulars.push_front(person.clone());
        }
        let mailing = random.pick(MAILINGS);
        let msg = compose(now, mailing, &person, random);
        Self {
            steps,
            person,
            mailing,
            msg,
            last_ts: now,
        }
    }

    /// Turns until the next step; `None` at the end.
    pub(super) fn gap(&self) -> Option<u64> {
        self.steps.front().map(|(gap, _)| *gap)
    }

    /// Makes the next thing happen.
    pub(super) fn advance(&mut self, now: i64, random: &mut Random) -> Option<Event> {
        let (_, kind) = self.steps.pop_front()?;
        // What happens to a message twice in one second would be the same event twice.
        let may_repeat = matches!(kind, Kind::Deferral | Kind::Open | Kind::Click);
        let ts = now.max(self.last_ts + i64::from(may_repeat));
        self.last_ts = ts;
        let json = match kind {
            Kind::Send => self.tell(kind, ts),
            Kind::Deferral => {
                let diag = random.pick(DEFERRALS);
                self.transmit(ts, "deferred", "deferred", diag, random);
                self.tell(kind, ts)
            }
            Kind::Delivered => {
                self.transmit(ts, "sent", "sent", "250 2.0.0 OK", random);
                self.tell(kind, ts)
            }
            Kind::HardBounce => self.bounce(kind, ts, "bounced", HARD_BOUNCES, random),
            Kind::SoftBounce => self.bounce(kind, ts, "soft-bounced", SOFT_BOUNCES, random),
            Kind::Open | Kind::Click => self.track(kind, ts, random),
            Kind::Spam | Kind::Unsub => {
                self.msg.state = kind.word();
                self.tell(kind, ts)
            }
            Kind::Reject => {
                self.refuse(random);
                self.tell(kind, ts)
            }
            Kind::Inbound => inbound::write(ts, &self.msg._id, &self.person, random),
            Kind::BlacklistAdd | Kind::BlacklistChange | Kind::BlacklistRemove => {
                self.deny(kind, ts, random)
            }
            Kind::WhitelistAdd | Kind::WhitelistRemove => self.allow(kind, ts),
            Kind::Unknown => self.surprise(kind, ts),
        };
        let has_id = kind != Kind::Inbound && kind.action().is_none();
        Some(Event {
            kind,
            message_id: has_id.then(|| self.msg._id.clone()),
            json,
        })
    }

    fn tell(&self, kind: Kind, ts: i64) -> String {
        php::encode(&MessageEvent {
            event: kind.word(),
            msg: &self.msg,
            _id: &self.msg._id,
            ts,
        })
    }

    fn transmit(
        &mut self,
        ts: i64,
        state: &'static str,
        kind: &'static str,
        diag: &'static str,
        random: &mut Random,
    ) {
        self.msg.state = state;
        self.msg.smtp_events.push(SmtpEvent {
            ts,
            kind,
            diag,
            source_ip: format!("198.51.100.{}", random.within(20..=29)),
            destination_ip: format!("203.0.113.{}", random.within(1..=254)),
            size: random.within(4_000..=60_000),
        });
    }

    fn bounce(
        &mut self,
        kind: Kind,
        ts: i64,
        state: &'static str,
        reasons: &[(&'static str, u32, &'static str)],
        random: &mut Random,
    ) -> String {
        let &(bounce_description, bgtools_code, diag) = random.pick(reasons);
        self.transmit(
            ts,
            state,
            "bounced",
            diag.trim_start_matches("smtp;"),
            random,
        );
        self.msg.bounce = Some(Bounce {
            bounce_description,
            bgtools_code,
            diag,
        });
        (self.msg.opens, self.msg.clicks) = (None, None);
        self.tell(kind, ts)
    }

    fn track(&mut self, kind: Kind, ts: i64, random: &mut Random) -> String {
        let person = &self.person;
        let is_located = person.agent.parsed.is_some() && random.chance(0.9);
        let location = is_located.then(|| &PLACES[person.place]);
        let place =
            location.map(|location| format!("{}, {}", location.city, location.country_short));
        let url = (kind == Kind::Click).then(|| {
            format!(
                "{}{}",
                random.pick(self.mailing.links),
                random.within(1_000..=9_999)
            )
        });
        let (ip, ua) = (person.ip.clone(), Some(person.agent.short));
        match &url {
            Some(url) => {
                let click = Click {
                    ts,
                    url: url.clone(),
                    ip,
                    location: place,
                    ua,
                };
                self.msg.clicks.get_or_insert_default().push(click);
            }
            None => {
                self.msg.opens.get_or_insert_default().push(Open {
                    ts,
                    ip,
                    location: place,
                    ua,
                });
            }
        }
        let msg = match random.within(0..=99) {
            0 => TrackedMsg::Null,
            1 => TrackedMsg::Empty([]),
            _ => TrackedMsg::Known(&self.msg),
        };
        php::encode(&TrackingEvent {
            event: kind.word(),
            _id: &self.msg._id,
            msg,
            ts,
            user_agent_parsed: person.agent.parsed.as_ref(),
            ip: &person.ip,
            location,
            user_agent: Some(person.agent.header),
            url: url.as_deref(),
        })
    }

    /// A message that Mandrill did not even try to send.
    fn refuse(&mut self, random: &mut Random) {
        let reason = random.pick(REJECT_REASONS);
        self.msg.state = "rejected";
        if random.chance(0.5) {
            self.msg.reject = Some(Reject::Detailed {
                reason,
                last_event_at: None,
            });
            (self.msg._version, self.msg.metadata, self.msg.template) = (None, None, None);
        } else {
            self.msg.reject = Some(Reject::Reason(reason));
            self.msg.tags = None;
        }
    }

    fn deny(&self, kind: Kind, ts: i64, random: &mut Random) -> String {
        let bounce = self.msg.bounce.as_ref();
        let sender = match random.within(0..=2) {
            0 => None,
            1 => Some(Sender::Address(self.msg.sender)),
            _ => Some(Sender::Reputation(reputation(self.msg.sender, random))),
        };
        let reject = Denied {
            reason: if bounce.is_some() {
                "hard-bounce"
            } else {
                self.msg.state
            },
            detail: bounce.map(|bounce| bounce.diag.trim_start_matches("smtp;")),
            last_event_at: date(ts),
            email: self.person.email.clone(),
            created_at: date(self.msg.ts),
            expires_at: bounce.map(|_| date(ts + 7 * DAY)),
            expired: kind == Kind::BlacklistRemove,
            subaccount: self.msg.subaccount,
            sender,
        };
        let (word, action) = (kind.word(), kind.action());
        php::encode(&SyncEvent {
            kind: word,
            action,
            reject: Some(reject),
            entry: None,
            ts,
        })
    }

    fn allow(&self, kind: Kind, ts: i64) -> String {
        let detail = Some("address confirmed by phone");
        let entry = Allowed {
            email: self.person.email.clone(),
            detail,
            created_at: date(ts),
        };
        let (word, action) = (kind.word(), kind.action());
        php::encode(&SyncEvent {
            kind: word,
            action,
            reject: None,
            entry: Some(entry),
            ts,
        })
    }

    fn surprise(&self, kind: Kind, ts: i64) -> String {
        // Numbers from 555-0100 to 555-0199 are kept for fiction.
        let phone = format!("+1555010{}", ts.rem_euclid(10));
        let msg = FutureMsg {
            ts: self.msg.ts,
            _id: &self.msg._id,
            phone: &phone,
            state: "sent",
        };
        php::encode(&FutureEvent {
            event: kind.word(),
            _id: &self.msg._id,
            ts,
            msg,
        })
    }
}

fn compose(now: i64, mailing: &Mailing, person: &Person, random: &mut Random) -> Msg {
    let number = random.within(7_000..=99_999);
    let metadata = match random.within(0..=9) {
        0..=2 => vec![],
        3 => vec![
            ("order_id", MetadataValue::Text(number.to_string())),
            ("vip", MetadataValue::Text("true".into())),
        ],
        _ => vec![
            ("order_id", MetadataValue::Number(number)),
            ("tenant", MetadataValue::Text("acme".into())),
        ],
    };
    let subject = mailing
        .subject
        .replace("{n}", &number.to_string())
        .replace("{name}", person.first_name());
    Msg {
        ts: now,
        _id: format!("{:016x}{:016x}", random.number(), random.number()),
        _version: Some(version(random)),
        state: "sent",
        subject,
        email: person.email.clone(),
        sender: mailing.sender,
        tags: Some(mailing.tags.to_vec()),
        opens: Some(Vec::new()),
        clicks: Some(Vec::new()),
        smtp_events: Vec::new(),
        resends: [],
        metadata: Some(Metadata(metadata)),
        subaccount: mailing.subaccount,
        template: mailing.template,
        reject: None,
        bounce: None,
    }
}

/// What will happen, in per mille of stories: a shop's traffic, with rare kinds a little more frequent than in life.
fn plan(random: &mut Random) -> VecDeque<(u64, Kind)> {
    let mut steps = vec![(0, Kind::Send)];
    match random.within(0..=999) {
        0..=19 => return [(0, Kind::Reject)].into(),
        20..=44 => return [(0, Kind::Inbound)].into(),
        45..=52 => return [(0, Kind::Unknown)].into(),
        53..=87 => {
            steps.extend([
                (random.within(1..=8), Kind::HardBounce),
                (random.within(1..=3), Kind::BlacklistAdd),
            ]);
            steps.extend(regret(random));
        }
        88..=122 => steps.push((random.within(2..=20), Kind::SoftBounce)),
        123..=172 => {
            steps.push((random.within(1..=6), Kind::Deferral));
            if random.chance(0.3) {
                steps.push((random.within(10..=25), Kind::Deferral));
            }
            steps.push((random.within(10..=40), Kind::Delivered));
            steps.extend(reading(random));
        }
        _ => {
            steps.push((random.within(1..=6), Kind::Delivered));
            steps.extend(reading(random));
        }
    }
    steps.into()
}

/// What follows a delivery.
fn reading(random: &mut Random) -> Vec<(u64, Kind)> {
    let mut steps = Vec::new();
    if !random.chance(0.4) {
        return steps;
    }
    for _ in 0..*random.pick(&[1, 1, 1, 2, 3]) {
        steps.push((random.within(5..=60), Kind::Open));
        if random.chance(0.3) {
            steps.push((random.within(2..=15), Kind::Click));
        }
    }
    match random.within(0..=99) {
        0..=3 => steps.extend([(random.within(5..=30), Kind::Spam), (1, Kind::BlacklistAdd)]),
        4..=8 => steps.extend([
            (random.within(5..=30), Kind::Unsub),
            (1, Kind::BlacklistAdd),
        ]),
        _ => {}
    }
    steps
}

/// What sometimes becomes of a denied address.
fn regret(random: &mut Random) -> Vec<(u64, Kind)> {
    let gap = random.within(10..=40);
    match random.within(0..=9) {
        0..=2 => vec![(gap, Kind::BlacklistChange)],
        3..=5 => vec![(gap, Kind::BlacklistRemove)],
        6 => vec![(gap, Kind::BlacklistRemove), (2, Kind::WhitelistAdd)],
        7 => vec![
            (gap, Kind::BlacklistRemove),
            (2, Kind::WhitelistAdd),
            (20, Kind::WhitelistRemove),
        ],
        _ => vec![],
    }
}

fn reputation(address: &'static str, random: &mut Random) -> Reputation {
    let sent = random.within(40..=40_000);
    Reputation {
        address,
        created_at: "2026-01-05 10:11:12.06801".to_owned(),
        sent,
        hard_bounces: sent / 50,
        soft_bounces: sent / 60,
        rejects: sent / 90,
        complaints: sent / 400,
        unsubs: sent / 200,
        opens: sent / 2,
        clicks: sent / 8,
        unique_opens: sent / 3,
        unique_clicks: sent / 10,
        reputation: random.within(60..=95),
    }
}

/// 22 characters of the URL-safe alphabet.
fn version(random: &mut Random) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..22)
        .map(|_| char::from(*random.pick(ALPHABET)))
        .collect()
}

/// Mandrill's dates in list entries: UTC without saying so.
fn date(ts: i64) -> String {
    let time = Timestamp::from_second(ts).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
