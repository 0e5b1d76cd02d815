//! Reads the files of a table.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
#[cfg(feature = "parquet")]
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use regex::Regex;
#[cfg(feature = "parquet")]
use thalweg_connectors::files::FileSource;
#[cfg(feature = "parquet")]
use thalweg_connectors::files::format::{FileToRead, StreamFormat as _, StreamReader as _};
use thalweg_connectors::files::{Compression, FileSystem, LineOf, TextFileSource, system};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::record::Record;
use thalweg_dataflow::source::MappedSource;
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::super::{Lookup, Shape, TableScan};
#[cfg(feature = "parquet")]
use super::parquet::{self, Reads, RowsOf};
use super::{Encoding, Layout};
use crate::catalog::Table;
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::needs::nothing;
use crate::options;

struct Scan {
    layout: Arc<Layout>,
    source: TextFileSource<LineOf>,
    /// How often new files are looked for.
    #[cfg(feature = "parquet")]
    every: Option<Duration>,
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
    if let Some(store) = &layout.store {
        source = source.on(store.clone());
    }
    #[cfg(feature = "parquet")]
    let mut every = None;
    if let Some(interval) = table.option("source.monitor-interval") {
        let given = options::duration(interval).filter(|every| !every.is_zero());
        let wrong =
            || SqlError::new(format!("`source.monitor-interval` is a length of time, not `{interval}`"));
        let interval = given.ok_or_else(wrong)?;
        source = source.monitor_continuously(interval);
        #[cfg(feature = "parquet")]
        {
            every = Some(interval);
        }
    }
    let only = table.option("source.path.regex-pattern");
    let only = only.map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose();
    let only =
        only.map_err(|error| SqlError::new(format!("`source.path.regex-pattern` is no pattern: {error}")))?;
    let schema = table.schema_of(&columns);
    Ok(Box::new(Scan {
        layout: Arc::new(layout),
        source,
        #[cfg(feature = "parquet")]
        every,
        only,
        schema,
    }))
}

/// What is known of a file.
#[derive(Clone)]
struct Known {
    /// Of its partition and its metadata, in the order of the layout.
    values: Vec<Option<String>>,
    passed_over: bool,
}

/// The file that was last read from, and what is known of it: a store would be asked for each batch of its lines.
#[derive(Clone, Default)]
struct Last(Option<(Arc<Path>, Known)>);

impl Layout {
    fn file_system(&self) -> std::io::Result<Arc<dyn FileSystem>> {
        match &self.store {
            Some(store) => Ok(Arc::new(store.clone())),
            None => system::of(&self.path),
        }
    }

    fn known(&self, file: &Path, only: Option<&Regex>) -> std::io::Result<Known> {
        let mut values = self.values_of(file);
        let of_entry = |key: &str| !matches!(key, "file.path" | "file.name");
        let entry = match self.metadata.iter().any(|(_, key)| of_entry(key)) {
            true => match self.file_system()?.list(file, false) {
                // It has been taken away since it was opened.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                entries => entries?.pop(),
            },
            false => None,
        };
        for (_, key) in &self.metadata {
            values.push(match key.as_str() {
                "file.path" => Some(file.display().to_string()),
                "file.name" => file.file_name().map(|name| name.to_string_lossy().into_owned()),
                "file.size" => entry.as_ref().map(|of| of.length.to_string()),
                _ => entry.as_ref().map(|of| of.modified.to_string()),
            });
        }
        let passed_over = only.is_some_and(|only| !only.is_match(&file.to_string_lossy()));
        Ok(Known { values, passed_over })
    }

