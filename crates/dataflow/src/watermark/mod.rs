//! Watermarks: how far event time has come, per source partition, combined by minimum.

pub mod assign;
mod combine;
mod current;
mod strategy;

pub use assign::AssignTimestamps;
pub(crate) use combine::{Combined, Watermarks};
pub use current::CurrentWatermark;
pub use strategy::WatermarkStrategy;
