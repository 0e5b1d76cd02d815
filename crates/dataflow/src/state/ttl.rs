//! Time to live: keyed state that is forgotten when nobody has touched it for long enough (Flink's `StateTtlConfig`).
//!
//! Each value has the processing time at which it was last written, or, if it is asked for, read. When that is the time to live
//! ago, the value has *expired*: from then on it is as if it had been removed. What has expired is never returned, and not written
//! to checkpoints; it is taken out of memory little by little while the job runs, all of it once in a time to live. A value keeps
//! its age over a restart, at any parallelism. State that was kept without a time to live and is given one is as old as the
//! restart that gave it; without one ages are forgotten.
//!
//! | state | what has an age of its own |
//! |---|---|
//! | [`ValueState`](super::ValueState), [`ReducingState`](super::ReducingState), [`AggregatingState`](super::AggregatingState) | the value of a key |
//! | [`ListState`](super::ListState) | each item |
//! | [`MapState`](super::MapState) | each entry of the map of a key |
//! | [`KeyedTable`](super::KeyedTable), for operators | the value of a key |
//!
//! The time is the job's ([`TaskClock`](crate::time::TaskClock)): read once a batch, never set back. Expired to the millisecond: what was
//! written at time `t` with a time to live of `d` is there at `t + d - 1`, and has gone at `t + d`, as in Flink. Flink's
//! `ReturnExpiredIfNotCleanedUp` is not there, as nothing that is expired is cheaper to return than to leave.
//!
//! ```
//! use std::time::Duration;
//!
//! use thalweg_dataflow::error::BoxError;
//! use thalweg_dataflow::harness::Harness;
//! use thalweg_dataflow::operators::{KeyedProcess, KeyedProcessContext, KeyedProcessFunction};
//! use thalweg_dataflow::record::Keyed;
//! use thalweg_dataflow::state::{StateTtlConfig, States, ValueState};
//!
//! /// Lets a card number through once in an hour.
//! #[derive(Clone)]
//! struct Once {
//!     seen: ValueState<String, ()>,
//! }
//!
//! impl KeyedProcessFunction for Once {
//!     type Key = String;
//!     type In = ();
//!     type Out = String;
//!
//!     fn states(&mut self, states: &mut States<'_>) {
//!         states.keyed("seen", &mut self.seen);
//!     }
//!
//!     fn process_element(&mut self, (): (), context: &mut KeyedProcessContext<'_, String, String>) -> Result<(), BoxError> {
//!         let card = context.current_key();
//!         if self.seen.value(&card).is_none() {
//!             self.seen.update(&card, ());
//!             context.collect(card.key().clone());
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let hour = StateTtlConfig::new(Duration::from_secs(3600));
//! let mut harness = Harness::new(KeyedProcess::new(Once { seen: ValueState::with_ttl(hour) }));
//! let card = || Keyed::new("4929".to_owned(), ());
//! harness.push(card(), 0);
//! harness.advance(Duration::from_secs(3599));
//! harness.push(card(), 0);
//! assert_eq!(harness.values().len(), 1);
//! harness.advance(Duration::from_secs(1));
//! harness.push(card(), 0);
//! assert_eq!(harness.values().len(), 1);
//! ```
//!
//! **An operator** that keeps a [`KeyedTable`](super::KeyedTable) makes it by [`KeyedTable::with_ttl`](super::KeyedTable::with_ttl) and
//! names it in `states` as any other. That is all: the engine tells the table the time before each batch, watermark, timer and
//! barrier, and whatever the table is asked, it does not show what has expired. Where the values have parts that expire each for itself,
//! as the rows of a join, the operator keeps their times by [`KeyedTable::now`](super::KeyedTable::now) and compares them
//! with [`KeyedTable::alive_from`](super::KeyedTable::alive_from).

use std::time::Duration;

use crate::time::at_least_millis;

/// How long keyed state lives. See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTtlConfig {
    ttl: i64,
    update: UpdateType,
}

/// What makes a value young again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateType {
    /// That it is made or written.
    #[default]
    OnCreateAndWrite,
    /// That, or that it is read. A read then is a change that goes into the next checkpoint.
    OnReadAndWrite,
}

impl StateTtlConfig {
    /// State that expires when it has not been written for `ttl`. It is rounded up to whole milliseconds, and one at least.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl: at_least_millis(ttl).max(1), update: UpdateType::default() }
    }

    /// What makes a value young again.
    #[must_use]
    pub fn update_type(self, update: UpdateType) -> Self {
        Self { update, ..self }
    }

    /// A value becomes young again when it is written; the default.
    #[must_use]
    pub fn update_ttl_on_create_and_write(self) -> Self {
        self.update_type(UpdateType::OnCreateAndWrite)
    }

    /// A value becomes young again when it is read, too.
    #[must_use]
    pub fn update_ttl_on_read_and_write(self) -> Self {
        self.update_type(UpdateType::OnReadAndWrite)
    }

    /// The time to live (milliseconds).
    pub fn ttl(&self) -> i64 {
        self.ttl
    }

    /// Whether reading makes a value young again.
    pub fn reads_count(&self) -> bool {
        self.update == UpdateType::OnReadAndWrite
    }
}

/// A part of a value with an age of its own: when it was touched last (milliseconds).
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Aged<V> {
    pub(super) value: V,
    pub(super) time: u64,
}

impl<V> Aged<V> {
    pub(super) fn is_alive(&self, alive_from: u64) -> bool {
        self.time >= alive_from
    }

    pub(super) fn alive(&self, alive_from: u64) -> Option<&V> {
        self.is_alive(alive_from).then_some(&self.value)
    }

    pub(super) fn into_alive(self, alive_from: u64) -> Option<V> {
        (self.time >= alive_from).then_some(self.value)
    }
}

#[cfg(test)]
mod tests;
