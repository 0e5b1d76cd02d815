//! The rows of one key of a join, each with what is known of it: most keys have one, and some have very many.
//!
//! Rows lie one after the other in the memory of their key, in the order in which they came; what is removed is replaced by the last. As
//! long as rows are only added, and nothing but the usual is known of any, there is nothing else: a row costs a copy of its bytes. The
//! first time that one of many is looked for, an index of them is made.

use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::grouping::hash_of;
use crate::rows::RowBytes;

/// Up to so many rows are looked through; more are found by their hash.
const FEW: usize = 8;

/// So many bytes of removed rows are of no account.
const SMALL_WASTE: usize = 1024;

/// What is known of rows.
pub(super) trait Known: PartialEq {
    /// What is known of a row that nothing has happened to since it was added.
    fn usual() -> Self;
}

/// Rows, each with a value. Equal ones may be there more than once, if nobody looked before one was added.
#[derive(Clone, Debug, Default)]
pub(super) enum RowBag<V> {
    /// None.
    #[default]
    Empty,
    /// One row, which needs no memory beside its own.
    One(RowBytes, V),
    /// Some of which nothing but the usual is known.
    Usual(Box<Usual<V>>),
    /// Some.
    Many(Box<Many<V>>),
}

/// Rows one after the other, each with its length before it.
#[derive(Clone, Debug)]
pub(super) struct Usual<V> {
    bytes: Vec<u8>,
    count: usize,
    value: V,
}

#[derive(Clone, Debug)]
pub(super) struct Many<V> {
    bytes: Vec<u8>,
    rows: Vec<Place<V>>,
    index: Option<Index>,
    /// So many of the bytes are of rows that were removed.
    waste: usize,
}

/// Where a row lies, and its value.
#[derive(Clone, Debug)]
struct Place<V> {
    start: usize,
    length: usize,
    value: V,
}

/// The rows by their hashes, and the hash of each.
#[derive(Clone, Debug)]
struct Index {
    numbers: HashTable<usize>,
    hashes: Vec<u64>,
}

impl<V> Default for Many<V> {
    fn default() -> Self {
        Self { bytes: Vec::new(), rows: Vec::new(), index: None, waste: 0 }
    }
}

impl Index {
    fn of<V>(many: &Many<V>) -> Self {
        let hashes: Vec<u64> = (0..many.rows.len()).map(|number| hash_of(many.row(number))).collect();
        let mut index = Self { numbers: HashTable::with_capacity(hashes.len()), hashes: Vec::new() };
        hashes.into_iter().for_each(|hash| index.push(hash));
        index
    }

    fn push(&mut self, hash: u64) {
        let Self { numbers, hashes } = self;
        let number = hashes.len();
        hashes.push(hash);
        numbers.insert_unique(hash, number, |number| hashes[*number]);
    }

    /// The number of a row is now that of the last one.
    fn swap_remove(&mut self, number: usize) {
        let last = self.hashes.len() - 1;
        if let Ok(entry) = self.numbers.find_entry(self.hashes[number], |own| *own == number) {
            entry.remove();
        }
        if last != number
            && let Some(own) = self.numbers.find_mut(self.hashes[last], |own| *own == last)
        {
            *own = number;
        }
        self.hashes.swap_remove(number);
    }
}

impl<V> Usual<V> {
    fn push(&mut self, row: &[u8]) {
        // Seven bits at a time, the last without the eighth.
        let mut length = row.len();
        while length >= 0x80 {
            self.bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(row);
        self.count += 1;
    }

    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let (mut length, mut shift) = (0, 0);
            loop {
                let (byte, after) = rest.split_first()?;
                rest = after;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let (row, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(row)
        })
    }
}

impl<V> Many<V> {
    #[inline]
    fn row(&self, number: usize) -> &[u8] {
        let Place { start, length, .. } = self.rows[number];
        &self.bytes[start..start + length]
    }

