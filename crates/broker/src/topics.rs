//! The topics there are, and the one file that says so.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::BrokerError;
use crate::journal::replace;
use crate::log::partition::Partition;
use crate::settings::broker::BrokerSettings;
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
}

/// All topics, by name and by id.
#[derive(Debug)]
pub(crate) struct Topics {
    data: Option<PathBuf>,
    all: RwLock<All>,
    /// Goes up whenever a topic has come, gone or grown.
    version: AtomicU64,
}

#[derive(Debug, Default)]
struct All {
    by_name: BTreeMap<String, Arc<Topic>>,
    by_id: BTreeMap<Uuid, Arc<Topic>>,
}

/// One topic as `topics.json` has it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    id: Uuid,
    partitions: usize,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

impl Topic {
    fn new(name: String, id: Uuid, partitions: Vec<Arc<Partition>>, config: TopicConfig) -> Arc<Self> {
        Arc::new(Self {
            name,
            id,
            partitions: RwLock::new(partitions),
            config: RwLock::new(Arc::new(config)),
        })
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let partitions = self.partitions.read().unwrap_or_else(PoisonError::into_inner);
        partitions.get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn partition_count(&self) -> i32 {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner).len() as i32
    }

    /// The settings as they are now.
    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

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
        Self { data: None, all: RwLock::default(), version: AtomicU64::new(0) }
    }

    /// The topics of a data folder.
    pub(crate) fn open(data: &Path, broker: &BrokerSettings) -> Result<Self, BrokerError> {
        let path = data.join("topics.json");
        let failed = |source| BrokerError::Data { path: path.clone(), source };
        let entries: Vec<Entry> = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let topics = Self { data: Some(data.to_owned()), all: RwLock::default(), version: AtomicU64::new(0) };
        for entry in entries {
            let config = TopicConfig::new(entry.config, broker)
                .map_err(|reason| BrokerError::Topic { name: entry.name.clone(), reason })?;
            let open = |index| {
                let directory = directory(data, &entry.name, index);
                let opened = Partition::open(&directory).map(Arc::new);
                opened.map_err(|source| BrokerError::Data { path: directory, source })
            };
            let partitions = (0..entry.partitions).map(open).collect::<Result<_, _>>()?;
            topics.write().insert(Topic::new(entry.name, entry.id, partitions, config));
        }
        Ok(topics)
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

    /// All topics in the order of their names.
    pub(crate) fn list(&self) -> Vec<Arc<Topic>> {
        self.read().by_name.values().cloned().collect()
    }

    /// Checks what [`Topics::create`] checks, and creates nothing.
    pub(crate) fn may_create(&self, name: &str, partitions: i32) -> Result<(), ResponseError> {
        check_name(name)?;
        if self.get(name).is_some() {
            return Err(ResponseError::TopicAlreadyExists);
        }
        check_count(partitions)
    }

    /// Creates a topic.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, ResponseError> {
        check_name(name)?;
        check_count(partitions)?;
        let mut all = self.write();
        if all.by_name.contains_key(name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        let partitions: io::Result<Vec<_>> =
            (0..partitions as usize).map(|index| self.create_partition(name, index)).collect();
        let partitions = partitions.map_err(|error| storage_error(name, &error))?;
        let topic = Topic::new(name.to_owned(), Uuid::new_v4(), partitions, config);
        all.insert(Arc::clone(&topic));
        if let Err(error) = self.save(&all) {
            all.remove(&topic);
            return Err(storage_error(name, &error));
        }
        Ok(topic)
    }

    /// Removes a topic and its records.
    pub(crate) fn delete(&self, topic: &Topic) -> Result<(), ResponseError> {
        let mut all = self.write();
        let Some(removed) = all.remove(topic) else { return Err(ResponseError::UnknownTopicOrPartition) };
        if let Err(error) = self.save(&all) {
            all.insert(removed);
            return Err(storage_error(&topic.name, &error));
        }
        // Deleted while the lock is held, so that a topic of the same name finds the folders gone.
        for partition in removed.partitions.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Err(error) = partition.delete() {
                tracing::warn!(topic = topic.name, %error, "files of a deleted topic could not be removed");
            }
        }
        Ok(())
    }

    /// Adds partitions until there are `count`.
    pub(crate) fn grow(&self, topic: &Topic, count: i32) -> Result<(), ResponseError> {
        check_count(count)?;
        let all = self.write();
        let mut partitions = topic.partitions.write().unwrap_or_else(PoisonError::into_inner);
        let before = partitions.len();
        if count as usize <= before {
            return Err(ResponseError::InvalidPartitions);
        }
        let more: io::Result<Vec<_>> =
            (before..count as usize).map(|index| self.create_partition(&topic.name, index)).collect();
        partitions.extend(more.map_err(|error| storage_error(&topic.name, &error))?);
        drop(partitions);
        self.save(&all).map_err(|error| {
            topic.partitions.write().unwrap_or_else(PoisonError::into_inner).truncate(before);
            storage_error(&topic.name, &error)
        })
    }

    fn create_partition(&self, name: &str, index: usize) -> io::Result<Arc<Partition>> {
        Ok(Arc::new(match &self.data {
            Some(data) => Partition::create(&directory(data, name, index))?,
            None => Partition::in_memory(),
        }))
    }

    /// Writes down what there is now; called after every change.
    fn save(&self, all: &All) -> io::Result<()> {
        self.version.fetch_add(1, Ordering::AcqRel);
        let Some(data) = &self.data else { return Ok(()) };
        let entries: Vec<Entry> = all.by_name.values().map(|topic| topic.entry()).collect();
        replace(&data.join("topics.json"), &serde_json::to_vec_pretty(&entries)?)?;
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, All> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, All> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_name.insert(topic.name.clone(), topic);
    }

    fn remove(&mut self, topic: &Topic) -> Option<Arc<Topic>> {
        let removed = self.by_id.remove(&topic.id)?;
        self.by_name.remove(&topic.name);
        Some(removed)
    }
}

