//! `filesystem`: tables in folders of files of text, a line for each row, or of columns, on this machine, in S3 (feature `s3`), Azure (`azure`), Google's Cloud Storage (`gcs`) and HDFS (feature `hdfs`).
//!
//! | option | |
//! |---|---|
//! | `path` | the folder, or the file to read; `file://` may stand before it. `s3://bucket/…`, `az://container/…`, `gs://bucket/…`, `hdfs://namenode:port/…`: see [`Store::at`] for settings and credentials |
//! | `format` | `json`, `csv`, `raw`, `parquet` (feature `parquet`) |
//! | `source.monitor-interval` | new files are looked for so often; without it the table ends with the files that are there |
//! | `source.path.regex-pattern` | files whose path does not match are passed over |
//! | `partition.default-name` | stands for NULL in the name of a folder: `__DEFAULT_PARTITION__` |
//! | `sink.rolling-policy.file-size` | a file that has grown to this gets no more: `128MB` |
//! | `sink.rolling-policy.rollover-interval`, `.inactivity-interval` | a file that is so old, or has got nothing for so long, gets no more: `30 min`; files end with each checkpoint, too |
//! | `sink.rolling-policy.check-interval` | nothing goes by it: files end when they are due |
//! | `auto-compaction` | `false`, which is all there is |
//! | `sink.partition-commit.policy.kind` | `success-file`: a file says that a partition is whole |
//! | `sink.partition-commit.trigger` | `process-time` (unless it is set), or `partition-time`, by the watermark |
//! | `sink.partition-commit.delay` | so long after its time a partition is whole: `0 s` |
//! | `sink.partition-commit.success-file.name` | `_SUCCESS` |
//! | `partition.time-extractor.timestamp-pattern` | the time of a partition, with `$column` for the value of a column |
//! | `partition.time-extractor.timestamp-formatter` | `yyyy-MM-dd HH:mm:ss`, which is all there is |
//!
//! `PARTITIONED BY (dt, hm)`: rows are in the folders `dt=…/hm=…`, and their files do not have these columns. Metadata: `file.path`,
//! `file.name`, `file.size`, `file.modification-time`.
//!
//! Files are seen when the checkpoint that they belong to is committed, each row once; without checkpoints, when the job ends. What is left behind in a store by a crash, and what
//! takes it away, is said at [`StoreSink`](thalweg_connectors::store::sink). Files that are read may be compressed, and say so by their names: `.gz`, `.zst`.

#[cfg(feature = "parquet")]
mod parquet;
mod partitions;
mod sink;
mod source;

use std::path::PathBuf;
use std::sync::Arc;

use thalweg_connectors::store::Store;

use super::{Connector, TableScan, TableSink, only};
use crate::catalog::{ColumnSource, Table};
use crate::error::SqlError;
use crate::formats::{Field, Format, format};
use crate::needs::Need;
use crate::settings::Settings;

/// The connector.
pub(super) struct Filesystem;

const OPTIONS: [&str; 19] = [
    "path",
    "format",
    "partition.default-name",
    "source.monitor-interval",
    "source.path.regex-pattern",
    "source.report-statistics",
    "scan.watermark.idle-timeout",
    "sink.rolling-policy.file-size",
    "sink.rolling-policy.rollover-interval",
    "sink.rolling-policy.check-interval",
    "sink.rolling-policy.inactivity-interval",
    "auto-compaction",
    "sink.partition-commit.policy.kind",
    "sink.partition-commit.trigger",
    "sink.partition-commit.delay",
    "sink.partition-commit.success-file.name",
    "partition.time-extractor.kind",
    "partition.time-extractor.timestamp-pattern",
    "partition.time-extractor.timestamp-formatter",
];

/// Stands for NULL in the name of a folder.
const NO_VALUE: &str = "__DEFAULT_PARTITION__";

/// What is in the files.
#[derive(Clone)]
enum Encoding {
    /// A line for each row.
    Lines(Arc<dyn Format>),
    /// Columns of these names, in the order of the layout.
    #[cfg(feature = "parquet")]
    Parquet(Vec<String>),
}

/// Where the values of columns are: places among those that are read or written.
#[derive(Clone)]
struct Layout {
    path: PathBuf,
    /// That the path is in, if it is not on this machine.
    store: Option<Store>,
    encoding: Encoding,
    /// In the lines, or the columns of the files.
    lines: Vec<usize>,
    /// In the names of folders: with the name of each.
    partitions: Vec<(usize, String)>,
    metadata: Vec<(usize, String)>,
    no_value: String,
}

impl Layout {
    fn of(table: &Table, columns: &[usize]) -> Result<Self, SqlError> {
        only(table, &OPTIONS, &["json.", "csv.", "raw."])?;
        let (mut lines, mut partitions, mut metadata) = (Vec::new(), Vec::new(), Vec::new());
        for (place, column) in columns.iter().enumerate() {
            let column = &table.columns[*column];
            match &column.source {
                ColumnSource::Metadata { key, .. } => metadata.push((place, key.clone())),
                _ if table.partitioned_by.contains(&column.name) => {}
                _ => lines.push(place),
            }
        }
        for name in &table.partitioned_by {
            let place = columns.iter().position(|column| table.columns[*column].name == *name);
            let place = place.ok_or_else(|| {
                SqlError::new(format!("PARTITIONED BY has `{name}`, which is no column of the files"))
            })?;
            partitions.push((place, name.clone()));
        }
        let path = super::required(table, "path")?;
        let path = path.strip_prefix("file://").unwrap_or(path);
        // What is wrong with its settings, or not built in, is told now.
        let store = path.contains("://").then(|| Store::at(path)).transpose();
        let store = store.map_err(|error| SqlError::new(format!("`path`: {error}")))?;
        let field = |place: &usize| -> Field {
            let column = &table.columns[columns[*place]];
            (column.name.clone(), column.data_type.clone())
        };
        let fields: Vec<Field> = lines.iter().map(field).collect();
        let encoding = match super::required(table, "format")? {
            #[cfg(feature = "parquet")]
            "parquet" => Encoding::Parquet(fields.into_iter().map(|(name, _)| name).collect()),
            #[cfg(not(feature = "parquet"))]
            "parquet" => {
                return Err(SqlError::new(
                    "the format `parquet` wants the feature `parquet`, which this build does not have; build it with it",
                ));
            }
            name => Encoding::Lines(format(table, name, "", fields)?),
        };
        let no_value = table.option("partition.default-name").unwrap_or(NO_VALUE).to_owned();
        Ok(Self { path: path.into(), store, encoding, lines, partitions, metadata, no_value })
    }

    /// The layout that leaves out, of what is in the lines, what nobody needs.
    fn reading(&self, needs: &[Need]) -> Self {
        let needed = |place: &usize| needs.get(*place).is_none_or(|need| !need.is_no());
        let which: Vec<bool> = self.lines.iter().map(needed).collect();
        let mut layout = self.clone();
        let fewer = match &self.encoding {
            Encoding::Lines(format) => {
                which.contains(&false).then(|| format.only(&which)).flatten().map(Encoding::Lines)
            }
            #[cfg(feature = "parquet")]
            Encoding::Parquet(names) => {
                let names = names.iter().zip(&which).filter(|(_, needed)| **needed);
                Some(Encoding::Parquet(names.map(|(name, _)| name.clone()).collect()))
            }
        };
        if let Some(encoding) = fewer {
            layout.encoding = encoding;
            layout.lines.retain(needed);
        }
        layout
    }
}

impl Connector for Filesystem {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        source::scan(table)
    }

    fn sink(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableSink>, SqlError> {
        sink::sink(table)
    }
}
