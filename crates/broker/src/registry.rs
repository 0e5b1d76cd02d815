//! Which topics there are, as one file says it: `topics.journal`, to which every change adds one line.
//!
//! So what a change costs does not depend on how many topics there are. A change is on disk before it is acknowledged,
//! since without it the records of a topic would be nobody's. Earlier versions kept `topics.json`, which was written
//! anew for every change; it is read once, and gone when the journal has taken its place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::BrokerError;
use crate::journal::Journal;
use crate::log::segment::base_offset_of;
use crate::reserve::Reserve;

/// A topic as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) partitions: usize,
    #[serde(default)]
    pub(crate) config: BTreeMap<String, String>,
}

/// A line of the journal. All of a change is in one, so that a torn end leaves all of it or nothing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    /// They are there, as they are here.
    Topics(Vec<Entry>),
    /// It is no more.
    Deleted(Uuid),
}

/// What a change means for the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Space {
    Needed,
    /// It may give space back, so it is to be written down on a full disk too.
    MayCome,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Registry {
    folder: PathBuf,
    reserve: Reserve,
    journal: Mutex<Journal<Change>>,
}

/// What was found in a data folder.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) registry: Registry,
    /// In the order of their names.
    pub(crate) entries: Vec<Entry>,
}

impl Registry {
    /// The registry of a data folder. Folders of partitions that belong to no topic are cleared away.
    pub(crate) fn open(folder: &Path) -> Result<Found, BrokerError> {
        let (path, old) = (folder.join("topics.journal"), folder.join("topics.json"));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| BrokerError::Data { path, source }
        };
        let (is_there, was_there) = (path.exists(), old.exists());
        if !is_there && !was_there {
            refuse_orphans(folder)?;
        }
        let mut by_id = BTreeMap::new();
        let mut journal =
            Journal::open_whole(&path, |change| apply(&mut by_id, change)).map_err(failed(&path))?;
        if !is_there && was_there {
            let bytes = std::fs::read(&old).map_err(failed(&old))?;
            let entries: Vec<Entry> =
                serde_json::from_slice(&bytes).map_err(|error| failed(&old)(error.into()))?;
            by_id = entries.into_iter().map(|entry| (entry.id, entry)).collect();
        }
        // An empty one is written too: from then on it is known that there is no topic.
        if !is_there || journal.is_long() {
            journal.rewrite(outcome(&by_id)).map_err(failed(&path))?;
        }
        if was_there {
            std::fs::remove_file(&old).map_err(failed(&old))?;
        }
        let mut entries: Vec<Entry> = by_id.into_values().collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let registry =
            Self { folder: folder.to_owned(), reserve: Reserve::of(folder), journal: Mutex::new(journal) };
        registry.reserve.fill(0);
        registry.clear_unknown(&entries);
        Ok(Found { registry, entries })
    }

    /// The folder of a partition.
    pub(crate) fn directory(&self, topic: &str, index: usize) -> PathBuf {
        self.folder.join("topics").join(format!("{topic}-{index}"))
    }

    /// Writes down that these topics are there, as they are here: all of them or, on an error, none.
    pub(crate) fn put(&self, entries: Vec<Entry>, space: Space) -> io::Result<()> {
        self.append(&Change::Topics(entries), space)
    }

    /// Writes down that a topic is no more.
    pub(crate) fn delete(&self, id: Uuid) -> io::Result<()> {
        self.append(&Change::Deleted(id), Space::MayCome)
    }

    /// Has the space that a change will need on a full disk, if there is any now.
    pub(crate) fn refill(&self) {
        self.reserve.fill(0);
    }

    /// Lets every change fail as on a full disk, or no longer.
    #[cfg(test)]
    pub(crate) fn set_full(&self, full: bool) {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).set_full(full);
    }

    /// Shortens the journal if most of it is history. `entries` is what there is.
    pub(crate) fn tidy(&self, entries: impl FnOnce() -> Vec<Entry>) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if !journal.is_long() {
            return;
        }
        let by_id = entries().into_iter().map(|entry| (entry.id, entry)).collect();
        if let Err(error) = journal.rewrite(outcome(&by_id)) {
            tracing::warn!(%error, "the journal of topics cannot be shortened now");
        }
    }

    fn append(&self, change: &Change, space: Space) -> io::Result<()> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut write = || journal.append_durably(change);
        match space {
            Space::Needed => write(),
            Space::MayCome => self.reserve.spend(write),
        }
    }

    /// Removes the folders of partitions that a failed creation, or a deletion that did not come to its end, has left.
    fn clear_unknown(&self, entries: &[Entry]) {
        let counts: BTreeMap<&str, usize> =
            entries.iter().map(|entry| (entry.name.as_str(), entry.partitions)).collect();
        let mut removed = Vec::new();
        for path in partitions(&self.folder) {
            let Some((topic, index)) = path.file_name().and_then(|name| partition_of(name.to_str()?)) else {
                continue;
            };
            if counts.get(topic).is_some_and(|count| index < *count) {
                continue;
            }
            match std::fs::remove_dir_all(&path) {
                Ok(()) => removed.push(format!("{topic}-{index}")),
                Err(error) => tracing::warn!(
                    folder = %path.display(), %error, "a folder that belongs to no topic cannot be removed"
                ),
            }
        }
        if let Some(first) = removed.first() {
            let count = removed.len();
            tracing::info!(count, first, "removed folders of partitions that belong to no topic");
        }
    }
}

