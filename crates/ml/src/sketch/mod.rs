//! Sketches: answers about many values out of little memory, nearly right. Each can be merged, and each is an aggregate for windows and
//! keyed streams.
//!
//! They are ours, since what they keep is state: it must be written by one version and read by the next, and hash as the engine does,
//! on every machine; the crates that there
//! are promise neither.
//!
//! ```
//! use thalweg_datastream::StreamExecutionEnvironment;
//! use thalweg_ml::sketch::CountDistinct;
//!
//! let env = StreamExecutionEnvironment::new();
//! let visits = env.from_collection((0..1000_u64).map(|n| ("page", n % 300)).collect());
//! let visitors = visits.key_by(|(page, _)| page.to_string()).aggregate(CountDistinct::new(12, |(_, user): &(&str, u64)| *user));
//! let counts = visitors.execute_and_collect("visitors")?;
//! assert!(counts.last().is_some_and(|(_, count)| (290..310).contains(count)));
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

pub mod count_min;
pub mod hyper_log_log;
pub mod reservoir;
pub mod space_saving;
pub mod t_digest;

pub use count_min::CountMin;
pub use hyper_log_log::{CountDistinct, HyperLogLog};
pub use reservoir::{Reservoir, Sample};
pub use space_saving::{SpaceSaving, TopK};
pub use t_digest::{Quantiles, TDigest};
