//! The operators, one page each.

pub mod aggregate;
pub mod async_wait;
pub mod batch_fold;
pub mod batch_time;
pub mod batch_window;
pub mod broadcast_process;
pub mod co_group;
pub mod combine;
pub mod flat_map;
pub mod flat_map_with_state;
pub mod foreach_batch;
pub mod interval_join;
pub mod keyed_co_process;
pub mod keyed_process;
pub mod map_with_state;
pub mod process;
pub mod process_function;
pub mod reduce;
pub mod reduce_by_key_and_window;
mod rich;
pub mod sort_input;
pub mod update_state_by_key;

pub use aggregate::Aggregate;
pub use async_wait::{AsyncFunction, AsyncRetryStrategy, AsyncWait};
pub use batch_fold::BatchFold;
pub use batch_time::BatchTime;
pub use batch_window::BatchWindow;
pub use broadcast_process::{
    BroadcastContextOf, BroadcastProcess, BroadcastProcessFunction, BroadcastState, KeyedBroadcastProcess,
    KeyedBroadcastProcessFunction,
};
pub use co_group::CoGroup;
pub use combine::Combine;
pub use flat_map::{Collect, FlatMap};
pub use flat_map_with_state::FlatMapWithState;
pub use foreach_batch::{BatchFunction, CollectBatch, ForeachBatch, Partition};
pub use interval_join::{IntervalJoin, IntervalJoinContext};
pub use keyed_co_process::{CoContextOf, KeyedCoProcess, KeyedCoProcessFunction};
pub use keyed_process::{ContextOf, KeyedProcess, KeyedProcessContext, KeyedProcessFunction, OnTimer};
pub use map_with_state::{MapWithState, State, StateSpec};
pub use process::{Process, ProcessContext};
pub use process_function::{CoProcessFunction, OfBoth, ProcessFunction, ProcessWith};
pub use reduce::{Emit, Reduce};
pub use reduce_by_key_and_window::ReduceByKeyAndWindow;
pub(crate) use rich::Rich;
pub use sort_input::SortInput;
pub use update_state_by_key::UpdateStateByKey;
