//! The Table API: each method against the rows that are expected of it.

use serde::{Deserialize, Serialize};
use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_dataflow::source::CollectionSource;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_table::api::{
    Over, Schema, Session, Slide, Table, TableDescriptor, TableSession, Tumble, UNBOUNDED_ROW, call, col, lit,
};
use thalweg_table::error::SqlError;
use thalweg_table::row_kind::RowKind;
use thalweg_table::table_functions::table_function;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: i64,
    item: String,
    price: Option<f64>,
}

fn session() -> TableSession {
    TableSession::new(Job::new(JobConfig { parallelism: 2, ..JobConfig::new("api") }))
}

/// The rows that are there in the end, in order.
fn rows(table: &Table) -> Vec<String> {
    let mut there: Vec<String> = Vec::new();
    for change in table.execute().unwrap().collect().unwrap() {
        let row = change.values().join(", ");
        match change.kind {
            RowKind::Insert | RowKind::UpdateAfter => there.push(row),
            _ => drop(there.remove(there.iter().position(|known| *known == row).unwrap())),
        }
    }
    there.sort();
    there
}

fn orders(session: &TableSession) -> Table {
    session.from_values(&["id", "item", "n"], "(1, 'pen', 10), (2, 'ink', 20), (3, 'pen', 30)").unwrap()
}

#[test]
fn rows_are_selected_filtered_and_grouped() -> Result<(), SqlError> {
    let orders = orders(&session());
    assert_eq!(rows(&orders.select("id, n + 1 AS m")?), ["1, 11", "2, 21", "3, 31"]);
    assert_eq!(
        rows(&orders.select((col("id"), (col("n") * lit(2)).alias("m")))?),
        ["1, 20", "2, 40", "3, 60"]
    );
    assert_eq!(rows(&orders.filter(col("n").gt(lit(10)).and(col("item").eq(lit("pen"))))?), ["3, pen, 30"]);
    assert_eq!(rows(&orders.where_("n < 15 OR id = 2")?).len(), 2);
    let counts = orders.group_by("item")?.select("item, count() as cnt")?;
    assert_eq!(rows(&counts), ["ink, 1", "pen, 2"]);
    assert_eq!(rows(&counts.filter(col("cnt").ge(lit(2)))?), ["pen, 2"]);
    let sums = orders.group_by(col("item"))?.select([
        col("item"),
        col("n").sum().alias("s"),
        col("n").max().alias("m"),
    ])?;
    assert_eq!(rows(&sums), ["ink, 20, 20", "pen, 40, 30"]);
    assert_eq!(rows(&orders.select(col("id").count())?), ["3"]);
    assert_eq!(rows(&orders.select("item")?.distinct()?), ["ink", "pen"]);
    assert_eq!(
        rows(&orders.select([col("n").gt(lit(15)).then(lit("dear"), lit("cheap")).alias("p")])?.distinct()?),
        ["cheap", "dear"]
    );
    Ok(())
}

#[test]
fn columns_are_added_renamed_and_dropped() -> Result<(), SqlError> {
    let orders = orders(&session());
    let names = |table: &Table| {
        table.schema().unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(",")
    };
    let added = orders.add_columns((col("n") + lit(1)).alias("m"))?;
    assert_eq!(names(&added), "id,item,n,m");
    assert_eq!(names(&added.drop_columns(&["n", "item"])?), "id,m");
    assert_eq!(names(&orders.rename_columns(&[("n", "count of")])?), "id,item,count of");
    assert_eq!(names(&orders.as_(&["a", "b", "c"])?), "a,b,c");
    let replaced = orders.add_or_replace_columns("n * 2 AS n, 'x' AS y")?;
    assert_eq!((names(&replaced), rows(&replaced)[0].as_str()), ("id,item,n,y".to_owned(), "1, pen, 20, x"));
    let error = |result: Result<Table, SqlError>| result.unwrap_err().to_string();
    assert!(error(orders.add_columns("1 AS n")).contains("there is a column `n` already"));
    assert!(error(orders.drop_columns(&["itm"])).contains("did you mean `item`?"));
    assert!(error(orders.select("itm")).contains("itm"));
    assert!(error(orders.filter("item +")).contains("expected"));
    Ok(())
}

