//! Nothing is missed by who comes back. Which test is about which case:
//!
//! | case | test |
//! |---|---|
//! | an empty feed | `where_nothing_is_stored_a_resume_is_live_at_once_and_gives_a_cursor` |
//! | from a position | `a_resume_gives_what_was_stored_after_the_cursor_and_then_says_live` |
//! | from the newest | `a_client_without_a_cursor_gets_the_newest_events_oldest_first` |
//! | from before what is kept | `a_cursor_from_before_what_is_kept_is_not_recovered` |
//! | from the future, of another deployment, damaged | `a_cursor_that_cannot_be_used_is_refused_and_the_connection_stays` |
//! | more than a message, than a page; a filter | `a_resume_goes_over_pages_and_respects_the_filter` |
//! | more than an invocation looks at | `a_long_resume_is_continued_over_several_invocations` |
//! | more than an invocation has time for | `time/stuck`: `a_replay_that_takes_too_long_for_an_invocation_is_continued` |
//! | stored while the replay runs | `cuts`: `what_is_stored_while_a_replay_runs_is_replayed_or_pushed` |
//! | a live message in the middle of a replay, and a cut | `cuts`: `who_is_cut_off_in_the_middle_of_a_replay_and_of_live_events_misses_nothing`; `posthorn::tools::feed`: `a_lost_connection_is_resumed_from_what_was_replayed_and_not_from_what_was_pushed` |
//! | a cut between two events | `a_client_that_lost_its_connection_gets_what_it_missed` |
//! | a sleep before the looks, and a cut | `time/stuck`: `a_client_that_sleeps_before_its_looks_and_is_cut_then_misses_nothing` |
//! | a slow shard | `what_a_slow_shard_has_not_told_yet_is_in_the_resume` |
//! | a shard that is stuck for minutes, notes on late records | `what_is_pushed_late_is_noted_and_found_by_a_cursor_from_that_time`; `time/stuck`: `what_a_stuck_shard_tells_minutes_later_is_missed_by_nobody` |
//! | an index that lags | `a_lagging_index_hides_nothing_for_good` |
//! | a connection that was given up | `gaps`: all; `rate`: all |
//! | the same, and cut off before it learnt of that | `time/stuck`: `what_is_given_up_late_is_found_by_who_lost_its_connection_and_did_not_learn_of_it` |
//! | the same, and its resume fails | `gaps`: `a_resume_that_fails_leaves_the_gap` |
//! | the same, and late records meanwhile | `time/stuck`: `late_records_that_are_pushed_past_a_marked_connection_are_in_its_resume` |
//! | an answer that cannot be sent | `gaps`: `who_cannot_be_answered_is_closed_and_does_not_wait_for_ever` |
//! | a replay that stops | `posthorn::tools::feed`: `a_replay_that_stops_is_left_although_live_messages_come` |
//! | a row that vanished | `sockets`: `a_connection_without_a_row_is_closed_when_it_speaks` |
//! | records that come twice | `push`: `records_that_come_twice_are_harmless` |
//! | a filter that changes | `push`: `a_filter_can_be_changed_while_events_flow`; `posthorn::tools::feed`: `a_new_filter_…` |
//! | all of it, in any order | `time/random` |

use std::collections::BTreeSet;

use domain::{EventId, Millis, Position};
use flows::{Message, TestStack, batch, ids, numbers, of_message, send, sends};
use serde_json::{Value, json};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

fn replayed(messages: &[Message]) -> Vec<Value> {
    let events = messages.iter().filter(|message| message.is_replay());
    events
        .flat_map(|message| message.events().to_vec())
        .collect()
}

fn found(events: &[Value]) -> BTreeSet<usize> {
    numbers(events).into_iter().collect()
}

