//! What tests of stream programs need, Thalweg's own and those of its users: a harness for one operator, a clock
//! that is moved by hand, a sink that collects exactly once, points at which a pipeline crashes, and a driver
//! that runs a pipeline in every way that must not matter.

pub mod collect;
pub mod crash;
pub mod pipeline;
pub mod stores;

pub use collect::{CollectSink, Collected};
pub use crash::CrashPoint;
pub use pipeline::{Pipeline, Run};
pub use thalweg_dataflow::harness::{Event, Harness, SideProbe, Then};
pub use thalweg_dataflow::time::ManualClock;
