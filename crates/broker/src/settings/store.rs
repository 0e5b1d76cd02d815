//! The settings that hold now: those the broker was started with, and above them those that were altered since,
//! which one file outlives a restart with.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::error::Refusal;
use crate::journal::replace;
use crate::settings::alter::Alteration;
use crate::settings::broker::{BrokerSettings, unknown};
use crate::settings::broker_table::{find, is_dynamic};
use crate::settings::group::{self, GroupSettings};
use crate::settings::quotas::{Entity, Quotas};
use crate::settings::{Given, topic};

/// See the module.
#[derive(Debug)]
pub(crate) struct Settings {
    file: Option<PathBuf>,
    at_start: Given,
    now: RwLock<Now>,
    /// Held by whoever alters, so that nobody who reads has to wait for the disk.
    altering: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Now {
    altered: Arc<Altered>,
    broker: Arc<BrokerSettings>,
}

/// Where settings of the broker are given. The first counts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Altered for this broker.
    Broker,
    /// Altered for all brokers, of which there is one.
    Cluster,
    /// Given at its start.
    Start,
}

/// What clients have altered, as `settings.json` has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
struct Altered {
    cluster: Given,
    broker: Given,
    groups: BTreeMap<String, Given>,
    quotas: Quotas,
}

impl Default for Altered {
    /// A new cluster of Kafka's has this one, and clients show it.
    fn default() -> Self {
        let cluster = Given::from([("min.insync.replicas".to_owned(), "1".to_owned())]);
        Self { cluster, broker: Given::new(), groups: BTreeMap::new(), quotas: Quotas::default() }
    }
}

impl Altered {
    /// Earlier versions took a limit of no connections, with which nobody could connect to take it back.
    fn let_somebody_in(&mut self) {
        for name in ["max.connections", "max.connections.per.ip"] {
            for given in [&mut self.cluster, &mut self.broker] {
                if given.get(name).is_some_and(|value| value == "0") {
                    tracing::warn!(
                        name,
                        "the setting was altered to 0, which lets nobody in; it is not obeyed"
                    );
                    given.remove(name);
                }
            }
        }
    }
}

impl Settings {
    /// What was given at the start, and no file.
    pub(crate) fn in_memory(at_start: Given) -> Result<Self, String> {
        Self::new(at_start, Altered::default(), None)
    }

    /// What was given at the start, and what `file` says has been altered.
    pub(crate) fn open(at_start: Given, file: &Path) -> io::Result<Self> {
        let mut altered: Altered = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Altered::default(),
            Err(error) => return Err(error),
        };
        altered.let_somebody_in();
        Self::new(at_start, altered, Some(file.to_owned()))
            .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    fn new(at_start: Given, altered: Altered, file: Option<PathBuf>) -> Result<Self, String> {
        let broker = Arc::new(BrokerSettings::new(&[&altered.broker, &altered.cluster, &at_start])?);
        let now = RwLock::new(Now { altered: Arc::new(altered), broker });
        Ok(Self { file, at_start, now, altering: Mutex::new(()) })
    }

