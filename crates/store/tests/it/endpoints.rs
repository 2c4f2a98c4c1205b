//! Endpoints are stored, changed and seen at once.

use std::convert::Infallible;
use std::sync::Arc;

use domain::endpoint::{DisabledReason, EndpointStatus, Subscription};
use domain::health::{HealthState, Outcome, Report};
use domain::{Content, Endpoint, Health, Source};
use futures::future::join_all;
use store::{Created, DeletedEndpoint, Edited};

use crate::database::{Database, ENDPOINTS};
use crate::{NOW, endpoint, endpoint_id};

fn describe(text: &str) -> impl FnMut(&mut Endpoint) -> Result<(), Infallible> {
    move |endpoint| {
        text.clone_into(&mut endpoint.settings.description);
        Ok(())
    }
}

#[tokio::test]
async fn an_endpoint_is_created_read_changed_and_deleted() {
    let database = Database::new();
    let (editor, reader) = (database.editor(), database.endpoints());
    let created = endpoint(1);
    assert_eq!(editor.create(&created).await.unwrap(), Created::Stored);
    let read = reader.get(created.id).await.unwrap().unwrap();
    assert_eq!(
        (read.endpoint, read.health),
        (created.clone(), Health::default())
    );

    let later = NOW.plus(5);
    let edited = editor
        .edit(created.id, later, describe("new"))
        .await
        .unwrap();
    let Edited::Stored(edited) = edited else {
        panic!("{edited:?}")
    };
    assert_eq!((edited.version, edited.updated_at), (2, later));
    let read = reader.get(created.id).await.unwrap().unwrap();
    assert_eq!(read.endpoint, *edited);

    assert!(editor.delete(created.id, NOW).await.unwrap());
    assert!(!editor.delete(created.id, NOW).await.unwrap());
    assert!(reader.get(created.id).await.unwrap().is_none());
    let edited = editor
        .edit(created.id, later, describe("newer"))
        .await
        .unwrap();
    assert_eq!(edited, Edited::Missing);
}

