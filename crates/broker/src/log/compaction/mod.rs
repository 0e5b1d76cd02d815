//! Compaction: of each key the last value stays, at its offset.
//!
//! A round first learns the last offset of each key in what came since the last round, then goes through all closed
//! segments from the front and leaves out what is superseded. What is left of several small segments goes into one.
//! Nothing is done to a log in place: a segment is written beside it, and takes the place of others in one step.

pub(crate) mod cleaner;
#[cfg(test)]
mod crash_tests;
pub(crate) mod dirt;
mod filter;
mod keys;
#[cfg(test)]
mod oracle_tests;
mod output;
pub(crate) mod pace;
mod round;
pub(crate) mod steps;
pub(crate) mod swap;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transactions;

use std::io;

use crate::log::compaction::dirt::Dirt;
use crate::log::compaction::pace::Pace;
use crate::log::compaction::round::Round;
use crate::log::compaction::steps::Steps;
use crate::log::partition::Partition;
use crate::reserve::is_full;
use crate::settings::topic::TopicConfig;

/// What a round has to obey.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) config: &'a TopicConfig,
    pub(crate) now_ms: i64,
    /// Memory for keys, and how much of it may be filled.
    pub(crate) keys_bytes: u64,
    pub(crate) load_factor: f64,
    pub(crate) steps: Steps,
}

/// Why a round came to no end.
#[derive(Debug)]
pub(crate) enum Halted {
    /// The broker stops, or the records are gone. It may be begun again.
    Stopped,
    /// The disk is full, which may change.
    NoSpace(io::Error),
    /// It would fail again.
    Failed(io::Error),
}

impl From<io::Error> for Halted {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::NoSpace(error) } else { Self::Failed(error) }
    }
}

impl Partition {
    /// One round. When it comes to no end, some segments may be compacted already.
    pub(crate) fn compact(&self, dirt: &Dirt, rules: &Rules<'_>, pace: &mut Pace<'_>) -> Result<(), Halted> {
        let _cleaning = self.cleaning();
        let outcome = Round::begin(self, dirt, rules, pace).and_then(Round::run);
        if let Err(Halted::Failed(_)) = outcome {
            self.log().uncleanable = true;
        }
        outcome
    }
}
