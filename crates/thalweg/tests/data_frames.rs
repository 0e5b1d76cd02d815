//! Data frames and SQL on a batch: what Spark's words give, against plain computations.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg::prelude::{StreamingContext, Timestamp};
use thalweg::spark_sql::functions::{avg, col, count, desc, expr, lit, max, sum, upper, when};
use thalweg::spark_sql::{DataFrame, SparkSession, SqlError};
use thalweg_dstream::Rdd;

#[derive(Clone, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
struct Sale {
    id: i64,
    item: String,
    n: Option<i32>,
    price: f64,
}

fn sale(id: i64, item: &str, n: Option<i32>, price: f64) -> Sale {
    Sale { id, item: item.to_owned(), n, price }
}

fn sales() -> Vec<Sale> {
    vec![
        sale(1, "tea", Some(3), 2.5),
        sale(2, "milk", Some(1), 1.0),
        sale(3, "tea", None, 2.5),
        sale(4, "jam", Some(2), 4.0),
        sale(5, "milk", Some(5), 1.25),
    ]
}

fn frame(spark: &SparkSession, sales: Vec<Sale>) -> DataFrame {
    spark.create_data_frame(&Rdd::parallelize(sales, 3)).unwrap()
}

#[test]
fn columns_are_selected_filtered_computed_renamed_and_dropped() {
    let spark = SparkSession::builder().app_name("frames").get_or_create();
    let all = frame(&spark, sales());
    assert_eq!(all.columns(), ["id", "item", "n", "price"]);
    assert_eq!(all.collect::<Sale>().unwrap(), sales());
    let many = all.filter(col("n").gt(lit(1))).unwrap().select(("id", upper("item").alias("ITEM"))).unwrap();
    let expected = [(1, "TEA"), (4, "JAM"), (5, "MILK")].map(|(id, item)| (id, item.to_owned()));
    assert_eq!(many.collect::<(i64, String)>().unwrap(), expected);
    assert_eq!(all.where_("n > 1").unwrap().count().unwrap(), 3);
    let cost = all
        .with_column("cost", col("price") * col("n"))
        .unwrap()
        .drop(&["price", "id", "not there"])
        .unwrap();
    let cost = cost.with_column_renamed("item", "what").unwrap().with_column_renamed("nobody", "x").unwrap();
    assert_eq!(cost.columns(), ["what", "n", "cost"]);
    let first: Option<(String, Option<i32>, Option<f64>)> = cost.first().unwrap();
    assert_eq!(first, Some(("tea".to_owned(), Some(3), Some(7.5))));
    let size =
        when(col("n").is_null(), lit("?")).when(col("n").gt(lit(2)), lit("many")).otherwise(lit("few"));
    let sizes = all.with_column("item", size).unwrap();
    assert_eq!(sizes.columns(), ["id", "item", "n", "price"], "it is in the place of the one before");
    let sizes: Vec<String> = sizes.select("item").unwrap().collect().unwrap();
    assert_eq!(sizes, ["many", "few", "?", "few", "many"]);
    let picked = all.select_expr(&["id + 1 AS next", "n IS NULL AS missing"]).unwrap();
    assert_eq!(picked.take::<(i64, bool)>(2).unwrap(), [(2, false), (3, false)]);
}

