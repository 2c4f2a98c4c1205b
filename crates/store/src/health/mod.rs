//! How endpoints fare, shared by all environments.
//!
//! Each endpoint has one state, which is replaced only by one that was made from it. What this
//! environment has seen of it is kept, so that mostly one write does.

mod slots;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use domain::endpoint::DisabledReason;
use domain::health::{Admission, Notice, Outcome, Report, Transition};
use domain::{Chain, Endpoint, EndpointId, Health, Millis, TimeScale};
use tokio::time::{Instant, timeout};

pub use slots::Slots;

use crate::attributes::number;
use crate::backoff::{Backoff, retrying};
use crate::conditional::{Conditional, conditional};
use crate::endpoints::KnownEndpoint;
use crate::endpoints::item::{self, attribute};
use crate::endpoints::read;
use crate::error::{StoreError, classify};
use crate::events::NewEvent;
use crate::publish::EventPublisher;
use crate::transaction::{self, Transacted};

/// How long a call may take, with trying it again on what others made of the state.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The same for noting how attempts went: a permit that is not given back is missing for half a
/// minute, and the attempts have been recorded by then.
const REPORT_LIMIT: Duration = Duration::from_secs(10);

/// What attempts led to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aftermath {
    /// What was told of the endpoint.
    pub notices: Vec<Notice>,
    /// Why it was disabled just now.
    pub disabled: Option<DisabledReason>,
}

/// Asks how endpoints fare, notes how attempts went, and tells of it: for `deliver`.
#[derive(Debug)]
pub struct HealthKeeper {
    client: Client,
    table: String,
    publisher: EventPublisher,
    clock: fn() -> Millis,
    scale: TimeScale,
    seen: Mutex<HashMap<EndpointId, Seen>>,
}

/// What this environment knows of an endpoint.
#[derive(Debug, Clone, Default)]
struct Seen {
    health: Health,
    /// The number of changes that led there.
    version: u64,
    /// The last success that nobody had to note.
    succeeded_at: Option<Millis>,
}

