//! The page of functions is true: what it says is here can be planned, what it says is not cannot, and what is here is on it.

use thalweg_dataflow::runtime::{Job, JobConfig};
use thalweg_table::environment::TableEnvironment;

const PAGE: &str = include_str!("../../FUNCTIONS.md");

/// The rows of all tables of the page: what it is, whether it is here, an example.
fn rows() -> Vec<(String, bool, String)> {
    let lines = PAGE.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let cells = |line: &str| {
        let cells: Vec<String> =
            line.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
        (cells[1].clone(), cells[2].clone(), cells[3].trim_matches('`').to_owned())
    };
    let rows = lines.map(cells).filter(|(_, here, _)| here != "here");
    rows.map(|(what, here, example)| match here.as_str() {
        "yes" => (what, true, example),
        "no" => (what, false, example),
        _ => panic!("neither yes nor no: {what}"),
    })
    .collect()
}

#[test]
fn the_page_is_true() {
    let environment = TableEnvironment::new();
    for (what, is_here, example) in rows() {
        let group = if example.starts_with("GROUPING") { " GROUP BY a" } else { "" };
        let query = format!("SELECT {example} AS x FROM (VALUES (1)) AS t(a){group}");
        let planned = environment.stream(&query, &Job::new(JobConfig::new("page")));
        match planned {
            Ok(_) => assert!(is_here, "{what} is here, and the page says no"),
            Err(error) => assert!(!is_here, "{what}: {}", error.render(&query)),
        }
    }
}

#[test]
fn the_page_is_complete() {
    let words: std::collections::HashSet<&str> =
        PAGE.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let mut names = thalweg_table::functions::scalar_names();
    names.extend(thalweg_table::aggregates::aggregate_names().map(str::to_owned));
    names.extend(thalweg_table::window_functions::window_function_names().map(str::to_owned));
    let missing: Vec<String> =
        names.into_iter().filter(|name| !name.starts_with('$') && !words.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

/// What is shown of a statement that is wrong.
fn shown(query: &str) -> String {
    let mut environment = TableEnvironment::new();
    let table = "CREATE TABLE orders (id INT, price DECIMAL(10, 2), `when` TIMESTAMP(3)) WITH ('connector' = 'datagen')";
    environment.execute_script(table, |_, _, _| Ok(())).unwrap();
    let script = format!("{query};");
    let statements = thalweg_table::parser::parse_script(&script).unwrap();
    match environment.execute(&statements[0]) {
        Err(error) => error.render(&script),
        Ok(thalweg_table::environment::Outcome::Query(of)) => match environment.show(&of) {
            Err(error) => error.render(&script),
            Ok(_) => "nothing is wrong".to_owned(),
        },
        Ok(_) => "nothing is wrong".to_owned(),
    }
}

#[test]
fn the_part_at_fault_is_underlined() {
    assert_eq!(
        shown("SELECT id,\n  prize * 2\nFROM orders"),
        "there is no column `prize`\n  --> line 2, column 3\n2 |   prize * 2\n  |   ^^^^^\n  = did you mean `price`?"
    );
    assert_eq!(
        shown("SELECT id\nFROM ordrs"),
        "there is no table `ordrs`\n  --> line 2, column 6\n2 | FROM ordrs;\n  |      ^^^^^\n  = did you mean `orders`?"
    );
    assert_eq!(
        shown("SELECT SUBSTRNG('a', 1) FROM orders"),
        "there is no function `SUBSTRNG`\n  --> line 1, column 8\n1 | SELECT SUBSTRNG('a', 1) FROM orders;\n  |        ^^^^^^^^\n  = did you mean `SUBSTRING`?"
    );
    let window = shown("SELECT * FROM TABLE(TUMBLE(TABLE ordrs, DESCRIPTOR(`when`), INTERVAL '1' DAY))");
    assert!(window.contains("--> line 1, column 34"), "{window}");
    let arguments = shown("SELECT 1 + LPAD('a') FROM orders");
    assert!(arguments.starts_with("LPAD does not take 1 arguments\n  --> line 1, column 12"), "{arguments}");
}
