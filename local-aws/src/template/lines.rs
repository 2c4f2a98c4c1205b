//! Where things stand in the text of a template.

use std::collections::BTreeMap;

/// The line of each key and list item, by path.
#[derive(Debug, Default)]
pub(super) struct Lines(pub(super) BTreeMap<String, usize>);

impl Lines {
    /// The line of a path, or of the nearest path above it that has one.
    pub(super) fn of(&self, path: &str) -> Option<usize> {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return Some(*line);
            }
            path = path.rsplit_once('.')?.0;
        }
    }
}
