//! The chain: which state files a checkpoint needs, when a file says only what has changed.
//!
//! The index of every state file mentions each piece of state and key group that there is at its barrier: it says it whole, or
//! what has changed, or that nothing has. So the index of the newest file is the whole truth, and what it does not mention is not
//! there any more. For what it does not say whole, the files before it are asked, the newest first, down to the one that does.
//! A file that no group needs any more is not part of the next checkpoint, and is removed with the last that named it.
//!
//! A file of which little is needed is a waste: [`Chain::is_wasteful`] says so to the state that keeps it, which then is written
//! whole the next time.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::FileEntry;
use super::file::{StateEntry, Written};
use crate::state::{PartKind, StateKind};

/// A file is a waste when less than a quarter of it is needed.
const WASTE: u64 = 4;

/// What files there are, and who needs them.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    /// By their numbers, which rise.
    files: BTreeMap<u64, ChainFile>,
    next: u64,
    states: HashMap<(String, String), Groups>,
    wasteful: HashSet<(String, String, u16)>,
    /// Of state that is always written whole: what was written last, as a checksum.
    sums: HashMap<(String, String, u32), u32>,
}

#[derive(Debug)]
struct ChainFile {
    entry: FileEntry,
    /// The bytes of its parts.
    length: u64,
}

/// Of one piece of state: by subtask (0 of keyed state, whose groups move) and group, the files that say what is in it.
type Groups = HashMap<(u32, u16), Vec<Link>>;

#[derive(Clone, Copy, Debug)]
struct Link {
    file: u64,
    length: u64,
}

impl Chain {
    /// Adds the file of a new checkpoint, and returns all the files that it needs, the oldest first.
    ///
    /// # Errors
    /// When it builds on something that is not there: a bug of ours, which must not become a checkpoint.
    pub(crate) fn add(&mut self, file: FileEntry, entries: &[StateEntry]) -> Result<Vec<FileEntry>, String> {
        let number = self.next;
        self.next += 1;
        let mut states: HashMap<(String, String), Groups> = HashMap::new();
        for entry in entries {
            let name = (entry.uid.clone(), entry.name.clone());
            let before = self.states.get(&name);
            let groups = states.entry(name).or_default();
            let mut changed = HashSet::new();
            for part in &entry.parts {
                let place = (if entry.kind == StateKind::Keyed { 0 } else { entry.subtask }, part.group);
                let link = Link { file: number, length: part.length };
                let known = groups.contains_key(&place);
                let links = groups.entry(place).or_default();
                if part.kind == PartKind::Whole {
                    // It may take several parts of one file.
                    links.push(link);
                    continue;
                }
                if part.kind == PartKind::Delta && !changed.insert(place) {
                    // And so may a change.
                    links.push(link);
                    continue;
                }
                let before = before.and_then(|groups| groups.get(&place));
                let (false, Some(before)) = (known, before) else {
                    return Err(format!(
                        "group {} of state `{}` of operator `{}` is written as a change of what no earlier checkpoint has",
                        part.group, entry.name, entry.uid
                    ));
                };
                links.extend(before);
                if part.kind == PartKind::Delta {
                    links.push(link);
                }
            }
        }
        let length = entries.iter().flat_map(|entry| &entry.parts).map(|part| part.length).sum();
        self.states = states;
        self.files.insert(number, ChainFile { entry: file, length });
        self.clean(number);
        Ok(self.files.values().map(|file| file.entry.clone()).collect())
    }

