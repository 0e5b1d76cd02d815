//! The examples that need no Kafka, run as a user runs them: against a server on a socket, or nothing at all.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// …/target/<profile>/deps/this-test -> …/target/<profile>/examples/
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    Command::new(program)
}

/// An example that reads from this server, as `nc -lk` is one, and has connected to it.
fn with_server(name: &str) -> (Running, TcpStream) {
    serving(name, &[], &[])
}

/// The same with arguments before those of the server, and behind them.
fn serving(name: &str, before: &[&str], behind: &[&str]) -> (Running, TcpStream) {
    serving_at(&TcpListener::bind("localhost:0").unwrap(), name, before, behind)
}

fn serving_at(server: &TcpListener, name: &str, before: &[&str], behind: &[&str]) -> (Running, TcpStream) {
    let port = server.local_addr().unwrap().port().to_string();
    let mut child = example(name);
    let child = child.args(before).args(["localhost", &port]).args(behind);
    let child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    (Running(child), server.accept().unwrap().0)
}

/// Ends with the test, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Reads what it prints until all of these lines have come.
    fn prints(&mut self, lines: &[&str]) {
        let mut missing: Vec<&str> = lines.to_vec();
        let mut printed = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        while !missing.is_empty() {
            let line = printed.next().unwrap_or_else(|| panic!("it ended without {missing:?}")).unwrap();
            missing.retain(|wanted| !line.contains(wanted));
        }
    }
}

#[test]
fn words_that_are_typed_are_counted() {
    let (mut example, mut nc) = with_server("network_word_count");
    nc.write_all(b"deep and fast and deep\n").unwrap();
    example.prints(&["deep", "and", "fast", "Time: "]);
}

#[cfg(feature = "sql")]
#[test]
fn words_that_are_typed_are_counted_in_sql() {
    let (mut example, mut nc) = with_server("sql_network_word_count");
    nc.write_all(b"deep and fast and deep\nand\n").unwrap();
    example.prints(&["=========", "|word|total|", "|deep|    2|", "| and|    3|", "|fast|    1|"]);
    // A batch without words is a table without rows.
    example.prints(&["|word|total|", "+----+-----+"]);
}

#[test]
fn words_are_counted_on_from_what_was_before() {
    let (mut example, mut nc) = with_server("stateful_network_word_count");
    nc.write_all(b"hello deep world hello\n").unwrap();
    example.prints(&["3"]);
}

#[test]
fn windows_fire_when_the_connection_ends() {
    let (mut example, mut nc) = with_server("socket_window_word_count");
    nc.write_all(b"deep and fast\nand deep").unwrap();
    drop(nc);
    example.prints(&["(deep, 2)", "(and, 2)", "(fast, 1)"]);
    assert!(example.0.wait().unwrap().success());
}

#[test]
fn top_speeds_are_those_of_the_last_ten_seconds() {
    let output = example("top_speed_windowing").output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().count() > 10, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("Car { id: ")), "{lines}");
}

#[test]
fn files_that_appear_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = example("hdfs_word_count");
    let [input, output, checkpoints] = ["in", "out", "checkpoints"].map(|name| folder.path().join(name));
    std::fs::create_dir(&input).unwrap();
    let child = child.args([&input, &output, &checkpoints]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(child.spawn().unwrap());
    // What is there when it starts is passed over; by its first batch it has started.
    running.prints(&["Time: "]);
    let hidden = input.join(".words");
    std::fs::write(&hidden, "deep and fast and deep\n").unwrap();
    std::fs::rename(&hidden, input.join("words")).unwrap();
    running.prints(&["(deep, 2)"]);
}

#[test]
fn each_batch_of_a_queue_is_counted_by_itself() {
    let lines = printed("queue_stream", true);
    for digit in 0..10 {
        let line = format!("({digit}, 100)");
        assert_eq!(lines.iter().filter(|found| **found == line).count(), 5, "{line}");
    }
}

#[test]
fn counts_go_on_from_a_checkpoint_and_unwanted_words_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (checkpoints, output) = (path("checkpoints"), path("counts.txt"));
    // One address in both rounds, as it is part of who the source is.
    let server = TcpListener::bind("localhost:0").unwrap();
    for (round, first) in ["Creating new context", "Recovering"].into_iter().enumerate() {
        let (mut example, mut nc) =
            serving_at(&server, "recoverable_network_word_count", &[], &[&checkpoints, &output]);
        nc.write_all(b"a deep b\n").unwrap();
        example.prints(&[first, "(deep, 1)", "Dropped 2 word(s) totally"]);
        // The next batch begins when the checkpoint of this one is complete.
        example.prints(&["Counts at time"]);
        drop(example);
        let counts = std::fs::read_to_string(&output).unwrap();
        assert_eq!(counts.matches("(deep, 1)").count(), round + 1, "{counts}");
    }
}

#[test]
fn a_receiver_of_ones_own_reads_lines() {
    let (mut example, mut nc) = with_server("custom_receiver");
    nc.write_all(b"deep and fast\nand deep\n").unwrap();
    example.prints(&["(deep, 2)", "(and, 2)", "(fast, 1)"]);
}

