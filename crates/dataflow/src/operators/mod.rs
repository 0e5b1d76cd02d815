//! The operators, one page each.

mod flat_map;
mod reduce;

pub use flat_map::{Collect, FlatMap};
pub use reduce::{Emit, Reduce};