/// What a `live` says of itself.
fn recovered(messages: &[Message]) -> bool {
    let live = messages.last().unwrap();
    assert_eq!(live.kind(), "live");
    live.json["recovered"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_gives_what_was_stored_after_the_cursor_and_then_says_live() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(sends(0..10)).await;
    socket.hear_events(10).await;
    let cursor = socket.resume_last(1).await.last().unwrap().cursor();
    socket.close().await;
    stack.mandrill().deliver(sends(10..30)).await;

    let mut socket = stack.connect().await;
    let heard = socket.resume(&cursor).await;
    let events = replayed(&heard);
    assert!(
        found(&events).is_superset(&(10..30).collect()),
        "{:?}",
        found(&events)
    );
    let cursors: Vec<_> = events
        .iter()
        .map(|event| event["cursor"].as_str().unwrap())
        .collect();
    assert!(cursors.is_sorted(), "in the order of the feed");
    assert_eq!(events.len(), ids(&events).len());
    assert!(recovered(&heard));
    assert!(heard.last().unwrap().cursor().as_str() >= *cursors.last().unwrap());
    // From where it stands now there is nothing new.
    let again = socket.resume(&heard.last().unwrap().cursor()).await;
    assert!(ids(&replayed(&again)).is_subset(&ids(&stack.history().await)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_cursor_gets_the_newest_events_oldest_first() {
    let stack = TestStack::start().await;
    for n in 0..6 {
        stack
            .mandrill()
            .deliver(batch([of_message(["open", "click"][n % 2], n, n)]))
            .await;
    }
    let mut socket = stack.connect().await;
    let heard = socket.resume_last(4).await;
    assert_eq!(numbers(&replayed(&heard)), [2, 3, 4, 5]);
    assert!(recovered(&heard));
    assert_eq!(
        numbers(&replayed(&socket.resume_last(1_000).await)),
        [0, 1, 2, 3, 4, 5]
    );
    let mut clicks = stack.connect_with("&filter=type:click").await;
    assert_eq!(numbers(&replayed(&clicks.resume_last(2).await)), [3, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_stored_a_resume_is_live_at_once_and_gives_a_cursor() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    let heard = socket.resume_last(10).await;
    assert_eq!((heard.len(), recovered(&heard)), (1, true));
    stack.mandrill().deliver(sends(0..3)).await;
    let heard = socket.resume(&heard[0].cursor()).await;
    assert_eq!(found(&replayed(&heard)), (0..3).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_goes_over_pages_and_respects_the_filter() {
    let stack = TestStack::start().await;
    let first = stack
        .cursors()
        .cursor_at(Position::start_of(platform::clock::now()));
    let kind = |n: usize| {
        if n.is_multiple_of(100) {
            "click"
        } else {
            "send"
        }
    };
    for from in [0, 600] {
        let events = (from..from + 600).map(|n| of_message(kind(n), n, n));
        stack.mandrill().deliver(batch(events)).await;
    }
    let mut socket = stack.connect().await;
    let heard = socket.resume(&first).await;
    let events = replayed(&heard);
    assert_eq!(
        (events.len(), found(&events)),
        (1_200, (0..1_200).collect())
    );
    assert!(heard.iter().all(|message| message.text.len() <= 32 * 1024));
    assert!(recovered(&heard));

    let mut clicks = stack.connect_with("&filter=type:click").await;
    let events = replayed(&clicks.resume(&first).await);
    assert_eq!(found(&events), (0..12).map(|n| n * 100).collect());
}

/// Writes copies of a stored event into the table, as if they had been received one millisecond
/// after the other since `from`.
async fn write_copies(stack: &TestStack, count: u64, from: Millis) {
    let template = stack.items("EventsTable").await.swap_remove(0);
    let table = stack.table("EventsTable");
    let shards: u64 = stack
        .variable("WebhookFunction", "FEED_SHARDS")
        .parse()
        .unwrap();
    let put = |n: u64| {
        let at = from.plus(n);
        let id = EventId::of_content(&[&n.to_be_bytes()], 0, &[b"copy"], 0);
        let mut item = template.clone();
        item["pk"] = json!({ "S": id.partition() });
        item["sk"] = json!({ "S": id.sort() });
        item["feed_at"] = json!({ "S": format!("{}#{}", at.0, id.key()) });
        item["feed_shard"] = json!({ "S": format!("{}#{}", at.day(), n % shards) });
        json!({ "PutRequest": { "Item": item } })
    };
    let puts: Vec<Value> = (0..count).map(put).collect();
    for chunk in puts.chunks(25) {
        let mut request = json!({ "RequestItems": {} });
        request["RequestItems"][&table] = chunk.into();
        stack.dynamo("BatchWriteItem", request).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_resume_is_continued_over_several_invocations() {
    let stack = TestStack::start().await;
    // Nobody is to push what is only there to be replayed.
    stack.pause_shards(true);
    let from = platform::clock::now().minus(60_000);
    stack
        .mandrill()
        .deliver(batch([of_message("click", 1, 1)]))
        .await;
    write_copies(&stack, 10_400, from).await;
    stack
        .mandrill()
        .deliver(batch([of_message("open", 2, 2)]))
        .await;

    let start = stack.cursors().cursor_at(Position::start_of(from));
    let mut socket = stack.connect_with("&filter=type:open").await;
    let first = socket
        .ask(json!({ "action": "resume", "cursor": start }))
        .await;
    assert_eq!(first.kind(), "continue");
    assert!(first.cursor() > start);
    let heard = socket.resume(&first.cursor()).await;
    assert_eq!(numbers(&replayed(&heard)), [2]);
    assert!(recovered(&heard));

    let mut all = stack.connect().await;
    let heard = all.resume(&start).await;
    assert!(heard.iter().any(|message| message.kind() == "continue"));
    let events = replayed(&heard);
    assert_eq!((events.len(), ids(&events).len()), (10_402, 10_402));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_before_what_is_kept_is_not_recovered() {
    let stack = TestStack::start().await;
    stack.mandrill().deliver(sends(0..2)).await;
    let mut socket = stack.connect().await;
    for (days, is_recovered) in [(31, false), (29, true)] {
        let at = platform::clock::now().minus(days * DAY_MS);
        let heard = socket
            .resume(&stack.cursors().cursor_at(Position::start_of(at)))
            .await;
        assert_eq!(found(&replayed(&heard)), (0..2).collect());
        assert_eq!(recovered(&heard), is_recovered, "{days} days");
        // Who is cut off before the end goes on from what is kept, and would not hear it.
        let said = (!is_recovered).then_some(&Value::Bool(false));
        // A push of what was just stored may come first.
        let replay = heard.iter().find(|message| message.is_replay()).unwrap();
        assert_eq!(replay.json.get("recovered"), said, "{}", replay.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_cannot_be_used_is_refused_and_the_connection_stays() {
    let stack = TestStack::start().await;
    let position = |at: Millis| Position::start_of(at);
    let now = platform::clock::now();
    let good = stack.cursors().cursor_at(position(now));
    let damaged = good.replacen(
        &good[20..21],
        if &good[20..21] == "z" { "0" } else { "z" },
        1,
    );
    let foreign = domain::Feed::new("another").cursor_at(position(now));
    let future = stack.cursors().cursor_at(position(now.plus(3_600_000)));
    let mut socket = stack.connect().await;
    for cursor in [
        "",
        "nonsense",
        &good[1..],
        &damaged,
        &foreign,
        &future,
        &"0".repeat(5_000),
    ] {
        let answer = socket
            .ask(json!({ "action": "resume", "cursor": cursor }))
            .await;
        assert_eq!(
            answer.json["code"], "bad_cursor",
            "{cursor}: {}",
            answer.text
        );
    }
    assert!(recovered(&socket.resume(&good).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_lost_its_connection_gets_what_it_missed() {
    let stack = TestStack::start().await;
    let mut feed = stack.feed(|_| {}).await;
    feed.live().await;
    for round in 0..3 {
        let first = round * 40;
        stack.mandrill().deliver(sends(first..first + 20)).await;
        stack.sockets().close_all();
        stack
            .mandrill()
            .deliver(sends(first + 20..first + 40))
            .await;
        feed.read(first + 40).await;
    }
    assert_eq!(found(&feed.told), (0..120).collect());
    assert_eq!(feed.told.len(), 120, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_index_hides_nothing_for_good() {
    let stack = TestStack::start().await;
    let mut feed = stack.feed(|_| {}).await;
    feed.live().await;
    stack.mandrill().deliver(sends(0..10)).await;
    feed.read(10).await;
    let lag = std::time::Duration::from_millis(1_000);
    stack.dynamodb().faults().set_index_lag(lag);
    stack.sockets().close_all();
    // The first resume does not find them; the second, two seconds after connecting, does.
    stack.mandrill().deliver(sends(10..30)).await;
    feed.read(30).await;
    assert_eq!(found(&feed.told), (0..30).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_shard_has_not_told_yet_is_in_the_resume() {
    let stack = TestStack::start().await;
    let mut socket = stack.connect().await;
    stack.faults().pause_shard(0, true);
    stack.mandrill().deliver(sends(0..200)).await;
    let table = stack.table("EventsTable");
    let slow = stack
        .dynamodb()
        .read_records(&table, 0, 0, 1_000)
        .await
        .unwrap()
        .records
        .len();
    assert!(slow > 0, "the slow shard has its share");
    let heard = socket.hear_events(200 - slow).await;
    assert_eq!(heard.len(), 200 - slow);
    // The cursor has passed events that were never told.
    let cursor = heard
        .iter()
        .map(|event| event["cursor"].as_str().unwrap())
        .max()
        .unwrap();
    let cursor = cursor.to_owned();
    socket.close().await;

    let mut socket = stack.connect().await;
    let replay = socket.resume(&cursor).await;
    assert_eq!(found(&replayed(&replay)), (0..200).collect());
    stack.faults().pause_shard(0, false);
    stack.wait_until_pushed().await;
    // They come once more, or not: the ids are the same.
    let late: Vec<Value> = socket
        .drain()
        .await
        .iter()
        .flat_map(|m| m.events().to_vec())
        .collect();
    assert!(ids(&late).is_subset(&ids(&replayed(&replay))));
}

/// The record of the one event that is stored, and the same as if it had been received at `at`.
async fn record_of(stack: &TestStack, at: Millis) -> Value {
    let table = stack.table("EventsTable");
    let mut records = Vec::new();
    for shard in 0..local_aws::dynamodb::SHARDS {
        let page = stack
            .dynamodb()
            .read_records(&table, shard, 0, 10)
            .await
            .unwrap();
        records.extend(page.records);
    }
    let inserts = records
        .iter()
        .map(|record| serde_json::from_str::<Value>(&record.json).unwrap());
    let mut record = inserts
        .into_iter()
        .find(|record| record["eventName"] == "INSERT")
        .unwrap();
    let image = &mut record["dynamodb"]["NewImage"];
    let (_, key) = image["feed_at"]["S"]
        .as_str()
        .unwrap()
        .split_once('#')
        .unwrap();
    let (_, shard) = image["feed_shard"]["S"]
        .as_str()
        .unwrap()
        .split_once('#')
        .unwrap();
    let (at, shard) = (format!("{}#{key}", at.0), format!("{}#{shard}", at.day()));
    image["feed_at"] = json!({ "S": at });
    image["feed_shard"] = json!({ "S": shard });
    record
}

async fn push(stack: &TestStack, record: &Value) {
    let payload = json!({ "Records": [record] }).to_string();
    let answer = stack.invoke("PushFunction", payload).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["batchItemFailures"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_late_is_noted_and_found_by_a_cursor_from_that_time() {
    let stack = TestStack::start().await;
    stack.pause_shards(true);
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(batch([send(7)])).await;
    // As if it had been received a hundred seconds ago, and the shard had stood still since.
    let now = platform::clock::now();
    let received_at = now.minus(100_000);
    let record = record_of(&stack, received_at).await;
    let image = &record["dynamodb"]["NewImage"];
    let put = json!({ "TableName": stack.table("EventsTable"), "Item": image });
    stack.dynamo("PutItem", put).await;
    // A client that has seen, from another shard, what came half a minute later.
    let cursor = stack
        .cursors()
        .cursor_at(Position::start_of(now.minus(50_000)));
    let before = socket.resume(&cursor).await;
    assert!(
        replayed(&before).is_empty(),
        "it lies further back than a resume looks"
    );

    push(&stack, &record).await;
    assert_eq!(
        numbers(&socket.hear_events(1).await),
        [7],
        "who is there gets it"
    );
    let rows = stack.items("ConnectionsTable").await;
    let note = rows.iter().find(|row| row["pk"]["S"] == "late").unwrap();
    assert_eq!(note["from"]["N"], received_at.0.to_string());
    let mut other = stack.connect().await;
    assert_eq!(
        numbers(&replayed(&other.resume(&cursor).await)),
        [7],
        "and who comes back"
    );
    let later = stack
        .cursors()
        .cursor_at(Position::start_of(now.minus(150_000)));
    assert_eq!(numbers(&replayed(&other.resume(&later).await)), [7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_table_does_not_tell_the_world_again() {
    let stack = TestStack::start().await;
    stack.pause_shards(true);
    let mut socket = stack.connect().await;
    stack.mandrill().deliver(batch([send(1)])).await;
    let now = platform::clock::now();
    push(
        &stack,
        &record_of(&stack, now.minus(26 * DAY_MS / 24)).await,
    )
    .await;
    assert!(socket.drain().await.is_empty());
    push(&stack, &record_of(&stack, now.minus(DAY_MS)).await).await;
    assert_eq!(socket.hear_events(1).await.len(), 1);
}
