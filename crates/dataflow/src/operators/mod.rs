//! The operators, one page each.

mod combine;
mod flat_map;
mod reduce;

pub use combine::Combine;
pub use flat_map::{Collect, FlatMap};
pub use reduce::{Emit, Reduce};
