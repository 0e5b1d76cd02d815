//! Sources and sinks of Thalweg other than Kafka, one module each.

pub mod files;
pub mod socket;
