use proptest::prelude::*;

use super::*;
use crate::files::Compression;

/// What a format makes of records, a call after the other.
fn written<T, F: FileFormat<T>>(mut format: F, records: &[T]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut file = format.begin(&mut out).unwrap();
    records.iter().for_each(|record| format.write(&mut file, record, &mut out).unwrap());
    format.end(file, &mut out).unwrap();
    out
}

/// All records that a format finds.
fn read<F: StreamFormat>(format: &F, bytes: Vec<u8>) -> io::Result<Vec<F::Item>> {
    let mut reader = format.open(Box::new(io::Cursor::new(bytes)))?;
    std::iter::from_fn(|| reader.read().transpose()).map(|found| Ok(found?.0)).collect()
}

type Pair = (String, Option<String>, i64);

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let text = "[a-z,;\"\n\r äß]{0,8}";
    // Nothing and no text are the same to CSV.
    let other = proptest::option::of("[a-z,\"\n]{1,8}");
    proptest::collection::vec((text, other, any::<i64>()), 0..30)
}

fn row((word, other, n): &Pair, row: &mut CsvRow<'_>) {
    row.field(word);
    match other {
        Some(other) => row.field(other),
        None => row.empty(),
    };
    row.field(n);
}

proptest! {
    #[test]
    fn csv_comes_back_whatever_is_in_it(pairs in pairs(), delimiter in prop::sample::select(vec![b',', b';', b'\t'])) {
        let format = CsvFormat::new(row).with_header(["word", "a \"note\"", "n"]).with_delimiter(delimiter);
        let bytes = written(format, &pairs);
        let found = read(&CsvReaderFormat::<Pair>::new().with_delimiter(delimiter), bytes).unwrap();
        prop_assert_eq!(&found, &pairs);
        let bytes = written(CsvFormat::new(row), &pairs);
        let found = read(&CsvReaderFormat::<Pair>::new().without_header(), bytes).unwrap();
        prop_assert_eq!(&found, &pairs);
    }

    #[cfg(feature = "compression")]
    #[test]
    fn what_is_compressed_is_what_was_written(lines in proptest::collection::vec("[a-z]{0,200}", 0..100)) {
        let line = |line: &String, out: &mut Vec<u8>| out.extend_from_slice(line.as_bytes());
        let plain = written(line, &lines);
        for compression in [Compression::None, Compression::Gzip, Compression::Deflate, Compression::Zstd, Compression::Bzip2] {
            let bytes = written(CompressedFormat::new(line, compression), &lines);
            let mut found = Vec::new();
            compression.open(Box::new(io::Cursor::new(bytes))).unwrap().read_to_end(&mut found).unwrap();
            prop_assert_eq!(&found, &plain);
        }
    }

    #[cfg(feature = "avro")]
    #[test]
    fn avro_comes_back(records in proptest::collection::vec(("\\PC{0,40}", any::<i64>(), proptest::option::of(any::<f64>())), 0..200)) {
        let records: Vec<Row> = records.into_iter().map(|(word, n, share)| Row { word, n, share }).collect();
        for codec in [AvroCodec::Null, AvroCodec::Deflate, AvroCodec::Snappy, AvroCodec::Zstandard] {
            let bytes = written(AvroFormat::new(SCHEMA).unwrap().with_codec(codec), &records);
            prop_assert_eq!(&read(&AvroReaderFormat::<Row>::new(), bytes).unwrap(), &records);
        }
    }

    /// Neither a panic nor memory without bounds: an error, or records.
    #[cfg(feature = "avro")]
    #[test]
    fn avro_that_is_damaged_is_read_in_part_or_refused(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let records: Vec<Row> = (0..50).map(|n| Row { word: "word".repeat(9), n, share: None }).collect();
        let mut bytes = written(AvroFormat::new(SCHEMA).unwrap().with_codec(AvroCodec::Null), &records);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = read(&AvroReaderFormat::<Row>::new(), bytes);
    }
}

#[cfg(feature = "avro")]
const SCHEMA: &str = r#"{"type": "record", "name": "Row", "fields": [
    {"name": "n", "type": "long"}, {"name": "word", "type": "string"}, {"name": "share", "type": ["null", "double"]}
]}"#;

#[cfg(feature = "avro")]
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Row {
    word: String,
    n: i64,
    share: Option<f64>,
}

#[test]
fn an_empty_field_alone_is_a_row() {
    let bytes =
        written(CsvFormat::new(|text: &&str, row: &mut CsvRow<'_>| row.field(text).end()), &["", "x"]);
    assert_eq!(bytes, b"\"\"\nx\n");
}

#[test]
fn a_row_that_does_not_fit_its_header_is_refused() {
    let mut format = CsvFormat::new(row).with_header(["one", "two"]);
    let mut out = Vec::new();
    FileFormat::<Pair>::begin(&mut format, &mut out).unwrap();
    let error = format.write(&mut (), &("a".to_owned(), None, 1), &mut out).unwrap_err().to_string();
    assert!(error.starts_with("a row of CSV has 3 fields, and the header 2: "), "{error}");
}

#[test]
fn json_has_a_line_for_each_record() {
    assert_eq!(written(JsonLinesFormat, &[("a\nb", 1), ("c", 2)]), b"[\"a\\nb\",1]\n[\"c\",2]\n");
    assert_eq!(FileFormat::<u8>::suffix(&JsonLinesFormat), ".json");
    assert_eq!(
        FileFormat::<u8>::suffix(&CompressedFormat::new(JsonLinesFormat, Compression::Zstd)),
        ".json.zst"
    );
}

#[cfg(feature = "compression")]
#[test]
fn a_compression_that_is_not_written_is_refused() {
    let mut format = CompressedFormat::new(JsonLinesFormat, Compression::Lz4);
    let error = FileFormat::<u8>::begin(&mut format, &mut Vec::new()).err().unwrap().to_string();
    assert_eq!(error, "files are not written in Lz4; take gzip, zstd, deflate or bzip2");
}

#[test]
fn rows_that_are_none_are_refused() {
    let of = |text: &str| read(&CsvReaderFormat::<(String, u8)>::new(), text.as_bytes().to_vec());
    for (text, why) in [("a,b\nx\n", "found record with 1 fields"), ("a,b\nx,y\n", "invalid digit")] {
        let error = of(text).unwrap_err();
        assert!(error.kind() == io::ErrorKind::InvalidData && error.to_string().contains(why), "{error}");
    }
    assert_eq!(of("a,b\n").unwrap(), []);
}

#[cfg(feature = "avro")]
#[test]
fn what_does_not_fit_a_schema_is_said() {
    let error = AvroFormat::new("{\"type\": \"recrod\"}").unwrap_err().to_string();
    assert!(error.starts_with("this is no schema of Avro: "), "{error}");
    let mut format = AvroFormat::new(SCHEMA).unwrap();
    let mut out = Vec::new();
    let mut file = FileFormat::<(i32, i32)>::begin(&mut format, &mut out).unwrap();
    let error = format.write(&mut file, &(1, 2), &mut out).unwrap_err().to_string();
    assert!(error.starts_with("a record does not fit the schema of Avro: "), "{error}");
    let error = read(&AvroReaderFormat::<Row>::new(), b"Obj\x02".to_vec()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
}
