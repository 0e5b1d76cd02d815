//! Statements about tables, views, databases and functions: what they do, and how they are refused.

use thalweg_table::environment::{Outcome, TableEnvironment};
use thalweg_table::functions::user::scalar_function;

/// The text that the last statement gives.
fn run(environment: &mut TableEnvironment, script: &str) -> String {
    let mut last = String::new();
    let each = |_: &mut TableEnvironment, _: &_, outcome| {
        if let Outcome::Text(text) = outcome {
            last = text;
        }
        Ok(())
    };
    environment.execute_script(script, each).unwrap_or_else(|error| panic!("{}", error.render(script)));
    last
}

fn error(environment: &mut TableEnvironment, script: &str) -> String {
    match environment.execute_script(script, |_, _, _| Ok(())) {
        Ok(()) => panic!("not refused: {script}"),
        Err(error) => error.to_string(),
    }
}

/// The cells of a table in a box, a line for each row.
fn cells(tableau: &str) -> Vec<String> {
    let lines = tableau.lines().filter(|line| line.starts_with('|')).skip(1);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",")).collect()
}

const ORDERS: &str = "CREATE TABLE orders (
    id BIGINT NOT NULL, item STRING COMMENT 'what it is', price DECIMAL(10, 2), total AS id * 2,
    ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED
  ) COMMENT 'all orders' PARTITIONED BY (item) WITH ('connector' = 'datagen', 'number-of-rows' = '3');";

#[test]
fn a_table_is_described_and_shown() {
    let mut environment = TableEnvironment::new();
    run(&mut environment, ORDERS);
    assert_eq!(
        cells(&run(&mut environment, "DESCRIBE orders")),
        [
            "id,BIGINT,FALSE,PRI(id),,",
            "item,STRING,TRUE,,,",
            "price,DECIMAL(10, 2),TRUE,,,",
            "total,BIGINT,FALSE,,AS id * 2,",
            "ts,TIMESTAMP(3),TRUE,,,ts - INTERVAL '5' SECOND",
        ]
    );
    let shown = run(&mut environment, "SHOW CREATE TABLE orders");
    let expected = "CREATE TABLE `default_catalog`.`default_database`.`orders` (
  `id` BIGINT NOT NULL,
  `item` STRING COMMENT 'what it is',
  `price` DECIMAL(10, 2),
  `total` AS id * 2,
  `ts` TIMESTAMP(3),
  WATERMARK FOR `ts` AS ts - INTERVAL '5' SECOND,
  PRIMARY KEY (`id`) NOT ENFORCED
)
COMMENT 'all orders'
PARTITIONED BY (`item`)
WITH (
  'connector' = 'datagen',
  'number-of-rows' = '3'
)";
    assert_eq!(shown, expected);
    // What is shown makes the same table.
    let again = shown.replace("`orders`", "`others`");
    run(&mut environment, &again);
    assert_eq!(run(&mut environment, "SHOW CREATE TABLE others").replace("others", "orders"), expected);
    assert_eq!(cells(&run(&mut environment, "SHOW TABLES")), ["orders", "others"]);
    assert_eq!(cells(&run(&mut environment, "SHOW TABLES LIKE '%der_'")), ["orders"]);
    assert_eq!(cells(&run(&mut environment, "SHOW TABLES NOT LIKE 'or%'")), ["others"]);
    assert_eq!(cells(&run(&mut environment, "SHOW COLUMNS FROM orders LIKE 'i%'")).len(), 2);
}

#[test]
fn a_table_is_like_another() {
    let mut environment = TableEnvironment::new();
    run(&mut environment, ORDERS);
    run(&mut environment, "CREATE TABLE a (note STRING) WITH ('number-of-rows' = '7') LIKE orders");
    let shown = run(&mut environment, "SHOW CREATE TABLE a");
    assert!(
        shown.contains("`total` AS") && shown.contains("`note` STRING") && shown.contains("'7'"),
        "{shown}"
    );
    assert!(shown.contains("PRIMARY KEY") && shown.contains("WATERMARK") && shown.contains("PARTITIONED BY"));
    run(
        &mut environment,
        "CREATE TABLE b (WATERMARK FOR ts AS ts) WITH ('connector' = 'print')
         LIKE orders (EXCLUDING ALL INCLUDING GENERATED OVERWRITING WATERMARKS EXCLUDING OPTIONS)",
    );
    let shown = run(&mut environment, "SHOW CREATE TABLE b");
    assert!(shown.contains("`total` AS") && shown.contains("WATERMARK FOR `ts` AS ts\n"), "{shown}");
    assert!(!shown.contains("PRIMARY KEY") && !shown.contains("PARTITIONED") && !shown.contains("number"));
    let twice = "CREATE TABLE c (WATERMARK FOR ts AS ts) LIKE orders";
    assert!(error(&mut environment, twice).contains("has a watermark already"));
    assert!(
        error(&mut environment, "CREATE TABLE c (id INT) LIKE orders").contains("has a column `id` already")
    );
    assert!(error(&mut environment, "CREATE TABLE c LIKE ordrs").contains("did you mean `orders`?"));
}

