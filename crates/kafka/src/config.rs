//! Properties of Kafka: all of librdkafka's pass through, a few belong to the source and the sink.
//!
//! ```
//! use thalweg_kafka::config::KafkaProperties;
//!
//! let mut properties = KafkaProperties::new("broker:9093");
//! properties.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "SCRAM-SHA-512");
//! assert_eq!(properties.get("security.protocol"), Some("SASL_SSL"));
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::error::KafkaError;

/// The address of a cluster, and properties in librdkafka's names (`security.protocol`, `sasl.*`, `ssl.*`,
/// `fetch.*`, …).
///
/// One is not librdkafka's but Java's: `default.api.timeout.ms` says how long a start, a lookup or a commit may
/// take without an answer before it is an error; 15 s unless it is set.
///
/// Two bound what a source has fetched and not yet read, of all its partitions and subtasks together, and are divided among them:
/// `queued.max.messages.kbytes` (65,536 unless it is set) and `queued.min.messages` (65,536).
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaProperties {
    bootstrap: String,
    properties: BTreeMap<String, String>,
}

// Properties hold passwords, and debug output ends up in logs.
impl std::fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("KafkaProperties").field("bootstrap", &self.bootstrap).field("set", &names).finish()
    }
}

/// A property that the user cannot set, and why.
type Owned = (&'static str, &'static str);

/// Not known to librdkafka.
const API_TIMEOUT: &str = "default.api.timeout.ms";

/// How sure a producer is to be of its records.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Confirmation<'a> {
    /// It does not ask.
    None,
    /// By all replicas, each record once and in order as long as the producer lives.
    Idempotent,
    /// The same, in transactions of this id.
    Transactional(&'a str),
}

const OWNED_BY_SOURCE: &[Owned] = &[
    ("bootstrap.servers", "set it with set_bootstrap_servers"),
    ("group.id", "set it with set_group_id"),
    (
        "enable.auto.commit",
        "offsets are committed with checkpoints; a commit in between would lose records after a crash",
    ),
    ("enable.auto.offset.store", "offsets are committed with checkpoints"),
    ("auto.offset.reset", "set where to begin with set_starting_offsets"),
    ("enable.partition.eof", "set where to end with set_bounded"),
    ("partition.assignment.strategy", "the source assigns partitions to its subtasks itself"),
];

const OWNED_BY_SINK: &[Owned] = &[
    ("bootstrap.servers", "set it with set_bootstrap_servers"),
    (
        "transactional.id",
        "it is derived from the job's name; set set_transactional_id_prefix to choose another",
    ),
    ("enable.idempotence", "it follows from the delivery guarantee"),
    ("delivery.report.only.error", "the sink counts on it"),
    ("acks", "every delivery guarantee but none needs all replicas, and none needs none"),
    ("request.required.acks", "every delivery guarantee but none needs all replicas, and none needs none"),
];

