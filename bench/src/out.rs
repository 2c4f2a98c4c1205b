//! What is printed.

use std::time::Duration;

/// Prints a line.
#[expect(
    clippy::print_stdout,
    reason = "figures are what a benchmark is for, and this is the one place that prints them"
)]
pub fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// How busy the machine is with other work: the load averages of the kernel.
#[must_use]
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Milliseconds with two digits.
#[must_use]
pub fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

/// Microseconds as a number.
#[must_use]
pub fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
