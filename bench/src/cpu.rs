//! CPU time and memory, as Linux counts them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
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

/// What time it is on a clock that all processes share and nobody sets, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(time(ClockId::Monotonic).as_nanos()).unwrap_or(u64::MAX)
}

/// The CPU time of another process, user and system, in steps of 10 ms.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: u32) -> Result<Duration> {
    Ok(Stat::read(&format!("/proc/{pid}/stat"))?.cpu)
}

/// The CPU time of another process by who took it, in steps of 10 ms: its threads by their names,
/// and the processes that it started by their directories', as those of built functions are.
///
/// # Errors
/// When there is no such process.
pub fn by_name(pid: u32) -> Result<BTreeMap<String, Duration>> {
    let mut times = BTreeMap::<String, Duration>::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // It may end meanwhile; its time is then among those below.
        let Ok(stat) = Stat::read(&thread?.path().join("stat").display().to_string()) else {
            continue;
        };
        *times.entry(format!("thread {}", stat.name)).or_default() += stat.cpu;
    }
    let ended = of(pid)?.saturating_sub(times.values().sum());
    times.insert("threads that have ended".to_owned(), ended);
    for child in children(pid)? {
        let program = fs::read_link(format!("/proc/{child}/exe"))?;
        let directory = program.parent().and_then(Path::file_name);
        let name = directory.unwrap_or_default().display();
        *times.entry(format!("process {name}")).or_default() += of(child)?;
    }
    Ok(times)
}

/// The processes that a process has started.
///
/// # Errors
/// When there is no `/proc`.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if Stat::read(&format!("/proc/{child}/stat")).is_ok_and(|stat| stat.parent == pid) {
            children.push(child);
        }
    }
    Ok(children)
}

/// What Linux says of a process or a thread.
struct Stat {
    name: String,
    parent: u32,
    /// User and system.
    cpu: Duration,
}

impl Stat {
    fn read(path: &str) -> Result<Stat> {
        const UNKNOWN: &str = "an unknown form of stat";
        let text = fs::read_to_string(path)?;
        // The name in the second field may hold anything.
        let (head, fields) = text.rsplit_once(") ").ok_or(UNKNOWN)?;
        let (_, name) = head.split_once('(').ok_or(UNKNOWN)?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // Of all fields, the parent is the 4th, and the times are the 14th and the 15th.
        let field = |number: usize| fields.get(number - 3).ok_or(UNKNOWN);
        let ticks = field(14)?.parse::<u32>()? + field(15)?.parse::<u32>()?;
        Ok(Stat {
            name: name.to_owned(),
            parent: field(4)?.parse()?,
            cpu: TICK * ticks,
        })
    }
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