    fn push(&mut self, row: &[u8], value: V) {
        if let Some(index) = &mut self.index {
            index.push(hash_of(row));
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.rows.push(Place { start, length: row.len(), value });
    }

    fn find(&mut self, row: &[u8]) -> Option<usize> {
        if self.rows.len() <= FEW {
            return (0..self.rows.len()).find(|number| self.row(*number) == row);
        }
        if self.index.is_none() {
            self.index = Some(Index::of(self));
        }
        let index = self.index.as_ref()?;
        index.numbers.find(hash_of(row), |number| self.row(*number) == row).copied()
    }

    fn remove(&mut self, number: usize) {
        if let Some(index) = &mut self.index {
            index.swap_remove(number);
        }
        self.waste += self.rows.swap_remove(number).length;
        if self.waste > SMALL_WASTE.max(self.bytes.len() / 2) {
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.waste);
        for place in &mut self.rows {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[place.start..place.start + place.length]);
            place.start = start;
        }
        (self.bytes, self.waste) = (bytes, 0);
    }
}

impl<V: Known> RowBag<V> {
    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(..) => 1,
            Self::Usual(usual) => usual.count,
            Self::Many(many) => many.rows.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Several rows, each with its value: of them any may be looked for, changed and removed.
    fn many(&mut self) -> Option<&mut Many<V>> {
        if let Self::Usual(usual) = self {
            let mut many = Box::<Many<V>>::default();
            usual.rows().for_each(|row| many.push(row, V::usual()));
            *self = Self::Many(many);
        }
        if let Self::Many(many) = self { Some(many) } else { None }
    }

    /// The number of a row, if it is there. Numbers hold until one is removed.
    pub(super) fn find(&mut self, row: &[u8]) -> Option<usize> {
        match self {
            Self::Empty => None,
            Self::One(own, _) => (**own == *row).then_some(0),
            Self::Usual(_) | Self::Many(_) => self.many()?.find(row),
        }
    }

    /// What is known of the row of this number.
    pub(super) fn value_mut(&mut self, number: usize) -> Option<&mut V> {
        match self {
            Self::One(_, value) => Some(value).filter(|_| number == 0),
            _ => self.many()?.rows.get_mut(number).map(|place| &mut place.value),
        }
    }

    /// Adds a row, without looking whether it is there.
    pub(super) fn push(&mut self, row: &[u8], value: V) {
        match self {
            Self::Empty => *self = Self::One(RowBytes::new(row), value),
            Self::Usual(usual) if usual.value == value => usual.push(row),
            Self::Usual(_) | Self::Many(_) => {
                if let Some(many) = self.many() {
                    many.push(row, value);
                }
            }
            Self::One(..) => {
                let Self::One(own, first) = std::mem::take(self) else { return };
                if first == V::usual() && value == first {
                    let bytes = Vec::with_capacity((row.len() + 2) * 2);
                    let mut usual = Box::new(Usual { bytes, count: 0, value });
                    usual.push(&own);
                    usual.push(row);
                    *self = Self::Usual(usual);
                } else {
                    let mut many = Box::<Many<V>>::default();
                    many.push(&own, first);
                    many.push(row, value);
                    *self = Self::Many(many);
                }
            }
        }
    }

    /// Takes out the row of this number. The last one has it from then on.
    pub(super) fn remove(&mut self, number: usize) {
        match self {
            Self::One(..) if number == 0 => *self = Self::Empty,
            _ => {
                if let Some(many) = self.many().filter(|many| number < many.rows.len()) {
                    many.remove(number);
                }
            }
        }
    }

    /// Keeps the rows for which `keep` says so, in their order.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        match self {
            Self::Usual(usual) if keep(&usual.value) => {}
            Self::One(_, value) if keep(value) => {}
            Self::Usual(_) | Self::One(..) => *self = Self::Empty,
            Self::Empty => {}
            Self::Many(many) => {
                let mut gone = 0;
                many.rows.retain(|place| {
                    let stays = keep(&place.value);
                    gone += if stays { 0 } else { place.length };
                    stays
                });
                if gone > 0 {
                    (many.index, many.waste) = (None, many.waste + gone);
                    many.close_gaps();
                }
            }
        }
    }

    /// All rows by their numbers, from 0 on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        let (one, usual, many) = match self {
            Self::Empty => (None, None, None),
            Self::One(row, value) => (Some((&**row, value)), None, None),
            Self::Usual(usual) => (None, Some(usual), None),
            Self::Many(many) => (None, None, Some(many)),
        };
        let usual = usual.into_iter().flat_map(|usual| usual.rows().map(|row| (row, &usual.value)));
        let many = many.into_iter().flat_map(|many| {
            let row = |place: &Place<V>| &many.bytes[place.start..place.start + place.length];
            many.rows.iter().map(move |place| (row(place), &place.value))
        });
        one.into_iter().chain(usual).chain(many)
    }
}

