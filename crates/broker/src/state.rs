//! Everything the broker knows, shared by all connections.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::alarm::{Alarm, Recurring};
use crate::clock::Clock;
use crate::config::{BrokerConfig, Storage};
use crate::error::{BrokerError, Refusal};
use crate::faults::rules::Rules;
use crate::fetch_sessions::FetchSessions;
use crate::group::groups::Groups;
use crate::journal::replace;
use crate::metrics::Metrics;
use crate::owner_only;
use crate::security::users::Users;
use crate::server::limits::Limits;
use crate::server::stopping::Stopping;
use crate::settings::Given;
use crate::settings::broker::BrokerSettings;
use crate::settings::store::Settings;
use crate::settings::topic::TopicConfig;
use crate::topics::{NewTopic, Topic, Topics};
use crate::txn::coordinator::Transactions;

/// The version of the files in a data folder. Since 2, topics are in a journal, which earlier versions would not see.
const FORMAT: u32 = 2;

/// What there may be in a data folder of what users have written.
const MADE: [&str; 8] = [
    "topics",
    "topics.json",
    "topics.journal",
    "offsets.journal",
    "transactions.journal",
    "settings.json",
    "users.json",
    "broker.json",
];

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: BrokerConfig,
    pub(crate) settings: Settings,
    pub(crate) cluster_id: StrBytes,
    pub(crate) clock: Clock,
    pub(crate) alarm: Alarm,
    pub(crate) faults: Rules,
    pub(crate) limits: Limits,
    pub(crate) stopping: Stopping,
    pub(crate) metrics: Metrics,
    /// In milliseconds since 1970.
    pub(crate) started_ms: i64,
    pub(crate) topics: Topics,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    /// When to look for producers that are idle.
    producer_expiry: Recurring,
    pub(crate) users: Users,
    /// Held for as long as the folder is used.
    _lock: Option<File>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    cluster_id: String,
}

impl State {
    /// Opens what the configuration names, and finishes what a crash has left undone.
    pub(crate) fn open(config: BrokerConfig) -> Result<Self, BrokerError> {
        let config = config.placed().map_err(BrokerError::Setting)?;
        let at_start = config.given();
        // Before anything is created: this is no fault of the data.
        let limits = Limits::new(&BrokerSettings::new(&[&at_start]).map_err(BrokerError::Setting)?);
        let state = match config.storage.clone() {
            Storage::Memory => Self {
                config,
                settings: Settings::in_memory(at_start).map_err(BrokerError::Setting)?,
                cluster_id: StrBytes::from_string(new_cluster_id()),
                clock: Clock::default(),
                alarm: Alarm::default(),
                faults: Rules::default(),
                limits,
                stopping: Stopping::default(),
                metrics: Metrics::default(),
                started_ms: Clock::default().now_ms(),
                fetch_sessions: FetchSessions::default(),
                topics: Topics::in_memory(),
                groups: Groups::in_memory(),
                transactions: Transactions::in_memory(),
                producer_expiry: Recurring::default(),
                users: Users::in_memory(),
                _lock: None,
            },
            Storage::Directory(data) => {
                let failed = |name: &str| {
                    let path = data.join(name);
                    move |source| BrokerError::Data { path, source }
                };
                owner_only::create_dir_all(&data.join("topics")).map_err(failed("topics"))?;
                let lock = owner_only::read_write().create(true).truncate(true).open(data.join("lock"));
                let lock = lock.map_err(failed("lock"))?;
                match lock.try_lock() {
                    Ok(()) => {}
                    Err(fs::TryLockError::WouldBlock) => return Err(BrokerError::InUse(data)),
                    Err(fs::TryLockError::Error(source)) => return Err(failed("lock")(source)),
                }
                for made in MADE {
                    owner_only::close_to_others(&data.join(made)).map_err(failed(made))?;
                }
                let identity = identity(&data.join("broker.json")).map_err(failed("broker.json"))?;
                let settings =
                    Settings::open(at_start, &data.join("settings.json")).map_err(failed("settings.json"))?;
                Self {
                    config,
                    cluster_id: StrBytes::from_string(identity.cluster_id),
                    clock: Clock::default(),
                    alarm: Alarm::default(),
                    fetch_sessions: FetchSessions::default(),
                    topics: Topics::open(&data, &settings.broker())?,
                    settings,
                    faults: Rules::default(),
                    limits,
                    stopping: Stopping::default(),
                    metrics: Metrics::default(),
                    started_ms: Clock::default().now_ms(),
                    groups: Groups::open(&data.join("offsets.journal")).map_err(failed("offsets.journal"))?,
                    transactions: Transactions::open(
                        &data.join("transactions.journal"),
                        Clock::default().now_ms(),
                    )
                    .map_err(failed("transactions.journal"))?,
                    producer_expiry: Recurring::default(),
                    users: Users::open(&data.join("users.json")).map_err(failed("users.json"))?,
                    _lock: Some(lock),
                }
            }
        };
        state.groups.go_on(&state);
        state.users.add(&state.config.scram_users).map_err(BrokerError::Setting)?;
        state.tick();
        Ok(state)
    }

