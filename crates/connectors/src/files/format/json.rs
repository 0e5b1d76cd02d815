//! JSON, a document a line.

use serde::Serialize;
use thalweg_dataflow::error::BoxError;

use super::FileFormat;

/// Writes each record as a document of JSON, in a line of its own: no array around them, so that any number of files is a file. The names of files end with `.json`.
///
/// They are read line by line, by a [`TextFileSource`](crate::files::TextFileSource).
///
/// ```
/// use thalweg_connectors::files::FileSink;
/// use thalweg_connectors::files::format::JsonLinesFormat;
///
/// let sink: FileSink<(String, u64), _, _> = FileSink::for_bulk_format("counts", JsonLinesFormat);
/// # let _ = sink;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLinesFormat;

impl<T: Serialize> FileFormat<T> for JsonLinesFormat {
    type File = ();

    fn begin(&mut self, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn write(&mut self, (): &mut (), record: &T, out: &mut Vec<u8>) -> Result<(), BoxError> {
        // It has no line ends of its own: in texts they are written as `\n`.
        serde_json::to_writer(&mut *out, record)?;
        out.push(b'\n');
        Ok(())
    }

    fn end(&mut self, (): (), _: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(())
    }

    fn suffix(&self) -> String {
        ".json".to_owned()
    }
}
