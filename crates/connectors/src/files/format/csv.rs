//! CSV, as RFC 4180 has it: with a header, if it is wanted; fields in quotes where they must be.

use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use thalweg_dataflow::error::BoxError;

use super::{FileFormat, StreamFormat, StreamReader, invalid};

/// Writes a row for each record. The names of files end with `.csv`; lines end as those of text do, with `\n` alone.
///
/// ```
/// use thalweg_connectors::files::FileSink;
/// use thalweg_connectors::files::format::{CsvFormat, CsvRow};
///
/// let row = |(word, count): &(String, u64), row: &mut CsvRow<'_>| row.field(word).field(count).end();
/// let sink = FileSink::for_bulk_format("counts", CsvFormat::new(row).with_header(["word", "count"]));
/// # let _ = sink;
/// ```
#[derive(Clone)]
pub struct CsvFormat<F> {
    row: F,
    header: Vec<String>,
    delimiter: u8,
}

impl<F> CsvFormat<F> {
    /// Writes what `row` says of a record, without a header.
    pub fn new<T>(row: F) -> Self
    where
        F: FnMut(&T, &mut CsvRow<'_>),
    {
        Self { row, header: Vec::new(), delimiter: b',' }
    }

    /// Each file begins with the names of the columns. A row that has more or fewer fields fails the job.
    #[must_use]
    pub fn with_header<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.header = names.into_iter().map(Into::into).collect();
        self
    }

    /// What is between fields, if it is not a comma: `b'\t'`.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }
}

impl<F> fmt::Debug for CsvFormat<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvFormat").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<T, F> FileFormat<T> for CsvFormat<F>
where
    F: FnMut(&T, &mut CsvRow<'_>) + Send + 'static,
{
    type File = ();

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if !self.header.is_empty() {
            let mut row = CsvRow::new(out, self.delimiter);
            self.header.iter().for_each(|name| {
                row.field(name);
            });
            row.finish();
        }
        Ok(())
    }

    fn write(&mut self, (): &mut (), record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        let mut row = CsvRow::new(out, self.delimiter);
        (self.row)(record, &mut row);
        let fields = row.finish();
        if !self.header.is_empty() && fields != self.header.len() {
            let columns = self.header.len();
            return Err(format!("a row of CSV has {fields} fields, and the header {columns}: the function that makes rows and the header do not fit").into());
        }
        Ok(())
    }

    fn end(&mut self, (): (), _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn suffix(&self) -> String {
        ".csv".to_owned()
    }
}

/// A row that is being written.
pub struct CsvRow<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    fields: usize,
    delimiter: u8,
}

impl<'a> CsvRow<'a> {
    fn new(out: &'a mut Vec<u8>, delimiter: u8) -> Self {
        let start = out.len();
        Self { out, start, fields: 0, delimiter }
    }

    /// Adds a field.
    pub fn field(&mut self, value: impl Display) -> &mut Self {
        if self.fields > 0 {
            self.out.push(self.delimiter);
        }
        self.fields += 1;
        let start = self.out.len();
        // Writing to memory cannot fail.
        let _ = write!(self.out, "{value}");
        let delimiter = self.delimiter;
        let is_special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        if self.out[start..].iter().any(is_special) {
            let plain = self.out.split_off(start);
            self.out.push(b'"');
            for byte in plain {
                if byte == b'"' {
                    self.out.push(b'"');
                }
                self.out.push(byte);
            }
            self.out.push(b'"');
        }
        self
    }

    /// Adds a field with nothing in it: what is not there.
    pub fn empty(&mut self) -> &mut Self {
        self.field("")
    }

    /// For a closure that is one expression.
    pub fn end(&mut self) {}

    /// Ends the line, and says how many fields it has.
    fn finish(self) -> usize {
        // An empty line is no row to most readers.
        if self.out.len() == self.start && self.fields == 1 {
            self.out.extend_from_slice(b"\"\"");
        }
        self.out.push(b'\n');
        self.fields
    }
}

/// Reads the rows of files of CSV, a record each, by the names of the columns in the header of the file, or, without a header, by their order.
///
/// A field in quotes may have line ends in it; so a file is read by one subtask, from its beginning on. Rows with fewer or more fields than the first are refused.
///
/// ```
/// use thalweg_connectors::files::FileSource;
/// use thalweg_connectors::files::format::CsvReaderFormat;
///
/// #[derive(serde::Deserialize)]
/// struct Count {
///     word: String,
///     count: u64,
/// }
///
/// let source = FileSource::for_record_stream_format(CsvReaderFormat::<Count>::new(), "counts/");
/// # let _ = source;
/// ```
pub struct CsvReaderFormat<T> {
    has_header: bool,
    delimiter: u8,
    records: PhantomData<fn() -> T>,
}

impl<T> CsvReaderFormat<T> {
    /// Files with a header.
    pub fn new() -> Self {
        Self { has_header: true, delimiter: b',', records: PhantomData }
    }

    /// Files without one.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        self.has_header = false;
        self
    }

    /// What is between fields, if it is not a comma.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }
}

impl<T> Default for CsvReaderFormat<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for CsvReaderFormat<T> {
    fn clone(&self) -> Self {
        Self { has_header: self.has_header, delimiter: self.delimiter, records: PhantomData }
    }
}

impl<T> fmt::Debug for CsvReaderFormat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsvReaderFormat")
    }
}

impl<T: DeserializeOwned + Send + 'static> StreamFormat for CsvReaderFormat<T> {
    type Item = T;
    type Reader = CsvReader<T>;

    fn name(&self) -> String {
        "csv".to_owned()
    }

    fn open(&self, file: Box<dyn Read + Send>) -> io::Result<CsvReader<T>> {
        let mut settings = csv::ReaderBuilder::new();
        settings.has_headers(self.has_header).delimiter(self.delimiter).buffer_capacity(256 << 10);
        let mut reader = settings.from_reader(file);
        let header = match self.has_header {
            true => Some(reader.headers().map_err(of_csv)?.clone()),
            false => None,
        };
        Ok(CsvReader { reader, header, row: csv::StringRecord::new(), records: PhantomData })
    }
}

/// Reads one file of CSV.
pub struct CsvReader<T> {
    reader: csv::Reader<Box<dyn Read + Send>>,
    header: Option<csv::StringRecord>,
    row: csv::StringRecord,
    records: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Send + 'static> StreamReader for CsvReader<T> {
    type Item = T;

    fn read(&mut self) -> io::Result<Option<(T, usize)>> {
        if !self.skip()? {
            return Ok(None);
        }
        let record = self.row.deserialize(self.header.as_ref()).map_err(of_csv)?;
        Ok(Some((record, self.row.as_slice().len())))
    }

    fn skip(&mut self) -> io::Result<bool> {
        self.reader.read_record(&mut self.row).map_err(of_csv)
    }
}

fn of_csv(error: csv::Error) -> io::Error {
    match error.is_io_error() {
        true => error.into(),
        false => invalid(error),
    }
}
