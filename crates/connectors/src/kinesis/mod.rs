//! Kinesis: streams as sources, shard by shard, and as sinks.
//!
//! | | [`KinesisSource`] | [`KinesisSink`] |
//! |---|---|---|
//! | guarantee | exactly once: a sequence number for each shard is in the checkpoint | at least once: a request whose answer was lost is sent again |
//! | parallelism | a shard is read by one subtask; a checkpoint is restored at any parallelism | each subtask sends by itself |
//! | resharding | a shard is read when its parents have been read to their end, by the subtask of its (first) parent: so records of a key stay in order over a split | – |
//! | limits of the service | five reads a second and shard at most; what is throttled is tried again | 500 records, 5 MiB a request; records that are refused are sent again, in their order, before any others |
//! | failure | tried again as [`Retry`](crate::contract::Retry) says, then the job fails, and its restart strategy decides | the same |
//!
//! **Over a merge** the second parent may be read by another subtask than the child: the child waits for it, but what was read of it may still be under way.
//!
//! **Credentials** are `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, or those of `AWS_PROFILE` in `~/.aws/credentials`; the region is `AWS_REGION`. Roles of
//! instances and web identities are not looked for. `AWS_ENDPOINT_URL_KINESIS` or `AWS_ENDPOINT_URL` is another service than Amazon's.
//!
//! **Not here**: enhanced fan-out; records that the KPL has aggregated are handed on as they are, in one piece. It speaks Kinesis's API by itself, signed as AWS wants it (version 4): the
//! SDK would be a hundred crates.

mod client;
mod signature;
mod sink;
mod source;

pub use client::{KinesisClient, KinesisError};
pub use sink::KinesisSink;
pub use source::{KinesisReader, KinesisRecord, KinesisSource, ShardPosition, StartAt};