    /// Creates a topic with what shall be set on it.
    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        given: Given,
    ) -> Result<Arc<Topic>, Refusal> {
        let created = self.create_topics(vec![(name.to_owned(), partitions, given)]).pop();
        // One was asked for, so there is one answer.
        created.unwrap_or_else(|| Err((ResponseError::UnknownServerError, "nothing was created".to_owned())))
    }

    /// Creates topics, all that can be, and writes that down once; what became of each.
    pub(crate) fn create_topics(
        &self,
        wanted: Vec<(String, i32, Given)>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let broker = self.settings.broker();
        let checked = wanted.into_iter().map(|(name, partitions, given)| {
            let config = TopicConfig::new(given, &broker)
                .map_err(|message| (ResponseError::InvalidConfig, message))?;
            Ok(NewTopic { name, partitions, config })
        });
        let created = self.topics.create_all(checked.collect());
        if !Arc::ptr_eq(&broker, &self.settings.broker()) {
            // They were altered meanwhile, and handed down before the topics were there.
            self.topics.inherit(&self.settings);
        }
        created
    }

    /// Does what is due, and sets the alarm for what is due next.
    pub(crate) fn tick(&self) {
        let now_ms = self.clock.now_ms();
        let due = [self.groups.tick(self, now_ms), self.transactions.tick(self, now_ms)];
        let producers_ms = self.forget_idle_producers(now_ms);
        let upkeep_ms = self.topics.upkeep().tick(&self.settings.broker(), now_ms);
        self.alarm.by(due.into_iter().flatten().fold(upkeep_ms.min(producers_ms), i64::min));
    }
}

impl State {
    /// Lets partitions forget their idle producers if it is time to; returns when it will be again.
    fn forget_idle_producers(&self, now_ms: i64) -> i64 {
        let settings = self.settings.broker();
        let interval_ms = settings.producer_id_check_interval_ms;
        let (is_due, next_ms) = self.producer_expiry.check(now_ms, interval_ms);
        if is_due {
            for topic in self.topics.list() {
                for partition in topic.partitions() {
                    partition.forget_idle_producers(now_ms, settings.producer_id_expiration_ms);
                }
            }
        }
        next_ms
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    match fs::read(path) {
        Ok(bytes) => {
            let identity: Identity = serde_json::from_slice(&bytes)?;
            if !(1..=FORMAT).contains(&identity.format) {
                let reason =
                    format!("format {} is not known to this version, which writes {FORMAT}", identity.format);
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
            if identity.format == FORMAT {
                return Ok(identity);
            }
            // Before anything else is written in the new one.
            let identity = Identity { format: FORMAT, ..identity };
            replace(path, &serde_json::to_vec_pretty(&identity)?)?;
            Ok(identity)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let identity = Identity { format: FORMAT, cluster_id: new_cluster_id() };
            replace(path, &serde_json::to_vec_pretty(&identity)?)?;
            Ok(identity)
        }
        Err(error) => Err(error),
    }
}

/// 22 characters, as Kafka's are.
fn new_cluster_id() -> String {
    let mut id = Uuid::new_v4().simple().to_string();
    id.truncate(22);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_could_create_no_topic_is_not_started() {
        let config = BrokerConfig { default_partitions: 0, ..BrokerConfig::default() };
        assert!(matches!(State::open(config), Err(BrokerError::Setting(_))));
    }
}
