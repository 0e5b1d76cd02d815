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
//! [`KinesisClient::builder`] is for a program that says them itself.
//!
//! **Aggregated records**, which the Kinesis Producer Library makes, come apart: each of the records in one has the sequence number of the whole, and a number of its own below
//! that, which is in the checkpoint, too. What only looks like one is handed on as it is; what has a record of another shard in it is dropped, as its producer sends that again.
//!
//! **Enhanced fan-out** ([`KinesisSource::fan_out`]) has the service send records as they come, to each consumer at its full rate, instead of being asked four times a second.
//! Positions are the same: a job changes to it, and back, at a restart. A subscription lasts five minutes and is made anew after that, from where it has come to; one that is cut or
//! refused is tried again as [`Retry`](crate::contract::Retry) says. No more is read than the job takes: of a shard, three events at most are in memory (of up to 24 MiB; usually, some
//! records), and what the network holds. Each shard has a connection of its own, HTTP/2 where the service has it. A consumer that the job has registered stays registered, and is paid
//! for, until somebody deregisters it; two jobs with the same one take each other's subscriptions away.
//!
//! **What it was tested against**: not Amazon's service, but two servers that speak its API, each from its own model of it (`scripts/kinesis start --server …`). Both do what the tests ask for,
//! but for this:
//!
//! | | `kinesis-local` 0.6.2 | `ferrokinesis` 0.7.0 |
//! |---|---|---|
//! | a time to begin at ([`StartAt::Timestamp`], and [`StartAt::Latest`], which is one) | in milliseconds | in seconds: one with a fraction begins up to two seconds early |
//! | when a record came | to the microsecond | to the second |
//! | shards by a stream's ARN alone | yes | no: the name is sent, too |
//! | many records at once | slow: some hundred a second | fast |
//! | enhanced fan-out | yes, an event a second; but it never ends the subscription to a shard that was split or merged, and does not find the consumers of a stream that has `consumer` in its name | yes, but each subscription begins at the shard's first record; what was read before is dropped here, and a time to begin at is without effect |
//!
//! **Not here**: the sink does not aggregate. It speaks Kinesis's API by itself, signed as AWS wants it (version 4): the
//! SDK would be a hundred crates.

mod aggregation;
mod background;
mod client;
mod event_stream;
mod fan_out;
mod listing;
mod reader;
mod records;
mod shard;
mod signature;
mod sink;
mod source;

pub use client::{KinesisClient, KinesisClientBuilder, KinesisError};
pub use fan_out::ConsumerLifecycle;
pub use reader::KinesisReader;
pub use sink::KinesisSink;
pub use source::{KinesisRecord, KinesisSource, ShardPosition, StartAt};
