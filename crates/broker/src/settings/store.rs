//! The settings that hold now: those the broker was started with, and above them those that were altered since,
//! which one file outlives a restart with.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::settings::Given;
use crate::settings::broker::BrokerSettings;
use crate::settings::group::GroupSettings;

/// See the module.
#[derive(Debug)]
pub(crate) struct Settings {
    now: RwLock<Now>,
}

#[derive(Debug)]
struct Now {
    altered: Altered,
    broker: Arc<BrokerSettings>,
}

/// What clients have altered, as `settings.json` has it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Altered {
    /// Of all brokers, of which there is one.
    cluster: Given,
    /// Of this broker alone.
    broker: Given,
    groups: BTreeMap<String, Given>,
}

impl Settings {
    /// What was given at the start, and no file.
    pub(crate) fn in_memory(at_start: Given) -> Result<Self, String> {
        Self::new(at_start, Altered::default())
    }

    /// What was given at the start, and what `file` says has been altered.
    pub(crate) fn open(at_start: Given, file: &Path) -> io::Result<Self> {
        let altered = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Altered::default(),
            Err(error) => return Err(error),
        };
        Self::new(at_start, altered).map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
    }

    fn new(at_start: Given, altered: Altered) -> Result<Self, String> {
        let broker = BrokerSettings::new(&[&altered.broker, &altered.cluster, &at_start])?;
        Ok(Self { now: RwLock::new(Now { altered, broker: Arc::new(broker) }) })
    }

    /// The settings of the broker.
    pub(crate) fn broker(&self) -> Arc<BrokerSettings> {
        Arc::clone(&self.read().broker)
    }

    /// The settings of a group.
    pub(crate) fn group(&self, id: &str) -> GroupSettings {
        let now = self.read();
        GroupSettings::new(now.altered.groups.get(id), &now.broker)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Now> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }
}
