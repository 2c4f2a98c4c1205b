//! `posthorn cost`: what a workload costs on AWS in a month, foreseen.

pub mod model;

use serde_json::{Value, json};

use super::{ToolError, out};
use crate::bill::prices::{Line, Prices, prices, total};

use model::{Month, Part, Workload};

const BYTES_PER_KB: f64 = 1024.0;
const MILLION: f64 = 1e6;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Events that Mandrill posts in a day
    #[arg(long, value_name = "N", value_parser = positive, allow_negative_numbers = true)]
    events_per_day: f64,
    /// People who watch
    #[arg(long, value_name = "N", default_value = "0", value_parser = quantity, allow_negative_numbers = true)]
    viewers: f64,
    /// Hours of a day that each of them watches
    #[arg(long, value_name = "HOURS", default_value = "8", value_parser = hours, allow_negative_numbers = true)]
    viewer_hours: f64,
    /// Part of the events that each of them wants, from 0 to 1: what their filter lets pass
    #[arg(long, value_name = "FRACTION", default_value = "1", value_parser = fraction, allow_negative_numbers = true)]
    wanted: f64,
    /// Endpoints that get every event, and take it at once
    #[arg(long, value_name = "N", default_value = "0", value_parser = quantity, allow_negative_numbers = true)]
    endpoints: f64,
    /// Events in one POST, on average
    #[arg(long, value_name = "N", default_value = "10", value_parser = batch, allow_negative_numbers = true)]
    batch: f64,
    /// Size of an event's JSON in KB, on average
    #[arg(long, value_name = "KB", default_value = "1.5", value_parser = positive, allow_negative_numbers = true)]
    event_kb: f64,
    /// Days that an event is kept (`RetentionDays`)
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = positive, allow_negative_numbers = true)]
    retention_days: f64,
    /// Functions for `x86_64` instead of arm64
    #[arg(long)]
    x86_64: bool,
    /// Log warnings and metrics only (`LogLevel=WARN`)
    #[arg(long)]
    quiet: bool,
    /// Without X-Ray traces
    #[arg(long)]
    untraced: bool,
    /// Take off what AWS gives away each month
    #[arg(long)]
    free_tier: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the month's bill.
pub fn run(args: &Args) -> Result<(), ToolError> {
    let prices = prices().map_err(|error| ToolError::Failed(error.to_string()))?;
    let forecast = Forecast::new(&args.workload(), prices, args.free_tier);
    let text = if args.json {
        forecast.to_json().to_string()
    } else {
        forecast.to_text()
    };
    out::line(&text)
}

impl Args {
    fn workload(&self) -> Workload {
        Workload {
            events_per_day: self.events_per_day,
            batch: self.batch.min(self.events_per_day.max(1.0)),
            event_bytes: self.event_kb * BYTES_PER_KB,
            retention_days: self.retention_days,
            viewers: self.viewers,
            viewer_hours: self.viewer_hours,
            wanted: self.wanted,
            endpoints: self.endpoints,
            is_arm64: !self.x86_64,
            logs_info: !self.quiet,
            is_traced: !self.untraced,
        }
    }
}

/// A month's quantities with their prices.
struct Forecast {
    region: &'static str,
    month: Month,
    parts: Vec<(Part, Vec<Line>)>,
    /// What is free each month; taken off once, and not from each part.
    free: f64,
}

impl Forecast {
    fn new(workload: &Workload, prices: &'static Prices, free_tier: bool) -> Forecast {
        let month = workload.month();
        let priced = month.parts.iter();
        let parts: Vec<_> = priced
            .map(|(part, usage)| (*part, prices.lines(usage, false)))
            .collect();
        let all = month.all();
        let charged = |free| total(&prices.lines(&all, free));
        Forecast {
            region: &prices.region,
            free: if free_tier {
                charged(false) - charged(true)
            } else {
                0.0
            },
            parts,
            month,
        }
    }

    fn usd(&self) -> f64 {
        self.parts
            .iter()
            .map(|(_, lines)| total(lines))
            .sum::<f64>()
            - self.free
    }

    fn of(&self, wanted: Part) -> f64 {
        let part = self.parts.iter().find(|(part, _)| *part == wanted);
        part.map_or(0.0, |(_, lines)| total(lines))
    }

    fn per_million_stored(&self) -> f64 {
        self.of(Part::Intake) / self.month.events * MILLION
    }