#[test]
fn tables_are_joined_and_put_together() -> Result<(), SqlError> {
    let session = session();
    let orders = orders(&session);
    let items = session.from_values(&["name", "weight"], "('pen', 5), ('cup', 9)")?;
    let joined = orders.join(&items)?.where_("item = name")?.select("id, weight")?;
    assert_eq!(rows(&joined), ["1, 5", "3, 5"]);
    assert_eq!(
        rows(&orders.join_on(&items, col("item").eq(col("name")))?.select("id, weight")?),
        ["1, 5", "3, 5"]
    );
    let on = || col("item").eq(col("name"));
    assert_eq!(
        rows(&orders.left_outer_join(&items, on())?.select("id, weight")?),
        ["1, 5", "2, null", "3, 5"]
    );
    assert_eq!(
        rows(&orders.right_outer_join(&items, on())?.select("id, name")?),
        ["1, pen", "3, pen", "null, cup"]
    );
    assert_eq!(rows(&orders.full_outer_join(&items, on())?).len(), 4);
    assert!(orders.join(&orders).unwrap_err().to_string().contains("rename_columns"));
    let (a, b) = (orders.select("item")?, items.select("name AS item")?);
    assert_eq!(rows(&a.union_all(&b)?), ["cup", "ink", "pen", "pen", "pen"]);
    assert_eq!(rows(&a.union(&b)?), ["cup", "ink", "pen"]);
    assert_eq!(rows(&a.intersect(&b)?), ["pen"]);
    assert_eq!(rows(&a.minus(&b)?), ["ink"]);
    assert_eq!(rows(&orders.order_by(col("n").desc())?.fetch(2)?.select("id")?), ["2", "3"]);
    assert_eq!(rows(&orders.order_by("n")?.offset(1)?.fetch(1)?.select("id")?), ["2"]);
    session.with(|tables| {
        let split = |text: String| text.chars().map(|letter| letter.to_string()).collect::<Vec<_>>();
        tables.create_table_function("letters", table_function(&[], split));
    });
    let letters = orders.filter("id = 2")?.join_lateral(call("letters", [col("item")]), &["letter"])?;
    assert_eq!(rows(&letters.select("letter")?), ["i", "k", "n"]);
    Ok(())
}

#[test]
fn names_are_shared_with_sql() -> Result<(), SqlError> {
    let session = session();
    session.create_temporary_view("pens", &orders(&session).filter("item = 'pen'")?)?;
    assert_eq!(rows(&session.sql_query("SELECT SUM(n) FROM pens")?), ["40"]);
    assert_eq!(rows(&session.from_path("pens")?.select("id")?), ["1", "3"]);
    let made = TableDescriptor::for_connector("datagen")
        .schema(Schema::new_builder().column("n", "INT").column_by_expression("m", "n + 1").build())
        .option("number-of-rows", "3")
        .option("fields.n.kind", "sequence")
        .option("fields.n.start", "5")
        .option("fields.n.end", "7")
        .build();
    session.create_temporary_table("made", &made)?;
    assert_eq!(rows(&session.from_path("made")?), ["5, 6", "6, 7", "7, 8"]);
    let folder = tempfile::tempdir().unwrap();
    let files = TableDescriptor::for_connector("filesystem")
        .schema(Schema::new_builder().column("n", "INT").build())
        .option("path", folder.path().to_str().unwrap())
        .format("csv")
        .build();
    session.create_temporary_table("files", &files)?;
    session.from_path("made")?.select("m AS n")?.execute_insert("files")?.wait().unwrap();
    assert_eq!(rows(&session.from_path("files")?), ["6", "7", "8"]);
    assert!(session.from_path("made")?.execute_insert("nowhere").is_err());
    Ok(())
}

fn stream<T: Clone + Send + Sync + 'static>(
    session: &TableSession,
    items: Vec<(T, i64)>,
) -> thalweg_dataflow::graph::Stream<T> {
    let timed =
        WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|(_, at): &(T, i64), _| *at);
    session
        .job()
        .graph()
        .source("items", CollectionSource::new(items), timed)
        .map("value", |(value, _)| value)
}