/// The folders that may be partitions. A link to a folder is none.
fn partitions(data: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(data.join("topics")).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path())
}

/// Whoever has lost the one file that says which topics there are shall not lose the records as well.
fn refuse_orphans(data: &Path) -> Result<(), BrokerError> {
    let has_records = |path: &PathBuf| {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut logs = files.filter(|file| base_offset_of(&file.file_name().to_string_lossy()).is_some());
        logs.any(|log| log.metadata().is_ok_and(|metadata| metadata.len() > 0))
    };
    let Some(path) = partitions(data).find(has_records) else { return Ok(()) };
    let reason = "there are records here, but no topics.journal that says of which topic they are; put that file back, \
                  or move the folder away";
    Err(BrokerError::Data { path, source: io::Error::new(io::ErrorKind::InvalidData, reason) })
}

/// Topic and partition of a folder of that name.
fn partition_of(folder: &str) -> Option<(&str, usize)> {
    let (topic, index) = folder.rsplit_once('-')?;
    let number: usize = index.parse().ok()?;
    // Not another spelling of a number, and not a folder that somebody else has put there.
    (number.to_string() == index && !topic.is_empty()).then_some((topic, number))
}

fn apply(by_id: &mut BTreeMap<Uuid, Entry>, change: Change) {
    match change {
        Change::Topics(entries) => by_id.extend(entries.into_iter().map(|entry| (entry.id, entry))),
        Change::Deleted(id) => drop(by_id.remove(&id)),
    }
}

