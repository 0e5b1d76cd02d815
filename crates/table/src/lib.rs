//! SQL in Flink's dialect, and its Table API ([`api`]), over the Thalweg engine.
//!
//! A script is parsed into statements ([`parser`]), a query is planned into a graph of operators over *chunks* (Arrow record
//! batches whose rows are additions or retractions), and the engine runs that graph: its checkpoints, its key groups, its
//! exactly-once. DataFusion plans, optimises and evaluates expressions; execution, state and time are ours.

pub mod aggregates;
pub mod api;
pub mod cast;
pub mod catalog;
pub mod chunk;
pub mod connectors;
mod ddl;
pub mod display;
pub mod environment;
pub mod error;
pub mod formats;
pub mod functions;
pub mod models;
pub mod needs;
pub mod now;
pub mod operators;
pub mod options;
pub mod parser;
pub mod plan;
pub mod planner;
pub mod printable;
pub mod result;
pub mod row_kind;
pub mod rows;
pub mod settings;
mod show;
pub mod table_functions;
pub mod tableau;
pub mod types;
pub mod window_functions;
