//! Watermarks: how far event time has come, per source partition, combined by minimum.

mod align;
pub mod assign;
mod combine;
mod current;
pub mod generator;
mod strategy;

pub(crate) use align::{AlignmentGroups, Member};
pub use assign::AssignTimestamps;
pub(crate) use combine::{Combined, Watermarks};
pub use current::CurrentWatermark;
pub(crate) use generator::{Generate, Said};
pub use generator::{WatermarkGenerator, WatermarkOutput};
pub use strategy::WatermarkStrategy;