#[test]
fn groups_sort_and_limit() {
    let spark = SparkSession::new();
    let all = frame(&spark, sales());
    let groups = all.group_by("item").unwrap();
    let totals = groups.agg((count("*").alias("rows"), sum("n"), max("price").alias("dearest"))).unwrap();
    assert_eq!(totals.columns(), ["item", "rows", "sum(n)", "dearest"]);
    let sorted = totals.order_by((desc("sum(n)"), "item")).unwrap();
    let found: Vec<(String, i64, Option<i32>, f64)> = sorted.collect().unwrap();
    let row = |item: &str, rows, sum, price| (item.to_owned(), rows, Some(sum), price);
    assert_eq!(found, [row("milk", 2, 6, 1.25), row("tea", 2, 3, 2.5), row("jam", 1, 2, 4.0)]);
    let best: Vec<String> = sorted.limit(2).unwrap().select("item").unwrap().collect().unwrap();
    assert_eq!(best, ["milk", "tea"], "what follows keeps the order");
    assert_eq!(groups.count().unwrap().columns(), ["item", "count"]);
    assert_eq!(groups.avg("price").unwrap().columns(), ["item", "avg(price)"]);
    // NULLs come first, and last in descending order.
    let order = |order| -> Vec<i64> { all.sort(order).unwrap().select("id").unwrap().collect().unwrap() };
    assert_eq!(order(vec![col("n").asc(), col("id").asc()]), [3, 2, 4, 1, 5]);
    assert_eq!(order(vec![col("n").desc(), col("id").desc()]), [5, 1, 4, 2, 3]);
    let whole: (i64, i32, Option<f64>) =
        all.agg((count("id"), sum("n"), avg("price"))).unwrap().first().unwrap().unwrap();
    assert_eq!(whole, (5, 11, Some(2.25)));
}