impl KafkaProperties {
    /// No properties yet. `bootstrap` is one address `host:port` or several, separated by commas.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        Self { bootstrap: bootstrap.into(), properties: BTreeMap::new() }
    }

    /// Sets a property; a later value replaces an earlier one. Whether it is known and allowed is checked at the start
    /// of the job.
    pub fn set(&mut self, property: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.properties.insert(property.into(), value.into());
        self
    }

    /// The value of a property that was set.
    pub fn get(&self, property: &str) -> Option<&str> {
        self.properties.get(property).map(String::as_str)
    }

    /// These, for a producer that may hold so many bytes: no more than usual, and as the user says if that was said.
    pub(crate) fn holding(&self, bytes: Option<u64>) -> Self {
        let mut properties = self.clone();
        if let (Some(bytes), None) = (bytes, self.get(QUEUE_KBYTES)) {
            properties
                .set(QUEUE_KBYTES, (bytes / 1024).min(USUAL_KBYTES).max(self.largest_kbytes()).to_string());
        }
        properties
    }

    /// A message of the largest size that is allowed has to find room in an empty queue: it would wait for ever.
    fn largest_kbytes(&self) -> u64 {
        let largest = self.get("message.max.bytes").and_then(|bytes| bytes.parse::<u64>().ok());
        largest.unwrap_or(1_000_000).div_ceil(1024) + 64
    }

    /// The address of the cluster.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Whether a consumer can be made of these properties.
    ///
    /// # Errors
    /// [`KafkaError::Property`], for the first that cannot be.
    pub(crate) fn check_consumer(&self) -> Result<(), KafkaError> {
        self.check(&self.consumer("check")?)
    }

    /// Whether a producer can be made of these properties.
    pub(crate) fn check_producer(&self, confirmation: Confirmation<'_>) -> Result<(), KafkaError> {
        self.transaction_timeout()?;
        self.check(&self.producer(confirmation)?)
    }

    fn check(&self, config: &ClientConfig) -> Result<(), KafkaError> {
        let timeout = self.api_timeout()?;
        let checked = config.create_native_config();
        checked
            .map(drop)
            .map_err(|error| KafkaError::from_client("set up Kafka", &self.bootstrap, timeout, error))
    }

    /// How long to wait for an answer.
    ///
    /// # Errors
    /// [`KafkaError::Property`] if the property is not a number of milliseconds.
    pub(crate) fn api_timeout(&self) -> Result<Duration, KafkaError> {
        Ok(self.milliseconds(API_TIMEOUT)?.unwrap_or(Duration::from_secs(15)))
    }

    /// How long a transaction may be open before the broker aborts it.
    pub(crate) fn transaction_timeout(&self) -> Result<Duration, KafkaError> {
        Ok(self.milliseconds("transaction.timeout.ms")?.unwrap_or(Duration::from_secs(60)))
    }

    fn milliseconds(&self, property: &str) -> Result<Option<Duration>, KafkaError> {
        let Some(value) = self.get(property) else { return Ok(None) };
        let not_a_number = |_| KafkaError::Property {
            property: property.to_owned(),
            reason: format!("'{value}' is not a number of milliseconds"),
        };
        value.parse().map(Duration::from_millis).map(Some).map_err(not_a_number)
    }

    /// The configuration of a consumer: librdkafka's defaults, ours, the user's, then those that the source owns.
    pub(crate) fn consumer(&self, group: &str) -> Result<ClientConfig, KafkaError> {
        let mut config = self.with_defaults(OWNED_BY_SOURCE, CONSUMER_DEFAULTS)?;
        config.set("group.id", group);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        // An offset that is no longer kept is an error to be seen, not a reason to begin somewhere else.
        config.set("auto.offset.reset", "error");
        Ok(config)
    }

    /// The configuration of a consumer that goes along with a producer.
    pub(crate) fn marker_consumer(&self, group: &str) -> Result<ClientConfig, KafkaError> {
        let mut config = self.with_defaults(OWNED_BY_SINK, &[])?;
        config.set("group.id", group).set("enable.auto.commit", "false");
        // Committed offsets of an open transaction are waited for, until they count or are given up.
        config.set("isolation.level", "read_committed");
        Ok(config)
    }

    /// The configuration of a producer.
    pub(crate) fn producer(&self, confirmation: Confirmation<'_>) -> Result<ClientConfig, KafkaError> {
        let mut config = self.with_defaults(OWNED_BY_SINK, PRODUCER_DEFAULTS)?;
        config.set("delivery.report.only.error", "true");
        if self.get(QUEUE_KBYTES).is_none() {
            config.set(QUEUE_KBYTES, USUAL_KBYTES.max(self.largest_kbytes()).to_string());
        }
        match confirmation {
            Confirmation::None => config.set("acks", "0"),
            Confirmation::Idempotent => config.set("enable.idempotence", "true"),
            Confirmation::Transactional(id) => {
                config.set("enable.idempotence", "true").set("transactional.id", id)
            }
        };
        Ok(config)
    }

    /// The configuration of an admin client.
    pub(crate) fn admin(&self) -> Result<ClientConfig, KafkaError> {
        self.with_defaults(&[], &[])
    }

    fn with_defaults(&self, owned: &[Owned], defaults: &[(&str, &str)]) -> Result<ClientConfig, KafkaError> {
        if let Some((property, reason)) = owned.iter().find(|(name, _)| self.properties.contains_key(*name)) {
            return Err(KafkaError::Property { property: (*property).into(), reason: (*reason).into() });
        }
        let mut config = ClientConfig::new();
        for (property, value) in COMMON_DEFAULTS.iter().chain(defaults) {
            config.set(*property, *value);
        }
        for (property, value) in self.properties.iter().filter(|(property, _)| *property != API_TIMEOUT) {
            config.set(property, value);
        }
        config.set("bootstrap.servers", &self.bootstrap);
        // What is shown of it, the subscriber decides.
        let debugs = self.properties.contains_key("debug");
        config.set_log_level(if debugs { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        Ok(config)
    }
}

const COMMON_DEFAULTS: &[(&str, &str)] = &[
    // Connect to every broker at once instead of at its first use, which librdkafka delays by 50 ms.
    ("enable.sparse.connections", "false"),
    ("reconnect.backoff.ms", "20"),
    // A broker that comes back is found within half a second; with librdkafka's 10 s it takes up to as long.
    ("reconnect.backoff.max.ms", "500"),
    ("client.id", "thalweg"),
];

const CONSUMER_DEFAULTS: &[(&str, &str)] = &[
    ("isolation.level", "read_committed"),
    // A full queue is looked at again after this long; the default of 1 s shows as a stutter.
    ("fetch.queue.backoff.ms", "5"),
    // Whether a topic is there was found out before it is read: what is said to be gone then is gone, not yet to come.
    ("topic.metadata.propagation.max.ms", "0"),
    // How often the lag is looked at.
    ("statistics.interval.ms", "1000"),
    ("allow.auto.create.topics", "false"),
];

/// The bytes of the sink's waiting room, and how many KiB those are unless something is said.
const QUEUE_KBYTES: &str = "queue.buffering.max.kbytes";
const USUAL_KBYTES: u64 = 65_536;

const PRODUCER_DEFAULTS: &[(&str, &str)] = &[
    // At the most, under load: when no more records are at hand, the sink sends those that are there (unless the user sets this).
    ("linger.ms", "5"),
    // The bound of the sink's memory: back-pressure begins at this many records or bytes. A commit begins by sending
    // what is queued: at full load this takes 15 ms with 50,000 and 105 ms with 200,000, at the same throughput.
    ("queue.buffering.max.messages", "50000"),
    // Java's default, so that a key is in the same partition whoever wrote it.
    ("partitioner", "murmur2_random"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_holds_what_the_memory_of_its_job_leaves_it() {
        let mut properties = KafkaProperties::new("localhost:9092");
        let held = |properties: &KafkaProperties, bytes| {
            let config = properties.holding(bytes).producer(Confirmation::Idempotent).unwrap();
            config.get("queue.buffering.max.kbytes").unwrap().to_owned()
        };
        assert_eq!([held(&properties, None), held(&properties, Some(1 << 40))], ["65536", "65536"]);
        assert_eq!([held(&properties, Some(8 << 20)), held(&properties, Some(0))], ["8192", "1041"]);
        properties.set("message.max.bytes", "100000000");
        assert_eq!(
            [held(&properties, None), held(&properties, Some(0))],
            ["97721", "97721"],
            "one finds room"
        );
        properties.set("queue.buffering.max.kbytes", "100000");
        assert_eq!(held(&properties, Some(8 << 20)), "100000", "what the user says counts");
    }

    #[test]
    fn properties_pass_through_over_our_defaults() {
        let mut properties = KafkaProperties::new("localhost:9092");
        properties.set("isolation.level", "read_uncommitted").set("sasl.username", "anna");
        let config = properties.consumer("g").unwrap();
        assert_eq!(config.get("isolation.level"), Some("read_uncommitted"));
        assert_eq!(config.get("sasl.username"), Some("anna"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("bootstrap.servers"), Some("localhost:9092"));
    }

    #[test]
    fn a_broker_that_was_away_is_found_again_soon_unless_the_user_says_otherwise() {
        let mut properties = KafkaProperties::new("localhost:9092");
        for config in [properties.consumer("g").unwrap(), properties.producer(Confirmation::None).unwrap()] {
            assert_eq!(config.get("reconnect.backoff.max.ms"), Some("500"));
        }
        properties.set("reconnect.backoff.max.ms", "3000");
        assert_eq!(properties.consumer("g").unwrap().get("reconnect.backoff.max.ms"), Some("3000"));
    }

    #[test]
    fn a_property_that_we_own_is_refused_with_the_setting_to_use() {
        let mut properties = KafkaProperties::new("localhost:9092");
        properties.set("enable.auto.commit", "true");
        let error = properties.consumer("g").unwrap_err().to_string();
        assert!(error.contains("'enable.auto.commit'") && error.contains("checkpoints"), "{error}");

        let mut properties = KafkaProperties::new("localhost:9092");
        properties.set("transactional.id", "mine");
        let error = properties.producer(Confirmation::Transactional("job")).unwrap_err().to_string();
        assert!(
            error.contains("'transactional.id'") && error.contains("set_transactional_id_prefix"),
            "{error}"
        );
    }

    #[test]
    fn every_default_is_a_property_that_librdkafka_knows() {
        let properties = KafkaProperties::new("localhost:9092");
        properties.consumer("g").unwrap().create::<rdkafka::consumer::BaseConsumer>().unwrap();
        for confirmation in [Confirmation::None, Confirmation::Idempotent, Confirmation::Transactional("job")]
        {
            properties.producer(confirmation).unwrap().create::<rdkafka::producer::BaseProducer>().unwrap();
        }
    }

    #[test]
    fn the_api_timeout_is_ours() {
        let mut properties = KafkaProperties::new("localhost:9092");
        assert_eq!(properties.api_timeout().unwrap(), Duration::from_secs(15));
        properties.set("default.api.timeout.ms", "700");
        assert_eq!(properties.api_timeout().unwrap(), Duration::from_millis(700));
        assert_eq!(properties.consumer("g").unwrap().get("default.api.timeout.ms"), None);
        let error = properties.set("default.api.timeout.ms", "1 s").api_timeout().unwrap_err().to_string();
        assert!(error.contains("'1 s' is not a number"), "{error}");
    }

    #[test]
    fn debug_output_shows_no_password() {
        let mut properties = KafkaProperties::new("localhost:9092");
        properties.set("sasl.password", "hunter2");
        let text = format!("{properties:?}");
        assert!(text.contains("sasl.password") && !text.contains("hunter2"), "{text}");
    }
}
