//! `save_as_object_file` and `object_file`: records as they are, to be read back by a program that knows their type.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{FileSet, Rdd};

/// What the names of such files end with.
const EXTENSION: &str = ".jsonl";

impl<T: Serialize> Rdd<T> {
    /// Writes the records, one file for each partition with records, into the folder `path`, to be read back by
    /// [`object_file`](Self::object_file): a line of JSON each, so that fields are found by name when the type has changed, and other programs can
    /// read them (Spark writes Java's serialized objects, which only Java does). Files of an `Rdd` that a stream has handed out become visible when
    /// its batch is committed.
    ///
    /// # Errors
    /// When a record cannot be written as JSON (a map with keys that are no text, a number that is none), or the folder cannot be written; the
    /// message names it.
    pub fn save_as_object_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let with_path = |error: io::Error| at(path, error);
        let mut files = FileSet::begin(path, false, self.batch.clone()).map_err(with_path)?;
        for (index, partition) in
            self.partitions.iter().enumerate().filter(|(_, partition)| !partition.is_empty())
        {
            let write = |file: &mut dyn Write| {
                partition.iter().try_for_each(|record| {
                    serde_json::to_writer(&mut *file, record)?;
                    file.write_all(b"\n")
                })
            };
            files.write(index, EXTENSION, |file| write(file)).map_err(with_path)?;
        }
        files.finish().map_err(with_path)
    }
}

impl<T: DeserializeOwned> Rdd<T> {
    /// The records of files that [`save_as_object_file`](Self::save_as_object_file) has written into the folder `path`, a partition a file, in the
    /// order of their names (Spark's `sc.objectFile`).
    ///
    /// ```
    /// use thalweg_dstream::Rdd;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("counts");
    /// Rdd::parallelize(vec![("deep".to_owned(), 2), ("fast".to_owned(), 1)], 2).save_as_object_file(&path)?;
    /// let counts = Rdd::<(String, i32)>::object_file(&path)?;
    /// assert_eq!((counts.num_partitions(), counts.collect()[0].1), (2, 2));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the folder cannot be read, or a line is no such record; the message names file and line.
    pub fn object_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| at(path, error))? {
            let entry = entry.map_err(|error| at(path, error))?.path();
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !name.starts_with(['.', '_']) && name.ends_with(EXTENSION) {
                files.push(entry);
            }
        }
        files.sort();
        let partitions: io::Result<_> = files.iter().map(|file| records(file)).collect();
        Ok(Self::from_partitions(partitions?))
    }
}

fn records<T: DeserializeOwned>(file: &Path) -> io::Result<Vec<T>> {
    let text = fs::read_to_string(file).map_err(|error| at(file, error))?;
    let record = |(index, line)| {
        serde_json::from_str(line).map_err(|error| {
            let text = format!("{}, line {}: {error}", file.display(), index + 1);
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    };
    text.lines().enumerate().map(record).collect()
}

fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_saved_comes_back(
            records in prop::collection::vec((any::<String>(), any::<Option<i64>>(), any::<bool>()), 0..40), partitions in 1_usize..4,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("saved");
            fs::create_dir(&path).unwrap();
            Rdd::parallelize(records.clone(), partitions).save_as_object_file(&path).unwrap();
            prop_assert_eq!(Rdd::<(String, Option<i64>, bool)>::object_file(&path).unwrap().collect(), records);
        }
    }

    #[test]
    fn what_cannot_be_written_or_read_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved");
        let odd = Rdd::parallelize(vec![BTreeMap::from([(vec![1], 2)])], 1);
        let error = odd.save_as_object_file(&path).unwrap_err().to_string();
        assert!(error.contains("saved") && error.contains("key must be a string"), "{error}");
        Rdd::parallelize(vec!["deep"], 1).save_as_object_file(&path).unwrap();
        let error = Rdd::<u32>::object_file(&path).unwrap_err().to_string();
        assert!(error.contains("part-") && error.contains(", line 1: invalid type"), "{error}");
        assert!(
            Rdd::<u32>::object_file(folder.path().join("none")).unwrap_err().to_string().contains("none")
        );
    }
}
