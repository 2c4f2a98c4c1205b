use super::*;
use crate::tools::feed::Entrance;
use crate::tools::target::Secret;

fn session(cursor: Option<&str>, last: u32) -> Session {
    let mut options = FeedOptions::new(Entrance::Address(Secret::new("ws://localhost/live")));
    (options.cursor, options.last) = (cursor.map(str::to_owned), last);
    Session::new(&options)
}

fn events(ids: &[&str], cursor: &str, replay: bool) -> String {
    let events: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "cursor": id}))
        .collect();
    json!({"type": "events", "events": events, "cursor": cursor, "replay": replay}).to_string()
}

fn live(cursor: &str) -> String {
    json!({"type": "live", "recovered": true, "cursor": cursor}).to_string()
}

fn told(steps: &[Step]) -> Vec<&str> {
    let id = |step| match step {
        &Step::Tell(FeedItem::Event { ref id, .. }) => Some(id.as_str()),
        _ => None,
    };
    steps.iter().filter_map(id).collect()
}

fn say(message: &str) -> Step {
    Step::Send(message.to_owned())
}

/// Both looks, at the end of which the cursor is this.
fn look(session: &mut Session, cursor: &str) {
    for _ in 0..LOOKS {
        session.look();
        session.receive(&live(cursor));
    }
}

#[test]
fn until_the_last_look_only_replay_messages_advance_the_cursor() {
    let mut session = session(Some("c1"), 0);
    assert_eq!(
        told(&session.receive(&events(&["e9"], "c9", false))),
        ["e9"]
    );
    assert_eq!(session.cursor.as_deref(), Some("c1"));
    session.receive(&events(&["e2"], "c2", true));
    assert_eq!(session.cursor.as_deref(), Some("c2"));
    session.receive(&live("c5"));
    assert_eq!(session.cursor.as_deref(), Some("c5"));
    session.receive(&events(&["e10"], "c7", false));
    assert_eq!(session.cursor.as_deref(), Some("c5"));
    look(&mut session, "c6");
    session.receive(&events(&["e11"], "c8", false));
    assert_eq!(session.cursor.as_deref(), Some("c8"));
}

