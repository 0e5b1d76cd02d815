//! SQL in Flink's dialect, and later its Table API, over the Thalweg engine.
//!
//! A script is parsed into statements ([`parser`]), a query is planned into a graph of operators over *chunks* (Arrow record
//! batches whose rows are additions or retractions), and the engine runs that graph: its checkpoints, its key groups, its
//! exactly-once. DataFusion plans, optimises and evaluates expressions; execution, state and time are ours.

pub mod chunk;
pub mod error;
pub mod functions;
pub mod parser;
pub mod rows;
pub mod types;
