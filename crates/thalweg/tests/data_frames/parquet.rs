//! Files in Parquet: of all types, by others, of a batch.

use std::path::PathBuf;

use serde_json::json;

use super::*;

const EVERY: &str = "yes BOOLEAN, tiny TINYINT, small SMALLINT, n INT, big BIGINT, share FLOAT, ratio DOUBLE, price DECIMAL(10, 2), \
     huge DECIMAL(38, 0), word STRING, bytes BYTES, day DATE, at TIME(3), second TIMESTAMP(0), milli TIMESTAMP(3), micro TIMESTAMP(6), \
     nano TIMESTAMP(9), local TIMESTAMP_LTZ(3), list ARRAY<INT>, counts MAP<STRING NOT NULL, BIGINT>, place ROW<x DOUBLE, tags ARRAY<STRING>>";

/// Rows of all types, one of them of nothing but NULL, and a partition without rows.
fn every(spark: &SparkSession) -> DataFrame {
    let at = |digits: &str| format!("2026-01-02 03:04:05{digits}");
    let row = json!([
        true, -7, 300, 70_000, 5_000_000_000_i64, 0.5, 0.1, "12.50", "12345678901234567890123456789012345678", "Zürich\n",
        "AP8=", "2026-01-02", "03:04:05.678", at(""), at(".678"), at(".678901"), at(".678901234"), "2026-01-02 03:04:05.678Z",
        [1, null, 3], {"a": 1, "b": 2}, {"x": 1.5, "tags": ["deep", "fast"]}
    ]);
    let nothing = serde_json::Value::Array(vec![serde_json::Value::Null; 21]);
    let rows = Rdd::from_partitions(vec![vec![row.clone(), nothing], Vec::new(), vec![row]]);
    spark.create_data_frame_with_schema(&rows, EVERY).unwrap()
}

fn shown(frame: &DataFrame) -> String {
    frame.shown(100, false).unwrap()
}

fn files(folder: PathBuf) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    std::fs::read_dir(folder).unwrap().map(name).collect()
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../connectors/tests/fixtures/formats").join(name)
}

#[test]
fn columns_of_all_types_come_back_as_they_were() {
    let (spark, folder) = (SparkSession::new(), tempfile::tempdir().unwrap());
    let (all, path) = (every(&spark), folder.path().join("every"));
    all.write().parquet(&path).unwrap();
    let read = spark.read().parquet(&path).unwrap();
    // Of times in seconds there are none in Parquet.
    let types = |frame: &DataFrame| -> Vec<String> {
        frame
            .schema()
            .iter()
            .map(|(name, of)| format!("{name} {of}").replace("TIMESTAMP(0)", "TIMESTAMP(3)"))
            .collect()
    };
    assert_eq!(types(&read), types(&all));
    let seconds = spark.read().schema(EVERY).parquet(&path).unwrap();
    assert_eq!(seconds.schema(), all.schema());
    assert_eq!(shown(&seconds), shown(&all));
    assert_eq!(
        read.drop(&["second"]).map(|read| shown(&read)).unwrap(),
        shown(&all.drop(&["second"]).unwrap())
    );
    assert!(shown(&all).contains("12345678901234567890123456789012345678"), "or nothing was compared");
    assert!(shown(&all).contains("678901234"), "or nothing was compared");
    assert!(files(path.clone()).iter().all(|name| name.ends_with(".snappy.parquet")));
    assert_eq!(files(path.clone()).len(), 2, "one for each partition with rows");
    // It is the format as long as nothing else is said, and a file may be read by itself.
    let plain = folder.path().join("plain");
    all.write().save(&plain).unwrap();
    let one = spark.read().parquet(plain.join(&files(plain.clone())[0])).unwrap();
    assert!(matches!(one.count().unwrap(), 1 | 2));
    // What is read may be worked on, and some columns of it by declaration.
    let some = spark.read().schema("n BIGINT, word STRING, nowhere INT").parquet(&path).unwrap();
    let some = some.filter("n IS NOT NULL").unwrap().select(("n", "nowhere")).unwrap();
    assert_eq!(some.collect::<(i64, Option<i32>)>().unwrap(), [(70_000, None), (70_000, None)]);
}

