//! What each call does, and what it refuses.

use std::time::Instant;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use super::Desk;

fn code<E: ProvideErrorMetadata + std::fmt::Debug, R: std::fmt::Debug>(
    error: &SdkError<E, R>,
) -> &str {
    let service = error.as_service_error();
    service.and_then(|error| error.code()).unwrap_or_default()
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder();
    entry.id(id).message_body(body).build().unwrap()
}

async fn send_batch(desk: &Desk, entries: Vec<SendMessageBatchRequestEntry>) -> String {
    let send = desk.client.send_message_batch().queue_url(desk.url("Work"));
    let sent = send.set_entries(Some(entries)).send().await;
    sent.map_or_else(|error| code(&error).to_owned(), |_| String::new())
}

#[tokio::test]
async fn a_message_is_received_as_it_was_sent() {
    let desk = Desk::new().await;
    let text = MessageAttributeValue::builder()
        .data_type("String.kind")
        .string_value("värde")
        .build();
    let binary = MessageAttributeValue::builder()
        .data_type("Binary")
        .binary_value(Blob::new([0, 255]))
        .build();
    let send = desk.client.send_message().queue_url(desk.url("Work"));
    // The SDK compares the digest of the body with its own.
    let sent = send
        .message_body("{\"a\": \"\u{1F40E} \\ \"}")
        .message_attributes("text", text.unwrap())
        .message_attributes("binary", binary.unwrap())
        .message_group_id("ep_1")
        .send()
        .await
        .unwrap();
    let received = desk.receive("Work").await.remove(0);
    assert_eq!(received.body.as_deref(), Some("{\"a\": \"\u{1F40E} \\ \"}"));
    assert_eq!(received.message_id, sent.message_id);
    assert_eq!(
        received.md5_of_message_attributes,
        sent.md5_of_message_attributes
    );
    let attributes = received.message_attributes.unwrap();
    assert_eq!(attributes["binary"].binary_value, Some(Blob::new([0, 255])));
    let system = received.attributes.unwrap();
    let system = |name: MessageSystemAttributeName| system[&name].as_str();
    assert_eq!(system(MessageSystemAttributeName::MessageGroupId), "ep_1");
    assert_eq!(
        system(MessageSystemAttributeName::ApproximateReceiveCount),
        "1"
    );
    assert!(system(MessageSystemAttributeName::SenderId).starts_with("AROA"));
}

/// "Calculating the MD5 message digest for message attributes", and a value made by Python's hashlib
/// from its rules.
#[test]
fn attributes_are_digested_as_aws_does() {
    let attributes = serde_json::from_str(
        r#"{"b": {"DataType": "Number", "StringValue": "7"}, "a": {"DataType": "Binary", "BinaryValue": "AP8="}}"#,
    )
    .unwrap();
    let digest = super::super::attributes::digest(&attributes);
    assert_eq!(digest.as_deref(), Some("c2a43d2f0eb5efa23cb60f0f5c681905"));
}

#[tokio::test]
async fn a_received_message_is_hidden_until_its_time_is_over_and_gone_when_deleted() {
    let desk = Desk::new().await;
    desk.send("Work", "one").await;
    let first = desk.receive("Work").await;
    assert_eq!((first.len(), desk.counts("Work").await), (1, (0, 0, 1)));
    assert!(desk.bodies("Work").await.is_empty());
    desk.pass(31).await;
    let again = desk.receive("Work").await;
    assert_eq!(again[0].message_id, first[0].message_id);
    // An old receipt does nothing any more, and is no error.
    desk.delete("Work", &first[0]).await;
    assert_eq!(desk.counts("Work").await, (0, 0, 1));
    desk.delete("Work", &again[0]).await;
    desk.delete("Work", &again[0]).await;
    assert_eq!(desk.counts("Work").await, (0, 0, 0));
}

#[tokio::test]
async fn a_delay_of_its_own_goes_before_that_of_the_queue() {
    let desk = Desk::new().await;
    let send = |delay| {
        let send = desk.client.send_message().queue_url(desk.url("Late"));
        send.message_body(format!("{delay:?}"))
            .set_delay_seconds(delay)
            .send()
    };
    for delay in [None, Some(0), Some(900)] {
        send(delay).await.unwrap();
    }
    assert_eq!(desk.bodies("Late").await, ["Some(0)"]);
    assert_eq!(desk.counts("Late").await, (0, 2, 1));
    desk.pass(61).await;
    let bodies = desk.bodies("Late").await;
    assert!(bodies.contains(&"None".to_owned()), "{bodies:?}");
    let refused = send(Some(901)).await.unwrap_err();
    assert_eq!(code(&refused), "InvalidParameterValue");
    // Ten minutes are all that the queue keeps a message for.
    desk.pass(600).await;
    assert_eq!(desk.counts("Late").await, (0, 0, 0));
}

