//! Reads the files of a table.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use regex::Regex;
use thalweg_connectors::files::{LineOf, TextFileSource};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::record::Record;
use thalweg_dataflow::source::MappedSource;
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::super::{Lookup, Shape, TableScan};
use super::Layout;
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::needs::nothing;
use crate::options;

struct Scan {
    layout: Arc<Layout>,
    source: TextFileSource<LineOf>,
    only: Option<Regex>,
    schema: SchemaRef,
}

pub(super) fn scan(table: &Arc<Table>) -> Result<Box<dyn TableScan>, SqlError> {
    let columns = table.read_columns();
    let layout = Layout::of(table, &columns)?;
    let known = ["file.path", "file.name", "file.size", "file.modification-time"];
    if let Some((_, key)) = layout.metadata.iter().find(|(_, key)| !known.contains(&key.as_str())) {
        return Err(SqlError::new(format!("METADATA is one of {}, not `{key}`", known.join(", "))));
    }
    let mut source = TextFileSource::new(&layout.path).with_files().recursively();
    if let Some(interval) = table.option("source.monitor-interval") {
        let every = options::duration(interval).filter(|every| !every.is_zero());
        let wrong =
            || SqlError::new(format!("`source.monitor-interval` is a length of time, not `{interval}`"));
        source = source.monitor_continuously(every.ok_or_else(wrong)?);
    }
    let only = table.option("source.path.regex-pattern");
    let only = only.map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose();
    let only =
        only.map_err(|error| SqlError::new(format!("`source.path.regex-pattern` is no pattern: {error}")))?;
    let schema = table.schema_of(&columns);
    Ok(Box::new(Scan { layout: Arc::new(layout), source, only, schema }))
}

/// What is known of a file.
struct Known {
    /// Of its partition and its metadata, in the order of the layout.
    values: Vec<Option<String>>,
    passed_over: bool,
}

impl Layout {
    fn known(&self, file: &Path, only: Option<&Regex>) -> Known {
        let mut values = self.values_of(file);
        let metadata = std::fs::metadata(file).ok();
        for (_, key) in &self.metadata {
            values.push(match key.as_str() {
                "file.path" => Some(file.display().to_string()),
                "file.name" => file.file_name().map(|name| name.to_string_lossy().into_owned()),
                "file.size" => metadata.as_ref().map(|of| of.len().to_string()),
                _ => {
                    let changed = metadata.as_ref().and_then(|of| of.modified().ok());
                    let since = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
                    since.map(|since| since.as_millis().to_string())
                }
            });
        }
        let passed_over = only.is_some_and(|only| !only.is_match(&file.to_string_lossy()));
        Known { values, passed_over }
    }

    /// The rows of these lines.
    fn decode<'a>(
        &self,
        lines: impl Iterator<Item = (&'a Arc<Path>, &'a str)>,
        only: Option<&Regex>,
        schema: &SchemaRef,
    ) -> Result<Chunk, BoxError> {
        let mut files: Vec<(&Arc<Path>, Known)> = Vec::new();
        let (mut texts, mut of_files): (Vec<&[u8]>, Vec<usize>) = (Vec::new(), Vec::new());
        for (file, line) in lines {
            // Lines of a file come together.
            if files.last().is_none_or(|(last, _)| !Arc::ptr_eq(last, file)) {
                files.push((file, self.known(file, only)));
            }
            if line.is_empty() || files.last().is_some_and(|(_, known)| known.passed_over) {
                continue;
            }
            texts.push(line.as_bytes());
            of_files.push(files.len() - 1);
        }
        let (decoded, valid) = self.format.decode(&texts).map_err(|error| match files.last() {
            Some((file, _)) => SqlError::new(format!("{}: {}", file.display(), error.message)),
            None => error,
        })?;
        let rows = texts.len();
        let mut columns: HashMap<usize, ArrayRef> = self.lines.iter().copied().zip(decoded).collect();
        let places = self.partitions.iter().chain(&self.metadata).map(|(place, _)| *place);
        for (number, place) in places.enumerate() {
            let of = schema.field(place).data_type();
            let values = of_files.iter().map(|file| files[*file].1.values[number].as_deref());
            let text: ArrayRef = Arc::new(values.clone().collect::<StringArray>());
            // The time of a file is a number.
            let is_millis = number >= self.partitions.len() && matches!(of, DataType::Timestamp(..));
            let column = if is_millis {
                let millis = values.map(|value| value.and_then(|value| value.parse().ok()));
                let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
                cast(&(Arc::new(millis.collect::<Int64Array>()) as ArrayRef), &utc)?
            } else {
                text
            };
            columns.insert(place, cast(&column, of)?);
        }
        let columns = schema.fields().iter().enumerate().map(|(place, field)| {
            // What is in no place is what nobody needs.
            columns.remove(&place).unwrap_or_else(|| nothing(field.data_type(), rows))
        });
        let columns = columns.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let chunk = Chunk::additions(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?);
        match valid {
            Some(valid) => Ok(chunk.filter(&valid.into())?),
            None => Ok(chunk),
        }
    }
}

impl TableScan for Scan {
    fn lookup(&self) -> Option<Arc<dyn Lookup>> {
        let Self { layout, only, schema, .. } = self;
        Some(Arc::new(Whole { layout: layout.clone(), only: only.clone(), schema: schema.clone() }))
    }

    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let layout = self.layout.reading(&shape.needs);
        let (only, schema) = (self.only.clone(), shape.read.clone());
        let rows = MappedSource::new(self.source.clone(), move |records: Vec<Record<LineOf>>| {
            let lines = records.iter().map(|record| (&record.value.file, record.value.line.as_str()));
            let chunk = layout.decode(lines, only.as_ref(), &schema)?;
            let record = (!chunk.is_empty()).then_some(Record { value: chunk, timestamp: NO_TIMESTAMP });
            Ok(record.into_iter().collect())
        });
        Ok(shape.source(graph, name, rows))
    }
}

/// The files as they are, for a lookup join.
struct Whole {
    layout: Arc<Layout>,
    only: Option<Regex>,
    schema: SchemaRef,
}

impl Lookup for Whole {
    fn rows(&self) -> Result<Vec<Chunk>, SqlError> {
        let failed = |path: &Path, error: std::io::Error| {
            SqlError::new(format!("cannot read {}: {error}", path.display()))
        };
        let mut chunks = Vec::new();
        let mut waiting = vec![self.layout.path.clone()];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                for entry in std::fs::read_dir(&path).map_err(|error| failed(&path, error))? {
                    let entry = entry.map_err(|error| failed(&path, error))?;
                    if !entry.file_name().to_string_lossy().starts_with(['.', '_']) {
                        waiting.push(entry.path());
                    }
                }
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            let file: Arc<Path> = path.into();
            let lines = text.lines().map(|line| (&file, line));
            let chunk = self.layout.decode(lines, self.only.as_ref(), &self.schema);
            chunks.push(chunk.map_err(|error| SqlError::new(error.to_string()))?);
        }
        Ok(chunks)
    }
}
