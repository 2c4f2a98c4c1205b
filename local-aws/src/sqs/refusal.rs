//! Errors in SQS's words. The JSON protocol gives each by the name of its shape, and in a header by
//! the code that it had before there was JSON; an SDK goes by the header.

use std::borrow::Cow;

use crate::policies::Denied;

/// A call, or an entry of a batch, that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// With its namespace.
    pub shape: &'static str,
    /// `Code` of an entry, and the header `x-amzn-query-error`.
    pub code: &'static str,
    /// What is wrong.
    pub message: Cow<'static, str>,
}

const fn sqs(shape: &'static str, code: &'static str, message: &'static str) -> Refusal {
    with_status(400, shape, code, message)
}

const fn with_status(
    status: u16,
    shape: &'static str,
    code: &'static str,
    message: &'static str,
) -> Refusal {
    Refusal {
        status,
        shape,
        code,
        message: Cow::Borrowed(message),
    }
}

pub(super) const NO_SUCH_QUEUE: Refusal = sqs(
    "com.amazonaws.sqs#QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "The specified queue does not exist.",
);
pub(super) const INVALID_ADDRESS: Refusal = sqs(
    "com.amazonaws.sqs#InvalidAddress",
    "InvalidAddress",
    "The address is not valid for this endpoint.",
);
pub(super) const EMPTY_BATCH: Refusal = sqs(
    "com.amazonaws.sqs#EmptyBatchRequest",
    "AWS.SimpleQueueService.EmptyBatchRequest",
    "There should be at least one entry in the request.",
);
pub(super) const TOO_MANY_ENTRIES: Refusal = sqs(
    "com.amazonaws.sqs#TooManyEntriesInBatchRequest",
    "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "Maximum number of entries per request are 10.",
);
pub(super) const IDS_NOT_DISTINCT: Refusal = sqs(
    "com.amazonaws.sqs#BatchEntryIdsNotDistinct",
    "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "Two or more batch entries in the request have the same Id.",
);
pub(super) const INVALID_ENTRY_ID: Refusal = sqs(
    "com.amazonaws.sqs#InvalidBatchEntryId",
    "AWS.SimpleQueueService.InvalidBatchEntryId",
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
);
pub(super) const BATCH_TOO_LONG: Refusal = sqs(
    "com.amazonaws.sqs#BatchRequestTooLong",
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "Batch requests cannot be longer than 1048576 bytes.",
);
pub(super) const INVALID_CONTENTS: Refusal = sqs(
    "com.amazonaws.sqs#InvalidMessageContents",
    "InvalidMessageContents",
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
);
pub(super) const TOO_LONG: Refusal = sqs(
    "com.amazon.coral.service#InvalidParameterValueException",
    "InvalidParameterValue",
    "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
);
pub(super) const INVALID_HANDLE: Refusal = sqs(
    "com.amazonaws.sqs#ReceiptHandleIsInvalid",
    "ReceiptHandleIsInvalid",
    "The input receipt handle is invalid.",
);
pub(super) const NOT_IN_FLIGHT: Refusal = sqs(
    "com.amazonaws.sqs#MessageNotInflight",
    "AWS.SimpleQueueService.MessageNotInflight",
    "The message referred to isn't in flight.",
);
pub(super) const INVALID_ATTRIBUTE: Refusal = sqs(
    "com.amazonaws.sqs#InvalidAttributeName",
    "InvalidAttributeName",
    "Unknown attribute.",
);
pub(super) const OVER_LIMIT: Refusal = with_status(
    403,
    "com.amazonaws.sqs#OverLimit",
    "OverLimit",
    "Too many messages are in flight: a queue takes 120000.",
);
pub(super) const PURGE_IN_PROGRESS: Refusal = with_status(
    403,
    "com.amazonaws.sqs#PurgeQueueInProgress",
    "AWS.SimpleQueueService.PurgeQueueInProgress",
    "Only one PurgeQueue operation is allowed every 60 seconds.",
);
pub(super) const THROTTLED: Refusal = with_status(
    403,
    "com.amazonaws.sqs#RequestThrottled",
    "RequestThrottled",
    "Request is throttled.",
);
pub(super) const FAILED: Refusal = with_status(
    500,
    "com.amazon.coral.service#InternalFailure",
    "InternalFailure",
    "We encountered an internal error. Please try again.",
);
pub(super) const UNKNOWN_OPERATION: Refusal = sqs(
    "com.amazon.coral.service#UnknownOperationException",
    "InvalidAction",
    "The local stack does not know this operation.",
);

/// A parameter whose value SQS does not take.
pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal {
        message: Cow::Owned(message.into()),
        ..TOO_LONG
    }
}

/// A number out of its range.
pub(super) fn out_of_range(value: i64, parameter: &str, least: i64, most: i64) -> Refusal {
    invalid(format!(
        "Value {value} for parameter {parameter} is invalid. Reason: {parameter} must be >= {least} and <= {most}."
    ))
}

pub(super) fn missing(parameter: &str) -> Refusal {
    Refusal {
        message: Cow::Owned(format!(
            "The request must contain the parameter {parameter}."
        )),
        ..sqs(
            "com.amazon.coral.service#MissingRequiredParameterException",
            "MissingParameter",
            "",
        )
    }
}

impl Refusal {
    /// A body that is no request of its operation.
    pub(super) fn malformed(error: &serde_json::Error) -> Refusal {
        Refusal {
            message: Cow::Owned(error.to_string()),
            ..sqs(
                "com.amazon.coral.service#SerializationException",
                "MalformedInput",
                "",
            )
        }
    }

    /// Whose fault it was: `Sender`, or `Receiver` when it is SQS's own.
    #[must_use]
    pub fn fault(&self) -> &'static str {
        if self.status >= 500 {
            "Receiver"
        } else {
            "Sender"
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        Refusal {
            status: 403,
            message: Cow::Owned(denied.to_string()),
            ..sqs(
                "com.amazon.coral.service#AccessDeniedException",
                "AccessDenied",
                "",
            )
        }
    }
}