    /// Goes on from the files of a checkpoint that has been restored, the oldest first, each with its index.
    pub(crate) fn restored<'a>(files: impl IntoIterator<Item = (&'a FileEntry, &'a [StateEntry])>) -> Self {
        let mut chain = Self::default();
        for (file, index) in files {
            // What an older file goes on from may be gone, as nobody has needed it any more; then nobody needs what it says, either.
            let _ = chain.add(file.clone(), &chain.known_of(index));
        }
        chain
    }

    /// What of an index goes on from something that is there.
    fn known_of(&self, index: &[StateEntry]) -> Vec<StateEntry> {
        let mut known = index.to_vec();
        for entry in &mut known {
            let groups = self.states.get(&(entry.uid.clone(), entry.name.clone()));
            let subtask = if entry.kind == StateKind::Keyed { 0 } else { entry.subtask };
            entry.parts.retain(|part| {
                part.kind == PartKind::Whole
                    || groups.is_some_and(|groups| groups.contains_key(&(subtask, part.group)))
            });
        }
        known
    }

    /// Takes down what was written last of state that is always written whole.
    pub(crate) fn remember(&mut self, written: &[Written]) {
        let sums = written.iter().filter_map(|written| {
            let StateEntry { uid, name, subtask, .. } = &written.entry;
            Some(((uid.clone(), name.clone(), *subtask), written.sum?))
        });
        self.sums = sums.collect();
    }

    /// Whether what has been encoded says nothing that the last checkpoint does not say.
    pub(crate) fn is_nothing_new<'a>(&self, written: impl IntoIterator<Item = &'a Written>) -> bool {
        let mut unchanged: HashMap<(&str, &str), usize> = HashMap::new();
        for Written { entry, sum, .. } in written {
            if entry.kind == StateKind::Keyed {
                if entry.parts.iter().any(|part| part.kind != PartKind::Unchanged) {
                    return false;
                }
                *unchanged.entry((&entry.uid, &entry.name)).or_default() += entry.parts.len();
            } else {
                let last = self.sums.get(&(entry.uid.clone(), entry.name.clone(), entry.subtask));
                if sum.is_none() || last != sum.as_ref() {
                    return false;
                }
            }
        }
        // A group that is not mentioned has gone.
        unchanged.into_iter().all(|((uid, name), groups)| {
            let known = self.states.get(&(uid.to_owned(), name.to_owned()));
            known.map_or(0, HashMap::len) == groups
        })
    }

    /// Whether much of a file is kept for the sake of this group.
    pub(crate) fn is_wasteful(&self, uid: &str, name: &str, group: u16) -> bool {
        // Most often there is nothing to look for.
        !self.wasteful.is_empty() && self.wasteful.contains(&(uid.to_owned(), name.to_owned(), group))
    }

    /// Gives its files other names.
    pub(crate) fn rename<E>(
        &mut self,
        rename: impl FnOnce(&mut [FileEntry]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut files = self.files();
        rename(&mut files)?;
        self.files.values_mut().zip(files).for_each(|(file, entry)| file.entry = entry);
        Ok(())
    }

    /// How large the newest file is, in bytes of state.
    pub(crate) fn newest_length(&self) -> u64 {
        self.files.last_key_value().map_or(0, |(_, file)| file.length)
    }

    /// The files as of the last checkpoint.
    pub(crate) fn files(&self) -> Vec<FileEntry> {
        self.files.values().map(|file| file.entry.clone()).collect()
    }

    /// Forgets files that nobody needs, but for the newest, and finds those that hardly anybody does.
    fn clean(&mut self, newest: u64) {
        let mut needed: HashMap<u64, u64> = HashMap::new();
        let links = self.states.values().flat_map(HashMap::values).flatten();
        links.for_each(|link| *needed.entry(link.file).or_default() += link.length);
        self.files.retain(|number, _| *number == newest || needed.contains_key(number));
        let waste: HashSet<u64> = self
            .files
            .iter()
            .filter(|(number, file)| **number != newest && needed[number].saturating_mul(WASTE) < file.length)
            .map(|(number, _)| *number)
            .collect();
        self.wasteful.clear();
        if waste.is_empty() {
            return;
        }
        for ((uid, name), groups) in &self.states {
            let keeping =
                groups.iter().filter(|(_, links)| links.iter().any(|link| waste.contains(&link.file)));
            self.wasteful.extend(keeping.map(|((_, group), _)| (uid.clone(), name.clone(), *group)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Part;

    fn file(number: u64) -> FileEntry {
        FileEntry { path: format!("chk-{number}-1/state-1"), contents: None }
    }

    /// An index that says this of the groups of one piece of state.
    fn index(parts: &[(u16, PartKind, u64)]) -> Vec<StateEntry> {
        let parts = parts.iter().map(|(group, kind, length)| Part {
            group: *group,
            kind: *kind,
            offset: 8,
            length: *length,
        });
        vec![StateEntry {
            uid: "op".into(),
            subtask: 0,
            name: "state".into(),
            kind: StateKind::Keyed,
            shape: String::new(),
            schema: 0,
            parts: parts.collect(),
        }]
    }

    fn add(chain: &mut Chain, number: u64, parts: &[(u16, PartKind, u64)]) -> Vec<u64> {
        let files = chain.add(file(number), &index(parts)).unwrap();
        files.iter().map(|file| file.path[4..].split_once('-').unwrap().0.parse().unwrap()).collect()
    }

    use PartKind::{Delta, Unchanged, Whole};

    #[test]
    fn a_checkpoint_needs_the_files_down_to_the_last_that_says_it_all() {
        let mut chain = Chain::default();
        assert_eq!(add(&mut chain, 1, &[(1, Whole, 100), (2, Whole, 100)]), [1]);
        assert_eq!(add(&mut chain, 2, &[(1, Delta, 10), (2, Unchanged, 0)]), [1, 2]);
        assert_eq!(add(&mut chain, 3, &[(1, Whole, 100), (2, Unchanged, 0)]), [1, 3]);
        assert_eq!(add(&mut chain, 4, &[(1, Delta, 10), (2, Delta, 10), (3, Whole, 1)]), [1, 3, 4]);
        // What is not mentioned is not there any more.
        assert_eq!(add(&mut chain, 5, &[(1, Unchanged, 0), (3, Unchanged, 0)]), [3, 4, 5]);
        assert_eq!(add(&mut chain, 6, &[]), [6]);
    }

    #[test]
    fn a_change_of_nothing_is_no_checkpoint() {
        let mut chain = Chain::default();
        add(&mut chain, 1, &[(1, Whole, 100)]);
        add(&mut chain, 2, &[(2, Whole, 100)]);
        assert!(
            chain.add(file(3), &index(&[(1, Delta, 10)])).unwrap_err().contains("group 1 of state `state`")
        );
        assert!(chain.add(file(3), &index(&[(1, Whole, 10), (1, Unchanged, 0)])).is_err());
        assert!(chain.add(file(4), &index(&[(1, Whole, 10), (1, Delta, 1)])).is_err());
    }

    #[test]
    fn who_keeps_a_file_for_little_is_told() {
        let mut chain = Chain::default();
        add(&mut chain, 1, &[(1, Whole, 10), (2, Whole, 100), (3, Whole, 100)]);
        add(&mut chain, 2, &[(1, Unchanged, 0), (2, Whole, 100), (3, Unchanged, 0)]);
        assert!(!chain.is_wasteful("op", "state", 1));
        add(&mut chain, 3, &[(1, Unchanged, 0), (2, Unchanged, 0), (3, Whole, 100)]);
        assert!(chain.is_wasteful("op", "state", 1) && !chain.is_wasteful("op", "state", 2));
        assert_eq!(add(&mut chain, 4, &[(1, Whole, 10), (2, Unchanged, 0), (3, Unchanged, 0)]), [2, 3, 4]);
        assert!(!chain.is_wasteful("op", "state", 1));
    }
}