#[test]
fn rows_meet() {
    let spark = SparkSession::new();
    let left = vec![(1_i64, "a"), (2, "b"), (2, "c"), (3, "d")].into_iter();
    let left = Rdd::parallelize(
        left.map(|(id, text)| (Some(id), text.to_owned())).chain([(None, "e".to_owned())]).collect(),
        2,
    );
    let right = Rdd::parallelize(vec![(Some(2_i64), 20_i64), (Some(3), 30), (Some(4), 40), (None, 50)], 2);
    let left = spark.create_data_frame(&left).unwrap().to_df(&["id", "left"]).unwrap();
    let right = spark.create_data_frame(&right).unwrap().to_df(&["id", "right"]).unwrap();
    let joined = |how: &str| -> Vec<String> {
        let joined = left.join(&right, &["id"], how).unwrap();
        let mut rows: Vec<String> = joined
            .collect::<serde_json::Value>()
            .unwrap()
            .iter()
            .map(|row| {
                let cells = row.as_object().unwrap().values().map(ToString::to_string);
                cells.collect::<Vec<_>>().join(" ").replace('"', "")
            })
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(joined("inner"), ["2 b 20", "2 c 20", "3 d 30"]);
    assert_eq!(joined("left"), ["1 a null", "2 b 20", "2 c 20", "3 d 30", "null e null"]);
    assert_eq!(joined("right_outer"), ["2 b 20", "2 c 20", "3 d 30", "4 null 40", "null null 50"]);
    let full = ["1 a null", "2 b 20", "2 c 20", "3 d 30", "4 null 40", "null e null", "null null 50"];
    assert_eq!(joined("full"), full);
    assert_eq!(joined("left_semi"), ["2 b", "2 c", "3 d"]);
    assert_eq!(joined("left_anti"), ["1 a", "null e"]);
    let other = right.with_column_renamed("id", "key").unwrap();
    assert_eq!(left.join_on(&other, col("id").eq(col("key")), "inner").unwrap().count().unwrap(), 3);
    assert_eq!(left.cross_join(&other).unwrap().count().unwrap(), 20);
    // What is computed of the same frame is read once.
    let twice = left.join(&left.with_column_renamed("left", "again").unwrap(), &["id"], "inner").unwrap();
    assert_eq!(twice.count().unwrap(), 6);
    let said = |result: Result<DataFrame, SqlError>| result.unwrap_err().to_string();
    assert!(said(left.join_on(&right, "TRUE", "inner")).contains("both sides have a column `id`"));
    assert!(said(left.join(&right, &["id"], "sideways")).contains("no join `sideways`"));
    assert!(said(left.join(&right, &["key"], "inner")).contains("no column `key`"));
}

#[test]
fn sets_of_rows() {
    let spark = SparkSession::new();
    let of = |numbers: Vec<i64>| spark.create_data_frame(&Rdd::parallelize(numbers, 2)).unwrap();
    let (one, other) = (of(vec![1, 2, 2, 3]), of(vec![2, 3, 3, 4]));
    let sorted = |frame: DataFrame| -> Vec<i64> {
        assert_eq!(frame.columns(), ["value"]);
        frame.sort("value").unwrap().collect().unwrap()
    };
    assert_eq!(sorted(one.union(&other).unwrap()), [1, 2, 2, 2, 3, 3, 3, 4]);
    assert_eq!(sorted(one.union(&other).unwrap().distinct().unwrap()), [1, 2, 3, 4]);
    assert_eq!(sorted(one.intersect(&other).unwrap()), [2, 3]);
    assert_eq!(sorted(one.except(&other).unwrap()), [1]);
    assert_eq!(sorted(spark.range(0, 3).unwrap().with_column_renamed("id", "value").unwrap()), [0, 1, 2]);
}

#[test]
fn sql_knows_views_as_they_are_when_it_is_called() {
    let spark = SparkSession::new();
    frame(&spark, sales()).create_or_replace_temp_view("sales").unwrap();
    let dear = spark.sql("SELECT id, item FROM sales AS s WHERE s.price > 2 ORDER BY id DESC").unwrap();
    frame(&spark, Vec::new()).create_or_replace_temp_view("sales").unwrap();
    assert_eq!(dear.select("id").unwrap().collect::<i64>().unwrap(), [4, 3, 1]);
    assert_eq!(spark.table("sales").unwrap().count().unwrap(), 0);
    // A view of a view, beside a query of the same name as another view.
    frame(&spark, sales()).create_or_replace_temp_view("other").unwrap();
    dear.create_or_replace_temp_view("dear").unwrap();
    let query = "WITH other AS (SELECT 7 AS id) SELECT dear.id FROM dear JOIN other ON dear.id < other.id ORDER BY id LIMIT 2";
    assert_eq!(spark.sql(query).unwrap().collect::<i64>().unwrap(), [1, 3]);
    let item = "SELECT item FROM other GROUP BY item HAVING COUNT(*) = (SELECT MAX(n) FROM (SELECT COUNT(*) AS n FROM other GROUP BY item)) ORDER BY item";
    assert_eq!(spark.sql(item).unwrap().collect::<String>().unwrap(), ["milk", "tea"]);
    assert!(spark.drop_temp_view("dear") && !spark.drop_temp_view("dear"));
    let error = spark.sql("SELECT id FROM dear").unwrap_err().to_string();
    assert!(error.contains("dear"), "{error}");
    assert!(spark.table("dear").unwrap_err().to_string().contains("no view `dear`"));
    assert!(spark.sql("SELECT idd FROM other").unwrap_err().to_string().contains("idd"));
    assert!(spark.sql("DROP TABLE other").unwrap_err().to_string().contains("one query"));
    let failed =
        spark.sql("SELECT CAST(item AS INT) AS n FROM other").unwrap().count().unwrap_err().to_string();
    assert!(failed.contains("tea") || failed.contains("milk"), "{failed}");
}

#[test]
fn batches_without_records_have_the_columns_of_their_type() {
    let spark = SparkSession::new();
    let none = frame(&spark, Vec::new());
    assert_eq!(none.columns(), ["id", "item", "n", "price"]);
    assert_eq!(none.collect::<Sale>().unwrap(), []);
    assert!(none.is_empty().unwrap());
    assert_eq!(none.group_by("item").unwrap().count().unwrap().count().unwrap(), 0);
    // Without groups there is one row all the same.
    let all: Vec<(i64, Option<i64>)> = none.agg((count("*"), sum("id"))).unwrap().collect().unwrap();
    assert_eq!(all, [(0, None)]);
    assert_eq!(
        none.shown(20, true).unwrap(),
        "+---+----+---+-----+\n| id|item|  n|price|\n+---+----+---+-----+\n+---+----+---+-----+\n\n"
    );
    let unknown = spark.create_data_frame(&Rdd::<serde_json::Value>::from_partitions(Vec::new()));
    assert!(unknown.unwrap_err().to_string().contains("are not known"));
    let untyped = Rdd::<serde_json::Value>::from_partitions(Vec::new());
    let known = spark.create_data_frame_with_schema(&untyped, "a INT, at TIMESTAMP(3)").unwrap();
    assert_eq!(known.columns(), ["a", "at"]);
}

#[test]
fn types_within_types_times_and_decimals() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u32,
        tags: Vec<String>,
        place: (f32, f32),
        counts: BTreeMap<String, i64>,
        paid: bool,
    }
    let order = |id: u32| Order {
        id,
        tags: vec!["new".to_owned(), format!("t{id}")],
        place: (1.5, id as f32),
        counts: [("a".to_owned(), i64::from(id))].into(),
        paid: id.is_multiple_of(2),
    };
    let spark = SparkSession::new();
    let orders = spark.create_data_frame(&Rdd::parallelize(vec![order(1), order(2)], 1)).unwrap();
    assert_eq!(orders.collect::<Order>().unwrap(), [order(1), order(2)]);
    let inside = orders.filter(col("paid")).unwrap().select_expr(&[
        "tags[2] AS tag",
        "counts['a'] AS n",
        "place.f1 AS y",
    ]);
    let inside: Vec<(String, i64, f32)> = inside.unwrap().collect().unwrap();
    assert_eq!(inside, [("t2".to_owned(), 2, 2.0)]);
    let text = |at: &str, price: &str| (at.to_owned(), price.to_owned());
    let rows = Rdd::parallelize(
        vec![text("2026-01-02 03:04:05.678", "12.50"), text("2026-01-02 13:00:00", "0.25")],
        1,
    );
    let typed = spark.create_data_frame_with_schema(&rows, "at TIMESTAMP(3), price DECIMAL(10, 2)").unwrap();
    let sums = typed
        .group_by(expr("CAST(at AS DATE)").alias("day"))
        .unwrap()
        .agg(sum("price").alias("price"))
        .unwrap();
    assert!(
        sums.shown(20, true).unwrap().contains("|2026-01-02|12.75|"),
        "{}",
        sums.shown(20, true).unwrap()
    );
    let wrong =
        spark.create_data_frame_with_schema(&rows, "at TIMESTAMP(3), price INT").unwrap_err().to_string();
    assert!(wrong.contains("column `price`"), "{wrong}");
}

