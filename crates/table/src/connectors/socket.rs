//! `socket`: lines from a server, such as `nc -lk 9999`, each a row.
//!
//! | option | |
//! |---|---|
//! | `hostname`, `port` | where to connect to |
//! | `byte-delimiter` | the number of the byte that ends a row: 10, which is the end of a line |
//! | `format` | `json`, `csv`, `raw` |
//! | `scan.ends-with-connection` | `true`: the table ends with the connection; else it is made anew |
//!
//! What comes over a socket cannot be read again: after a failure, rows may be missing.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use thalweg_connectors::socket::SocketTextReceiver;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::graph::{Stream, StreamGraph};
use thalweg_dataflow::record::Record;
use thalweg_dataflow::source::{MappedSource, ReceiverSource};
use thalweg_dataflow::time::NO_TIMESTAMP;

use super::{Connector, Shape, TableScan};
use crate::catalog::{ColumnSource, Table};
use crate::chunk::Chunk;
use crate::error::SqlError;
use crate::formats::{Format, format};
use crate::settings::Settings;

pub(super) struct Socket;

struct Scan {
    receiver: SocketTextReceiver,
    format: Arc<dyn Format>,
}

const OPTIONS: [&str; 6] = [
    "hostname",
    "port",
    "byte-delimiter",
    "format",
    "scan.ends-with-connection",
    "scan.watermark.idle-timeout",
];

impl Connector for Socket {
    fn source(&self, table: &Arc<Table>, _: &Settings) -> Result<Box<dyn TableScan>, SqlError> {
        super::only(table, &OPTIONS, &["json.", "csv.", "raw."])?;
        let port = super::required(table, "port")?;
        let port = port.parse().map_err(|_| SqlError::new(format!("`{port}` is no port")))?;
        let mut receiver = SocketTextReceiver::new(super::required(table, "hostname")?, port);
        if let Some(text) = table.option("byte-delimiter") {
            let byte = text.trim().parse::<u8>().ok().filter(u8::is_ascii);
            let byte = byte.ok_or_else(|| {
                SqlError::new(format!("`byte-delimiter` is the number of an ASCII letter, not `{text}`"))
            })?;
            receiver = receiver.delimiter(&char::from(byte).to_string());
        }
        if table.option("scan.ends-with-connection") == Some("true") {
            receiver = receiver.ends_with_the_connection();
        }
        let columns = table.read_columns();
        let mut fields = Vec::new();
        for column in &columns {
            let column = &table.columns[*column];
            if let ColumnSource::Metadata { key, .. } = &column.source {
                return Err(SqlError::new(format!("`socket` knows no metadata `{key}`")));
            }
            fields.push((column.name.clone(), column.data_type.clone()));
        }
        let format = format(table, super::required(table, "format")?, "", fields)?;
        Ok(Box::new(Scan { receiver, format }))
    }
}

fn decode(format: &Arc<dyn Format>, lines: &[Record<String>], schema: &SchemaRef) -> Result<Chunk, BoxError> {
    let lines: Vec<&[u8]> =
        lines.iter().map(|line| line.value.as_bytes()).filter(|line| !line.is_empty()).collect();
    let (columns, valid) = format.decode(&lines)?;
    let chunk = Chunk::additions(RecordBatch::try_new(schema.clone(), columns)?);
    match valid {
        Some(valid) => Ok(chunk.filter(&valid.into())?),
        None => Ok(chunk),
    }
}

impl TableScan for Scan {
    fn scan(&self, graph: &StreamGraph, name: &str, shape: Shape) -> Result<Stream<Chunk>, SqlError> {
        let (format, schema) = (self.format.clone(), shape.read.clone());
        let lines = ReceiverSource::of(self.receiver.clone()).described(self.receiver.address());
        let rows = MappedSource::new(lines, move |lines: Vec<Record<String>>| {
            let chunk = decode(&format, &lines, &schema)?;
            let record = (!chunk.is_empty()).then_some(Record { value: chunk, timestamp: NO_TIMESTAMP });
            Ok(record.into_iter().collect())
        });
        Ok(shape.source(graph, name, rows))
    }
}
