//! A table as a Parquet file, as the format of file sinks writes it.

use std::io::{self, Write};

use serde_json::Value;
use thalweg_connectors::files::format::ParquetWriter;
use thalweg_dataflow::error::BoxError;

use super::Field;

/// Writes one file.
pub(super) fn write(fields: &[Field], rows: &[Vec<Value>], file: &mut (impl Write + Send)) -> io::Result<()> {
    let write = || -> Result<(), BoxError> {
        let mut writer = ParquetWriter::new(fields, file)?;
        for row in rows {
            writer.write_cells(row)?;
        }
        writer.finish()?;
        Ok(())
    };
    write().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    use crate::rdd::Rdd;

    #[test]
    fn another_reader_finds_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        let rows = vec![("deep", Some(2), 0.5, true), ("fast", None, 1.0, false)];
        let df = Rdd::parallelize(rows, 1).to_df_named(&["word", "n", "share", "seen"]);
        df.write().parquet(folder.path().join("out")).unwrap();
        let path = std::fs::read_dir(folder.path().join("out")).unwrap().next().unwrap().unwrap().path();
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        assert_eq!((rows[0].get_string(0).unwrap().as_str(), rows[0].get_long(1).unwrap()), ("deep", 2));
        assert_eq!((rows[1].get_double(2).unwrap(), rows[1].get_bool(3).unwrap()), (1.0, false));
        assert!(rows[1].get_long(1).is_err(), "absent");
        let names: Vec<&str> =
            reader.metadata().file_metadata().schema().get_fields().iter().map(|f| f.name()).collect();
        assert_eq!(names, ["word", "n", "share", "seen"]);
    }
}
