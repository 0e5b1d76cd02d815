//! The operators, one page each.

mod batch_fold;
mod batch_time;
mod batch_window;
mod co_group;
mod combine;
mod flat_map;
mod foreach_batch;
mod reduce;
mod reduce_by_key_and_window;
mod update_state_by_key;

pub use batch_fold::BatchFold;
pub use batch_time::BatchTime;
pub use batch_window::BatchWindow;
pub use co_group::CoGroup;
pub use combine::Combine;
pub use flat_map::{Collect, FlatMap};
pub use foreach_batch::{BatchFunction, CollectBatch, ForeachBatch, Partition};
pub use reduce::{Emit, Reduce};
pub use reduce_by_key_and_window::ReduceByKeyAndWindow;
pub use update_state_by_key::UpdateStateByKey;