fn directory(data: &Path, topic: &str, index: usize) -> PathBuf {
    data.join("topics").join(format!("{topic}-{index}"))
}

fn check_name(name: &str) -> Result<(), ResponseError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME || name == "." || name == ".." || !name.chars().all(legal) {
        return Err(ResponseError::InvalidTopicException);
    }
    Ok(())
}

/// Whether a topic may have that many partitions.
pub(crate) fn check_count(partitions: i32) -> Result<(), ResponseError> {
    if (1..=MAX_PARTITIONS).contains(&partitions) { Ok(()) } else { Err(ResponseError::InvalidPartitions) }
}

fn storage_error(name: &str, error: &io::Error) -> ResponseError {
    tracing::error!(topic = name, %error, "the topic cannot be stored");
    ResponseError::KafkaStorageError
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;

    #[test]
    fn topics_survive_and_a_recreated_one_is_another() {
        let data = tempfile::tempdir().unwrap();
        let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
        let first = topics.create("t", 1, TopicConfig::default()).unwrap();
        assert_eq!(
            topics.create("t", 1, TopicConfig::default()).unwrap_err(),
            ResponseError::TopicAlreadyExists
        );
        topics.delete(&first).unwrap();
        let second = topics.create("t", 2, TopicConfig::default()).unwrap();
        topics.grow(&second, 3).unwrap();
        assert_eq!(topics.grow(&second, 3).unwrap_err(), ResponseError::InvalidPartitions);
        let again = Topics::open(data.path(), &BrokerSettings::default()).unwrap().get("t").unwrap();
        assert_eq!((again.id, again.partition_count()), (second.id, 3));
        assert_ne!(again.id, first.id);
    }

    #[test]
    fn what_an_earlier_topic_has_left_is_not_taken_for_the_new_one() {
        let data = tempfile::tempdir().unwrap();
        let left = directory(data.path(), "t", 1);
        std::fs::create_dir_all(&left).unwrap();
        std::fs::write(left.join("00000000000000000007.log"), "left over").unwrap();
        let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
        let topic = topics.create("t", 1, TopicConfig::default()).unwrap();
        topics.grow(&topic, 2).unwrap();
        assert_eq!(topic.partition(1).unwrap().bounds().end, 0);
    }

    #[test]
    fn nothing_is_appended_to_a_deleted_topic() {
        let topics = Topics::in_memory();
        let topic = topics.create("t", 1, TopicConfig::default()).unwrap();
        let partition = topic.partition(0).unwrap();
        let batch = plain_batch(1, 0, (-1, -1, -1), false);
        partition.append(&batch, topic.config().rules(), 0).unwrap();
        topics.delete(&topic).unwrap();
        let late = partition.append(&batch, topic.config().rules(), 0);
        assert_eq!(late.unwrap_err(), ResponseError::UnknownTopicOrPartition);
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let topics = Topics::in_memory();
        for name in ["", ".", "..", "a/b", "ä", "a b", &"x".repeat(250)] {
            assert_eq!(topics.may_create(name, 1), Err(ResponseError::InvalidTopicException), "{name}");
        }
    }
}