#[tokio::test]
async fn what_is_received_too_often_goes_to_the_dead_letter_queue() {
    let desk = Desk::new().await;
    desk.send("Work", "poison").await;
    for _ in 0..2 {
        let message = desk.receive("Work").await.remove(0);
        desk.hide("Work", &message, 0).await;
    }
    assert!(desk.receive("Work").await.is_empty());
    let dead = desk.receive("Dead").await.remove(0);
    let attributes = dead.attributes.unwrap();
    let source = &attributes[&MessageSystemAttributeName::DeadLetterQueueSourceArn];
    assert!(source.contains("-Work-"), "{source}");
    let count = &attributes[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "3");
}

#[tokio::test]
async fn a_receive_waits_for_a_message_and_for_a_delay_to_pass() {
    let desk = Desk::new().await;
    let wait = || {
        let receive = desk.client.receive_message().queue_url(desk.url("Work"));
        receive.wait_time_seconds(20).send()
    };
    let began = Instant::now();
    let (received, ()) = tokio::join!(wait(), desk.send("Work", "now"));
    assert_eq!(received.unwrap().messages.unwrap().len(), 1);
    // The message is in flight for 30 s, which pass at once.
    let (received, ()) = tokio::join!(wait(), desk.pass(31));
    assert_eq!(received.unwrap().messages.unwrap().len(), 1);
    assert!(began.elapsed().as_secs() < 20);
}

#[tokio::test]
async fn visibility_can_be_changed_while_in_flight_and_for_twelve_hours_in_all() {
    let desk = Desk::new().await;
    desk.send("Work", "one").await;
    let message = desk.receive("Work").await.remove(0);
    desk.hide("Work", &message, 3_600).await;
    desk.pass(60).await;
    assert!(desk.receive("Work").await.is_empty());
    let change = |seconds| {
        let change = desk.client.change_message_visibility();
        let change = change
            .queue_url(desk.url("Work"))
            .visibility_timeout(seconds);
        change
            .receipt_handle(message.receipt_handle().unwrap())
            .send()
    };
    let too_long = change(43_200).await.unwrap_err();
    assert_eq!(code(&too_long), "InvalidParameterValue");
    change(0).await.unwrap();
    let visible = change(10).await.unwrap_err();
    assert!(
        visible
            .as_service_error()
            .unwrap()
            .is_message_not_inflight()
    );
    desk.delete("Work", &message).await;
    let gone = change(10).await.unwrap_err();
    assert_eq!(code(&gone), "InvalidParameterValue");
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole_or_by_entry() {
    let desk = Desk::new().await;
    let many = (0..11).map(|id| entry(&id.to_string(), "x")).collect();
    for (entries, expected) in [
        (Vec::new(), "AWS.SimpleQueueService.EmptyBatchRequest"),
        (many, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        (
            vec![entry("a", "x"), entry("a", "y")],
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        ),
        (
            vec![entry("a b", "x")],
            "AWS.SimpleQueueService.InvalidBatchEntryId",
        ),
        (
            vec![
                entry("a", &"x".repeat(600_000)),
                entry("b", &"x".repeat(600_000)),
            ],
            "AWS.SimpleQueueService.BatchRequestTooLong",
        ),
        (vec![entry("a", &"x".repeat(1_048_576))], ""),
    ] {
        assert_eq!(send_batch(&desk, entries).await, expected);
    }
    let late = SendMessageBatchRequestEntry::builder();
    let late = late.id("late").message_body("x").delay_seconds(901).build();
    let send = desk.client.send_message_batch().queue_url(desk.url("Work"));
    let sent = send
        .entries(entry("good", "x"))
        .entries(entry("bad", "\u{1}"));
    let sent = sent.entries(late.unwrap()).send().await.unwrap();
    assert_eq!(sent.successful[0].id, "good");
    let failed: Vec<_> = sent
        .failed
        .iter()
        .map(|one| (one.id(), one.code()))
        .collect();
    assert_eq!(
        failed,
        [
            ("bad", "InvalidMessageContents"),
            ("late", "InvalidParameterValue")
        ]
    );
    assert!(sent.failed.iter().all(|one| one.sender_fault));
}

#[tokio::test]
async fn batches_delete_and_hide_what_their_handles_name() {
    let desk = Desk::new().await;
    for body in ["one", "two"] {
        desk.send("Work", body).await;
    }
    let messages = desk.receive("Work").await;
    let handle = |index: usize| messages[index].receipt_handle().unwrap();
    let change = |id: &str, handle: &str| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder();
        let entry = entry.id(id).receipt_handle(handle).visibility_timeout(0);
        entry.build().unwrap()
    };
    let changed = desk.client.change_message_visibility_batch();
    let changed = changed
        .queue_url(desk.url("Work"))
        .entries(change("a", handle(0)));
    let changed = changed.entries(change("b", "none")).send().await.unwrap();
    assert_eq!(changed.successful[0].id, "a");
    assert_eq!(changed.failed[0].code, "ReceiptHandleIsInvalid");
    let delete = |id: &str, handle: &str| {
        let entry = DeleteMessageBatchRequestEntry::builder();
        entry.id(id).receipt_handle(handle).build().unwrap()
    };
    let deleted = desk
        .client
        .delete_message_batch()
        .queue_url(desk.url("Work"));
    let deleted = deleted
        .entries(delete("a", handle(1)))
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.successful.len(), 1);
    assert_eq!(desk.bodies("Work").await.len(), 1);
}

