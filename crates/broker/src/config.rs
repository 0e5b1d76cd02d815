//! What a broker is started with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::protocol::NODE_ID;
use crate::security::users::ScramUser;
use crate::server::endpoint::Listener;
use crate::settings::{Given, is_secret};

/// Where the broker keeps what it acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Storage {
    /// In this process's memory: gone when the broker stops.
    #[default]
    Memory,
    /// In files below this folder, which is created if need be. One broker at a time may use it.
    Directory(PathBuf),
}

/// Settings of a broker. `BrokerConfig::default()` listens on a free port of the loopback interface and keeps
/// everything in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `host:port` to listen on; port 0 takes a free one.
    pub listen: String,
    /// `host:port` that clients are told to connect to; by default the address they have reached the broker at.
    pub advertised: Option<String>,
    /// Where to listen instead of `listen`, if it is more than one address or secured.
    pub listeners: Vec<Listener>,
    /// Users that clients can be on listeners with SCRAM, beside those that clients have made.
    pub scram_users: Vec<ScramUser>,
    /// Where topics, offsets and transactions are kept.
    pub storage: Storage,
    /// Partitions of a topic that is created without saying how many.
    pub default_partitions: i32,
    /// Whether a topic comes into being when a client asks for it and allows that.
    pub auto_create_topics: bool,
    /// Connections served at a time; further ones are closed at once. By default as many as the process may have open.
    pub max_connections: usize,
    /// Bytes of the longest request that is read; a client that announces more is disconnected.
    pub max_request_bytes: usize,
    /// `host:port` to tell Prometheus metrics at, under `/metrics`; port 0 takes a free one. By default nowhere.
    pub metrics_listen: Option<String>,
    /// Settings under Kafka's names, as in a `server.properties`. They count more than the fields above.
    pub properties: BTreeMap<String, String>,
}

impl BrokerConfig {
    /// With the folder that the properties name, if they do.
    pub(crate) fn placed(mut self) -> Result<Self, String> {
        if let Some(folder) = self.properties.get("log.dirs") {
            if folder.trim().is_empty() || folder.contains(',') {
                return Err(format!(
                    "log.dirs={folder:?} is not one folder; this broker keeps everything in one"
                ));
            }
            self.storage = Storage::Directory(folder.trim().into());
        }
        Ok(self)
    }

    /// Everything under Kafka's names.
    pub(crate) fn given(&self) -> Given {
        let usual = Self::default();
        let mut given = Given::from([("node.id".to_owned(), NODE_ID.to_string())]);
        let mut set = |differs: bool, name: &str, value: String| {
            if differs {
                given.insert(name.to_owned(), value);
            }
        };
        let int = |value: usize| i32::try_from(value).unwrap_or(i32::MAX).to_string();
        let partitions = self.default_partitions;
        set(partitions != usual.default_partitions, "num.partitions", partitions.to_string());
        let create = self.auto_create_topics;
        set(create != usual.auto_create_topics, "auto.create.topics.enable", create.to_string());
        let connections = self.max_connections;
        set(connections != usual.max_connections, "max.connections", int(connections));
        let bytes = self.max_request_bytes;
        set(bytes != usual.max_request_bytes, "socket.request.max.bytes", int(bytes));
        if let Storage::Directory(data) = &self.storage {
            set(true, "log.dirs", data.display().to_string());
        }
        given.extend(self.properties.clone());
        given
    }
}

/// Without passwords.
impl fmt::Debug for BrokerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): (&String, &String)| match is_secret(name) {
            true => (name.clone(), "[hidden]".to_owned()),
            false => (name.clone(), value.clone()),
        };
        let properties: BTreeMap<_, _> = self.properties.iter().map(shown).collect();
        f.debug_struct("BrokerConfig")
            .field("listen", &self.listen)
            .field("advertised", &self.advertised)
            .field("listeners", &self.listeners)
            .field("scram_users", &self.scram_users)
            .field("storage", &self.storage)
            .field("default_partitions", &self.default_partitions)
            .field("auto_create_topics", &self.auto_create_topics)
            .field("max_connections", &self.max_connections)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("properties", &properties)
            .finish()
    }
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            advertised: None,
            listeners: Vec::new(),
            scram_users: Vec::new(),
            storage: Storage::Memory,
            default_partitions: 1,
            auto_create_topics: true,
            max_connections: i32::MAX as usize,
            max_request_bytes: 100 << 20,
            metrics_listen: None,
            properties: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let given = [
            ("listener.name.out.ssl.keystore.key", "secret"),
            ("ssl.keystore.key", "secret"),
            ("listener.name.out.ssl.misspelled", "secret"),
            ("num.partitions", "3"),
        ];
        let properties = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let shown = format!("{:?}", BrokerConfig { properties, ..BrokerConfig::default() });
        assert!(!shown.contains("secret") && shown.contains(r#""num.partitions": "3""#), "{shown}");
    }
}
