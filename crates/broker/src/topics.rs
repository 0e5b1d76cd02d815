//! The topics there are, and the one file that says so.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{BrokerError, Refusal};
use crate::journal::replace;
use crate::log::partition::Partition;
use crate::log::upkeep::Upkeep;
use crate::metrics::Traffic;
use crate::reserve::Reserve;
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
    data: Option<Data>,
    upkeep: Arc<Upkeep>,
    /// Held by whoever changes something, for as long as it takes; taken before the lock of what there is, which is held for
    /// moments only, since everybody who produces or fetches looks things up under it.
    changing: Mutex<()>,
    all: RwLock<All>,
    /// Goes up whenever a topic has come, gone or grown.
    version: AtomicU64,
}

/// Where topics are kept.
#[derive(Debug)]
struct Data {
    folder: PathBuf,
    reserve: Reserve,
}

/// What a change means for the disk.
#[derive(Debug, Clone, Copy)]
enum Space {
    Needed,
    /// It may give space back, so it is to be written down on a full disk too.
    MayCome,
}

impl Data {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), reserve: Reserve::of(folder) }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("topics.json")
    }

    /// Keeps as much as it takes to write the file once more.
    fn refill(&self) {
        let length = std::fs::metadata(self.file()).map_or(0, |metadata| metadata.len());
        self.reserve.fill(usize::try_from(length).unwrap_or(0));
    }
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

    /// For a topic that nobody can find any more.
    fn remove_files(&self) {
        for partition in self.partitions() {
            if let Err(error) = partition.delete() {
                tracing::warn!(topic = self.name, %error, "files of a deleted topic could not be removed");
            }
        }
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
        Self {
            data: None,
            upkeep: Arc::default(),
            changing: Mutex::default(),
            all: RwLock::default(),
            version: AtomicU64::new(0),
        }
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
        let topics = Self {
            data: Some(Data::new(data)),
            upkeep: Arc::default(),
            changing: Mutex::default(),
            all: RwLock::default(),
            version: AtomicU64::new(0),
        };
        topics.data.as_ref().map(Data::refill);
        for entry in entries {
            let config = TopicConfig::new(entry.config, broker)
                .map_err(|reason| BrokerError::Topic { name: entry.name.clone(), reason })?;
            let open = |index| {
                let directory = directory(data, &entry.name, index);
                let opened = Partition::open(&directory, &topics.upkeep).map(Arc::new);
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

    /// What tells the thread that works on the logs that there is something to do.
    pub(crate) fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// All topics in the order of their names.
    pub(crate) fn list(&self) -> Vec<Arc<Topic>> {
        self.read().by_name.values().cloned().collect()
    }

    /// Checks what [`Topics::create`] checks, and creates nothing.
    pub(crate) fn may_create(&self, name: &str, partitions: i32) -> Result<(), Refusal> {
        check_name(name)?;
        check_count(partitions)?;
        self.read().is_free(name)
    }

    /// Creates a topic.
    #[cfg(test)]
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: i32,
        config: TopicConfig,
    ) -> Result<Arc<Topic>, Refusal> {
        self.create_all(vec![(name.to_owned(), partitions, Ok(config))]).remove(0)
    }

    /// Creates topics, all that can be, and writes that down once; what became of each. Nobody sees one of them before.
    pub(crate) fn create_all(
        &self,
        wanted: Vec<(String, i32, Result<TopicConfig, Refusal>)>,
    ) -> Vec<Result<Arc<Topic>, Refusal>> {
        let _changing = self.changing();
        let mut new = All::default();
        let mut created: Vec<Result<Arc<Topic>, Refusal>> = Vec::with_capacity(wanted.len());
        for (name, partitions, config) in wanted {
            let topic = self.make(&new, name, partitions, config);
            if let Ok(topic) = &topic {
                new.insert(Arc::clone(topic));
            }
            created.push(topic);
        }
        if new.by_name.is_empty() {
            return created;
        }
        if let Err(error) = self.save(|entries| entries.extend(new.entries()), Space::Needed) {
            new.by_name.values().for_each(|topic| topic.remove_files());
            let failed = |topic: Arc<Topic>| Err(storage_error(&topic.name, &error));
            return created.into_iter().map(|topic| topic.and_then(failed)).collect();
        }
        let mut all = self.write();
        new.by_name.into_values().for_each(|topic| all.insert(topic));
        created
    }

    /// A topic with its partitions that nobody can find yet, and neither by its name those that are about to come.
    fn make(
        &self,
        new: &All,
        name: String,
        partitions: i32,
        config: Result<TopicConfig, Refusal>,
    ) -> Result<Arc<Topic>, Refusal> {
        let config = config?;
        check_name(&name)?;
        check_count(partitions)?;
        self.read().is_free(&name)?;
        new.is_free(&name)?;
        let mut made = Vec::new();
        for index in 0..partitions as usize {
            made.push(self.create_partition(&name, index).map_err(|error| storage_error(&name, &error))?);
        }
        Ok(Topic::new(name, Uuid::new_v4(), made, config))
    }

    /// Removes a topic and its records.
    pub(crate) fn delete(&self, topic: &Topic) -> Result<(), Refusal> {
        let _changing = self.changing();
        let found = self.read().by_id.get(&topic.id).cloned();
        let Some(found) = found else {
            let error = ResponseError::UnknownTopicOrPartition;
            return Err((error, error.to_string()));
        };
        self.save(|entries| entries.retain(|entry| entry.id != topic.id), Space::MayCome)
            .map_err(|error| storage_error(&topic.name, &error))?;
        self.write().remove(&found);
        // Deleted while nobody else changes anything, so that a topic of the same name finds the folders gone.
        found.remove_files();
        self.data.as_ref().map(Data::refill);
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
        let _changing = self.changing();
        let before = topic.config();
        let overrides = alter_topic(before.overrides(), alteration)?;
        let config = TopicConfig::new(overrides, &settings.broker())
            .map_err(|message| (ResponseError::InvalidConfig, message))?;
        if validate_only {
            return Ok(());
        }
        topic.set_config(Arc::new(config));
        self.upkeep.cleaner().wake();
        self.save(|_| (), Space::MayCome).map_err(|error| {
            topic.set_config(before);
            storage_error(&topic.name, &error)
        })
    }

    /// Has all topics follow the settings of the broker, which have been altered.
    pub(crate) fn inherit(&self, settings: &Settings) {
        let _changing = self.changing();
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
        let _changing = self.changing();
        self.may_grow(topic, count)?;
        let before = topic.partition_count() as usize;
        let more: io::Result<Vec<_>> =
            (before..count as usize).map(|index| self.create_partition(&topic.name, index)).collect();
        let more = more.map_err(|error| storage_error(&topic.name, &error))?;
        topic.partitions.write().unwrap_or_else(PoisonError::into_inner).extend(more);
        self.version.fetch_add(1, Ordering::AcqRel);
        self.save(|_| (), Space::Needed).map_err(|error| {
            topic.partitions.write().unwrap_or_else(PoisonError::into_inner).truncate(before);
            storage_error(&topic.name, &error)
        })
    }

    fn create_partition(&self, name: &str, index: usize) -> io::Result<Arc<Partition>> {
        Ok(Arc::new(match &self.data {
            Some(data) => Partition::create(&directory(&data.folder, name, index), &self.upkeep)?,
            None => Partition::in_memory(&self.upkeep),
        }))
    }

    /// Writes down what there is now, but for what `change` does to it; called for every change.
    fn save(&self, change: impl FnOnce(&mut Vec<Entry>), space: Space) -> io::Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        let mut entries: Vec<Entry> = self.read().entries().collect();
        change(&mut entries);
        let bytes = serde_json::to_vec_pretty(&entries)?;
        let write = || replace(&data.file(), &bytes).map(drop);
        match space {
            Space::Needed => write(),
            Space::MayCome => data.reserve.spend(write),
        }?;
        data.refill();
        Ok(())
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
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
    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.by_name.values().map(|topic| topic.entry())
    }

    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_id.insert(topic.id, Arc::clone(&topic));
        self.by_name.insert(topic.name.clone(), topic);
    }

    /// Whether a topic may have that name. Kafka's metrics make '_' of '.', so names that differ in nothing else collide.
    fn is_free(&self, name: &str) -> Result<(), Refusal> {
        if self.by_name.contains_key(name) {
            return Err((ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        let ambiguous = |byte: u8| matches!(byte, b'.' | b'_');
        if !name.bytes().any(ambiguous) {
            return Ok(());
        }
        let collides = |other: &&String| {
            let alike = |(a, b)| a == b || (ambiguous(a) && ambiguous(b));
            other.len() == name.len() && other.bytes().zip(name.bytes()).all(alike)
        };
        match self.by_name.keys().find(collides) {
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
        Some(removed)
    }
}

fn directory(data: &Path, topic: &str, index: usize) -> PathBuf {
    data.join("topics").join(format!("{topic}-{index}"))
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
mod tests {
    use super::*;
    use crate::log::batch::tests::plain_batch;
    use crate::log::partition::Isolation;
    use crate::settings::store::Layer;

    #[test]
    fn topics_survive_and_a_recreated_one_is_another() {
        let data = tempfile::tempdir().unwrap();
        let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
        let first = topics.create("t", 1, TopicConfig::default()).unwrap();
        let twice = topics.create("t", 1, TopicConfig::default()).unwrap_err();
        assert_eq!(twice.0, ResponseError::TopicAlreadyExists);
        topics.delete(&first).unwrap();
        let second = topics.create("t", 2, TopicConfig::default()).unwrap();
        topics.grow(&second, 3).unwrap();
        assert_eq!(topics.grow(&second, 3).unwrap_err().1, "Topic already has 3 partition(s).");
        let less = topics.grow(&second, 2).unwrap_err();
        assert_eq!(less.1, "The topic t currently has 3 partition(s); 2 would not be an increase.");
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
    fn a_deleted_topic_takes_and_gives_nothing_and_holds_no_files() {
        let data = tempfile::tempdir().unwrap();
        let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
        let topic = topics.create("t", 1, TopicConfig::default()).unwrap();
        let partition = topic.partition(0).unwrap();
        let batch = plain_batch(1, 0, (-1, -1, -1), false);
        partition.append(&batch, topic.config().rules(), 0).unwrap();
        topics.delete(&topic).unwrap();
        let late = partition.append(&batch, topic.config().rules(), 0);
        assert_eq!(late.unwrap_err(), ResponseError::UnknownTopicOrPartition);
        let read = partition.read(0, 1 << 20, true, Isolation::ReadUncommitted);
        assert_eq!(read.unwrap_err(), ResponseError::UnknownTopicOrPartition);
        assert_eq!(partition.usage().bytes, 0);
        partition.flush().unwrap();
    }

    #[test]
    fn a_topic_that_cannot_be_stored_leaves_no_files() {
        let data = tempfile::tempdir().unwrap();
        let topics = Topics::open(data.path(), &BrokerSettings::default()).unwrap();
        std::fs::create_dir(data.path().join("topics.next")).unwrap();
        let refused = topics.create("t", 2, TopicConfig::default()).unwrap_err();
        assert_eq!(refused.0, ResponseError::KafkaStorageError);
        assert_eq!(std::fs::read_dir(data.path().join("topics")).unwrap().count(), 0);
        std::fs::remove_dir(data.path().join("topics.next")).unwrap();
        topics.create("t", 2, TopicConfig::default()).unwrap();
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let topics = Topics::in_memory();
        for name in ["", ".", "..", "a/b", "ä", "a b", &"x".repeat(250)] {
            let refused = topics.may_create(name, 1).unwrap_err();
            assert_eq!(refused.0, ResponseError::InvalidTopicException, "{name}");
        }
    }

    #[test]
    fn names_that_metrics_cannot_tell_apart_collide() {
        let topics = Topics::in_memory();
        topics.create("a.b_c", 1, TopicConfig::default()).unwrap();
        let collision = topics.may_create("a_b.c", 1).unwrap_err();
        assert_eq!(
            collision,
            (
                ResponseError::InvalidTopicException,
                "Topic 'a_b.c' collides with existing topic: a.b_c".to_owned()
            )
        );
        for other in ["a.b-c", "a.b_c_", "abc"] {
            assert_eq!(topics.may_create(other, 1), Ok(()), "{other}");
        }
    }

    #[test]
    fn topics_follow_the_broker_where_nothing_was_set_on_them() {
        let data = tempfile::tempdir().unwrap();
        let settings = Settings::in_memory(BTreeMap::new()).unwrap();
        let topics = Topics::open(data.path(), &settings.broker()).unwrap();
        let names = ["follows", "stays"];
        let [follows, stays] = names.map(|name| topics.create(name, 1, TopicConfig::default()).unwrap());
        let set = |name: &str, value: &str| Alteration::Replace([(name.to_owned(), value.to_owned())].into());
        topics.alter(&stays, set("retention.ms", "7"), &settings, false).unwrap();
        settings.alter_broker(Layer::Cluster, set("log.retention.ms", "9"), false).unwrap();
        topics.inherit(&settings);
        assert_eq!((follows.config().retention_ms, stays.config().retention_ms), (Some(9), Some(7)));
        let again = Topics::open(data.path(), &settings.broker()).unwrap();
        let kept = names.map(|name| again.get(name).unwrap().config().retention_ms);
        assert_eq!(kept, [Some(9), Some(7)]);
        let refused = topics.alter(&stays, set("retention.ms", "x"), &settings, false).unwrap_err();
        assert_eq!(refused.0, ResponseError::InvalidConfig);
        assert_eq!(stays.config().retention_ms, Some(7));
    }
}