#[test]
fn blocks_with_a_word_are_counted() {
    let (mut example, mut nc) = serving("raw_network_grep", &["1"], &["200"]);
    for block in ["all the words", "no such", "the end"] {
        nc.write_all(&(block.len() as u32).to_be_bytes()).unwrap();
        nc.write_all(block.as_bytes()).unwrap();
    }
    nc.flush().unwrap();
    // They may come in two batches.
    let mut sum = 0;
    let mut lines = BufReader::new(example.0.stdout.as_mut().unwrap()).lines();
    while sum < 2 {
        let line = lines.next().unwrap().unwrap();
        sum += line.strip_prefix("Grep count: ").unwrap().parse::<u32>().unwrap();
    }
}

#[test]
fn page_views_of_the_generator_say_where_errors_are() {
    let mut generator = example("page_view_generator");
    let generator = generator.args(["0", "2000"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut generator = Running(generator);
    let mut line = String::new();
    BufReader::new(generator.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().strip_prefix("Listening on port: ").unwrap().to_owned();
    let run = |metric: &str| {
        let mut child = example("page_view_stream");
        let child = child.args([metric, "localhost", &port]).stdout(Stdio::piped()).stderr(Stdio::null());
        Running(child.spawn().unwrap())
    };
    // One zip code in ten views fails one in five, the other one in fifty.
    run("errorRatePerZipCode").prints(&["94117: **0."]);
    run("pageCounts").prints(&["(http://foo.com/, ", "(http://foo.com/news, "]);
    run("popularUsersSeen").prints(&["Saw user Ada at time 1"]);
}

/// What an example prints that ends by itself, line by line, in their order or sorted.
fn printed(name: &str, sorted: bool) -> Vec<String> {
    let output = example(name).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    if sorted {
        lines.sort();
    }
    lines
}

#[test]
fn answers_come_in_the_order_of_the_questions_and_twenty_at_a_time() {
    let started = std::time::Instant::now();
    let answers: Vec<String> = (0..400).map(|key| format!("key{}: {key}", key % 10)).collect();
    assert_eq!(printed("async_io", false), answers);
    // One after another it would be eight seconds.
    assert!(started.elapsed() < std::time::Duration::from_secs(6), "{:?}", started.elapsed());
}

#[test]
fn the_exercises_of_flinks_training_give_what_their_tests_want() {
    assert_eq!(printed("ride_cleansing", false), ["1"]);
    let joined: Vec<String> = (1..=3)
        .map(|id| {
            format!("(TaxiRide {{ id: {id}, passengers: {id} }}, TaxiFare {{ ride: {id}, total: {id}0.0 }})")
        })
        .collect();
    assert_eq!(printed("rides_and_fares", true), joined);
    assert_eq!(printed("hourly_tips", true), ["(3600000, 1, 6.0)", "(7200000, 2, 7.5)"]);
    assert_eq!(printed("long_rides", true), ["2", "3"]);
}

/// The counts of a text, as they grow, or at its end.
fn word_counts(running: bool) -> Vec<String> {
    let text = include_str!("../../../examples/flink/word_count.rs");
    let (_, text) = text.split_once("&str; 6] = [").unwrap();
    let (text, _) = text.split_once("];").unwrap();
    let mut counts: std::collections::BTreeMap<String, u32> = Default::default();
    let mut lines = Vec::new();
    let lower = text.to_lowercase();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let count = counts.entry(word.to_owned()).or_insert(0);
        *count += 1;
        lines.push(format!("({word}, {count})"));
    }
    let mut lines =
        if running { lines } else { counts.iter().map(|(word, n)| format!("({word}, {n})")).collect() };
    lines.sort();
    lines
}

#[test]
fn words_are_counted_as_they_come_or_once_in_batch_mode() {
    assert_eq!(printed("word_count", true), word_counts(true));
    let output = example("word_count").arg("--batch").output().unwrap();
    let mut lines: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, word_counts(false));
}

#[test]
fn flinks_examples_give_what_flink_gives() {
    let sessions = ["(a, 1, 1)", "(a, 10, 1)", "(b, 1, 3)", "(c, 11, 1)", "(c, 6, 1)"];
    assert_eq!(printed("session_windowing", true), sessions);
    let words =
        ["(and, 1)", "(and, 2)", "(deep, 1)", "(deep, 2)", "rejected> fortune", "rejected> outrageous"];
    assert_eq!(printed("side_output", true), words);
    let pairs = [
        "blue: rectangle - triangle, by corners",
        "blue: rectangle - triangle, by corners",
        "red: circle - circle, by round",
        "red: circle - circle, by round",
    ];
    assert_eq!(printed("broadcast_state", true), pairs);
}

#[test]
fn grades_and_salaries_meet_in_their_windows() {
    const NAMES: [&str; 4] = ["tom", "jerry", "alice", "bob"];
    let mut expected = Vec::new();
    for (grade, salary) in (0..50_i64).flat_map(|grade| (0..20_i64).map(move |salary| (grade, salary))) {
        let (name, other) = (NAMES[grade as usize % 4], NAMES[salary as usize * 3 % 4]);
        if name == other && grade * 100 / 2_000 == salary * 250 / 2_000 {
            expected.push(format!("({name}, {}, {})", grade % 5 + 1, 1_000 + salary * 100));
        }
    }
    expected.sort();
    assert_eq!(printed("window_join", true), expected);
}

#[test]
fn events_that_the_protocol_does_not_allow_are_told() {
    let alerts = printed("state_machine", true);
    assert!(alerts.iter().all(|alert| alert.starts_with("ALERT: 192.168.0.77: ")), "{}", alerts[0]);
    assert!(alerts.iter().any(|alert| alert.contains("-(Done)-> InvalidTransition")), "{alerts:?}");
    assert!(alerts.len() >= 50, "{}", alerts.len());
}

#[test]
fn stolen_cards_are_found_each_time_that_they_are_emptied() {
    let alerts = printed("card_fraud", true);
    let stolen = (0..20_000).filter(|second| second * 37 % 100 % 10 == 0 && second % 7 == 0).count();
    assert_eq!(alerts.len(), stolen);
    assert!(
        alerts.iter().all(|alert| alert.starts_with("alert> (") && alert.contains("0, 3, 90000, ")),
        "{}",
        alerts[0]
    );
}

#[test]
fn machines_that_get_hot_or_fall_silent_are_told_once() {
    let alerts = printed("monitoring", true);
    // The reading of second 100 is 700 ms early; what wavers between both thresholds is one alert.
    let hot = 100 * 1_000 - 700;
    assert!(alerts.contains(&format!("Hot {{ machine: 3, since: {hot} }}")), "{alerts:?}");
    let of_3 = alerts.iter().filter(|alert| alert.contains("machine: 3")).count();
    assert_eq!(of_3, 2, "hot, and cooled down: {alerts:?}");
    // The last before it was away was the reading of second 199.
    let last = 199 * 1_000 - 700;
    assert!(alerts.contains(&format!("Missing {{ machine: 7, since: {last} }}")), "{alerts:?}");
    assert_eq!(alerts.iter().filter(|alert| alert.contains("machine: 7")).count(), 2, "{alerts:?}");
    assert_eq!(alerts.len(), 4, "{alerts:?}");
}

#[test]
fn a_log_is_looked_at_by_batches_and_by_event_time_in_one_job() {
    let lines = printed("log_analytics", true);
    let broken = (0..5_000_i64).filter(|n| n % 7 == 5 && (120_000..180_000).contains(&(n * 60))).count();
    let all = (2_000..3_000).filter(|n| n % 7 == 5).count();
    let errors: Vec<&String> = lines.iter().filter(|line| line.starts_with("errors: ")).collect();
    assert_eq!(errors, [&format!("errors: /checkout {broken} of {all}")]);
    // Each of ten visitors at a time clicks ten times.
    assert!(lines.contains(&"visits of so many hits> (10, 500)".to_owned()), "{lines:?}");
    for minute in 0..5_i64 {
        let count = |rests: &[i64]| {
            (minute * 1_000..(minute + 1) * 1_000).filter(|n| rests.contains(&(n % 7))).count()
        };
        let top = format!(
            "top pages of minute> ({minute}, [(/, {}), (/news, {})])",
            count(&[0, 2, 4]),
            count(&[1, 6])
        );
        assert!(lines.contains(&top), "{top} is not in {lines:?}");
    }
}

#[test]
fn what_goes_with_bread_changes_with_the_baskets() {
    let lines = printed("co_occurrence", false);
    let of = |batch: usize, item: &str| {
        let begin = format!("batch {batch}: {item} goes with ");
        lines.iter().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("no {begin}")).clone()
    };
    // The weight of 20 baskets a batch, each batch before counting for a little less: 20 × (1 + d + d² …).
    let decay = 0.5_f64.powf(0.25);
    let sum = |batches: i32| 20.0 * (1.0 - decay.powi(batches)) / (1.0 - decay);
    assert!(of(25, "bread").contains(&format!("butter {:.1}, milk", sum(25))), "{}", of(25, "bread"));
    assert!(of(50, "bread").starts_with("batch 50: bread goes with jam "), "{}", of(50, "bread"));
    assert!(of(50, "tea").contains("milk ") && of(50, "tea").contains("sugar "), "{}", of(50, "tea"));
}

#[test]
fn orders_are_converted_and_meet_their_payments() {
    let mut expected = Vec::new();
    for id in (0..300_i64).filter(|id| id % 3 != 2 && id % 10 != 0) {
        let rate = [1_000, 900, 1_150][id as usize % 3];
        expected
            .push(format!("paid (order, cents, after minutes)> ({id}, {}, 10)", (1_000 + id) * rate / 1_000));
    }
    expected.sort();
    assert_eq!(printed("enrichment", true), expected);
}