    /// The rows of these lines.
    fn decode<'a>(
        &self,
        lines: impl Iterator<Item = (&'a Arc<Path>, &'a str)>,
        last: &mut Last,
        only: Option<&Regex>,
        schema: &SchemaRef,
    ) -> Result<Chunk, BoxError> {
        let mut files: Vec<(&Arc<Path>, Known)> = Vec::new();
        let (mut texts, mut of_files): (Vec<&[u8]>, Vec<usize>) = (Vec::new(), Vec::new());
        for (file, line) in lines {
            // Lines of a file come together.
            if files.last().is_none_or(|(last, _)| !Arc::ptr_eq(last, file)) {
                let known = match last.0.take() {
                    Some((of, known)) if Arc::ptr_eq(&of, file) => known,
                    _ => self.known(file, only).map_err(|error| format!("{}: {error}", file.display()))?,
                };
                last.0 = Some((file.clone(), known.clone()));
                files.push((file, known));
            }
            if line.is_empty() || files.last().is_some_and(|(_, known)| known.passed_over) {
                continue;
            }
            texts.push(line.as_bytes());
            of_files.push(files.len() - 1);
        }
        #[cfg(not(feature = "parquet"))]
        let Encoding::Lines(format) = &self.encoding;
        #[cfg(feature = "parquet")]
        let Encoding::Lines(format) = &self.encoding else {
            return Err("columns are no lines".into());
        };
        let (decoded, valid) = format.decode(&texts).map_err(|error| match files.last() {
            Some((file, _)) => SqlError::new(format!("{}: {}", file.display(), error.message)),
            None => error,
        })?;
        let columns = self.lines.iter().copied().zip(decoded).collect();
        let files: Vec<Known> = files.into_iter().map(|(_, known)| known).collect();
        let chunk = self.chunk(columns, &files, &of_files, schema)?;
        match valid {
            Some(valid) => Ok(chunk.filter(&valid.into())?),
            None => Ok(chunk),
        }
    }

    /// The rows of a part of a file of columns.
    #[cfg(feature = "parquet")]
    fn decode_columns(
        &self,
        RowsOf { file, rows }: &RowsOf,
        last: &mut Last,
        only: Option<&Regex>,
        schema: &SchemaRef,
    ) -> Result<Option<Chunk>, BoxError> {
        let Encoding::Parquet(names) = &self.encoding else {
            return Err("lines are no columns".into());
        };
        let known = match last.0.take() {
            Some((of, known)) if Arc::ptr_eq(&of, file) => known,
            _ => self.known(file, only).map_err(|error| format!("{}: {error}", file.display()))?,
        };
        last.0 = Some((file.clone(), known.clone()));
        if known.passed_over || rows.num_rows() == 0 {
            return Ok(None);
        }
        let column = |(place, name): (&usize, &String)| {
            let column = parquet::column(rows, name, schema.field(*place).data_type());
            Ok((*place, column.map_err(|error| format!("{}: {error}", file.display()))?))
        };
        let columns = self.lines.iter().zip(names).map(column).collect::<Result<_, BoxError>>()?;
        self.chunk(columns, &[known], &vec![0; rows.num_rows()], schema).map(Some)
    }

    /// Rows of which these columns have been read, and these are the files.
    fn chunk(
        &self,
        mut columns: HashMap<usize, ArrayRef>,
        files: &[Known],
        of_files: &[usize],
        schema: &SchemaRef,
    ) -> Result<Chunk, BoxError> {
        let rows = of_files.len();
        let places = self.partitions.iter().chain(&self.metadata).map(|(place, _)| *place);
        for (number, place) in places.enumerate() {
            let of = schema.field(place).data_type();
            let values = of_files.iter().map(|file| files[*file].values[number].as_deref());
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
        Ok(Chunk::additions(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?))
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
        let mut last = Last::default();
        #[cfg(feature = "parquet")]
        if let Encoding::Parquet(names) = &layout.encoding {
            let format = Reads(names.clone());
            let mut source = FileSource::for_record_stream_format(format, &layout.path).recursively();
            if let Some(store) = &layout.store {
                source = source.on(store.clone());
            }
            if let Some(every) = self.every {
                source = source.monitor_continuously(every);
            }
            let rows = MappedSource::new(source, move |records: Vec<Record<RowsOf>>| {
                let mut chunks = Vec::with_capacity(records.len());
                for record in records {
                    let chunk = layout.decode_columns(&record.value, &mut last, only.as_ref(), &schema)?;
                    chunks.extend(chunk.map(|value| Record { value, timestamp: NO_TIMESTAMP }));
                }
                Ok(chunks)
            });
            return Ok(shape.source(graph, name, rows));
        }
        let rows = MappedSource::new(self.source.clone(), move |records: Vec<Record<LineOf>>| {
            let lines = records.iter().map(|record| (&record.value.file, record.value.line.as_str()));
            let chunk = layout.decode(lines, &mut last, only.as_ref(), &schema)?;
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
        let path = &self.layout.path;
        let failed = |path: &Path, error: std::io::Error| {
            SqlError::new(format!("cannot read {}: {error}", path.display()))
        };
        let files = self.layout.file_system().map_err(|error| failed(path, error))?;
        let mut entries = files.list(path, true).map_err(|error| failed(path, error))?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let mut chunks = Vec::new();
        for entry in entries.iter().filter(|entry| entry.length > 0) {
            #[cfg(feature = "parquet")]
            if let Encoding::Parquet(names) = &self.layout.encoding {
                let (path, length) = (entry.path.clone(), entry.length);
                let file = FileToRead::new(files.clone(), path, length, Compression::of(&entry.path));
                let mut last = Last::default();
                let mut reader =
                    Reads(names.clone()).open_file(file).map_err(|error| failed(&entry.path, error))?;
                while let Some((rows, _)) = reader.read().map_err(|error| failed(&entry.path, error))? {
                    let chunk =
                        self.layout.decode_columns(&rows, &mut last, self.only.as_ref(), &self.schema);
                    chunks.extend(chunk.map_err(|error| SqlError::new(error.to_string()))?);
                }
                continue;
            }
            let mut text = String::new();
            let file = files.open(&entry.path, 0);
            let file = file.and_then(|file| Compression::of(&entry.path).open(file));
            file.and_then(|mut file| file.read_to_string(&mut text))
                .map_err(|error| failed(&entry.path, error))?;
            let file: Arc<Path> = entry.path.as_path().into();
            let lines = text.lines().map(|line| (&file, line));
            let chunk = self.layout.decode(lines, &mut Last::default(), self.only.as_ref(), &self.schema);
            chunks.push(chunk.map_err(|error| SqlError::new(error.to_string()))?);
        }
        Ok(chunks)
    }
}
