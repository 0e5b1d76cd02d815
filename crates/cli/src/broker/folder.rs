//! How much is in a data folder.

use std::path::Path;

/// Bytes of records in the folder of a broker.
pub(super) fn records(data: &Path) -> u64 {
    let partitions = std::fs::read_dir(data.join("topics")).into_iter().flatten().flatten();
    let files =
        partitions.flat_map(|partition| std::fs::read_dir(partition.path()).into_iter().flatten().flatten());
    let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Bytes as people read them.
pub(super) fn size(bytes: u64) -> String {
    let mut shown = bytes as f64;
    for unit in ["bytes", "KB", "MB", "GB"] {
        if shown < 1000.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{shown:.1} {unit}") };
        }
        shown /= 1000.0;
    }
    format!("{shown:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 999, 1_000, 1_550_000, 12_000_000_000, 3_000_000_000_000].map(size);
        assert_eq!(sizes, ["0 bytes", "999 bytes", "1.0 KB", "1.6 MB", "12.0 GB", "3.0 TB"]);
    }

    #[test]
    fn only_records_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let partition = folder.path().join("topics").join("lines-0");
        std::fs::create_dir_all(&partition).unwrap();
        std::fs::write(partition.join("00000000000000000000.log"), [0; 10]).unwrap();
        std::fs::write(partition.join("00000000000000000000.index"), [0; 100]).unwrap();
        std::fs::write(folder.path().join("topics.json"), [0; 1000]).unwrap();
        assert_eq!(records(folder.path()), 10);
        assert_eq!(records(&folder.path().join("none")), 0);
    }
}
