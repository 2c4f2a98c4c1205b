//! What the calls consume, in DynamoDB's units. dynoxide counts them when it is asked, as DynamoDB does; callers get
//! what they asked for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dynoxide::DynoxideError;
use dynoxide::types::{CapacityDetail, ConsumedCapacity};

/// Units that a table or an index has used since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Consumed {
    /// Of 1 KB each.
    pub write_units: f64,
    /// Of 4 KB each when read consistently, of 8 KB otherwise.
    pub read_units: f64,
}

/// Whether a call reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Read,
    Write,
}

/// Counts units by table name, and by `table/index`.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<BTreeMap<String, Consumed>>);

/// What a caller asked to be told.
pub(super) struct Asked(Option<String>);

impl Meter {
    pub(super) fn consumed(&self) -> BTreeMap<String, Consumed> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts what one table and its indexes have used.
    fn count(&self, direction: Direction, capacity: &ConsumedCapacity) {
        let table = &capacity.table_name;
        let indexes = [
            &capacity.global_secondary_indexes,
            &capacity.local_secondary_indexes,
        ];
        for (index, detail) in indexes.into_iter().flatten().flatten() {
            self.add(
                direction,
                &format!("{table}/{index}"),
                detail.capacity_units,
            );
        }
        if let Some(detail) = &capacity.table {
            self.add(direction, table, detail.capacity_units);
        }
    }

    fn add(&self, direction: Direction, name: &str, units: f64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(name) {
            all.insert(name.to_owned(), Consumed::default());
        }
        if let Some(consumed) = all.get_mut(name) {
            match direction {
                Direction::Read => consumed.read_units += units,
                Direction::Write => consumed.write_units += units,
            }
        }
    }

    /// A write whose condition did not hold costs as much as one of what is there. ("Condition expressions".) Rows
    /// with conditions are smaller than 1 KB here.
    pub(super) fn refused(&self, table: &str, error: &DynoxideError) {
        if matches!(error, DynoxideError::ConditionalCheckFailedException(..)) {
            self.add(Direction::Write, table, 1.0);
        }
    }

    /// A transaction that was cancelled costs as much as one that was done: of small items two units
    /// each. (Same page, and "Amazon DynamoDB Transactions: How it works".)
    pub(super) fn cancelled(&self, tables: &[String], error: &DynoxideError) {
        if matches!(error, DynoxideError::TransactionCanceledException(..)) {
            tables
                .iter()
                .for_each(|table| self.add(Direction::Write, table, 2.0));
        }
    }
}

impl Asked {
    /// Asks for everything in the caller's place.
    pub(super) fn replace(mode: &mut Option<String>) -> Asked {
        let asked = mode.clone();
        if matches!(asked.as_deref(), None | Some("NONE" | "TOTAL")) {
            *mode = Some("INDEXES".to_owned());
        }
        Asked(asked)
    }

    /// Counts what was used and leaves what the caller asked for; answers whether that is anything.
    fn settle(
        self,
        meter: &Meter,
        direction: Direction,
        capacities: Option<&mut [ConsumedCapacity]>,
    ) -> bool {
        for capacity in capacities.unwrap_or_default() {
            meter.count(direction, capacity);
            if self.0.as_deref() == Some("TOTAL") {
                *capacity = ConsumedCapacity {
                    table_name: std::mem::take(&mut capacity.table_name),
                    capacity_units: capacity.capacity_units,
                    ..ConsumedCapacity::default()
                };
            }
        }
        matches!(self.0.as_deref(), Some("TOTAL" | "INDEXES"))
    }

    pub(super) fn settle_one(
        self,
        meter: &Meter,
        direction: Direction,
        capacity: &mut Option<ConsumedCapacity>,
    ) {
        let one = capacity.as_mut().map(std::slice::from_mut);
        if !self.settle(meter, direction, one) {
            *capacity = None;
        }
    }

    pub(super) fn settle_all(
        self,
        meter: &Meter,
        direction: Direction,
        capacities: &mut Option<Vec<ConsumedCapacity>>,
    ) {
        if !self.settle(meter, direction, capacities.as_deref_mut()) {
            *capacities = None;
        }
    }
}

/// What the same writes cost outside a transaction: the table's part is half of it, the indexes' the same.
/// ("Amazon DynamoDB Transactions: How it works", capacity management.)
pub(super) fn outside_transaction(mut capacity: ConsumedCapacity) -> ConsumedCapacity {
    let plain = |detail: &mut CapacityDetail, factor: f64| {
        *detail = CapacityDetail {
            capacity_units: detail.capacity_units * factor,
            ..CapacityDetail::default()
        };
        detail.capacity_units
    };
    let indexes = [
        &mut capacity.global_secondary_indexes,
        &mut capacity.local_secondary_indexes,
    ];
    let mut units: f64 = indexes
        .into_iter()
        .flatten()
        .flat_map(|indexes| indexes.values_mut())
        .map(|detail| plain(detail, 1.0))
        .sum();
    if let Some(table) = &mut capacity.table {
        units += plain(table, 0.5);
    }
    capacity.capacity_units = units;
    capacity.write_capacity_units = None;
    capacity
}
