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
}

impl Inside {
    /// One that keeps its topics in `folder`; in memory without it.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { broker: Arc::default(), folder }
    }

    /// Tables of `environment` that name no cluster are in this broker.
    pub(crate) fn register(&self, environment: &mut TableEnvironment) {
        let (broker, folder) = (Arc::clone(&self.broker), self.folder.clone());
        let bootstrap: Arc<dyn Fn() -> Result<String, SqlError> + Send + Sync> = Arc::new(move || {
            let mut broker = broker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(broker) = &*broker {
                return Ok(broker.bootstrap());
            }
            let storage = folder.clone().map_or(Storage::Memory, Storage::Directory);
            let started = Broker::start(BrokerConfig { storage, ..BrokerConfig::default() });
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
