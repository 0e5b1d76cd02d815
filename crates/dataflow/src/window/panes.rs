//! Panes: the pieces that aligned windows are made of, each with an accumulator for each key.
//!
//! **In a checkpoint** each pane and non-empty key group is one part: the pane's beginning, then its table as
//! [`KeyedTable`] writes it.

use crate::error::BoxError;
use crate::key_group::KeyGroups;
use crate::state::{Encode, Key, KeyedState, KeyedTable, PartDecoder, StateData, shape_of};
use crate::time::Timestamp;

/// The panes that are open, in the order of time.
#[derive(Clone, Debug)]
pub(super) struct Panes<K, A> {
    groups: KeyGroups,
    panes: Vec<Pane<K, A>>,
    /// A table that has been used, and keeps its room for the next pane.
    spare: Option<KeyedTable<K, A>>,
}

#[derive(Clone, Debug)]
pub(super) struct Pane<K, A> {
    pub(super) start: Timestamp,
    pub(super) table: KeyedTable<K, A>,
}

impl<K, A> Default for Panes<K, A> {
    fn default() -> Self {
        Self { groups: KeyGroups::all(0), panes: Vec::new(), spare: None }
    }
}

impl<K: Key, A: StateData> Panes<K, A> {
    /// The index of the pane that begins at `start`; it is made if it is not there. It holds until the next
    /// call, or the next removal.
    pub(super) fn find(&mut self, start: Timestamp) -> usize {
        let index = self.panes.partition_point(|pane| pane.start < start);
        if self.panes.get(index).is_none_or(|pane| pane.start != start) {
            let table = self.spare.take().unwrap_or_else(|| KeyedTable::new(&self.groups));
            self.panes.insert(index, Pane { start, table });
        }
        index
    }

    /// The table of a pane, by the index that [`find`](Self::find) gave.
    #[inline]
    pub(super) fn table(&mut self, index: usize) -> &mut KeyedTable<K, A> {
        &mut self.panes[index].table
    }

    /// The panes that begin in this span.
    pub(super) fn within(&self, from: Timestamp, to: Timestamp) -> &[Pane<K, A>] {
        let first = self.panes.partition_point(|pane| pane.start < from);
        let end = self.panes.partition_point(|pane| pane.start < to);
        &self.panes[first..end.max(first)]
    }

    pub(super) fn starts(&self) -> impl Iterator<Item = Timestamp> {
        self.panes.iter().map(|pane| pane.start)
    }

    /// Removes panes from the earliest on, as long as `over` says so.
    pub(super) fn remove_while(&mut self, over: impl Fn(Timestamp) -> bool) {
        let count = self.panes.iter().take_while(|pane| over(pane.start)).count();
        for mut pane in self.panes.drain(..count) {
            pane.table.drain().for_each(drop);
            self.spare = Some(pane.table);
        }
    }
}

impl<K: Key, A: StateData> KeyedState for Panes<K, A> {
    fn shape(&self) -> String {
        shape_of::<(Timestamp, K, A)>()
    }

    fn open(&mut self, groups: &KeyGroups) {
        *self = Self { groups: groups.clone(), ..Self::default() };
    }

    fn share(&mut self, _whole: bool) -> Encode {
        let panes: Vec<_> =
            self.panes.iter_mut().map(|pane| (pane.start, pane.table.share_tables())).collect();
        Box::new(move |parts| {
            for (start, tables) in panes {
                for (group, table) in tables {
                    parts.part(group, |part| {
                        part.head(&start)?;
                        table.encode(part)
                    })?;
                }
            }
            Ok(())
        })
    }

    fn restore(&mut self, group: u16, mut part: PartDecoder<'_>, _delta: bool) -> Result<(), BoxError> {
        let start = part.head::<Timestamp>()?;
        let index = self.find(start);
        let table = self.table(index);
        part.entries(|key: K, accumulator: A| {
            table.insert(table.hash_in(group, &key)?, &key, accumulator);
            Ok(())
        })
    }
}