#[test]
fn tables_are_shown_as_spark_shows_them() {
    let spark = SparkSession::new();
    let long = "a text of more than twenty letters".to_owned();
    let rows = Rdd::parallelize(vec![(1, Some(long.clone())), (22, None), (3, Some("b".to_owned()))], 2);
    let rows = spark.create_data_frame(&rows).unwrap().to_df(&["n", "text"]).unwrap();
    let expected = "+---+--------------------+\n|  n|                text|\n+---+--------------------+\n|  1|a text of more th...|\n| 22|                NULL|\n+---+--------------------+\nonly showing top 2 rows\n\n";
    assert_eq!(rows.shown(2, true).unwrap(), expected);
    assert!(rows.shown(3, false).unwrap().contains(&format!("|1  |{long}|\n|22 |NULL ")));
    assert!(rows.explained().unwrap().contains("TableSource"));
}

#[test]
fn files_are_written_and_read() {
    let (spark, folder) = (SparkSession::new(), tempfile::tempdir().unwrap());
    let all = frame(&spark, sales()).sort("id").unwrap();
    let at = |name: &str| folder.path().join(name);
    all.write().json(at("json")).unwrap();
    all.write().option("header", "true").csv(at("csv")).unwrap();
    all.select("item").unwrap().write().text(at("text")).unwrap();
    assert!(all.write().text(at("no")).unwrap_err().to_string().contains("one column of text"));
    assert!(all.write().json(at("json")).unwrap_err().to_string().contains("exists already"));
    let read = spark.read().json(at("json")).unwrap();
    assert_eq!(read.columns(), ["id", "item", "n", "price"]);
    assert_eq!(read.collect::<Sale>().unwrap(), sales());
    let schema = "id BIGINT, item STRING, n INT, price DOUBLE";
    let read = spark.read().schema(schema).option("header", "true").csv(at("csv")).unwrap();
    assert_eq!(read.collect::<Sale>().unwrap(), sales());
    let strings = spark.read().csv(at("csv")).unwrap();
    assert_eq!((strings.columns().len(), strings.columns()[0]), (4, "_c0"));
    assert_eq!(strings.count().unwrap(), 6);
    let lines: Vec<String> = spark.read().text(at("text")).unwrap().collect().unwrap();
    assert_eq!(lines, ["tea", "milk", "tea", "jam", "milk"]);
    assert!(spark.read().text(at("nowhere")).unwrap_err().to_string().contains("nowhere"));
    let nested = spark.sql("SELECT ARRAY[1, 2] AS list, CAST('1.50' AS DECIMAL(5, 2)) AS price").unwrap();
    nested.write().parquet(at("parquet")).unwrap();
    nested.write().json(at("nested")).unwrap();
    let file = std::fs::read_dir(at("nested")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), r#"{"list":[1,2],"price":1.5}"#);
}

