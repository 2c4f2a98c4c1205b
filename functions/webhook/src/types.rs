//! How many events there are of each type, as far as a metric tells them apart.

/// Any type that Mandrill does not document: a bounded number of metrics, whatever is received.
const OTHER: &str = "other";

/// The types that occur, and how often each does.
pub(crate) fn count<'k>(kinds: impl Iterator<Item = &'k str>) -> Vec<(&'static str, u64)> {
    let mut counts: Vec<(&'static str, u64)> = Vec::new();
    for kind in kinds {
        // Most events of a batch are of a type that was there before.
        let known = counts.iter().position(|(name, _)| *name == kind);
        let place = known.unwrap_or_else(|| place(&mut counts, named(kind)));
        counts[place].1 += 1;
    }
    counts
}

fn place(counts: &mut Vec<(&'static str, u64)>, name: &'static str) -> usize {
    let place = counts.iter().position(|(there, _)| *there == name);
    place.unwrap_or_else(|| {
        counts.push((name, 0));
        counts.len() - 1
    })
}

fn named(kind: &str) -> &'static str {
    let documented = mandrill::KINDS.iter().map(|kind| kind.name);
    let mut known = documented.chain([mandrill::UNKNOWN]);
    known.find(|known| *known == kind).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_mandrill_does_not_document_are_one() {
        let kinds = ["open", "sms", "click", "open", "other", "unknown", "mms"];
        assert_eq!(
            count(kinds.into_iter()),
            [("open", 2), ("other", 3), ("click", 1), ("unknown", 1)]
        );
        assert_eq!(count(std::iter::empty()), []);
    }
}
