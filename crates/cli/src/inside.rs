//! The broker inside, for tables of Kafka that name no cluster. It is started when the first of them is used.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use thalweg_broker::{Broker, BrokerConfig, Storage};
use thalweg_table::connectors::kafka::Kafka;
use thalweg_table::environment::TableEnvironment;
use thalweg_table::error::SqlError;

/// The broker, once it runs. It ends when this is dropped.
pub(crate) struct Inside {
    broker: Arc<Mutex<Option<Broker>>>,
    folder: Option<PathBuf>,
    /// Whether it goes into memory if the folder cannot be had.
    or_in_memory: bool,
}

impl Inside {
    /// One that keeps its topics in `folder`; in memory without it.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { broker: Arc::default(), folder, or_in_memory: false }
    }

    /// One that keeps its topics in `folder`, or, if that cannot be had (another has it), in memory.
    pub(crate) fn or_in_memory(folder: Option<PathBuf>) -> Self {
        Self { or_in_memory: true, ..Self::new(folder) }
    }

    /// Tables of `environment` that name no cluster are in this broker.
    pub(crate) fn register(&self, environment: &mut TableEnvironment) {
        let (broker, folder, or_in_memory) =
            (Arc::clone(&self.broker), self.folder.clone(), self.or_in_memory);
        let bootstrap: Arc<dyn Fn() -> Result<String, SqlError> + Send + Sync> = Arc::new(move || {
            let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(broker) = &*broker {
                return Ok(broker.bootstrap());
            }
            let storage = folder.clone().map_or(Storage::Memory, Storage::Directory);
            let start = |storage| Broker::start(BrokerConfig { storage, ..BrokerConfig::default() });
            let started = match (start(storage), &folder) {
                (Err(error), Some(folder)) if or_in_memory => {
                    eprintln!("topics are in memory: {} cannot be had: {error}", folder.display());
                    start(Storage::Memory)
                }
                (started, _) => started,
            };
            let started = started
                .map_err(|error| SqlError::new(format!("the broker inside does not start: {error}")))?;
            let bootstrap = started.bootstrap();
            *broker = Some(started);
            Ok(bootstrap)
        });
        environment.register_connector("kafka", Arc::new(Kafka::new(false, Some(bootstrap.clone()))));
        environment.register_connector("upsert-kafka", Arc::new(Kafka::new(true, Some(bootstrap))));
    }
}