#[tokio::test]
async fn a_queue_tells_what_it_is_and_how_much_is_in_it() {
    let desk = Desk::new().await;
    desk.send("Work", "one").await;
    let all = desk
        .client
        .get_queue_attributes()
        .queue_url(desk.url("Work"));
    let all = all.attribute_names(QueueAttributeName::All).send().await;
    let all = all.unwrap().attributes.unwrap();
    assert_eq!(all[&QueueAttributeName::ApproximateNumberOfMessages], "1");
    assert_eq!(all[&QueueAttributeName::VisibilityTimeout], "30");
    let policy = &all[&QueueAttributeName::RedrivePolicy];
    assert!(policy.contains("\"maxReceiveCount\":2"), "{policy}");
    let name = desk.url("Work").rsplit('/').next().unwrap().to_owned();
    let url = desk.client.get_queue_url().queue_name(name).send().await;
    assert_eq!(url.unwrap().queue_url, Some(desk.url("Work")));
}

#[tokio::test]
async fn errors_have_the_types_that_the_sdk_knows() {
    let desk = Desk::new().await;
    let nowhere = desk.url("Work") + "x";
    let send = desk.client.send_message().message_body("x");
    let unknown = send.queue_url(nowhere).send().await.unwrap_err();
    let service = unknown.as_service_error().unwrap();
    assert!(service.is_queue_does_not_exist(), "{unknown:?}");
    let purge = desk.client.purge_queue().queue_url(desk.url("Work")).send();
    let denied = purge.await.unwrap_err();
    assert_eq!(code(&denied), "AccessDenied");
    let refused = desk.stack.refused_calls();
    assert!(refused.contains(&("Caller".into(), "sqs:PurgeQueue".into())));
    let delete = desk.client.delete_message().queue_url(desk.url("Work"));
    let invalid = delete.receipt_handle("none").send().await.unwrap_err();
    let service = invalid.as_service_error().unwrap();
    assert!(service.is_receipt_handle_is_invalid(), "{invalid:?}");
}

#[tokio::test]
async fn faults_come_as_often_as_a_test_wants() {
    let desk = Desk::new().await;
    let faults = desk.stack.faults().sqs();
    let send = || {
        let send = desk.client.send_message().queue_url(desk.url("Work"));
        send.message_body("x").send()
    };
    faults.throttle_next(1);
    let throttled = send().await.unwrap_err();
    assert!(throttled.as_service_error().unwrap().is_request_throttled());
    faults.fail_next(1);
    assert_eq!(code(&send().await.unwrap_err()), "InternalFailure");
    assert_eq!(desk.counts("Work").await, (0, 0, 0));
    faults.fail_next_after(1);
    assert_eq!(code(&send().await.unwrap_err()), "InternalFailure");
    assert_eq!(desk.counts("Work").await, (1, 0, 0));

    faults.fail_half_of_next(1);
    let batch = desk.client.send_message_batch().queue_url(desk.url("Work"));
    let batch = batch.entries(entry("a", "a")).entries(entry("b", "b"));
    let sent = batch.send().await.unwrap();
    assert_eq!((sent.successful.len(), sent.failed[0].id()), (1, "b"));
    assert!(!sent.failed[0].sender_fault);

    faults.duplicate_next(1);
    let messages = desk.receive("Work").await;
    let copies = desk.receive("Work").await;
    assert_eq!((messages.len(), copies.len()), (2, 1));
    assert_eq!(copies[0].message_id, messages[0].message_id);
    // They are deleted one by one.
    desk.delete("Work", &messages[0]).await;
    assert_eq!(desk.counts("Work").await, (0, 0, 2));
}
