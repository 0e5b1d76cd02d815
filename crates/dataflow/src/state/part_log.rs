//! For tests of state: the parts of checkpoints, as a restore would find them.

use std::collections::HashMap;
use std::rc::Rc;

use super::encoding::{Plan, Schema};
use super::{Encode, KeyedState, Memory, PartDecoder, PartKind, encoded};
use crate::key_group::KeyGroups;

/// What checkpoints say of one piece of keyed state with 128 key groups.
#[derive(Clone, Default)]
pub(crate) struct PartLog(HashMap<u16, Vec<Written>>);

/// A part, and the schema that it was written by.
type Written = (PartKind, Vec<u8>, Rc<Schema>);

impl PartLog {
    /// Adds one checkpoint, of all subtasks. What it does not mention is not there any more.
    pub(crate) fn add(&mut self, encodes: impl IntoIterator<Item = Encode>) {
        let mut before = std::mem::take(&mut self.0);
        for (part, bytes, schema) in encodes.into_iter().flat_map(|encode| {
            let (parts, schema) = encoded(encode);
            let schema = Rc::new(schema);
            parts.into_iter().map(move |(part, bytes)| (part, bytes, schema.clone()))
        }) {
            let group = self.0.entry(part.group).or_default();
            match part.kind {
                PartKind::Whole => {}
                // A group may be said to have changed several times.
                PartKind::Delta if !group.is_empty() => {
                    assert!(!before.contains_key(&part.group), "what is whole has changed");
                }
                PartKind::Delta | PartKind::Unchanged => {
                    *group = before.remove(&part.group).expect("a change of nothing");
                }
            }
            if part.kind != PartKind::Unchanged {
                group.push((part.kind, bytes, schema));
            }
        }
    }

    /// How many bytes a restore would read.
    pub(crate) fn bytes(&self) -> usize {
        self.0.values().flatten().map(|(_, bytes, _)| bytes.len()).sum()
    }

    /// Restores what a subtask of so many owns.
    pub(crate) fn restore<S: KeyedState>(&self, empty: S, of: (usize, usize), continues: bool) -> S {
        self.restore_within(empty, of, continues, None)
    }

    /// As [`restore`](Self::restore), into so much memory.
    pub(crate) fn restore_within<S: KeyedState>(
        &self,
        mut empty: S,
        of: (usize, usize),
        continues: bool,
        memory: Option<&Memory>,
    ) -> S {
        empty.open(&KeyGroups::of_subtask(128, of.0, of.1));
        memory.into_iter().for_each(|memory| empty.bound(memory));
        self.restore_into(&mut empty, of, continues);
        empty
    }

    /// Restores what a subtask of so many owns, into state that has been opened.
    pub(crate) fn restore_into(&self, empty: &mut dyn KeyedState, of: (usize, usize), continues: bool) {
        let groups = KeyGroups::of_subtask(128, of.0, of.1);
        for group in groups.owned() {
            for (kind, bytes, schema) in self.0.get(&group).into_iter().flatten() {
                let plan = Plan::new(schema);
                empty.restore(group, PartDecoder::new(&plan, bytes), *kind == PartKind::Delta).unwrap();
            }
        }
        empty.restored(continues);
    }
}