/// Bytes as [`RowBytes`] are written.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<V: Known + Serialize> Serialize for RowBag<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut rows = serializer.serialize_seq(Some(self.len()))?;
        for (row, value) in self.iter() {
            rows.serialize_element(&(Bytes(row), value))?;
        }
        rows.end()
    }
}

impl<'de, V: Known + Deserialize<'de>> Deserialize<'de> for RowBag<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rows: Vec<(RowBytes, V)> = Vec::deserialize(deserializer)?;
        let mut bag = Self::default();
        rows.into_iter().for_each(|(row, value)| bag.push(&row, value));
        Ok(bag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Known for i64 {
        fn usual() -> Self {
            1
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Adds to a row, which is made if it is not there.
        Add(Vec<u8>),
        /// Adds a row without a look.
        Push(Vec<u8>),
        /// The same, one of which nothing but the usual is known.
        PushUsual(Vec<u8>),
        Remove(Vec<u8>),
        /// Keeps values that are no multiples of three.
        Retain,
        /// As in a checkpoint, and back.
        Restore,
    }

    /// So often rows are added of which nothing but the usual is known.
    fn steps(usual: u32) -> impl Strategy<Value = Vec<Step>> {
        // Few different ones, so that they come again; some of them too long for a place of their own.
        let row =
            || (0..40_u8, 0..80_usize).prop_map(|(n, more)| [vec![n], vec![7; more / 20 * 50]].concat());
        let step = prop_oneof![
            8 => row().prop_map(Step::Add),
            2 => row().prop_map(Step::Push),
            usual => row().prop_map(Step::PushUsual),
            6 => row().prop_map(Step::Remove),
            1 => Just(Step::Retain),
            1 => Just(Step::Restore),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        /// Against a list of rows that is looked through from its beginning.
        #[test]
        fn it_holds_what_a_list_holds(steps in prop_oneof![steps(4), steps(400)]) {
            let (mut bag, mut list) = (RowBag::<i64>::default(), Vec::<(Vec<u8>, i64)>::new());
            for (n, step) in (0_i64..).zip(steps) {
                match step {
                    Step::Add(row) => {
                        let place = bag.find(&row);
                        prop_assert_eq!(place.is_some(), list.iter().any(|(own, _)| *own == row));
                        match place {
                            Some(place) => {
                                *bag.value_mut(place).unwrap() += n;
                                prop_assert_eq!(&list[place].0, &row);
                                list[place].1 += n;
                            }
                            None => {
                                bag.push(&row, n);
                                list.push((row, n));
                            }
                        }
                    }
                    Step::Push(row) => {
                        bag.push(&row, n);
                        list.push((row, n));
                    }
                    Step::PushUsual(row) => {
                        bag.push(&row, 1);
                        list.push((row, 1));
                    }
                    Step::Remove(row) => {
                        let place = bag.find(&row);
                        prop_assert_eq!(place.is_some(), list.iter().any(|(own, _)| *own == row));
                        if let Some(place) = place {
                            prop_assert_eq!(&list[place].0, &row);
                            bag.remove(place);
                            list.swap_remove(place);
                        }
                    }
                    Step::Retain => {
                        bag.retain(|value| value % 3 != 0);
                        list.retain(|(_, value)| value % 3 != 0);
                    }
                    Step::Restore => {
                        let text = serde_json::to_string(&bag).unwrap();
                        let as_before: Vec<(RowBytes, i64)> =
                            list.iter().map(|(row, value)| (RowBytes::new(row), *value)).collect();
                        prop_assert_eq!(&text, &serde_json::to_string(&as_before).unwrap());
                        bag = serde_json::from_str::<Vec<(Vec<u8>, i64)>>(&text).unwrap().into_iter().fold(
                            RowBag::default(),
                            |mut bag, (row, value)| {
                                bag.push(&row, value);
                                bag
                            },
                        );
                    }
                }
                prop_assert_eq!((bag.len(), bag.is_empty()), (list.len(), list.is_empty()));
                prop_assert!(bag.iter().eq(list.iter().map(|(row, value)| (&row[..], value))), "{}", n);
            }
        }
    }
}