    /// The settings of the broker.
    pub(crate) fn broker(&self) -> Arc<BrokerSettings> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner).broker)
    }

    /// The settings of a group.
    pub(crate) fn group(&self, id: &str) -> GroupSettings {
        let now = self.now();
        GroupSettings::new(now.altered.groups.get(id), &now.broker)
    }

    /// What was set for a group.
    pub(crate) fn given_to_group(&self, id: &str) -> Given {
        self.now().altered.groups.get(id).cloned().unwrap_or_default()
    }

    /// The groups that something was set for.
    pub(crate) fn altered_groups(&self) -> Vec<String> {
        self.now().altered.groups.keys().cloned().collect()
    }

    /// What was given there.
    pub(crate) fn layer(&self, layer: Layer) -> Given {
        match layer {
            Layer::Broker => self.now().altered.broker.clone(),
            Layer::Cluster => self.now().altered.cluster.clone(),
            Layer::Start => self.at_start.clone(),
        }
    }

    /// Alters settings of the broker, or of all brokers; topics have to be told. What was given at the start stays.
    pub(crate) fn alter_broker(
        &self,
        layer: Layer,
        alteration: Alteration,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        self.alter(validate_only, |altered| {
            let given = match layer {
                Layer::Broker => &mut altered.broker,
                Layer::Cluster | Layer::Start => &mut altered.cluster,
            };
            let invalid = |message| (ResponseError::InvalidRequest, message);
            let wanted = alteration.apply(given, find)?;
            let fixed: Vec<&str> = wanted
                .keys()
                .map(String::as_str)
                .filter(|name| find(name).is_some() && !is_dynamic(name))
                .collect();
            if !fixed.is_empty() {
                let fixed = fixed.join(", ");
                return Err(invalid(format!("Cannot update these configs dynamically: [{fixed}]")));
            }
            let check = |(name, value): (String, String)| {
                let definition = find(&name).ok_or_else(|| unknown(&name))?;
                Ok((name, definition.check(&value)?))
            };
            let wanted: Given = wanted.into_iter().map(check).collect::<Result<_, _>>().map_err(invalid)?;
            *given = wanted;
            Ok(())
        })
    }

    /// Alters settings of a group, which need not be there.
    pub(crate) fn alter_group(
        &self,
        id: &str,
        alteration: Alteration,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let broker = self.broker();
        self.alter(validate_only, |altered| {
            let now = altered.groups.remove(id).unwrap_or_default();
            let given = group::check(alteration.apply(&now, group::find)?, &broker)
                .map_err(|message| (ResponseError::InvalidConfig, message))?;
            if !given.is_empty() {
                altered.groups.insert(id.to_owned(), given);
            }
            Ok(())
        })
    }

    /// The quotas that were set.
    pub(crate) fn quotas(&self) -> Quotas {
        self.now().altered.quotas.clone()
    }

    /// Sets quotas of one entity, and removes those that have no value.
    pub(crate) fn alter_quota(
        &self,
        entity: Entity,
        changes: Vec<(String, Option<f64>)>,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let sets = changes.iter().any(|(_, value)| value.is_some());
        let who = format!("{entity:?}");
        self.alter(validate_only, |altered| altered.quotas.alter(entity, changes))?;
        if sets && !validate_only {
            tracing::warn!(who, "a quota was set; quotas are kept and described, and not enforced");
        }
        Ok(())
    }

    fn alter(
        &self,
        validate_only: bool,
        change: impl FnOnce(&mut Altered) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let _alone = self.altering.lock().unwrap_or_else(PoisonError::into_inner);
        let mut altered = Altered::clone(&self.now().altered);
        change(&mut altered)?;
        let broker = BrokerSettings::new(&[&altered.broker, &altered.cluster, &self.at_start])
            .map_err(|message| (ResponseError::InvalidRequest, message))?;
        if validate_only {
            return Ok(());
        }
        if let Some(file) = &self.file {
            let save = || replace(file, &serde_json::to_vec_pretty(&altered)?);
            save().map_err(|error| {
                tracing::error!(%error, "the settings cannot be stored");
                (ResponseError::KafkaStorageError, format!("The settings cannot be stored: {error}"))
            })?;
        }
        *self.now.write().unwrap_or_else(PoisonError::into_inner) =
            Now { altered: Arc::new(altered), broker: Arc::new(broker) };
        Ok(())
    }

    fn now(&self) -> Now {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What shall be set on a topic, given what is.
pub(crate) fn alter_topic(now: &Given, alteration: Alteration) -> Result<Given, Refusal> {
    alteration.apply(now, topic::find)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::alter::Operation;

    fn set(name: &str, value: &str) -> Alteration {
        Alteration::Change(vec![(name.to_owned(), Operation::Set(value.to_owned()))])
    }

    #[test]
    fn alterations_count_more_than_the_start_and_outlive_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let at_start = Given::from([("log.segment.bytes".to_owned(), "2000000".to_owned())]);
        let open = || Settings::open(at_start.clone(), &data.path().join("settings.json")).unwrap();
        let settings = open();
        let bytes = |settings: &Settings| settings.broker().value("log.segment.bytes").unwrap().to_owned();
        settings.alter_broker(Layer::Cluster, set("log.segment.bytes", "3000000"), false).unwrap();
        assert_eq!(bytes(&settings), "3000000");
        settings.alter_broker(Layer::Broker, set("log.segment.bytes", "4000000"), true).unwrap();
        assert_eq!(bytes(&settings), "3000000", "it was only a question");
        settings.alter_broker(Layer::Broker, set("log.segment.bytes", "5000000"), false).unwrap();
        settings.alter_group("g", set("consumer.session.timeout.ms", "46000"), false).unwrap();
        let settings = open();
        assert_eq!(bytes(&settings), "5000000");
        assert_eq!(settings.group("g").session_timeout_ms, 46_000);
        assert_eq!(settings.group("h").session_timeout_ms, 45_000);
        settings.alter_broker(Layer::Broker, Alteration::Replace(Given::new()), false).unwrap();
        settings.alter_broker(Layer::Cluster, Alteration::Replace(Given::new()), false).unwrap();
        settings.alter_group("g", Alteration::Replace(Given::new()), false).unwrap();
        assert_eq!((bytes(&settings).as_str(), settings.altered_groups().len()), ("2000000", 0));
    }

    #[test]
    fn a_limit_that_lets_nobody_in_is_taken_back() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("settings.json");
        std::fs::write(
            &file,
            r#"{"cluster":{"max.connections":"0"},"broker":{"max.connections.per.ip":"0"}}"#,
        )
        .unwrap();
        let settings = Settings::open(Given::new(), &file).unwrap();
        assert!(settings.broker().max_connections > 0 && settings.broker().max_connections_per_ip > 0);
        for name in ["max.connections", "max.connections.per.ip"] {
            let refused = settings.alter_broker(Layer::Cluster, set(name, "0"), false).unwrap_err();
            assert_eq!(refused.0, ResponseError::InvalidRequest, "{name}");
        }
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let settings = Settings::in_memory(Given::new()).unwrap();
        let refused =
            |name, value| settings.alter_broker(Layer::Broker, set(name, value), false).unwrap_err();
        for name in ["num.partitions", "broker.id"] {
            let message = format!("Cannot update these configs dynamically: [{name}]");
            assert_eq!(refused(name, "3"), (ResponseError::InvalidRequest, message));
        }
        assert_eq!(refused("log.segment.bytes", "3").0, ResponseError::InvalidRequest);
        assert!(settings.layer(Layer::Broker).is_empty());
        let refused = settings.alter_group("g", set("consumer.session.timeout.ms", "5"), false).unwrap_err();
        assert_eq!(refused.0, ResponseError::InvalidConfig);
        assert!(settings.altered_groups().is_empty());
    }
}
