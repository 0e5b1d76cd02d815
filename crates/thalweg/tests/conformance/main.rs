//! Small pipelines whose expected outputs the originals produced: `Conformance.java` and `RandomPatterns.java` on Flink 2.3, `conformance.py` on PySpark 4.2. Their answers are
//! checked in beside the inputs, so that this needs neither.

#![allow(clippy::unwrap_used, missing_docs)]

mod flink;
mod patterns;
mod random_patterns;
mod spark;

use std::path::PathBuf;

/// A file of this folder.
fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