#[test]
fn a_table_is_altered() {
    let mut environment = TableEnvironment::new();
    run(&mut environment, ORDERS);
    run(
        &mut environment,
        "ALTER TABLE orders ADD (note STRING AFTER id, first INT FIRST);
         ALTER TABLE orders MODIFY note BIGINT;
         ALTER TABLE orders MODIFY WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE;
         ALTER TABLE orders RENAME note TO remark;
         ALTER TABLE orders DROP PRIMARY KEY;
         ALTER TABLE orders DROP (first);
         ALTER TABLE orders SET ('number-of-rows' = '9', 'rows-per-second' = '1');
         ALTER TABLE orders RESET ('rows-per-second');
         ALTER TABLE orders RENAME TO sales;
         ALTER TABLE IF EXISTS nothing RENAME TO something;",
    );
    assert_eq!(
        cells(&run(&mut environment, "DESCRIBE sales")),
        [
            "id,BIGINT,FALSE,,,",
            "remark,BIGINT,TRUE,,,",
            "item,STRING,TRUE,,,",
            "price,DECIMAL(10, 2),TRUE,,,",
            "total,BIGINT,FALSE,,AS id * 2,",
            "ts,TIMESTAMP(3),TRUE,,,ts - INTERVAL '1' MINUTE",
        ]
    );
    let shown = run(&mut environment, "SHOW CREATE TABLE sales");
    assert!(shown.contains("'number-of-rows' = '9'") && !shown.contains("per-second"), "{shown}");
    // What others need does not go.
    assert!(error(&mut environment, "ALTER TABLE sales DROP id").contains("id"));
    assert!(error(&mut environment, "ALTER TABLE sales ADD id INT").contains("a column `id` already"));
    assert!(error(&mut environment, "ALTER TABLE sales DROP nothing").contains("no column `nothing`"));
    assert_eq!(cells(&run(&mut environment, "DESCRIBE sales")).len(), 6);
}

#[test]
fn views_are_made_altered_and_dropped() {
    let mut environment = TableEnvironment::new();
    run(&mut environment, ORDERS);
    run(&mut environment, "CREATE VIEW v (a, b) COMMENT 'two' AS SELECT id, item FROM orders");
    assert_eq!(cells(&run(&mut environment, "DESCRIBE v")), ["a,BIGINT,FALSE,,,", "b,STRING,TRUE,,,"]);
    let shown = run(&mut environment, "SHOW CREATE VIEW v");
    assert!(
        shown.contains("(`a`, `b`)") && shown.contains("COMMENT 'two'") && shown.contains("AS SELECT id")
    );
    // A temporary one hides it until it is dropped.
    run(&mut environment, "CREATE TEMPORARY VIEW v AS SELECT 1 AS one");
    assert_eq!(cells(&run(&mut environment, "DESCRIBE v")), ["one,INT,FALSE,,,"]);
    run(&mut environment, "DROP TEMPORARY VIEW v");
    assert_eq!(cells(&run(&mut environment, "DESCRIBE v")).len(), 2);
    run(&mut environment, "ALTER VIEW v RENAME TO w; ALTER VIEW w AS SELECT id + 1, item FROM orders");
    assert_eq!(cells(&run(&mut environment, "SHOW VIEWS")), ["w"]);
    assert!(error(&mut environment, "DROP TABLE w").contains("DROP VIEW"));
    assert!(
        error(&mut environment, "CREATE VIEW x (a) AS SELECT 1, 2")
            .contains("gives 2 columns, and the view names 1")
    );
    assert!(error(&mut environment, "ALTER VIEW w AS SELECT nothing FROM orders").contains("nothing"));
    run(&mut environment, "DROP VIEW w; DROP VIEW IF EXISTS w");
    assert!(error(&mut environment, "DROP VIEW w").contains("there is no table `w`"));
}