/// What the journal comes to: a line for each topic.
fn outcome(by_id: &BTreeMap<Uuid, Entry>) -> impl Iterator<Item = Change> {
    by_id.values().map(|entry| Change::Topics(vec![entry.clone()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, partitions: usize) -> Entry {
        Entry { name: name.to_owned(), id: Uuid::new_v4(), partitions, config: BTreeMap::new() }
    }

    fn open(folder: &Path) -> (Registry, Vec<Entry>) {
        std::fs::create_dir_all(folder.join("topics")).unwrap();
        let Found { registry, entries } = Registry::open(folder).unwrap();
        (registry, entries)
    }

    fn folders(data: &Path) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<String> = partitions(data).map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_of_earlier_versions_is_read_once_and_gives_way() {
        let data = tempfile::tempdir().unwrap();
        let old = [entry("b", 2), entry("a", 1)];
        std::fs::write(data.path().join("topics.json"), serde_json::to_vec_pretty(&old).unwrap()).unwrap();
        let (_, entries) = open(data.path());
        assert_eq!(entries, [old[1].clone(), old[0].clone()]);
        assert!(!data.path().join("topics.json").exists());
        // A crash between the two steps leaves both, and the journal counts.
        let (registry, _) = open(data.path());
        registry.delete(old[0].id).unwrap();
        std::fs::write(data.path().join("topics.json"), serde_json::to_vec_pretty(&old).unwrap()).unwrap();
        let (_, entries) = open(data.path());
        assert_eq!(entries, [old[1].clone()]);
        assert!(!data.path().join("topics.json").exists());
    }

    #[test]
    fn a_torn_change_has_not_happened_at_whatever_byte_it_is_torn() {
        let data = tempfile::tempdir().unwrap();
        let (registry, _) = open(data.path());
        let (first, second) = (entry("a", 1), entry("b", 1));
        registry.put(vec![first.clone()], Space::Needed).unwrap();
        let path = data.path().join("topics.journal");
        let before = std::fs::read(&path).unwrap().len();
        registry.put(vec![second.clone(), entry("c", 1)], Space::Needed).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for len in before..whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(open(data.path()).1, std::slice::from_ref(&first), "{len} bytes");
        }
    }

    #[test]
    fn damage_in_the_middle_is_refused_and_takes_no_records_with_it() {
        let data = tempfile::tempdir().unwrap();
        let (registry, _) = open(data.path());
        for name in ["a", "b"] {
            registry.put(vec![entry(name, 1)], Space::Needed).unwrap();
            std::fs::create_dir(registry.directory(name, 0)).unwrap();
        }
        let path = data.path().join("topics.journal");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[12] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let refused = Registry::open(data.path()).unwrap_err().to_string();
        assert!(refused.contains("topics.journal") && refused.contains("line 1"), "{refused}");
        assert_eq!(folders(data.path()), ["a-0", "b-0"]);
    }

    #[test]
    fn folders_that_belong_to_no_topic_are_cleared_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let (registry, _) = open(data.path());
        registry.put(vec![entry("t-1", 2)], Space::Needed).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), data.path().join("topics/linked-0")).unwrap();
        for folder in ["t-1-0", "t-1-1", "t-1-2", "t-1", "gone-0", "notes", "t-01", "-0"] {
            std::fs::create_dir(data.path().join("topics").join(folder)).unwrap();
        }
        open(data.path());
        assert_eq!(folders(data.path()), ["-0", "notes", "t-01", "t-1-0", "t-1-1"]);
        assert!(elsewhere.path().exists());
    }

    #[test]
    fn without_the_file_that_knows_of_topics_records_are_not_cleared() {
        let data = tempfile::tempdir().unwrap();
        let partition = data.path().join("topics/t-0");
        std::fs::create_dir_all(&partition).unwrap();
        let log = partition.join("00000000000000000000.log");
        std::fs::write(&log, "records").unwrap();
        let refused = Registry::open(data.path()).unwrap_err().to_string();
        assert!(refused.contains("t-0") && refused.contains("topics.journal"), "{refused}");
        assert!(log.exists() && !data.path().join("topics.journal").exists());
        // Without records, it is what a crash has left of the first topic.
        std::fs::write(&log, "").unwrap();
        assert!(open(data.path()).1.is_empty());
        assert!(folders(data.path()).is_empty());
    }

    #[test]
    fn a_journal_of_history_is_shortened() {
        let data = tempfile::tempdir().unwrap();
        let (registry, _) = open(data.path());
        let mut long = entry("a", 1);
        long.config.insert("x".to_owned(), "y".repeat(1 << 20));
        for _ in 0..6 {
            registry.put(vec![long.clone()], Space::Needed).unwrap();
            registry.tidy(|| vec![long.clone()]);
        }
        assert!(std::fs::metadata(data.path().join("topics.journal")).unwrap().len() < 4 << 20);
        assert_eq!(open(data.path()).1, [long]);
    }
}