#[test]
fn streams_are_tables_and_tables_are_streams() -> Result<(), SqlError> {
    let session = session();
    let order = |id, item: &str, price| Order { id, item: item.to_owned(), price };
    let orders =
        vec![(order(1, "pen", Some(1.5)), 0), (order(2, "ink", None), 1), (order(3, "pen", Some(2.0)), 2)];
    let table = session.from_stream(&stream(&session, orders.clone()), None)?;
    let (sender, received) = std::sync::mpsc::channel();
    let dear = session.to_stream::<Order>(&table.filter("price IS NULL OR price > 1.6")?)?;
    dear.map("send", move |order| sender.send(order));
    let counts = table.group_by("item")?.select("item, count() AS n")?;
    let (sender, changes) = std::sync::mpsc::channel();
    session.to_changelog::<(String, i64)>(&counts)?.map("send", move |change| sender.send(change));
    assert!(
        session
            .to_stream::<(String, i64)>(&counts)
            .err()
            .unwrap()
            .to_string()
            .contains("to_changelog_stream")
    );
    assert!(session.to_stream::<i64>(&table).err().unwrap().to_string().contains("has 3 columns"));
    session.job().run().unwrap();
    let mut dear: Vec<Order> = received.try_iter().collect();
    dear.sort_by_key(|order| order.id);
    assert_eq!(dear, [orders[1].0.clone(), orders[2].0.clone()]);
    let mut totals = std::collections::BTreeMap::new();
    for (kind, (item, n)) in changes.try_iter() {
        match kind {
            RowKind::Insert | RowKind::UpdateAfter => drop(totals.insert(item, n)),
            _ => assert_eq!(totals.remove(&item), Some(n)),
        }
    }
    assert_eq!(totals.into_iter().collect::<Vec<_>>(), [("ink".to_owned(), 1), ("pen".to_owned(), 2)]);
    Ok(())
}

#[test]
fn changes_come_in_and_windows_go_by_the_time_of_records() -> Result<(), SqlError> {
    let tables = session();
    let changes = vec![
        (RowKind::Insert, ("a".to_owned(), 1)),
        (RowKind::Delete, ("a".to_owned(), 1)),
        (RowKind::Insert, ("b".to_owned(), 5)),
    ];
    let changes: Vec<_> = changes.into_iter().map(|change| (change, 0)).collect();
    let table = tables.from_changelog(&stream(&tables, changes), None)?;
    assert_eq!(rows(&table.select("COUNT(*) AS c, SUM(f1) AS s")?), ["1, 5"]);

    let readings: Vec<((String, i32), i64)> =
        (0..10).map(|n| (("k".to_owned(), n), i64::from(n) * 1000)).collect();
    let schema = Schema::new_builder()
        .column("k", "STRING")
        .column("n", "INT")
        .column_by_metadata("rowtime", "TIMESTAMP_LTZ(3)")
        .watermark("rowtime", "SOURCE_WATERMARK()")
        .build();
    let windowed = |made: &dyn Fn(&Table) -> Table| {
        let session = session();
        let table = session.from_stream(&stream(&session, readings.clone()), Some(&schema)).unwrap();
        rows(&made(&table))
    };
    let tumbling = windowed(&|table| {
        let windows = table.window(Tumble::over(lit(4).seconds()).on(col("rowtime")).alias("w"));
        windows.group_by("k, w").unwrap().select("k, w.start, w.end, SUM(n) AS s").unwrap()
    });
    assert_eq!(
        tumbling,
        [
            "k, 1970-01-01T00:00, 1970-01-01T00:00:04, 6",
            "k, 1970-01-01T00:00:04, 1970-01-01T00:00:08, 22",
            "k, 1970-01-01T00:00:08, 1970-01-01T00:00:12, 17"
        ]
    );
    let sliding = windowed(&|table| {
        let windows =
            table.window(Slide::over(lit(4).seconds()).every(lit(2).seconds()).on("rowtime").alias("w"));
        windows.group_by(col("w")).unwrap().select((col("w").start(), col("n").count().alias("c"))).unwrap()
    });
    assert_eq!(sliding.len(), 6);
    let session_windows = windowed(&|table| {
        let late = table.filter("n <> 5").unwrap();
        let windows = late.window(Session::with_gap(lit(1500).millis()).on("rowtime").alias("w"));
        windows.group_by("w, k").unwrap().select("k, COUNT(*) AS c").unwrap()
    });
    assert_eq!(session_windows, ["k, 4", "k, 5"]);
    let running = windowed(&|table| {
        let over = table
            .over_window(Over::partition_by("k").order_by("rowtime").preceding(UNBOUNDED_ROW).alias("w"));
        over.select((col("n"), col("n").sum().over("w").alias("s"))).unwrap().filter("n = 9").unwrap()
    });
    assert_eq!(running, ["9, 45"]);
    Ok(())
}