impl HealthKeeper {
    /// The IAM actions that it needs on the endpoints table. What it publishes needs those of
    /// [`EventPublisher`].
    pub const ACTIONS: &'static [&'static str] = &["dynamodb:GetItem", "dynamodb:UpdateItem"];

    /// On the endpoints table. `clock` says when an event is published.
    #[must_use]
    pub fn new(
        client: Client,
        table: String,
        publisher: EventPublisher,
        clock: fn() -> Millis,
        scale: TimeScale,
    ) -> HealthKeeper {
        HealthKeeper {
            client,
            table,
            publisher,
            clock,
            scale,
            seen: Mutex::default(),
        }
    }

    /// Lets as many of the attempts that are `wanted` begin as may. Writes nothing for an endpoint
    /// that is healthy, or whose breaker is open.
    ///
    /// # Errors
    /// When DynamoDB does not answer.
    pub async fn admit(
        &self,
        known: &KnownEndpoint,
        wanted: usize,
        now: Millis,
    ) -> Result<Admission, StoreError> {
        let scale = self.scale;
        let mut seen = self.newest(known);
        let (_, guess) = seen.health.admit(wanted, now, scale);
        let is_short = matches!(&guess, Admission::Some { permits, .. } if permits.len() < wanted);
        // Others may have given permits back. While it is open there are none to give.
        if is_short && seen.health.capacity(now) != Some(0) {
            seen = self.read(known.endpoint.id).await?;
        }
        let admit = |seen: &Seen| seen.health.admit(wanted, now, scale);
        self.replace(known.endpoint.id, seen, admit).await
    }

    /// Notes how attempts of one endpoint went, in their order, and gives their permits back.
    /// Publishes what is to be told of it, and disables the endpoint when that follows. Writes
    /// nothing for successes of a healthy one.
    ///
    /// # Errors
    /// When DynamoDB does not take it, in which case what is lost is that these attempts count: what
    /// would have followed follows from the next ones.
    pub async fn after(
        &self,
        known: &KnownEndpoint,
        reports: &[Report],
        now: Millis,
    ) -> Result<Aftermath, StoreError> {
        let mut seen = self.newest(known);
        let mut permits = reports.iter().filter_map(|report| report.permit);
        if permits.any(|permit| !seen.health.has_permit(permit)) {
            seen = self.read(known.endpoint.id).await?;
        }
        let turn = self.turn(known, seen, reports, now).await?;
        let is_success = |report: &Report| report.outcome == Outcome::Success;
        if reports.iter().any(is_success) {
            self.note_success(known.endpoint.id, now);
        }
        match turn {
            Some(turn) => self.conclude(known.endpoint.id, turn, now).await,
            None => Ok(Aftermath::default()),
        }
    }

    /// Writes the state that follows from attempts, as often as somebody else was faster. None when
    /// it is as it was.
    async fn turn(
        &self,
        known: &KnownEndpoint,
        mut seen: Seen,
        reports: &[Report],
        now: Millis,
    ) -> Result<Option<Transition>, StoreError> {
        let id = known.endpoint.id;
        let (mut is_newest, mut is_mute, mut pace) = (false, false, None);
        loop {
            let reports = with_unnoted(&seen, reports);
            let Some(mut turn) = seen.health.after(&reports, now, self.scale) else {
                return Ok(None);
            };
            if !turn.notices.is_empty() {
                // What was seen may be a minute old: nothing is told that does not follow any more.
                if !is_newest {
                    seen = self.read(id).await?;
                    is_newest = true;
                    continue;
                }
                // Before it is written that it was told: who dies in between would have told
                // nobody, and what is told twice has the same id.
                is_mute = is_mute || !self.tell_in_time(id, &mut turn).await;
                if is_mute {
                    turn = turn.untold(&seen.health);
                }
            }
            let is_same = turn.health == seen.health;
            let health = turn.health.clone();
            let pace = pace.get_or_insert_with(|| Pace::within(REPORT_LIMIT));
            if is_same || self.replaced(id, &mut seen, health, pace).await? {
                return Ok(Some(turn));
            }
            is_newest = true;
        }
    }

    /// Publishes what follows; whether that was done.
    async fn tell_in_time(&self, id: EndpointId, turn: &mut Transition) -> bool {
        let told = timeout(TIME_LIMIT, self.tell(id, turn)).await;
        let told = told.unwrap_or_else(|_| Err(StoreError::too_slow("PutItem")));
        if let Err(error) = &told {
            tracing::error!(endpoint.id = %id, error = %Chain(error), "An event about an endpoint could not be stored.");
        }
        told.is_ok()
    }

    /// Publishes what follows. Of an endpoint that is gone or disabled by now, nothing: that it is,
    /// is known.
    async fn tell(&self, id: EndpointId, turn: &mut Transition) -> Result<(), StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let key = item::endpoint_key(id);
        let found = read::get(&self.client, &self.table, key, deadline).await?;
        let endpoint = found.as_ref().map(item::to_endpoint).transpose()?;
        let Some(endpoint) = endpoint.filter(Endpoint::is_enabled) else {
            turn.notices.clear();
            turn.disable = None;
            return Ok(());
        };
        let (health, reason) = (&turn.health, turn.disable.as_ref());
        for notice in &turn.notices {
            let (content, data) = notice.event(&endpoint, health, reason);
            let event = NewEvent {
                id: notice.event_id(&endpoint, health, reason),
                content,
                data: data.into(),
            };
            self.publisher.publish(event, None, self.clock).await?;
        }
        Ok(())
    }

    /// Does what follows from a new state.
    async fn conclude(
        &self,
        id: EndpointId,
        mut turn: Transition,
        now: Millis,
    ) -> Result<Aftermath, StoreError> {
        let mut disabled = turn.disable.take();
        if let Some(reason) = &disabled {
            if !self.disable(id, reason, now).await? {
                // It is already, or is gone.
                disabled = None;
            }
        } else if turn.is_urgent {
            self.bump().await;
        }
        Ok(Aftermath {
            notices: turn.notices,
            disabled,
        })
    }

    /// Notes that an attempt has been under way for long.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn strain(&self, known: &KnownEndpoint, now: Millis) -> Result<(), StoreError> {
        let seen = self.newest(known);
        let is_urgent = self
            .replace(known.endpoint.id, seen, |seen| {
                match seen.health.strain(now) {
                    Some(turn) => (Some(turn.health), turn.is_urgent),
                    None => (None, false),
                }
            })
            .await?;
        if is_urgent {
            self.bump().await;
        }
        Ok(())
    }

    /// Takes the next `count` times under a rate limit, for all environments together.
    ///
    /// # Errors
    /// When DynamoDB does not take it.
    pub async fn reserve(
        &self,
        endpoint: EndpointId,
        per_second: NonZeroU32,
        count: usize,
        now: Millis,
    ) -> Result<Slots, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let rate = (per_second, count);
        slots::reserve(
            &self.client,
            &self.table,
            endpoint,
            rate,
            self.scale,
            now,
            deadline,
        )
        .await
    }

    /// Replaces an endpoint's state by what `make` makes of it, as often as somebody else was
    /// faster. Without a new state nothing is written. Answers what `make` said last.
    async fn replace<T>(
        &self,
        id: EndpointId,
        mut seen: Seen,
        make: impl Fn(&Seen) -> (Option<Health>, T),
    ) -> Result<T, StoreError> {
        let mut pace = Pace::within(TIME_LIMIT);
        loop {
            let (health, answer) = make(&seen);
            let Some(health) = health else {
                return Ok(answer);
            };
            if self.replaced(id, &mut seen, health, &mut pace).await? {
                return Ok(answer);
            }
        }
    }

    /// Writes a state over the one that was seen; whether nobody was faster. If somebody was, theirs
    /// is `seen` now.
    async fn replaced(
        &self,
        id: EndpointId,
        seen: &mut Seen,
        health: Health,
        pace: &mut Pace,
    ) -> Result<bool, StoreError> {
        match self.put(id, &health, seen.version).await {
            Ok(Conditional::Done(_)) => {
                seen.health = health;
                seen.version += 1;
                self.keep(id, seen.clone());
                Ok(true)
            }
            // The endpoint was deleted: nobody wants to know any more.
            Ok(Conditional::Refused(there)) if there.is_empty() => Ok(true),
            Ok(Conditional::Refused(there)) => {
                (seen.health, seen.version) = item::to_health(Some(&there));
                self.keep(id, seen.clone());
                // Shortly, and no longer each time: that somebody was faster is no throttling.
                Backoff::until(pace.deadline).pause("UpdateItem").await?;
                Ok(false)
            }
            Err(StoreError::Throttled { operation }) => {
                pace.backoff.pause(operation).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a state over the one that was seen.
    async fn put(
        &self,
        id: EndpointId,
        health: &Health,
        seen: u64,
    ) -> Result<Conditional, StoreError> {
        let condition = if seen == 0 {
            "attribute_not_exists(#version)"
        } else {
            "#version = :seen"
        };
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::health_key(id)))
            .update_expression("SET #state = :state, #version = :version, #v = :v")
            .condition_expression(condition)
            .expression_attribute_names("#state", attribute::STATE)
            .expression_attribute_names("#version", attribute::VERSION)
            .expression_attribute_names("#v", attribute::V)
            .expression_attribute_values(":state", item::of_health(health)?)
            .expression_attribute_values(":version", number(seen + 1))
            .expression_attribute_values(":v", number(1u64))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        // DynamoDB takes no value that nothing uses.
        let call = match seen {
            0 => call,
            seen => call.expression_attribute_values(":seen", number(seen)),
        };
        conditional(call).await
    }

    /// Makes every cache read anew how endpoints fare. If that fails, they do so within a minute
    /// anyway.
    async fn bump(&self) {
        let bump = item::bump_health(&self.table);
        let bumped = retrying(Instant::now() + TIME_LIMIT, || async {
            let call = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(bump.get_key().clone())
                .set_update_expression(bump.get_update_expression().clone())
                .set_expression_attribute_names(bump.get_expression_attribute_names().clone())
                .set_expression_attribute_values(bump.get_expression_attribute_values().clone());
            let answer = call.send().await;
            answer
                .map(drop)
                .map_err(|error| classify("UpdateItem", error))
        })
        .await;
        if let Err(error) = bumped {
            tracing::warn!(
                error = %Chain(&error),
                "Caches of endpoints are told late of a change."
            );
        }
    }

    /// Disables an endpoint; whether it was enabled.
    async fn disable(
        &self,
        id: EndpointId,
        reason: &DisabledReason,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let disable = item::disable(&self.table, id, reason, now);
        let writes = [
            transaction::update(disable),
            transaction::update(item::bump(&self.table)),
        ];
        let written = transaction::write(&self.client, transaction::all(writes)?).await?;
        Ok(written == Transacted::Done)
    }

    /// How an endpoint fares by the table.
    async fn read(&self, id: EndpointId) -> Result<Seen, StoreError> {
        let deadline = Instant::now() + TIME_LIMIT;
        let key = item::health_key(id);
        let item = read::get(&self.client, &self.table, key, deadline).await?;
        let (health, version) = item::to_health(item.as_ref());
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(id).or_default();
        kept.health = health;
        kept.version = version;
        Ok(kept.clone())
    }

    /// The newest that is known of an endpoint.
    fn newest(&self, known: &KnownEndpoint) -> Seen {
        let all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = all.get(&known.endpoint.id).cloned().unwrap_or_default();
        if known.health_version > seen.version {
            seen.health = known.health.clone();
            seen.version = known.health_version;
        }
        seen
    }

    fn keep(&self, id: EndpointId, seen: Seen) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(id).or_default();
        if seen.version >= kept.version {
            kept.health = seen.health;
            kept.version = seen.version;
        }
    }

    fn note_success(&self, id: EndpointId, now: Millis) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(id).or_default();
        kept.succeeded_at = kept.succeeded_at.max(Some(now));
    }
}

/// How long, and at which intervals, a state is written.
struct Pace {
    deadline: Instant,
    backoff: Backoff,
}

impl Pace {
    fn within(limit: Duration) -> Pace {
        let deadline = Instant::now() + limit;
        Pace {
            deadline,
            backoff: Backoff::until(deadline),
        }
    }
}

/// The reports, after a success that was not noted when it happened, since the endpoint was healthy
/// as far as this environment knew: else failures between which there were successes would count
/// as in a row.
fn with_unnoted(seen: &Seen, reports: &[Report]) -> Vec<Report> {
    let is_later = seen.succeeded_at > seen.health.failed_at();
    let is_unnoted = is_later && !seen.health.is_clean();
    let success = Report {
        outcome: Outcome::Success,
        is_own: false,
        permit: None,
    };
    let unnoted = is_unnoted.then_some(success);
    unnoted.into_iter().chain(reports.iter().copied()).collect()
}