#[test]
fn modes_are_those_of_the_other_formats() {
    let (spark, folder) = (SparkSession::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("sales");
    let count = || spark.read().parquet(&path).unwrap().count().unwrap();
    let write = |mode: &str| frame(&spark, sales()).write().mode(mode).parquet(&path);
    write("errorifexists").unwrap();
    assert!(write("error").unwrap_err().to_string().contains("exists already"));
    write("ignore").unwrap();
    assert_eq!(count(), 5);
    write("append").unwrap();
    assert_eq!(count(), 10);
    write("overwrite").unwrap();
    assert_eq!(count(), 5);
    assert_eq!(spark.read().parquet(&path).unwrap().sort("id").unwrap().collect::<Sale>().unwrap(), sales());
    std::fs::write(path.join("notes.txt"), "mine").unwrap();
    assert!(write("overwrite").unwrap_err().to_string().contains("notes.txt"));
    assert!(write("upsert").unwrap_err().to_string().contains("`upsert`"));
}

#[test]
fn files_of_another_writer_are_read_by_their_own_types() {
    let spark = SparkSession::new();
    for codec in ["none", "snappy", "gzip", "zstd", "lz4", "v2"] {
        let rows = spark.read().parquet(fixture(&format!("rows-{codec}.parquet"))).unwrap();
        assert_eq!(rows.columns(), ["word", "n", "share", "seen", "note"]);
        let (n, notes): (i64, i64) = {
            let sums = rows.agg((sum("n").alias("n"), count("note").alias("notes"))).unwrap();
            sums.collect().unwrap()[0]
        };
        assert_eq!((n, notes), ((0..60).map(|n| n * 1_000_003 - 20_000_000).sum(), 45), "{codec}");
    }
    let kinds = spark.read().parquet(fixture("kinds.parquet")).unwrap();
    let types: Vec<String> = kinds.schema().iter().map(|(name, of)| format!("{name} {of}")).collect();
    // An unsigned number has room in the next type; what was a dictionary is text.
    assert_eq!(
        types.join(", "),
        "int INT, small SMALLINT, float FLOAT, bytes BYTES, suit STRING, list ARRAY<INT>, map MAP<STRING NOT NULL, BIGINT>, inner ROW<`x` INT>, \
         day DATE, at TIMESTAMP(6), price DECIMAL(10, 2), unread ARRAY<ROW<`a` BIGINT>>"
    );
    let text = shown(&kinds);
    assert!(["SPADES", "2020-09-13", "-2.25", "200"].iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(kinds.count().unwrap(), 2);
}

#[test]
fn what_cannot_be_read_or_written_is_told_with_what_to_do() {
    let (spark, folder) = (SparkSession::new(), tempfile::tempdir().unwrap());
    let said = |result: Result<DataFrame, SqlError>| format!("{:?}", result.unwrap_err());
    let at = |name: &str| folder.path().join(name);
    let nowhere = said(spark.read().parquet(at("nowhere")));
    assert!(nowhere.contains("nowhere") && nowhere.contains("No such file"), "{nowhere}");
    std::fs::create_dir(at("empty")).unwrap();
    let empty = said(spark.read().parquet(at("empty")));
    assert!(empty.contains("empty has no files") && empty.contains("schema("), "{empty}");
    assert_eq!(spark.read().schema("n INT").parquet(at("empty")).unwrap().count().unwrap(), 0);
    std::fs::write(at("a.parquet"), "word,n\ntea,3\n").unwrap();
    let text = said(spark.read().parquet(at("a.parquet")));
    assert!(text.contains("a.parquet") && text.contains("no Parquet file"), "{text}");
    // Cut short: its end, which says where everything is, is not there.
    let whole = std::fs::read(fixture("rows-none.parquet")).unwrap();
    std::fs::write(at("b.parquet"), &whole[..whole.len() / 2]).unwrap();
    assert!(said(spark.read().parquet(at("b.parquet"))).contains("b.parquet"));
    // Damaged where the values are: whatever is found of that, it is told, and is no panic.
    let mut damaged = whole.clone();
    damaged[4..200].fill(0xff);
    std::fs::write(at("c.parquet"), damaged).unwrap();
    let damaged = said(spark.read().parquet(at("c.parquet")));
    assert!(damaged.contains("c.parquet"), "{damaged}");
    let misfit = said(spark.read().schema("word INT").parquet(fixture("rows-none.parquet")));
    assert!(misfit.contains("rows-none.parquet: column `word` as INT"), "{misfit}");
    assert!(misfit.contains("deep") && misfit.contains("say a type"), "{misfit}");
    let interval = spark.sql("SELECT INTERVAL '1' DAY AS pause").unwrap();
    let refused = format!("{:?}", interval.write().parquet(at("interval")).unwrap_err());
    assert!(refused.contains("`pause`") && refused.contains("CAST(pause AS STRING)"), "{refused}");
    assert!(!at("interval").exists());
}

#[test]
fn files_of_a_batch_appear_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let ssc = StreamingContext::new("parquet", Duration::from_millis(20));
    let numbers = ssc.queue_stream(vec![vec![1_i64, 2], Vec::new(), vec![3]]);
    let (spark, counts) = (SparkSession::new(), folder.path().join("counts"));
    let (session, path) = (spark.clone(), counts.clone());
    numbers.try_foreach_rdd(move |rdd, _: Timestamp| {
        let numbers = session.create_data_frame(&rdd)?.to_df(&["n"])?;
        numbers.write().mode("append").parquet(&path)?;
        // Not before the batch is committed.
        let visible = std::fs::read_dir(&path).into_iter().flatten().flatten();
        let mine = visible.filter(|entry| {
            let written = std::fs::read(entry.path()).unwrap_or_default();
            rdd.partitions()
                .iter()
                .flatten()
                .any(|n| written.windows(8).any(|bytes| bytes == n.to_le_bytes()))
        });
        assert_eq!(mine.count(), 0);
        Ok(())
    });
    ssc.start().unwrap();
    ssc.await_termination().unwrap();
    let read = spark.read().parquet(&counts).unwrap().sort("n").unwrap();
    assert_eq!(read.collect::<i64>().unwrap(), [1, 2, 3]);
}
