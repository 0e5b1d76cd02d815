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

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoding::{Plan, Schema};
use super::{Encoder, PartDecoder};
use crate::error::BoxError;

/// Writes values as a checkpoint does. It is kept from one checkpoint of a run to the next, as what it knows of the types is.
pub struct StateEncoder(Encoder);

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

    /// How many bytes the schema takes, once in each state file.
    pub fn schema_size(&self) -> usize {
        self.size
    }
}
