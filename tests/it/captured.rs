//! What the functions write on standard output in Lambda, metrics included.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use flows::TestStack;
use platform::telemetry;
use tracing::level_filters::LevelFilter;

/// Collects lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// All lines of this process at `trace` from the first call on: also those of other tests that run
/// in it.
pub(crate) fn lines() -> &'static Lines {
    static LINES: OnceLock<Lines> = OnceLock::new();
    LINES.get_or_init(|| {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = telemetry::lines(LevelFilter::TRACE, move || writer.clone());
        tracing::subscriber::set_global_default(subscriber).unwrap();
        lines
    })
}

/// The lines that built functions printed so far. In process they have no log of their own.
pub(crate) fn printed(stack: &TestStack) -> String {
    let log = stack.data_dir().join("functions.log");
    let mut text = std::fs::read_to_string(log).unwrap_or_default();
    // The last line may be being written.
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}
