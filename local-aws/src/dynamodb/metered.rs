//! dynoxide's operations on items, with their use counted.

use std::sync::Arc;

use dynoxide::actions::batch_get_item::{BatchGetItemRequest, BatchGetItemResponse};
use dynoxide::actions::batch_write_item::{BatchWriteItemRequest, BatchWriteItemResponse};
use dynoxide::actions::delete_item::{DeleteItemRequest, DeleteItemResponse};
use dynoxide::actions::get_item::{GetItemRequest, GetItemResponse};
use dynoxide::actions::put_item::{PutItemRequest, PutItemResponse};
use dynoxide::actions::query::{QueryRequest, QueryResponse};
use dynoxide::actions::scan::{ScanRequest, ScanResponse};
use dynoxide::actions::transact_get_items::{TransactGetItemsRequest, TransactGetItemsResponse};
use dynoxide::actions::transact_write_items::{
    TransactPut, TransactWriteItem, TransactWriteItemsRequest, TransactWriteItemsResponse,
};
use dynoxide::actions::update_item::{UpdateItemRequest, UpdateItemResponse};
use dynoxide::{Database, DynoxideError};

use super::meter::{Asked, Direction, Meter, outside_transaction};

type Result<T> = std::result::Result<T, DynoxideError>;

/// The most writes in a batch.
const BATCH_WRITES: usize = 25;

/// The database, and the meter in front of it.
pub(super) struct Metered {
    pub(super) database: Database,
    pub(super) meter: Arc<Meter>,
}

impl Metered {
    pub(super) fn get_item(&self, mut request: GetItemRequest) -> Result<GetItemResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let mut answer = self.database.get_item(request)?;
        asked.settle_one(&self.meter, Direction::Read, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn query(&self, mut request: QueryRequest) -> Result<QueryResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let mut answer = self.database.query(request)?;
        asked.settle_one(&self.meter, Direction::Read, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn scan(&self, mut request: ScanRequest) -> Result<ScanResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let mut answer = self.database.scan(request)?;
        asked.settle_one(&self.meter, Direction::Read, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn put_item(&self, mut request: PutItemRequest) -> Result<PutItemResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let table = request.table_name.clone();
        let mut answer = self
            .database
            .put_item(request)
            .inspect_err(|error| self.meter.refused(&table, error))?;
        asked.settle_one(&self.meter, Direction::Write, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn update_item(&self, mut request: UpdateItemRequest) -> Result<UpdateItemResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let table = request.table_name.clone();
        let mut answer = self
            .database
            .update_item(request)
            .inspect_err(|error| self.meter.refused(&table, error))?;
        asked.settle_one(&self.meter, Direction::Write, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn delete_item(&self, mut request: DeleteItemRequest) -> Result<DeleteItemResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let table = request.table_name.clone();
        let mut answer = self
            .database
            .delete_item(request)
            .inspect_err(|error| self.meter.refused(&table, error))?;
        asked.settle_one(&self.meter, Direction::Write, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn batch_get_item(
        &self,
        mut request: BatchGetItemRequest,
    ) -> Result<BatchGetItemResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let mut answer = self.database.batch_get_item(request)?;
        asked.settle_all(&self.meter, Direction::Read, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn transact_get_items(
        &self,
        mut request: TransactGetItemsRequest,
    ) -> Result<TransactGetItemsResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let mut answer = self.database.transact_get_items(request)?;
        asked.settle_all(&self.meter, Direction::Read, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn transact_write_items(
        &self,
        mut request: TransactWriteItemsRequest,
    ) -> Result<TransactWriteItemsResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let tables = tables(&request);
        let mut answer = self
            .database
            .transact_write_items(request)
            .inspect_err(|error| self.meter.cancelled(&tables, error))?;
        asked.settle_all(&self.meter, Direction::Write, &mut answer.consumed_capacity);
        Ok(answer)
    }

    pub(super) fn batch_write_item(
        &self,
        mut request: BatchWriteItemRequest,
    ) -> Result<BatchWriteItemResponse> {
        let asked = Asked::replace(&mut request.return_consumed_capacity);
        let mut answer = write_batch(&self.database, request)?;
        asked.settle_all(&self.meter, Direction::Write, &mut answer.consumed_capacity);
        Ok(answer)
    }
}

/// The table of each item of a transaction.
fn tables(request: &TransactWriteItemsRequest) -> Vec<String> {
    let table = |item: &TransactWriteItem| {
        let put = item.put.as_ref().map(|put| &put.table_name);
        let update = item.update.as_ref().map(|update| &update.table_name);
        let delete = item.delete.as_ref().map(|delete| &delete.table_name);
        let check = item.condition_check.as_ref().map(|check| &check.table_name);
        put.or(update).or(delete).or(check).cloned()
    };
    request.transact_items.iter().filter_map(table).collect()
}

/// Writes a batch. dynoxide commits every item of a batch on its own, and the commits are most of
/// what it costs; a transaction of the same puts commits once. A transaction that is refused has
/// written nothing: the batch is then written as a batch, with the errors of one.
fn write_batch(db: &Database, request: BatchWriteItemRequest) -> Result<BatchWriteItemResponse> {
    if let Some(transaction) = as_transaction(&request)
        && let Ok(done) = db.transact_write_items(transaction)
    {
        let capacities = done.consumed_capacity.into_iter().flatten();
        return Ok(BatchWriteItemResponse {
            consumed_capacity: Some(capacities.map(outside_transaction).collect()),
            ..BatchWriteItemResponse::default()
        });
    }
    db.batch_write_item(request)
}

/// The batch as a transaction, when it holds nothing but puts, several of them, and asks for nothing
/// but to be done.
fn as_transaction(request: &BatchWriteItemRequest) -> Option<TransactWriteItemsRequest> {
    let tables = &request.request_items;
    let writes: usize = tables.values().map(Vec::len).sum();
    let is_plain = request.return_item_collection_metrics.is_none()
        && (2..=BATCH_WRITES).contains(&writes)
        && tables.values().all(|writes| !writes.is_empty());
    let puts = tables
        .iter()
        .flat_map(|(table, writes)| writes.iter().map(move |write| (table, write)))
        .map(
            |(table, write)| match (&write.put_request, &write.delete_request) {
                (Some(put), None) => Some(TransactWriteItem {
                    put: Some(TransactPut {
                        table_name: table.clone(),
                        item: put.item.clone(),
                        ..TransactPut::default()
                    }),
                    ..TransactWriteItem::default()
                }),
                _ => None,
            },
        );
    is_plain.then(|| {
        Some(TransactWriteItemsRequest {
            transact_items: puts.collect::<Option<_>>()?,
            return_consumed_capacity: request.return_consumed_capacity.clone(),
            ..TransactWriteItemsRequest::default()
        })
    })?
}
