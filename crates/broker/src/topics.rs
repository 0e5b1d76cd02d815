//! The topics there are.
//!
//! One change at a time is made and written down; who reads waits for none of that, only while names come and go.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::descriptors::Descriptors;
use crate::error::{BrokerError, Refusal};
use crate::log::partition::Partition;
use crate::log::upkeep::Upkeep;
use crate::metrics::Traffic;
use crate::registry::{Entry, Found, Registry, Space};
use crate::settings::alter::Alteration;
use crate::settings::broker::BrokerSettings;
use crate::settings::store::{Settings, alter_topic};
use crate::settings::topic::TopicConfig;

/// The longest name: it has to fit into a file name together with the partition.
const MAX_NAME: usize = 249;
/// Partitions a topic may have.
pub(crate) const MAX_PARTITIONS: i32 = 10_000;

/// A topic. Creating it anew under the same name makes another one, with another id.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    partitions: RwLock<Vec<Arc<Partition>>>,
    config: RwLock<Arc<TopicConfig>>,
    pub(crate) traffic: Traffic,
}

/// All topics, by name and by id.
#[derive(Debug)]
pub(crate) struct Topics {
    /// None in memory.
    registry: Option<Registry>,
    descriptors: Descriptors,
    upkeep: Arc<Upkeep>,
    /// Held by whoever changes something, from the first look to the last file. Taken before the next one.
    changing: Mutex<()>,
    all: RwLock<All>,
    /// Goes up whenever a topic has come, gone or grown.
    version: AtomicU64,
}

/// A topic that shall be created.
#[derive(Debug)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    pub(crate) config: TopicConfig,
}

#[derive(Debug, Default)]
struct All {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: BTreeMap<Uuid, Arc<Topic>>,
    /// By what Kafka's metrics make of their names.
    by_metric: HashMap<String, String>,
}

impl Topic {
    fn new(name: String, id: Uuid, partitions: Vec<Arc<Partition>>, config: TopicConfig) -> Arc<Self> {
        Arc::new(Self {
            name,
            id,
            partitions: RwLock::new(partitions),
            config: RwLock::new(Arc::new(config)),
            traffic: Traffic::default(),
        })
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn partition_count(&self) -> i32 {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).len() as i32
    }

    /// The settings as they are now.
    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_config(&self, config: Arc<TopicConfig>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// What is to be written down of it.
    fn entry(&self) -> Entry {
        Entry {
            name: self.name.clone(),
            id: self.id,
            partitions: self.partition_count() as usize,
            config: self.config().overrides().clone(),
        }
    }
}

impl Topics {
    /// No topics, and none will be kept.
    pub(crate) fn in_memory() -> Self {
        Self::new(None)
    }

    fn new(registry: Option<Registry>) -> Self {
        Self {
            registry,
            descriptors: Descriptors::of_process(),
            upkeep: Arc::default(),
            changing: Mutex::default(),
            all: RwLock::default(),
            version: AtomicU64::new(0),
        }
    }

    /// The topics of a data folder.
    pub(crate) fn open(data: &Path, broker: &BrokerSettings) -> Result<Self, BrokerError> {
        let Found { registry, entries } = Registry::open(data)?;
        let topics = Self::new(None);
        for entry in entries {
            let config = TopicConfig::new(entry.config, broker)
                .map_err(|reason| BrokerError::Topic { name: entry.name.clone(), reason })?;
            let open = |index| {
                let directory = registry.directory(&entry.name, index);
                let opened = Partition::open(&directory, &topics.upkeep).map(Arc::new);
                opened.map_err(|source| BrokerError::Data {
                    path: directory,
                    source: topics.descriptors.explain(source),
                })
            };
            let partitions = (0..entry.partitions).map(open).collect::<Result<Vec<_>, _>>()?;
            topics.descriptors.opened_logs(partitions.len());
            topics.write().insert(Topic::new(entry.name, entry.id, partitions, config));
        }
        Ok(Self { registry: Some(registry), ..topics })
    }

    /// A number that is another one whenever a topic has come, gone or grown since.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().by_name.get(name).cloned()
    }