    fn per_million_kept(&self) -> f64 {
        self.of(Part::Keeping) / self.month.events * MILLION
    }

    /// None when nothing is pushed.
    fn per_million_pushed(&self) -> Option<f64> {
        let pushed = self.month.pushed;
        (pushed > 0.0).then(|| self.of(Part::Push) / pushed * MILLION)
    }

    fn to_text(&self) -> String {
        let mut text = format!("A month of 30 days in {}, in US dollars\n", self.region);
        for (part, lines) in &self.parts {
            if total(lines) == 0.0 {
                continue;
            }
            text.push_str(&format!("\n{:<60}{:>14.2}\n", title(*part), total(lines)));
            for line in lines.iter().filter(|line| line.quantity > 0.0) {
                text.push_str(&row(line));
            }
        }
        if self.free > 0.0 {
            text.push_str(&format!(
                "\n{:<60}{:>14.2}\n",
                "free each month", -self.free
            ));
        }
        text.push_str(&format!("\n{:<60}{:>14.2}\n", "altogether", self.usd()));
        text.push_str(&self.ratios());
        text
    }

    fn ratios(&self) -> String {
        let mut text = format!(
            "\nA million events: {:.2} to store, {:.2} to keep, {:.2} with everything above",
            self.per_million_stored(),
            self.per_million_kept(),
            self.usd() / self.month.events * MILLION,
        );
        if let Some(usd) = self.per_million_pushed() {
            text.push_str(&format!(
                "\nA million pushed messages: {usd:.2}, without data transfer"
            ));
        }
        text
    }

    fn to_json(&self) -> Value {
        let part = |(part, lines): &(Part, Vec<Line>)| {
            json!({
                "part": part,
                "usd": total(lines),
                "lines": lines,
            })
        };
        json!({
            "region": self.region,
            "days": 30,
            "usd": self.usd(),
            "free_usd": self.free,
            "events": self.month.events,
            "pushed_messages": self.month.pushed,
            "usd_per_million_events_stored": self.per_million_stored(),
            "usd_per_million_events_kept": self.per_million_kept(),
            "usd_per_million_pushed_messages": self.per_million_pushed(),
            "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
        })
    }
}

fn title(part: Part) -> &'static str {
    match part {
        Part::Intake => "receiving and storing events",
        Part::Keeping => "keeping them",
        Part::Push => "pushing them to viewers",
        Part::Viewers => "viewers: connections, pings, resumes",
        Part::Transfer => "data transfer",
        Part::Deliveries => "outbound webhooks",
        Part::Tracing => "traces",
        Part::Standing => "what stands there",
    }
}

fn row(line: &Line) -> String {
    let name = format!("{} {}", line.service, line.name);
    let price = if line.per > 1.0 {
        format!("{} / {}", line.usd_price, count(line.per))
    } else {
        line.usd_price.to_string()
    };
    format!(
        "  {name:<40}{:>14} x {price:<15}{:>11.2}\n",
        count(line.quantity),
        line.usd
    )
}

/// A number as people write it: `1.5 M`, `43.2 k`, `0.25`.
fn count(quantity: f64) -> String {
    let scaled = |scale: f64, unit: &str| {
        let decimals = if quantity < 1.0 { 4 } else { 2 };
        let text = format!("{:.decimals$}", quantity / scale);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        format!("{text}{unit}")
    };
    match quantity {
        _ if quantity >= 1e9 => scaled(1e9, " G"),
        _ if quantity >= 1e6 => scaled(1e6, " M"),
        _ if quantity >= 1e3 => scaled(1e3, " k"),
        _ => scaled(1.0, ""),
    }
}

fn quantity(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1e12).contains(&number) {
        Ok(number)
    } else {
        Err("not between 0 and 1e12".to_owned())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    quantity(text).and_then(|number| {
        if number > 0.0 {
            Ok(number)
        } else {
            Err("not more than 0".to_owned())
        }
    })
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = quantity(text)?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("not between {least} and {most}"))
    }
}

fn hours(text: &str) -> Result<f64, String> {
    within(text, 0.0, 24.0)
}

fn fraction(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1.0)
}

fn batch(text: &str) -> Result<f64, String> {
    within(text, 1.0, 1_000.0)
}

#[cfg(test)]
mod tests;