#[tokio::test]
async fn a_change_that_refuses_changes_nothing() {
    let database = Database::new();
    let editor = database.editor();
    editor.create(&endpoint(1)).await.unwrap();
    let edited = editor
        .edit(endpoint_id(1), NOW, |_| Err("no"))
        .await
        .unwrap();
    assert_eq!(edited, Edited::Refused("no"));
    let read = database.endpoints().get(endpoint_id(1)).await.unwrap();
    assert_eq!(read.unwrap().endpoint, endpoint(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_once_are_all_made() {
    let database = Database::new();
    let editor = database.editor();
    editor.create(&endpoint(1)).await.unwrap();
    let append = |n: usize| {
        let editor = editor.clone();
        tokio::spawn(async move {
            let append = |endpoint: &mut Endpoint| {
                endpoint.settings.description.push_str(&n.to_string());
                Ok::<_, Infallible>(())
            };
            editor.edit(endpoint_id(1), NOW, append).await.unwrap()
        })
    };
    for edited in join_all((0..8).map(append)).await {
        assert!(matches!(edited.unwrap(), Edited::Stored(_)));
    }
    let read = database.endpoints().get(endpoint_id(1)).await.unwrap();
    let read = read.unwrap().endpoint;
    assert_eq!((read.version, read.settings.description.len()), (9, 8));
}

#[tokio::test]
async fn there_are_not_too_many_endpoints() {
    let database = Database::new();
    let editor = database.editor();
    database.pretend_endpoints(998);
    let [one, other, more] = [1, 2, 3].map(endpoint);
    assert_eq!(editor.create(&one).await.unwrap(), Created::Stored);
    assert_eq!(editor.create(&other).await.unwrap(), Created::Stored);
    assert_eq!(editor.create(&more).await.unwrap(), Created::TooMany);
    assert!(editor.delete(one.id, NOW).await.unwrap());
    assert!(!editor.delete(one.id, NOW).await.unwrap());
    assert_eq!(editor.create(&more).await.unwrap(), Created::Stored);
    // A repetition whose answer was lost, and one too many.
    assert_eq!(editor.create(&one).await.unwrap(), Created::TooMany);
    assert!(editor.delete(other.id, NOW).await.unwrap());
    assert_eq!(editor.create(&more).await.unwrap(), Created::Stored);
    assert_eq!(editor.create(&one).await.unwrap(), Created::Stored);
}

#[tokio::test]
async fn the_cache_sees_each_change_and_reads_one_item_while_there_is_none() {
    let database = Database::new();
    let (editor, cache) = (database.editor(), database.cache());
    assert_eq!(cache.current(NOW).await.unwrap().all().count(), 0);
    editor.create(&endpoint(1)).await.unwrap();
    editor.create(&endpoint(2)).await.unwrap();
    assert_eq!(cache.current(NOW).await.unwrap().all().count(), 2);

    database.calls();
    let before = cache.current(NOW).await.unwrap();
    assert_eq!(database.calls(), 1);

    editor
        .edit(endpoint_id(1), NOW, describe("new"))
        .await
        .unwrap();
    let after = cache.current(NOW).await.unwrap();
    let described = after.get(endpoint_id(1)).unwrap();
    assert_eq!(described.endpoint.settings.description, "new");
    assert!(after.version > before.version);

    editor.delete(endpoint_id(1), NOW).await.unwrap();
    assert!(
        cache
            .current(NOW)
            .await
            .unwrap()
            .get(endpoint_id(1))
            .is_none()
    );
}

#[tokio::test]
async fn a_deleted_endpoint_is_known_as_such_until_it_is_forgotten() {
    let database = Database::new();
    let (editor, deleted) = (database.editor(), database.deleted());
    editor.create(&endpoint(1)).await.unwrap();
    let known = database.cache().current(NOW).await.unwrap();
    let known = known.get(endpoint_id(1)).unwrap();
    let keeper = database.keeper();
    let failure = Report {
        outcome: Outcome::Failure { is_last: false },
        is_own: false,
        permit: None,
    };
    keeper.after(known, &[failure], NOW).await.unwrap();
    assert_eq!(deleted.all().await.unwrap(), []);
    assert!(editor.delete(endpoint_id(1), NOW).await.unwrap());
    let note = DeletedEndpoint {
        id: endpoint_id(1),
        at: NOW,
    };
    assert_eq!(deleted.all().await.unwrap(), [note]);

    // Who knows how it fared notes nothing any more; who does not may, and that is forgotten too.
    keeper.after(known, &[failure], NOW).await.unwrap();
    assert_eq!(database.partition(ENDPOINTS, "health").len(), 0);
    database
        .keeper()
        .after(known, &[failure], NOW)
        .await
        .unwrap();
    assert_eq!(database.partition(ENDPOINTS, "health").len(), 1);
    deleted.forget(endpoint_id(1)).await.unwrap();
    assert_eq!(deleted.all().await.unwrap(), []);
    assert_eq!(database.partition(ENDPOINTS, "health").len(), 0);
}

#[tokio::test]
async fn how_an_endpoint_fares_is_read_anew_without_the_endpoints() {
    let database = Database::new();
    database.editor().create(&endpoint(1)).await.unwrap();
    let cache = database.cache();
    let before = cache.current(NOW).await.unwrap();
    let known = before.get(endpoint_id(1)).unwrap();
    database.keeper().strain(known, NOW).await.unwrap();
    database.calls();
    let after = cache.current(NOW).await.unwrap();
    let state = after.get(endpoint_id(1)).unwrap().health.state(NOW);
    assert_eq!(
        (state, after.version),
        (HealthState::Strained, before.version)
    );
    // The item with the numbers, and one query.
    assert_eq!(database.calls(), 2);
    cache.current(NOW).await.unwrap();
    assert_eq!(database.calls(), 1);
}

#[tokio::test]
async fn the_cache_sees_a_minute_later_what_did_not_count_as_a_change() {
    let database = Database::new();
    database.editor().create(&endpoint(1)).await.unwrap();
    let cache = database.cache();
    let known = cache
        .current(NOW)
        .await
        .unwrap()
        .get(endpoint_id(1))
        .unwrap()
        .clone();
    let failure = Report {
        outcome: Outcome::Failure { is_last: false },
        is_own: false,
        permit: None,
    };
    database
        .keeper()
        .after(&known, &[failure], NOW)
        .await
        .unwrap();
    let failures = async |ms| {
        let endpoints = cache.current(NOW.plus(ms)).await.unwrap();
        let known = endpoints.get(endpoint_id(1)).unwrap();
        known.health.consecutive_failures()
    };
    assert_eq!(failures(59_999).await, 0);
    assert_eq!(failures(60_000).await, 1);
}

#[tokio::test]
async fn an_event_is_for_the_enabled_endpoints_that_want_it() {
    let database = Database::new();
    let editor = database.editor();
    for n in 1..=4 {
        editor.create(&endpoint(n)).await.unwrap();
    }
    let opens = |endpoint: &mut Endpoint| {
        let filter = "type:open".parse().unwrap();
        endpoint.settings.subscription = Subscription::stored(filter, Vec::new());
        Ok::<_, Infallible>(())
    };
    editor.edit(endpoint_id(2), NOW, opens).await.unwrap();
    let disable = |endpoint: &mut Endpoint| {
        endpoint.status = EndpointStatus::Disabled {
            reason: DisabledReason::Asked(String::new()),
            since: NOW,
        };
        Ok::<_, Infallible>(())
    };
    editor.edit(endpoint_id(3), NOW, disable).await.unwrap();
    let endpoints = database.cache().current(NOW).await.unwrap();
    let wanting = |content: &Content<'_>| -> Vec<_> {
        let wanting = endpoints.wanting(content);
        wanting.map(|known| known.endpoint.id).collect()
    };
    let [one, two, three, four] = [1, 2, 3, 4].map(endpoint_id);
    assert_eq!(
        wanting(&Content::new("open", Source::Mandrill)),
        [one, two, four]
    );
    assert_eq!(
        wanting(&Content::new("click", Source::Mandrill)),
        [one, four]
    );
    let ingested = |id: &str| Content {
        webhook: Some(id.to_owned().into()),
        ..Content::new("click", Source::Ingest)
    };
    assert_eq!(wanting(&ingested(&two.to_string())), [two]);
    assert_eq!(wanting(&ingested(&three.to_string())), []);
    assert_eq!(wanting(&ingested("main")), []);
}

#[tokio::test]
async fn endpoints_are_listed_page_by_page() {
    let database = Database::new();
    for n in 1..=5 {
        database.editor().create(&endpoint(n)).await.unwrap();
    }
    let reader = database.endpoints();
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = reader.list(after, 2).await.unwrap();
        ids.extend(page.endpoints.iter().map(|known| known.endpoint.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(ids, [1, 2, 3, 4, 5].map(endpoint_id));
    assert_eq!(ids, reader.ids().await.unwrap());
}

#[tokio::test]
async fn throttled_calls_are_made_again() {
    let database = Database::new();
    database.throttle(2);
    assert_eq!(
        database.editor().create(&endpoint(1)).await.unwrap(),
        Created::Stored
    );
    database.throttle(2);
    let cache = Arc::new(database.cache());
    assert_eq!(cache.current(NOW).await.unwrap().all().count(), 1);
}