    pub(crate) fn get_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.read().by_id.get(&id).cloned()
    }

    pub(crate) fn partition(&self, name: &str, index: i32) -> Option<(Arc<Topic>, Arc<Partition>)> {
        let topic = self.get(name)?;
        let partition = topic.partition(index)?;
        Some((topic, partition))
    }

    /// What tells the thread that works on the logs that there is something to do.
    pub(crate) fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// How many files and sockets there may be.
    pub(crate) fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// All topics in the order of their names.
    pub(crate) fn list(&self) -> Vec<Arc<Topic>> {
        self.read().by_name.values().cloned().collect()
    }

    /// Checks what [`Topics::create`] checks, and creates nothing.
    pub(crate) fn may_create(&self, name: &str, partitions: i32) -> Result<(), Refusal> {
        check_name(name)?;
        check_count(partitions)?;
        self.read().is_free(name)?;
        self.have_room(partitions as usize)
    }

    /// Creates a topic.
    #[cfg(test)]
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, Refusal> {
        self.create_all(vec![Ok(NewTopic { name: name.to_owned(), partitions, config })]).remove(0)
    }

    /// Creates topics, and writes them down together. Each is created or refused for itself; what comes of them is in
    /// their order. What is refused already stays so.
    pub(crate) fn create_all(
        &self,
        wanted: Vec<Result<NewTopic, Refusal>>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let _changing = self.change();
        // Nobody sees one of them before it is written down.
        let mut new = All::default();
        let mut created: Vec<Result<Arc<Topic>, Refusal>> = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let made = wanted.and_then(|wanted| self.make(&new, wanted));
            if let Ok(topic) = &made {
                new.insert(Arc::clone(topic));
            }
            created.push(made);
        }
        let entries = created.iter().flatten().map(|topic| topic.entry()).collect();
        if let Err(error) = self.put(entries, Space::Needed) {
            let failed = |topic: Arc<Topic>| {
                self.remove_files(&topic.name, &topic.partitions());
                Err(storage_error(&topic.name, &error))
            };
            return created.into_iter().map(|topic| topic.and_then(failed)).collect();
        }
        if !new.by_name.is_empty() {
            let mut all = self.write();
            new.by_name.into_values().for_each(|topic| all.insert(topic));
            drop(all);
            self.settle();
        }
        created
    }

    /// A topic with its partitions that nobody can find yet, and neither by its name those that are about to come.
    fn make(&self, new: &All, wanted: NewTopic) -> Result<Arc<Topic>, Refusal> {
        let NewTopic { name, partitions, config } = wanted;
        check_name(&name)?;
        check_count(partitions)?;
        self.read().is_free(&name)?;
        new.is_free(&name)?;
        self.have_room(partitions as usize)?;
        let partitions = self
            .create_partitions(&name, 0..partitions as usize)
            .map_err(|error| storage_error(&name, &self.descriptors.explain(error)))?;
        Ok(Topic::new(name, Uuid::new_v4(), partitions, config))
    }

    /// Removes a topic and its records.
    pub(crate) fn delete(&self, topic: &Topic) -> Result<(), Refusal> {
        // Until the files are gone, so that a topic of the same name finds none.
        let _changing = self.change();
        let found = self.read().by_id.get(&topic.id).cloned();
        let Some(found) = found else {
            let error = ResponseError::UnknownTopicOrPartition;
            return Err((error, error.to_string()));
        };
        let deleted = self.registry.as_ref().map_or(Ok(()), |registry| registry.delete(found.id));
        deleted.map_err(|error| storage_error(&topic.name, &error))?;
        self.write().remove(&found);
        self.remove_files(&found.name, &found.partitions());
        self.settle();
        Ok(())
    }

    /// Alters the settings of a topic.
    pub(crate) fn alter(
        &self,
        topic: &Topic,
        alteration: Alteration,
        settings: &Settings,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        // One alteration at a time, and none while the broker's settings are being handed down.
        let _changing = self.change();
        let before = topic.config();
        let overrides = alter_topic(before.overrides(), alteration)?;
        let config = TopicConfig::new(overrides, &settings.broker())
            .map_err(|message| (ResponseError::InvalidConfig, message))?;
        if validate_only {
            return Ok(());
        }
        if !self.read().by_id.contains_key(&topic.id) {
            // Written down, it would be there again after a restart.
            let error = ResponseError::UnknownTopicOrPartition;
            return Err((error, error.to_string()));
        }
        topic.set_config(Arc::new(config));
        self.upkeep.cleaner().wake();
        self.put(vec![topic.entry()], Space::MayCome).map_err(|error| {
            topic.set_config(before);
            storage_error(&topic.name, &error)
        })?;
        self.settle();
        Ok(())
    }

    /// Has all topics follow the settings of the broker, which have been altered.
    pub(crate) fn inherit(&self, settings: &Settings) {
        let _changing = self.change();
        let broker = settings.broker();
        for topic in self.list() {
            topic.set_config(Arc::new(topic.config().under(&broker)));
        }
        self.upkeep.cleaner().wake();
    }

    /// Checks what [`Topics::grow`] checks, and adds nothing.
    pub(crate) fn may_grow(&self, topic: &Topic, count: i32) -> Result<(), Refusal> {
        let (name, before) = (&topic.name, topic.partition_count());
        let message = match count {
            same if same == before => format!("Topic already has {count} partition(s)."),
            less if less < before => {
                format!(
                    "The topic {name} currently has {before} partition(s); {less} would not be an increase."
                )
            }
            _ => return check_count(count),
        };
        Err((ResponseError::InvalidPartitions, message))
    }

    /// Adds partitions until there are `count`.
    pub(crate) fn grow(&self, topic: &Topic, count: i32) -> Result<(), Refusal> {
        let _changing = self.change();
        if !self.read().by_id.contains_key(&topic.id) {
            let error = ResponseError::UnknownTopicOrPartition;
            return Err((error, error.to_string()));
        }
        self.may_grow(topic, count)?;
        let before = topic.partition_count() as usize;
        self.have_room(count as usize - before)?;
        let more = self
            .create_partitions(&topic.name, before..count as usize)
            .map_err(|error| storage_error(&topic.name, &self.descriptors.explain(error)))?;
        let entry = Entry { partitions: count as usize, ..topic.entry() };
        if let Err(error) = self.put(vec![entry], Space::Needed) {
            self.remove_files(&topic.name, &more);
            return Err(storage_error(&topic.name, &error));
        }
        topic.partitions.write().unwrap_or_else(PoisonError::into_inner).extend(more);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.settle();
        Ok(())
    }

    /// Creates partitions: all of them or, on an error, none.
    fn create_partitions(&self, name: &str, indexes: Range<usize>) -> io::Result<Vec<Arc<Partition>>> {
        let mut created = Vec::with_capacity(indexes.len());
        for index in indexes {
            let partition = match &self.registry {
                Some(registry) => Partition::create(&registry.directory(name, index), &self.upkeep),
                None => Ok(Partition::in_memory(&self.upkeep)),
            };
            match partition {
                Ok(partition) => {
                    created.push(Arc::new(partition));
                    if self.registry.is_some() {
                        self.descriptors.opened_logs(1);
                    }
                }
                Err(error) => {
                    self.remove_files(name, &created);
                    return Err(error);
                }
            }
        }
        Ok(created)
    }

    /// Whether there may be so many more partitions.
    fn have_room(&self, more: usize) -> Result<(), Refusal> {
        if self.registry.is_none() {
            return Ok(());
        }
        self.descriptors.have_room_for_logs(more).map_err(|reason| {
            tracing::warn!(reason, "partitions are not created");
            (ResponseError::PolicyViolation, reason)
        })
    }

    /// For partitions that nobody can find any more. What is left of them is cleared away at the next start.
    fn remove_files(&self, topic: &str, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            if let Err(error) = partition.delete() {
                tracing::warn!(topic, %error, "files of a deleted topic could not be removed");
            }
        }
        if self.registry.is_some() {
            self.descriptors.closed_logs(partitions.len());
        }
    }

    /// Writes down that topics are there as they are; called after every such change.
    fn put(&self, entries: Vec<Entry>, space: Space) -> io::Result<()> {
        let Some(registry) = &self.registry else { return Ok(()) };
        if entries.is_empty() {
            return Ok(());
        }
        registry.put(entries, space)
    }

    /// What is left to do when a change has been written down and made.
    fn settle(&self) {
        if let Some(registry) = &self.registry {
            registry.refill();
            registry.tidy(|| self.list().iter().map(|topic| topic.entry()).collect());
        }
    }

    fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, All> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a change of what there is, which is another version from then on.
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, All> {
        let all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        self.version.fetch_add(1, Ordering::AcqRel);
        all
    }
}

