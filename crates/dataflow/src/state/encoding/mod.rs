//! How values of state are written: compact, by a schema that is kept beside them, and read back by name.
//!
//! Types change. So a state file says of each state what its writer knew of the types: the names of fields and variants, and what is in
//! them. The values themselves are as small as if nothing was said. Who reads them resolves the schema against the types of its own
//! program, as Avro does.
//!
//! ```text
//! part    = [version head] run*                      numbers are LEB128, signed ones folded by zigzag
//! run     = version count entry*
//! value   = by its node in the schema:
//!   bool, u8, i8            one byte                  f32, f64   4 or 8 bytes, little-endian
//!   u16 … u128, char        number                    i16 … i128 number, folded
//!   str, bytes              length, bytes             ()         nothing
//!   option                  0 | 1 value               newtype    value
//!   list, map               count, items              tuple      values
//!   struct                  values of its fields, or where it is *keyed*: (1 + number of the field, value)*, 0
//!   enum                    number of the variant, content
//!   union                   number of the alternative, value
//! ```
//!
//! An item of a list and an entry of a map that take no bytes are followed by a zero byte, so that damaged bytes cannot claim to be more
//! items than there are bytes.
//!
//! **The schema is found while values are written** (`grow.rs`): asking the type instead would not tell what its `Serialize` does, and
//! `#[serde(skip_serializing_if)]`, `tag`, `untagged` and `flatten` make that differ from value to value. A place of a type is expected
//! to be what it was before. If it is not, it becomes a *union* (a struct becomes keyed), the *version* goes up, and the run at hand is
//! written again. Runs of older versions stay as they are: a union tells from which version on its number is written. The schema is
//! written after the values, in the index of the file.
//!
//! Once a snapshot is through, a value is first written by the schema as it is (`follow.rs`), without any way to let it grow; the few
//! that do not fit are written once more.
//!
//! **Reading** (`read.rs`) answers each request of a `Deserialize` from the node that was written: alternatives are chosen, newtypes
//! seen through, numbers widened, and a struct whose fields are those that are wanted is read by position. What is compared for that is
//! kept for each node, in the plan, and not compared again for the next value.
//!
//! **A type that does not come back** (`check.rs`) is an error when it is first written: every value of the first snapshot of a run, and
//! later those that made the schema grow, are read back, written again, and compared.

mod canonical;
mod check;
mod cursor;
mod decoder;
mod encoder;
mod error;
mod fields;
mod follow;
mod grow;
mod plain;
mod plan;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod varint;
mod write;

pub use decoder::PartDecoder;
pub use encoder::PartEncoder;
pub(crate) use encoder::{Encoder, Encoders};
pub(crate) use plan::Plan;
pub(crate) use schema::Schema;

/// Values that are nested deeper than this are refused, when they are written and when they are read: each level takes a frame of the
/// stack.
const DEPTH: u32 = 256;

/// The roots of a schema: what parts begin with, and what their entries are.
const HEAD: usize = 0;
const ENTRY: usize = 1;
