//! An endpoint, and how it fares, as items of the endpoints table.

use std::num::NonZeroU32;

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Update};
use domain::endpoint::{
    CustomHeaders, DatedSecret, DisabledReason, EndpointStatus, Secrets, Settings, Subscription,
    TargetUrl,
};
use domain::signing::SigningSecret;
use domain::{Endpoint, EndpointId, Filter, Health, Millis, Redacted, RetrySchedule};
use serde::{Deserialize, Serialize};

use crate::attributes::{get_number, get_text, get_time, key, number, text, time};
use crate::error::StoreError;
use crate::item::Item;
use crate::keys;

/// The version of the attributes and of what is in `endpoint`.
const VERSION: u64 = 1;

/// Attributes of the endpoints table.
pub(crate) mod attribute {
    pub(crate) const V: &str = "v";
    /// Counts the changes of an endpoint, of how it fares, or of all endpoints.
    pub(crate) const VERSION: &str = "version";
    pub(crate) const ENDPOINT: &str = "endpoint";
    pub(crate) const STATUS: &str = "status";
    pub(crate) const DISABLED_REASON: &str = "disabled_reason";
    pub(crate) const DISABLED_AT: &str = "disabled_at";
    pub(crate) const UPDATED_AT: &str = "updated_at";
    pub(crate) const COUNT: &str = "count";
    pub(crate) const STATE: &str = "state";
    pub(crate) const SLOT: &str = "slot_us";
    /// Counts the changes of how endpoints fare that everybody has to know at once.
    pub(crate) const HEALTH: &str = "health";
    /// Of a deleted endpoint.
    pub(crate) const DELETED_AT: &str = "deleted_at";
}

pub(crate) const ENABLED: &str = "enabled";
pub(crate) const DISABLED: &str = "disabled";

/// What the attribute `endpoint` holds, as JSON. A field that is added later must have a default.
#[derive(Serialize, Deserialize)]
struct Stored {
    url: String,
    description: String,
    filter: String,
    event_types: Vec<String>,
    headers: Vec<(String, String)>,
    schedule: Vec<u32>,
    rate_limit: Option<NonZeroU32>,
    secrets: Vec<StoredSecret>,
    ingest_secret: String,
    created_at: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredSecret {
    secret: String,
    created_at: u64,
    expires_at: Option<u64>,
}

/// The key of an endpoint's configuration.
pub(crate) fn endpoint_key(id: EndpointId) -> Item {
    key(keys::ENDPOINTS, keys::endpoint(id))
}

/// The key of how an endpoint fares.
pub(crate) fn health_key(id: EndpointId) -> Item {
    key(keys::HEALTH, keys::endpoint(id))
}

/// The item of an endpoint.
pub(crate) fn of_endpoint(endpoint: &Endpoint) -> Result<Item, StoreError> {
    let mut item = endpoint_key(endpoint.id);
    let mut set = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    let json = serde_json::to_string(&Stored::of(endpoint));
    let json = json.map_err(|_| StoreError::Corrupt("an endpoint is not JSON"))?;
    set(attribute::V, number(VERSION));
    set(attribute::VERSION, number(endpoint.version));
    set(attribute::ENDPOINT, text(json));
    set(attribute::UPDATED_AT, time(endpoint.updated_at));
    match &endpoint.status {
        EndpointStatus::Enabled => {
            set(attribute::STATUS, text(ENABLED));
        }
        EndpointStatus::Disabled { reason, since } => {
            set(attribute::STATUS, text(DISABLED));
            set(attribute::DISABLED_REASON, text(reason.as_str()));
            set(attribute::DISABLED_AT, time(*since));
        }
    }
    Ok(item)
}

/// Reads the id in an item's key; none for the item that counts the changes.
pub(crate) fn id_of(item: &Item) -> Option<EndpointId> {
    get_text(item, "sk")?.parse().ok()
}

/// Reads what [`of_endpoint`] wrote.
pub(crate) fn to_endpoint(item: &Item) -> Result<Endpoint, StoreError> {
    const CORRUPT: StoreError = StoreError::Corrupt("an endpoint");
    let json = get_text(item, attribute::ENDPOINT).ok_or(CORRUPT)?;
    let stored: Stored = serde_json::from_str(json).map_err(|_| CORRUPT)?;
    let created_at = Millis(stored.created_at);
    let updated_at = get_time(item, attribute::UPDATED_AT).unwrap_or(created_at);
    Ok(Endpoint {
        id: id_of(item).ok_or(CORRUPT)?,
        status: status(item, updated_at),
        secrets: secrets(&stored.secrets).ok_or(CORRUPT)?,
        ingest_secret: Redacted(stored.ingest_secret.clone()),
        created_at,
        updated_at,
        version: get_number(item, attribute::VERSION).ok_or(CORRUPT)?,
        settings: stored.settings().ok_or(CORRUPT)?,
    })
}

fn status(item: &Item, updated_at: Millis) -> EndpointStatus {
    if get_text(item, attribute::STATUS) == Some(ENABLED) {
        return EndpointStatus::Enabled;
    }
    let reason = get_text(item, attribute::DISABLED_REASON).unwrap_or_default();
    EndpointStatus::Disabled {
        reason: DisabledReason::stored(reason),
        since: get_time(item, attribute::DISABLED_AT).unwrap_or(updated_at),
    }
}

fn secrets(stored: &[StoredSecret]) -> Option<Secrets> {
    let dated = stored.iter().map(|stored| {
        Some(DatedSecret {
            secret: SigningSecret::parse(&stored.secret).ok()?,
            created_at: Millis(stored.created_at),
            expires_at: stored.expires_at.map(Millis),
        })
    });
    Secrets::stored(dated.collect::<Option<_>>()?)
}

impl Stored {
    fn of(endpoint: &Endpoint) -> Stored {
        let settings = &endpoint.settings;
        let secret = |dated: &DatedSecret| StoredSecret {
            secret: dated.secret.reveal(),
            created_at: dated.created_at.0,
            expires_at: dated.expires_at.map(|at| at.0),
        };
        let headers = settings.headers.iter();
        Stored {
            url: settings.url.as_str().to_owned(),
            description: settings.description.clone(),
            filter: settings.subscription.filter().to_string(),
            event_types: settings.subscription.event_types().to_vec(),
            headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            schedule: settings.schedule.steps().to_vec(),
            rate_limit: settings.rate_limit,
            secrets: endpoint.secrets.all().iter().map(secret).collect(),
            ingest_secret: endpoint.ingest_secret.0.clone(),
            created_at: endpoint.created_at.0,
        }
    }