impl All {
    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_metric.insert(in_metrics(&topic.name), topic.name.clone());
        self.by_name.insert(topic.name.clone(), topic);
    }

    /// Whether a topic may have that name. Kafka's metrics make '_' of '.', so names that differ in nothing else collide.
    fn is_free(&self, name: &str) -> Result<(), Refusal> {
        if self.by_name.contains_key(name) {
            return Err((ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        match self.by_metric.get(&in_metrics(name)) {
            None => Ok(()),
            Some(other) => {
                let message = format!("Topic '{name}' collides with existing topic: {other}");
                Err((ResponseError::InvalidTopicException, message))
            }
        }
    }

    fn remove(&mut self, topic: &Topic) -> Option<Arc<Topic>> {
        let removed = self.by_id.remove(&topic.id)?;
        self.by_name.remove(&topic.name);
        self.by_metric.remove(&in_metrics(&topic.name));
        Some(removed)
    }
}

/// What Kafka's metrics make of a name.
fn in_metrics(name: &str) -> String {
    name.replace('.', "_")
}

/// Whether a topic can have that name.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let wrong = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        long if long.len() > MAX_NAME => {
            format!("the length of '{name}' is longer than the max allowed length {MAX_NAME}")
        }
        legible if legible.chars().all(legal) => return Ok(()),
        _ => format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ),
    };
    Err((ResponseError::InvalidTopicException, format!("Topic name is invalid: {wrong}")))
}

fn check_count(partitions: i32) -> Result<(), Refusal> {
    let message = match partitions {
        1..=MAX_PARTITIONS => return Ok(()),
        ..1 => "Number of partitions was set to an invalid non-positive value.".to_owned(),
        _ => format!("A topic of this broker can have up to {MAX_PARTITIONS} partitions."),
    };
    Err((ResponseError::InvalidPartitions, message))
}

fn storage_error(name: &str, error: &io::Error) -> Refusal {
    tracing::error!(topic = name, %error, "the topic cannot be stored");
    (ResponseError::KafkaStorageError, format!("The topic '{name}' cannot be stored: {error}"))
}

#[cfg(test)]
mod tests;
