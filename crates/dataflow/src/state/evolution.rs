//! How the types of state may change between two versions of a program, and how to try it without a job.
//!
//! A checkpoint says of each state what its writer knew of the types: the names of fields and variants, and what is in them. The
//! program that restores it reads by these names. So this may change:
//!
//! | change | what becomes of what is there |
//! |---|---|
//! | a field is added | it is what serde says: `#[serde(default)]`, or `None` if it is an `Option` |
//! | a field is removed, or fields change places | what nobody asks for is left out |
//! | a field or a variant gets another name | it is found under the old one with `#[serde(alias = "old")]` |
//! | variants are added to an enum, or change places | they are found by name |
//! | a number becomes wider: `u32` to `u64`, `i64` or `f64`, `f32` to `f64` | it is the same number; what does not hold every value, such as `i64` to `f64`, is refused |
//! | `T` becomes `Option<T>` | `Some` |
//! | `T` becomes a newtype of `T`, or the other way round | the same |
//! | `char` becomes `String`, `Vec<T>` any other list or set of `T` | the same |
//!
//! All else is refused when the job is restored, with the path of the field: `` at `value.lines[2].price`: … ``. That is so with a number that
//! becomes narrower, a variant that is gone though a value of it is there, a field that is added without a default, and a tuple of
//! another length: a tuple has no names to go by, so a struct is better for what lives long.
//!
//! **The key of a keyed state** may change only in ways that its `Hash` does not notice, such as names of fields or a newtype around it:
//! the hash says where its state lies. A key that hashes otherwise is refused. And the uid of the operator and the name of the
//! state must stay, which say whose it is.
//!
//! **What is written must come back.** Attributes of serde can make a type that is written and cannot be read again, such as
//! `#[serde(skip_serializing_if)]` without a default, or `#[serde(untagged)]` where one variant looks like another. Each state is
//! read back when it is first written, and a type that does not come back fails the first checkpoint, with the name of the type and the attribute.
//!
//! [`StateEncoder`] and [`StateDecoder`] do what a checkpoint does, for tests of a program's own:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use thalweg_dataflow::state::evolution::StateEncoder;
//!
//! // As it was in the version that runs,
//! mod before {
//!     #[derive(serde::Serialize, serde::Deserialize)]
//!     pub struct Visits {
//!         pub page: String,
//!         pub count: u32,
//!         pub obsolete: bool,
//!     }
//! }
//!
//! // and as it is to be.
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Visits {
//!     count: u64,
//!     page: String,
//!     last: Option<i64>,
//! }
//!
//! let mut encoder = StateEncoder::new();
//! let mut bytes = Vec::new();
//! let page = "/".to_owned();
//! encoder.encode(&[before::Visits { page, count: 7, obsolete: true }], &mut bytes)?;
//!
//! let mut read = Vec::new();
//! encoder.decoder()?.decode(&bytes, |visits: Visits| read.push(visits))?;
//! assert_eq!(read, [Visits { count: 7, page: "/".to_owned(), last: None }]);
//!
//! // What cannot be read is refused, with the field.
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Narrow {
//!     count: u16,
//! }
//! let refused = encoder.decoder()?.decode(&bytes, |_: Narrow| {}).unwrap_err();
//! assert_eq!(refused.to_string(), "at `count`: u32 was written, and u16 is wanted");
//! # Ok::<(), thalweg_dataflow::error::BoxError>(())
//! ```

use std::cell::RefCell;
use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoding::{Plan, Schema};
use super::{Encoder, KeyedState, PartDecoder, PartWriter};
use crate::error::BoxError;

/// Writes values as a checkpoint does. It is kept from one checkpoint of a run to the next, as what it knows of the types is.
pub struct StateEncoder(Encoder);

/// Keyed state as it is in a state file.
#[derive(Debug, Default)]
pub struct KeyedParts {
    bytes: Vec<u8>,
    /// Of each key group, where its part lies.
    parts: Vec<(u16, Range<usize>)>,
}

impl KeyedParts {
    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Reads values that a [`StateEncoder`] has written, by what that knew of the types.
pub struct StateDecoder {
    schema: Schema,
    size: usize,
}

impl Default for StateEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl StateEncoder {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self(Encoder::new())
    }

    /// Appends these values to `bytes`. The values of the first call are read back, as those of the first checkpoint of a run are; of
    /// later calls those are that show something new.
    ///
    /// # Errors
    /// When a value cannot be written, or does not come back as it was.
    pub fn encode<T: Serialize + DeserializeOwned>(
        &mut self,
        values: &[T],
        bytes: &mut Vec<u8>,
    ) -> Result<(), BoxError> {
        self.0.part(bytes, |part| part.items(values))?;
        self.0.end_snapshot();
        Ok(())
    }

    /// Writes all of a keyed state, which the engine has to have opened, or the test.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_keyed(&mut self, state: &mut impl KeyedState) -> Result<KeyedParts, BoxError> {
        let file = RefCell::new(Vec::new());
        let append = |bytes: &[u8]| {
            let mut file = file.borrow_mut();
            file.extend_from_slice(bytes);
            Ok((file.len() - bytes.len()) as u64)
        };
        let mut writer = PartWriter::new(&mut self.0, &append, |_| false);
        state.share(true)(&mut writer)?;
        let (parts, _) = writer.finish(false)?;
        self.0.end_snapshot();
        let parts = parts.iter().map(|part| {
            let begin = part.offset as usize;
            (part.group, begin..begin + part.length as usize)
        });
        Ok(KeyedParts { parts: parts.collect(), bytes: file.into_inner() })
    }

    /// What a later program has to read all that was written so far.
    ///
    /// # Errors
    /// When what is known of the types cannot be written down.
    pub fn decoder(&self) -> Result<StateDecoder, BoxError> {
        let schema = postcard::to_stdvec(self.0.schema())?;
        Ok(StateDecoder { schema: postcard::from_bytes(&schema)?, size: schema.len() })
    }
}

impl StateDecoder {
    /// Reads what one call of [`StateEncoder::encode`] has written, or several one after the other, and hands each value on.
    ///
    /// # Errors
    /// When a value cannot be read as a `T`.
    pub fn decode<T: DeserializeOwned>(&self, bytes: &[u8], mut each: impl FnMut(T)) -> Result<(), BoxError> {
        let plan = Plan::new(&self.schema);
        PartDecoder::new(&plan, bytes).items(&mut each)
    }

    /// Adds what [`StateEncoder::encode_keyed`] has written to a keyed state, which has been opened for these key groups.
    ///
    /// # Errors
    /// When a key or a value cannot be read, or a key hashes otherwise than it did.
    pub fn restore(&self, written: &KeyedParts, state: &mut impl KeyedState) -> Result<(), BoxError> {
        let plan = Plan::new(&self.schema);
        for (group, range) in &written.parts {
            let bytes = written.bytes.get(range.clone()).unwrap_or_default();
            state.restore(*group, PartDecoder::new(&plan, bytes), false)?;
        }
        state.restored(false);
        Ok(())
    }

    /// How many bytes the schema takes, once in each state file.
    pub fn schema_size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::key_hash;
    use crate::key_group::KeyGroups;
    use crate::state::{Key, KeyedTable, StateData};

    fn table<K: Key, V: StateData>(entries: impl IntoIterator<Item = (K, V)>) -> KeyedTable<K, V> {
        let mut table = KeyedTable::default();
        table.open(&KeyGroups::all(128));
        entries.into_iter().for_each(|(key, value)| {
            table.entry(key_hash(&key), key).or_insert_with(|| value);
        });
        table
    }

    /// Written with one type of key, read with another.
    fn change<K: Key, L: Key>(keys: Vec<K>) -> Result<Vec<(L, u64)>, String> {
        let mut encoder = StateEncoder::new();
        let parts = encoder.encode_keyed(&mut table(keys.into_iter().zip(0_u32..))).unwrap();
        let mut read = table::<L, u64>([]);
        encoder.decoder().unwrap().restore(&parts, &mut read).map_err(|error| error.to_string())?;
        // Each is found again, where its key leads.
        read.iter().for_each(|(key, value)| assert_eq!(read.get(key_hash(key), key), Some(value)));
        Ok(read.iter().map(|(key, value)| (key.clone(), *value)).collect())
    }

    #[test]
    fn a_key_may_change_as_long_as_it_hashes_alike() {
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
        struct Id(u64);
        let keys = || (0..1000).collect::<Vec<u64>>();
        let mut read = change::<u64, Id>(keys()).unwrap();
        read.sort_unstable();
        assert_eq!(read, (0..1000).map(|n| (Id(n), n)).collect::<Vec<_>>());
        assert_eq!(change::<Id, u64>(keys().into_iter().map(Id).collect()).unwrap().len(), 1000);
        let text = |key: u64| char::from_u32(key as u32 + 64).unwrap();
        let refused = change::<char, String>((0..1000).map(text).collect()).unwrap_err();
        assert!(refused.contains("another hash than when it was written"), "{refused}");
        let refused = change::<u64, (u64, Option<u8>)>(keys()).unwrap_err();
        assert!(refused.contains("at `key`"), "{refused}");
    }
}