    fn settings(self) -> Option<Settings> {
        Some(Settings {
            url: TargetUrl::stored(self.url),
            description: self.description,
            subscription: Subscription::stored(
                Filter::stored(&self.filter).ok()?,
                self.event_types,
            ),
            headers: CustomHeaders::stored(self.headers),
            schedule: RetrySchedule::new(self.schedule).ok()?,
            rate_limit: self.rate_limit,
        })
    }
}

/// The text of how an endpoint fares.
pub(crate) fn of_health(health: &Health) -> Result<AttributeValue, StoreError> {
    let json = serde_json::to_string(health);
    json.map(text)
        .map_err(|_| StoreError::Corrupt("how an endpoint fares is not JSON"))
}

/// How an endpoint fares, and the number of changes that led there. One of which nothing is known,
/// or what cannot be read, is as good as new; the number is that of what is there.
pub(crate) fn to_health(item: Option<&Item>) -> (Health, u64) {
    let Some(item) = item else {
        return <(Health, u64)>::default();
    };
    let state = get_text(item, attribute::STATE);
    let health = state.and_then(|json| serde_json::from_str(json).ok());
    let version = get_number(item, attribute::VERSION);
    (health.unwrap_or_default(), version.unwrap_or_default())
}

/// Counts one more change, so that every cache reads anew.
pub(crate) fn bump(table: &str) -> UpdateBuilder {
    Update::builder()
        .table_name(table)
        .set_key(Some(key(keys::ENDPOINTS, keys::ENDPOINTS_VERSION)))
        .update_expression("SET #v = :v ADD #version :one")
        .expression_attribute_names("#v", attribute::V)
        .expression_attribute_names("#version", attribute::VERSION)
        .expression_attribute_values(":v", number(VERSION))
        .expression_attribute_values(":one", number(1u64))
}

/// Counts a change of how endpoints fare, so that every cache reads that anew.
pub(crate) fn bump_health(table: &str) -> UpdateBuilder {
    bump(table).expression_attribute_names("#version", attribute::HEALTH)
}

/// The key of the note that an endpoint was deleted.
pub(crate) fn deleted_key(id: EndpointId) -> Item {
    key(keys::DELETED, keys::endpoint(id))
}

/// The note that an endpoint was deleted.
pub(crate) fn of_deleted(id: EndpointId, now: Millis) -> Item {
    let mut item = deleted_key(id);
    item.insert(attribute::V.to_owned(), number(VERSION));
    item.insert(attribute::DELETED_AT.to_owned(), time(now));
    item
}

/// Disables an endpoint that is enabled.
pub(crate) fn disable(
    table: &str,
    id: EndpointId,
    reason: &DisabledReason,
    now: Millis,
) -> UpdateBuilder {
    Update::builder()
        .table_name(table)
        .set_key(Some(endpoint_key(id)))
        .update_expression(
            "SET #status = :disabled, disabled_reason = :reason, disabled_at = :now, \
             updated_at = :now ADD #version :one",
        )
        .condition_expression("#status = :enabled")
        .expression_attribute_names("#status", attribute::STATUS)
        .expression_attribute_names("#version", attribute::VERSION)
        .expression_attribute_values(":disabled", text(DISABLED))
        .expression_attribute_values(":enabled", text(ENABLED))
        .expression_attribute_values(":reason", text(reason.as_str()))
        .expression_attribute_values(":now", time(now))
        .expression_attribute_values(":one", number(1u64))
}

/// Forgets how an endpoint fared. It counts as a change, so that nobody holds on to what was.
pub(crate) fn forget_health(
    table: &str,
    id: EndpointId,
    now: Millis,
) -> Result<UpdateBuilder, StoreError> {
    Ok(Update::builder()
        .table_name(table)
        .set_key(Some(health_key(id)))
        .update_expression("SET #state = :state, #v = :v ADD #version :one")
        .expression_attribute_names("#state", attribute::STATE)
        .expression_attribute_names("#v", attribute::V)
        .expression_attribute_names("#version", attribute::VERSION)
        .expression_attribute_values(":state", of_health(&Health::forgotten(now))?)
        .expression_attribute_values(":v", number(VERSION))
        .expression_attribute_values(":one", number(1u64)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An endpoint with something in each field.
    pub(crate) fn endpoint(id: u8) -> Endpoint {
        let mut secrets = Secrets::new(SigningSecret::generate([1; 32]), Millis(5));
        let next = SigningSecret::generate([2; 32]);
        secrets.rotate(next, 1_000, Millis(6)).unwrap();
        let url = "https://hooks.example.com/a?b=c".to_owned();
        let types = vec!["order.*".to_owned()];
        Endpoint {
            id: EndpointId::new([id; 16]),
            settings: Settings {
                url: TargetUrl::stored(url),
                description: "Orders".to_owned(),
                subscription: Subscription::stored("tag:\"a b\"".parse().unwrap(), types),
                headers: CustomHeaders::new([("x-team", "orders")]).unwrap(),
                schedule: RetrySchedule::default(),
                rate_limit: NonZeroU32::new(7),
            },
            status: EndpointStatus::Enabled,
            secrets,
            ingest_secret: Redacted("whin_a".to_owned()),
            created_at: Millis(5),
            updated_at: Millis(6),
            version: 3,
        }
    }

    #[test]
    fn an_endpoint_is_read_as_it_was_stored() {
        let mut endpoint = endpoint(1);
        let read = |endpoint: &Endpoint| to_endpoint(&of_endpoint(endpoint).unwrap()).unwrap();
        assert_eq!(read(&endpoint), endpoint);
        for reason in [
            DisabledReason::Gone,
            DisabledReason::Failing,
            DisabledReason::Asked("moving".to_owned()),
        ] {
            let since = Millis(9);
            endpoint.status = EndpointStatus::Disabled { reason, since };
            assert_eq!(read(&endpoint), endpoint);
        }
    }

    #[test]
    fn an_endpoint_that_was_stored_under_this_version_stays_readable() {
        // What is stored lives as long as somebody uses it: an item of each version has to be read.
        let mut item = endpoint_key(EndpointId::new([1; 16]));
        let json = r#"{"url":"https://hooks.example.com/a?b=c","description":"Orders","filter":"tag:\"a b\"","event_types":["order.*"],"headers":[["x-team","orders"]],"schedule":[10,30,60,300,900],"rate_limit":7,"secrets":[{"secret":"whsec_AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=","created_at":6,"expires_at":null},{"secret":"whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","created_at":5,"expires_at":1006}],"ingest_secret":"whin_a","created_at":5}"#;
        item.insert(attribute::ENDPOINT.to_owned(), text(json));
        item.insert(attribute::V.to_owned(), number(1u64));
        item.insert(attribute::VERSION.to_owned(), number(3u64));
        item.insert(attribute::STATUS.to_owned(), text(ENABLED));
        item.insert(attribute::UPDATED_AT.to_owned(), number(6u64));
        assert_eq!(to_endpoint(&item).unwrap(), endpoint(1));
        assert_eq!(of_endpoint(&endpoint(1)).unwrap(), item);
    }

    #[test]
    fn a_damaged_endpoint_is_an_error() {
        let item = endpoint_key(EndpointId::new([1; 16]));
        assert!(matches!(to_endpoint(&item), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn an_endpoint_of_which_nothing_is_known_is_as_good_as_new() {
        assert_eq!(to_health(None), (Health::default(), 0));
        let mut item = health_key(EndpointId::new([1; 16]));
        item.insert(
            attribute::STATE.to_owned(),
            of_health(&Health::default()).unwrap(),
        );
        item.insert(attribute::VERSION.to_owned(), number(4u64));
        assert_eq!(to_health(Some(&item)), (Health::default(), 4));
    }

    #[test]
    fn how_an_endpoint_fares_can_be_written_anew_when_it_cannot_be_read() {
        let mut item = health_key(EndpointId::new([1; 16]));
        item.insert(attribute::STATE.to_owned(), text("{\"failures\":\"many\"}"));
        item.insert(attribute::VERSION.to_owned(), number(4u64));
        assert_eq!(to_health(Some(&item)), (Health::default(), 4));
    }
}
