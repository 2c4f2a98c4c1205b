//! Who gets mail.

use super::words::{AGENTS, Agent, DOMAINS, NAMES, PLACES};
use crate::tools::random::Random;

/// A recipient who always reads mail with the same program.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) name: &'static str,
    pub(super) email: String,
    pub(super) ip: String,
    pub(super) agent: &'static Agent,
    pub(super) place: usize,
}

impl Person {
    pub(super) fn new(number: u64, random: &mut Random) -> Self {
        let &(name, mailbox) = random.pick(NAMES);
        // The number tells the people of one run apart, the rest those of two runs in the same second.
        let rest: String = (0..3).map(|_| base36(random.within(0..=35))).collect();
        let email = format!(
            "{mailbox}.{}{rest}@{}",
            base36(number),
            random.pick(DOMAINS)
        );
        let host = random.within(1..=254);
        let ip = match random.within(0..=9) {
            0 => format!("2001:db8::{host:x}"),
            1..=4 => format!("203.0.113.{host}"),
            _ => format!("192.0.2.{host}"),
        };
        let place = random.within(0..=PLACES.len() as u64 - 1) as usize;
        Self {
            name,
            email,
            ip,
            agent: random.pick(AGENTS),
            place,
        }
    }

    pub(super) fn first_name(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or(self.name)
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    while number > 0 || digits.is_empty() {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
    }
    digits.iter().rev().collect()
}
