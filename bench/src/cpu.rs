//! CPU time and memory, as Linux counts them.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// What the fields of `/proc/<pid>/stat` are counted in (`USER_HZ`, fixed in Linux's interface).
const TICK: Duration = Duration::from_millis(10);

/// The CPU time of this thread.
#[must_use]
pub fn of_thread() -> Duration {
    time(ClockId::ThreadCPUTime)
}

/// The CPU time of this process.
#[must_use]
pub fn of_process() -> Duration {
    time(ClockId::ProcessCPUTime)
}

fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The CPU time of another process, user and system, in steps of 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in the second field may hold anything; the times are the 14th and the 15th.
    let (_, fields) = stat.rsplit_once(") ").ok_or("an unknown form of stat")?;
    let ticks: u32 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(str::parse::<u32>)
        .sum::<std::result::Result<_, _>>()?;
    Ok(TICK * ticks)
}

/// The CPU time of a process's main thread, which is all that a function has, in nanoseconds.
///
/// # Errors
/// When there is no such process.
pub fn of_main_thread(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let time = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(time))
}

/// Memory of a process in MB (1,000,000 bytes): `VmRSS` is what it has now, `VmHWM` the most it
/// has had.
///
/// # Errors
/// When there is no such process.
pub fn memory_mb(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .ok_or("an unknown form of status")?;
    let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1_024.0 / 1e6)
}

/// The least of several runs of `work` in CPU time of this thread: other work on the machine only
/// ever makes it more.
pub fn least<T>(runs: usize, mut work: impl FnMut() -> T) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..runs {
        let start = of_thread();
        std::hint::black_box(work());
        least = least.min(of_thread().saturating_sub(start));
    }
    least
}