/// Parquet by its own columns.
#[cfg(feature = "parquet")]
#[path = "data_frames/parquet.rs"]
mod parquet;

#[test]
fn many_rows_are_worked_on_in_parallel() {
    let spark = SparkSession::new();
    let rows: Vec<(i64, i64)> = (0..100_000).map(|n| (n % 97, n)).collect();
    let all =
        spark.create_data_frame(&Rdd::parallelize(rows.clone(), 4)).unwrap().to_df(&["k", "n"]).unwrap();
    let sums = all.group_by("k").unwrap().agg((sum("n").alias("total"), count("*").alias("rows"))).unwrap();
    let found: Vec<(i64, i64, i64)> = sums.sort("k").unwrap().collect().unwrap();
    let mut expected: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for (k, n) in rows {
        let (sum, count) = expected.entry(k).or_default();
        (*sum, *count) = (*sum + n, *count + 1);
    }
    assert_eq!(found, expected.into_iter().map(|(k, (sum, rows))| (k, sum, rows)).collect::<Vec<_>>());
    let joined = all.join(&sums, &["k"], "left").unwrap().filter("n = 12345").unwrap();
    assert_eq!(joined.count().unwrap(), 1);
    assert_eq!(all.agg(count("*")).unwrap().collect::<i64>().unwrap(), [100_000]);
    assert_eq!(all.filter("n < 0").unwrap().agg(count("*")).unwrap().collect::<i64>().unwrap(), [0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Groups over an outer join, which takes rows back on its way.
    #[test]
    fn what_is_taken_back_on_the_way_does_not_show(
        left in prop::collection::vec((0_i64..6, -5_i64..5), 0..30),
        right in prop::collection::vec((0_i64..8, -5_i64..5), 0..30),
        limit in 0_usize..5,
    ) {
        let spark = SparkSession::new();
        let frame = |rows: &Vec<(i64, i64)>, name: &str| {
            spark.create_data_frame(&Rdd::parallelize(rows.clone(), 2)).unwrap().to_df(&["k", name]).unwrap()
        };
        let joined = frame(&left, "a").join(&frame(&right, "b"), &["k"], "full").unwrap();
        let mut found: Vec<(i64, Option<i64>, Option<i64>)> = joined.collect().unwrap();
        let mut expected = Vec::new();
        for (k, a) in &left {
            let partners: Vec<_> = right.iter().filter(|(other, _)| other == k).collect();
            expected.extend(partners.iter().map(|(_, b)| (*k, Some(*a), Some(*b))));
            if partners.is_empty() {
                expected.push((*k, Some(*a), None));
            }
        }
        let alone = right.iter().filter(|(k, _)| !left.iter().any(|(other, _)| other == k));
        expected.extend(alone.map(|(k, b)| (*k, None, Some(*b))));
        found.sort();
        expected.sort();
        prop_assert_eq!(&found, &expected);
        let counts = joined.group_by("k").unwrap().agg((count("*").alias("n"), sum("b").alias("b"))).unwrap();
        let counts = counts.sort((desc("n"), "k")).unwrap().limit(limit).unwrap();
        let mut groups: BTreeMap<i64, (i64, Option<i64>)> = BTreeMap::new();
        for (k, _, b) in expected {
            let (n, sum) = groups.entry(k).or_default();
            *n += 1;
            *sum = b.map_or(*sum, |b| Some(sum.unwrap_or(0) + b));
        }
        let mut groups: Vec<_> = groups.into_iter().map(|(k, (n, b))| (k, n, b)).collect();
        groups.sort_by_key(|(k, n, _)| (-*n, *k));
        groups.truncate(limit);
        prop_assert_eq!(counts.collect::<(i64, i64, Option<i64>)>().unwrap(), groups);
    }
}

/// What each batch of words came to, in files; and whether the job failed.
fn words_in_sql(folder: &std::path::Path, query: &'static str) -> Result<(), String> {
    let ssc = StreamingContext::new("words", Duration::from_millis(20));
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let words = ssc.queue_stream(vec![words("deep fast deep"), Vec::new(), words("and deep")]);
    let (spark, folder) = (SparkSession::new(), folder.to_owned());
    words.try_foreach_rdd(move |rdd, _: Timestamp| {
        let words = spark.create_data_frame(&rdd)?.to_df(&["word"])?;
        words.create_or_replace_temp_view("words")?;
        spark.sql(query)?.write().mode("append").json(folder.join("counts"))?;
        Ok(())
    });
    ssc.start().map_err(|error| error.to_string())?;
    ssc.await_termination().map(drop).map_err(|error| error.to_string())
}

#[test]
fn files_of_a_batch_appear_with_it_and_a_failure_fails_it() {
    let folder = tempfile::tempdir().unwrap();
    words_in_sql(folder.path(), "SELECT word, COUNT(*) AS total FROM words GROUP BY word").unwrap();
    let read =
        |file: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(file.unwrap().path()).unwrap();
    let files: Vec<String> = std::fs::read_dir(folder.path().join("counts")).unwrap().map(read).collect();
    let mut lines: Vec<&str> = files.iter().flat_map(|file| file.lines()).collect();
    lines.sort_unstable();
    let expected = [
        r#"{"word":"and","total":1}"#,
        r#"{"word":"deep","total":1}"#,
        r#"{"word":"deep","total":2}"#,
        r#"{"word":"fast","total":1}"#,
    ];
    assert_eq!(lines, expected);
    let folder = tempfile::tempdir().unwrap();
    let error = words_in_sql(folder.path(), "SELECT CAST(word AS INT) AS n FROM words").unwrap_err();
    assert!(error.contains("deep") || error.contains("fast"), "{error}");
    assert!(!folder.path().join("counts").exists());
}

/// Not measured, but told: what a query over a small batch takes, the first time and afterwards.
#[test]
fn a_small_batch_does_not_plan_again() {
    let spark = SparkSession::new();
    let mut times = Vec::new();
    for batch in 0..50_i64 {
        let words: Vec<String> = (0..100).map(|n| format!("word{}", (n + batch) % 17)).collect();
        let since = Instant::now();
        spark
            .create_data_frame(&Rdd::parallelize(words, 2))
            .unwrap()
            .create_or_replace_temp_view("words")
            .unwrap();
        let counts =
            spark.sql("SELECT `value` AS word, COUNT(*) AS total FROM words GROUP BY `value`").unwrap();
        assert_eq!(counts.collect::<(String, i64)>().unwrap().len(), 17);
        times.push(since.elapsed());
    }
    let first = times[0];
    times.sort();
    println!("first {first:?}, then {:?} (median), {:?} (worst)", times[25], times[49]);
}
