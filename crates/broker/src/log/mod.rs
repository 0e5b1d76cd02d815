//! Partitions: batches in segments, who wrote them, and what a reader may see.

pub(crate) mod batch;
pub(crate) mod checkpoint;
pub(crate) mod codec;
pub(crate) mod compaction;
pub(crate) mod file;
pub(crate) mod inspect;
pub(crate) mod offset_file;
pub(crate) mod partition;
pub(crate) mod pending;
pub(crate) mod producers;
pub(crate) mod reading;
pub(crate) mod recompress;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod retention;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod selection;
pub(crate) mod upkeep;
pub(crate) mod validate;
pub(crate) mod waiters;
