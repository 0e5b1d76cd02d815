//! Binary records out of files.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Arc, Mutex};

use thalweg_connectors::files::BinaryRecordsSource;
use thalweg_dataflow::graph::StreamGraph;
use thalweg_dataflow::runtime::{JobConfig, run};
use thalweg_dataflow::watermark::WatermarkStrategy;

fn read(path: &std::path::Path, length: usize) -> Result<Vec<Vec<u8>>, String> {
    let graph = StreamGraph::new();
    let all = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let seen = all.clone();
    let source = BinaryRecordsSource::new(path, length);
    let _ = graph
        .source("records", source, WatermarkStrategy::no_watermarks())
        .map("collect", move |record| seen.lock().unwrap().push(record));
    run(&graph, JobConfig { parallelism: 3, ..JobConfig::new("binary") })
        .map_err(|error| error.to_string())?;
    let mut all = std::mem::take(&mut *all.lock().unwrap());
    all.sort();
    Ok(all)
}

#[test]
fn records_of_one_length_are_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let record = |n: u32| [n.to_be_bytes(), [7; 4]].concat();
    for file in 0..5 {
        let bytes: Vec<u8> = (file * 3_000..(file + 1) * 3_000).flat_map(record).collect();
        std::fs::write(folder.path().join(format!("part-{file}")), bytes).unwrap();
    }
    std::fs::write(folder.path().join(".hidden"), [1]).unwrap();
    assert_eq!(read(folder.path(), 8).unwrap(), (0..15_000).map(record).collect::<Vec<_>>());
    let error = read(folder.path(), 7).unwrap_err();
    assert!(error.contains("24000 bytes") && error.contains("records of 7"), "{error}");
    assert!(read(folder.path(), 0).unwrap_err().contains("0 bytes"));
}