#[test]
fn databases_keep_tables_apart() {
    let mut environment = TableEnvironment::new();
    run(
        &mut environment,
        "CREATE DATABASE shop; CREATE CATALOG other WITH ('type' = 'generic_in_memory'); USE shop;
         CREATE TABLE t (a INT) WITH ('connector' = 'print'); USE default_database;
         CREATE TABLE other.`default`.t (b INT) WITH ('connector' = 'print');",
    );
    assert_eq!(cells(&run(&mut environment, "SHOW DATABASES")), ["default_database", "shop"]);
    assert_eq!(cells(&run(&mut environment, "SHOW CATALOGS")), ["default_catalog", "other"]);
    assert_eq!(cells(&run(&mut environment, "SHOW TABLES FROM shop")), ["t"]);
    assert_eq!(cells(&run(&mut environment, "DESCRIBE default_catalog.shop.t")), ["a,INT,TRUE,,,"]);
    assert_eq!(cells(&run(&mut environment, "DESCRIBE other.`default`.t")), ["b,INT,TRUE,,,"]);
    assert!(environment.explain_sql("INSERT INTO shop.t SELECT b FROM (VALUES (1)) AS v (b)").is_ok());
    assert!(
        error(&mut environment, "CREATE TABLE nowhere.t (a INT) WITH ('connector' = 'print')")
            .contains("no database")
    );
    assert!(error(&mut environment, "DROP DATABASE shop").contains("is not empty"));
    assert!(error(&mut environment, "DROP DATABASE default_database").contains("cannot be dropped"));
    run(
        &mut environment,
        "DROP DATABASE shop CASCADE; DROP DATABASE IF EXISTS shop; USE CATALOG other; SHOW TABLES",
    );
    assert_eq!(cells(&run(&mut environment, "SHOW CURRENT CATALOG")), ["other"]);
    assert!(error(&mut environment, "CREATE CATALOG hive WITH ('type' = 'hive')").contains("`hive`"));
}

#[test]
fn hints_set_options() {
    let mut environment = TableEnvironment::new();
    run(&mut environment, "CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5')");
    run(
        &mut environment,
        "CREATE TABLE p (a INT) WITH ('connector' = 'print'); CREATE VIEW v AS SELECT * FROM t",
    );
    let wrong =
        |sql: &str| environment.explain_sql(sql).err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(wrong("SELECT t.a FROM t /*+ OPTIONS('number-of-rows'='3') */ WHERE t.a > 1"), "");
    assert_eq!(wrong("SELECT x.a FROM t /*+ OPTIONS('number-of-rows'='3') */ AS x JOIN t ON x.a = t.a"), "");
    assert_eq!(
        wrong("SELECT * FROM t /*+ OPTIONS('number-of-row'='3') */"),
        "`datagen` has no option `number-of-row` (did you mean `number-of-rows`?)"
    );
    assert!(
        wrong("INSERT INTO p /*+ OPTIONS('print-identifer'='x') */ SELECT 1").contains("`print-identifier`?")
    );
    assert!(
        wrong("SELECT * FROM v /*+ OPTIONS('number-of-rows'='3') */").contains("is a view"),
        "{}",
        wrong("SELECT * FROM v /*+ OPTIONS('x'='3') */")
    );
    assert_eq!(wrong("SELECT a /* OPTIONS */ FROM t -- + OPTIONS('x'='y')"), "");
}

#[test]
fn functions_have_other_names() {
    let mut environment = TableEnvironment::new();
    environment.create_scalar_function(scalar_function("twice", |n: i32| n * 2));
    run(&mut environment, "CREATE TEMPORARY SYSTEM FUNCTION double_it AS 'twice'");
    assert!(environment.explain_sql("SELECT double_it(2)").is_ok());
    assert!(
        error(&mut environment, "CREATE FUNCTION f AS 'com.example.F' LANGUAGE JAVA")
            .contains("register functions from Rust")
    );
    run(&mut environment, "DROP TEMPORARY FUNCTION double_it");
    assert!(environment.explain_sql("SELECT double_it(2)").is_err());
}

#[test]
fn a_table_is_made_of_a_query() {
    let mut environment = TableEnvironment::new();
    let script = "CREATE TABLE made WITH ('connector' = 'blackhole') AS SELECT 1 AS a, 'x' AS b";
    let mut jobs = 0;
    environment
        .execute_script(script, |_, _, outcome| {
            jobs += usize::from(matches!(outcome, Outcome::Job(_)));
            Ok(())
        })
        .unwrap();
    assert_eq!(jobs, 1);
    assert_eq!(cells(&run(&mut environment, "DESCRIBE made")), ["a,INT,FALSE,,,", "b,STRING,FALSE,,,"]);
}

#[test]
fn aggregates_of_patterns_are_of_one_value() {
    let mut environment = TableEnvironment::new();
    let table = "CREATE TABLE t (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'datagen')";
    environment.execute_script(table, |_, _, _| Ok(())).unwrap();
    for call in ["COUNT(DISTINCT A.k)", "LISTAGG(A.k, '-')", "COUNT(A.id) FILTER (WHERE A.id > 1)"] {
        let query = format!(
            "EXPLAIN SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES {call} AS c PATTERN (A+ B) DEFINE A AS A.id > 1, B AS B.id = 0) AS m"
        );
        assert!(error(&mut environment, &query).contains("without DISTINCT and FILTER"), "{call}");
    }
}
