//! Formats: between the bytes of records and columns.

pub mod json_value;