#[test]
fn a_cursor_never_goes_back_but_for_a_gap() {
    let mut session = session(Some("c5"), 0);
    session.receive(&events(&["e1"], "c1", true));
    assert_eq!(session.cursor.as_deref(), Some("c5"));
    session.receive(&live("c6"));
    let steps = session.receive(&json!({"type": "gap", "cursor": "c3"}).to_string());
    assert_eq!(steps, [say(r#"{"action":"resume","cursor":"c3"}"#)]);
    // A live message during the new replay does not skip what is missing.
    session.receive(&events(&["e20"], "c20", false));
    assert_eq!(session.place(), Some("c3"));
}

#[test]
fn a_long_replay_is_continued_where_it_stopped() {
    // A resume reads back, so it may stop before the cursor that it began with.
    let mut session = session(Some("c9"), 0);
    let steps = session.receive(&json!({"type": "continue", "cursor": "c4"}).to_string());
    assert_eq!(
        steps,
        [Step::Send(
            r#"{"action":"resume","cursor":"c4"}"#.to_owned()
        )]
    );
    assert!(!session.may_look());
    assert_eq!(session.place(), Some("c9"));
}

#[test]
fn an_event_is_told_once() {
    let mut session = session(Some("c1"), 0);
    assert_eq!(
        told(&session.receive(&events(&["a", "b"], "c2", true))),
        ["a", "b"]
    );
    assert_eq!(
        told(&session.receive(&events(&["b", "c"], "c3", false))),
        ["c"]
    );
}

#[test]
fn the_memory_of_ids_is_bounded() {
    let mut seen = Seen::new(2);
    assert!(seen.insert("a") && seen.insert("b") && seen.insert("c"));
    assert!(!seen.insert("c"));
    assert!(seen.insert("a"));
    assert_eq!((seen.ids.len(), seen.order.len()), (2, 2));
}

#[test]
fn a_refused_cursor_begins_anew_and_says_so() {
    let mut session = session(Some("foreign"), 10);
    let refusal = json!({"type": "error", "code": "bad_cursor", "message": "m"}).to_string();
    assert_eq!(
        session.receive(&refusal),
        [Step::Send(r#"{"action":"resume","last":10}"#.to_owned())]
    );
    assert_eq!(
        session.receive(&live("c1")),
        [Step::Tell(FeedItem::Live { recovered: false })]
    );
    assert_eq!(
        session.receive(&live("c1")),
        [Step::Tell(FeedItem::Live { recovered: true })]
    );
}

#[test]
fn a_feed_of_the_last_few_events_begins_with_them() {
    let mut session = session(None, 2);
    let first = session.receive(&events(&["c3", "c4"], "c4", true));
    assert_eq!(told(&first), ["c3", "c4"]);
    session.receive(&live("c4"));
    let second = session.receive(&events(&["c1", "c2", "c5"], "c5", true));
    assert_eq!(told(&second), ["c5"]);
}

#[test]
fn a_feed_with_fewer_events_than_asked_for_has_no_beginning() {
    let mut session = session(None, 2);
    session.receive(&events(&["c3"], "c3", true));
    session.receive(&live("c3"));
    let second = session.receive(&events(&["c2"], "c2", true));
    assert_eq!(told(&second), ["c2"]);
}

#[test]
fn nothing_old_is_told_when_nothing_old_was_asked_for() {
    let mut session = session(None, 0);
    assert_eq!(
        session.open(Address::Complete),
        [say(r#"{"action":"resume","last":1}"#)]
    );
    assert!(told(&session.receive(&events(&["c1"], "c1", true))).is_empty());
    session.receive(&live("c1"));
    // A later look reads further back.
    session.look();
    let looked = session.receive(&events(&["b8", "b9", "c1", "c2"], "c2", true));
    assert_eq!(told(&looked), ["c2"]);
    // So does a later connection.
    session.open(Address::Complete);
    let resumed = session.receive(&events(&["b7", "c3"], "c3", true));
    assert_eq!(told(&resumed), ["c3"]);
}

#[test]
fn a_bad_filter_ends_the_feed_and_an_internal_error_does_not() {
    let error = |code: &str| json!({"type": "error", "code": code, "message": "m"}).to_string();
    assert!(matches!(
        session(None, 1).receive(&error("bad_filter"))[..],
        [Step::Fail(_)]
    ));
    assert!(matches!(
        session(None, 1).receive(&error("internal"))[..],
        [Step::Reconnect(_)]
    ));
}

#[test]
fn the_text_of_an_event_is_kept_exactly() {
    let text = r#"{"id":"a", "ts": 1.50e1,"s":"\/"}"#;
    let message = format!(r#"{{"type":"events","events":[ {text} ],"cursor":"c"}}"#);
    let steps = session(Some("c"), 0).receive(&message);
    let [
        Step::Tell(FeedItem::Event {
            text: told, cursor, ..
        }),
    ] = &steps[..]
    else {
        panic!("{steps:?}")
    };
    assert_eq!((told.as_str(), cursor.as_str()), (text, "c"));
}

#[test]
fn a_resume_waits_until_the_subscription_is_in_force() {
    let mut options = FeedOptions::new(Entrance::Address(Secret::new("ws://localhost/live")));
    (options.cursor, options.data) = (Some("c1".to_owned()), true);
    let mut session = Session::new(&options);
    let subscribe = say(r#"{"action":"subscribe","data":true,"filter":""}"#);
    assert_eq!(session.open(Address::Complete), [subscribe]);
    let subscribed = json!({"type": "subscribed", "filter": "", "cursor": "c9"}).to_string();
    let resume = Step::Send(r#"{"action":"resume","cursor":"c1"}"#.to_owned());
    assert_eq!(session.receive(&subscribed), [resume]);
    assert_eq!(session.receive(&subscribed), []);
}

#[test]
fn a_gap_reported_during_a_replay_is_filled_after_it_or_on_the_next_connection() {
    let gap = json!({"type": "gap", "cursor": "c3"}).to_string();
    let resume = say(r#"{"action":"resume","cursor":"c3"}"#);
    let mut one = session(Some("c5"), 0);
    assert_eq!(one.receive(&gap), []);
    let steps = one.receive(&live("c9"));
    assert_eq!(steps[1..], std::slice::from_ref(&resume)[..]);
    assert!(!one.may_look() && one.take_restart());

    let mut other = session(Some("c5"), 0);
    other.receive(&gap);
    assert_eq!(other.place(), Some("c3"), "a later feed, too");
    assert_eq!(other.open(Address::Complete), [resume]);
}

fn subscribed() -> String {
    json!({"type": "subscribed", "filter": "", "cursor": "c9"}).to_string()
}

#[test]
fn a_new_filter_waits_for_the_replay_that_runs_and_then_begins_at_the_cursor() {
    let mut session = session(Some("c1"), 0);
    session.open(Address::Complete);
    let subscribe = say(r#"{"action":"subscribe","data":false,"filter":"type:open"}"#);
    assert_eq!(session.set_filter("type:open"), [subscribe]);
    assert_eq!(session.receive(&subscribed()), []);
    let steps = session.receive(&live("c4"));
    let begun = [
        Step::Tell(FeedItem::Filtered {
            filter: "type:open".to_owned(),
            from: Some("c4".to_owned()),
        }),
        say(r#"{"action":"resume","cursor":"c4"}"#),
    ];
    assert_eq!(steps[1..], begun);
    assert!(session.take_restart(), "its looks begin anew");
}

#[test]
fn of_filters_that_follow_quickly_the_last_is_in_force() {
    let mut session = session(Some("c1"), 0);
    session.open(Address::Complete);
    session.receive(&live("c4"));
    session.set_filter("type:open");
    assert_eq!(session.set_filter("type:click"), [], "one after the other");
    let subscribe = say(r#"{"action":"subscribe","data":false,"filter":"type:click"}"#);
    assert_eq!(session.receive(&subscribed()), [subscribe]);
    assert_eq!(session.receive(&subscribed()).len(), 2);
    assert_eq!(session.receive(&subscribed()), []);
}

#[test]
fn a_new_filter_begins_with_the_next_connection_if_it_was_not_in_force_before() {
    let mut session = session(Some("c1"), 0);
    session.open(Address::Complete);
    session.receive(&live("c4"));
    session.set_filter("type:open");
    let begun = [
        Step::Tell(FeedItem::Filtered {
            filter: "type:open".to_owned(),
            from: Some("c4".to_owned()),
        }),
        say(r#"{"action":"resume","cursor":"c4"}"#),
    ];
    assert_eq!(session.open(Address::Complete), begun);
    assert_eq!(session.open(Address::Complete), begun[1..], "told once");
}

#[test]
fn a_filter_that_is_not_in_the_address_is_subscribed_to_before_anything_is_told() {
    let mut session = session(Some("c1"), 0);
    session.set_filter("type:open");
    let subscribe = r#"{"action":"subscribe","data":false,"filter":"type:open"}"#;
    let steps = session.open(Address::WithoutFilter);
    assert_eq!(steps, [say(subscribe)]);
    // Everything is pushed so far, and for a moment after the answer.
    assert!(told(&session.receive(&events(&["e2"], "c2", false))).is_empty());
    let steps = session.receive(&json!({"type": "subscribed"}).to_string());
    let resume = say(r#"{"action":"resume","cursor":"c1"}"#);
    assert_eq!(steps.last(), Some(&resume));
    assert!(told(&session.receive(&events(&["e3"], "c3", false))).is_empty());
    session.receive(&live("c1"));
    session.look();
    // What was left out and passes the filter.
    assert_eq!(told(&session.receive(&events(&["e3"], "c3", true))), ["e3"]);
    assert_eq!(
        told(&session.receive(&events(&["e4"], "c4", false))),
        ["e4"]
    );
}

#[test]
fn that_something_is_lost_is_remembered_until_a_replay_has_ended() {
    let mut session = session(Some("c1"), 0);
    let in_part = json!({
        "type": "events", "replay": true, "recovered": false, "events": [], "cursor": "c4",
    });
    session.receive(&in_part.to_string());
    // Cut off. The next replay begins with what is kept.
    session.open(Address::Complete);
    let lives = [live("c5"), live("c6")];
    let told = lives.map(|live| session.receive(&live).remove(0));
    let recovered = |recovered| Step::Tell(FeedItem::Live { recovered });
    assert_eq!(told, [recovered(false), recovered(true)]);
}
