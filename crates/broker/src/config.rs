//! What a broker is started with.

use std::path::PathBuf;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `host:port` to listen on; port 0 takes a free one.
    pub listen: String,
    /// `host:port` that clients are told to connect to; by default the address they have reached the broker at.
    pub advertised: Option<String>,
    /// Where topics, offsets and transactions are kept.
    pub storage: Storage,
    /// Partitions of a topic that is created without saying how many.
    pub default_partitions: i32,
    /// Whether a topic comes into being when a client asks for it and allows that.
    pub auto_create_topics: bool,
    /// Connections served at a time; further ones are closed at once.
    pub max_connections: usize,
    /// Bytes of the longest request that is read; a client that announces more is disconnected.
    pub max_request_bytes: usize,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            advertised: None,
            storage: Storage::Memory,
            default_partitions: 1,
            auto_create_topics: true,
            max_connections: 1_000,
            max_request_bytes: 100 << 20,
        }
    }
}
