//! The operations of the API that are answered, and their errors in AWS's words.

use dynoxide::DynoxideError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An answer that is not 200: what the SDK reads as a service error.
#[derive(Debug, Clone, thiserror::Error)]
#[error("DynamoDB answered {status}: {}", String::from_utf8_lossy(body))]
pub struct DynamoError {
    /// HTTP status.
    pub status: u16,
    /// AWS JSON 1.0 error body, with `__type`.
    pub body: Vec<u8>,
}

pub(super) type Answer = Result<Vec<u8>, DynamoError>;

/// The largest request body that DynamoDB reads.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

impl DynamoError {
    /// `name` has its namespace, as in `com.amazon.coral.service#SerializationException`.
    pub(super) fn new(status: u16, name: &str, message: &str) -> DynamoError {
        let body = serde_json::json!({ "__type": name, "message": message });
        DynamoError {
            status,
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn unknown_operation() -> DynamoError {
        // Without a message, as AWS answers it.
        DynamoError {
            status: 400,
            body: br#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_vec(),
        }
    }

    pub(super) fn throttled() -> DynamoError {
        DynamoError::new(
            400,
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for the table was exceeded. Consider increasing your \
             provisioning level with the UpdateTable API.",
        )
    }

    pub(super) fn internal(message: &str) -> DynamoError {
        DynamoError::new(
            500,
            "com.amazonaws.dynamodb.v20120810#InternalServerError",
            message,
        )
    }

    fn from_engine(operation: Operation, error: &DynoxideError) -> DynamoError {
        if let DynoxideError::EnvelopedValidation(message) = error
            && operation.wraps_validation()
        {
            let message = format!("1 validation error detected: {message}");
            let wrapped = DynoxideError::ValidationException(message);
            return DynamoError::from_engine(operation, &wrapped);
        }
        DynamoError {
            status: error.status_code(),
            body: error.to_json().into_bytes(),
        }
    }
}

/// What `X-Amz-Target` names after `DynamoDB_20120810.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    DescribeTable,
    CreateTable,
    DeleteTable,
    ListTables,
    UpdateTimeToLive,
    DescribeTimeToLive,
    PutItem,
    GetItem,
    DeleteItem,
    UpdateItem,
    Query,
    Scan,
    BatchGetItem,
    BatchWriteItem,
    TransactWriteItems,
    TransactGetItems,
}

impl Operation {
    pub(super) fn parse(name: &str) -> Option<Operation> {
        Some(match name {
            "DescribeTable" => Operation::DescribeTable,
            "CreateTable" => Operation::CreateTable,
            "DeleteTable" => Operation::DeleteTable,
            "ListTables" => Operation::ListTables,
            "UpdateTimeToLive" => Operation::UpdateTimeToLive,
            "DescribeTimeToLive" => Operation::DescribeTimeToLive,
            "PutItem" => Operation::PutItem,
            "GetItem" => Operation::GetItem,
            "DeleteItem" => Operation::DeleteItem,
            "UpdateItem" => Operation::UpdateItem,
            "Query" => Operation::Query,
            "Scan" => Operation::Scan,
            "BatchGetItem" => Operation::BatchGetItem,
            "BatchWriteItem" => Operation::BatchWriteItem,
            "TransactWriteItems" => Operation::TransactWriteItems,
            "TransactGetItems" => Operation::TransactGetItems,
            _ => return None,
        })
    }

    pub(super) fn writes_items(self) -> bool {
        matches!(
            self,
            Operation::PutItem
                | Operation::DeleteItem
                | Operation::UpdateItem
                | Operation::BatchWriteItem
                | Operation::TransactWriteItems
        )
    }

    /// DynamoDB puts its count of errors before a refused value in these three only.
    fn wraps_validation(self) -> bool {
        matches!(
            self,
            Operation::PutItem | Operation::DeleteItem | Operation::UpdateItem
        )
    }

    /// Reads the request, has it answered and writes the answer.
    pub(super) fn answer<Request: DeserializeOwned, Response: Serialize>(
        self,
        body: &[u8],
        work: impl FnOnce(Request) -> Result<Response, DynoxideError>,
    ) -> Answer {
        let response =
            work(self.read(body)?).map_err(|error| DynamoError::from_engine(self, &error))?;
        serde_json::to_vec(&response).map_err(|error| DynamoError::internal(&error.to_string()))
    }

    pub(super) fn read<Request: DeserializeOwned>(
        self,
        body: &[u8],
    ) -> Result<Request, DynamoError> {
        serde_json::from_slice(body)
            .map_err(|error| DynamoError::from_engine(self, &refusal(&error)))
    }
}

pub(super) fn check_size(body: &[u8]) -> Result<(), DynamoError> {
    if body.len() <= MAX_REQUEST_BYTES {
        return Ok(());
    }
    Err(DynamoError::new(
        413,
        "com.amazon.coral.service#RequestEntityTooLargeException",
        "Request entity too large",
    ))
}

/// The request structs of dynoxide put the class of a refusal before its text.
fn refusal(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(text, _)| text);
    if let Some((class, message)) = text.split_once(':') {
        let message = message.to_owned();
        match class {
            "VALIDATION" | "VALIDATION_AS_READ" => {
                return DynoxideError::ValidationException(message);
            }
            "VALIDATION_REQUEST" => return DynoxideError::EnvelopedValidation(message),
            "SERIALIZATION" | "SERIALIZATION_AS_READ" => {
                return DynoxideError::SerializationException(message);
            }
            _ => {}
        }
    }
    // Absent and null members are DynamoDB's own validation; only a wrong JSON type is a matter of form.
    let incomplete = [
        "missing field",
        "unknown variant",
        "invalid type: null",
        "Supplied AttributeValue",
    ];
    if incomplete.iter().any(|part| text.contains(part)) {
        DynoxideError::ValidationException(text.to_owned())
    } else {
        DynoxideError::SerializationException(text.to_owned())
    }
}
