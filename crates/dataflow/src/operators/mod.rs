//! The operators, one page each.

mod aggregate;
mod batch_fold;
mod batch_time;
mod batch_window;
mod co_group;
mod combine;
mod flat_map;
mod foreach_batch;
mod keyed_co_process;
mod keyed_process;
mod process;
mod reduce;
mod reduce_by_key_and_window;
mod update_state_by_key;

pub use aggregate::Aggregate;
pub use batch_fold::BatchFold;
pub use batch_time::BatchTime;
pub use batch_window::BatchWindow;
pub use co_group::CoGroup;
pub use combine::Combine;
pub use flat_map::{Collect, FlatMap};
pub use foreach_batch::{BatchFunction, CollectBatch, ForeachBatch, Partition};
pub use keyed_co_process::{KeyedCoProcess, KeyedCoProcessFunction};
pub use keyed_process::{KeyedProcess, KeyedProcessContext, KeyedProcessFunction, OnTimer};
pub use process::{Process, ProcessContext};
pub use reduce::{Emit, Reduce};
pub use reduce_by_key_and_window::ReduceByKeyAndWindow;
pub use update_state_by_key::UpdateStateByKey;
