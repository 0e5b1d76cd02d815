//! The queries of Nexmark over its generator: each gives the same at any parallelism, and many what a naive program in Rust gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use thalweg_dataflow::runtime::JobConfig;
use thalweg_table::environment::{Outcome, TableEnvironment};
use thalweg_table::functions::user::scalar_function;

use crate::queries::{self, QUERIES};

const EVENTS: usize = 10_000;

fn environment(folder: &Path) -> TableEnvironment {
    let side: String = (0..10_000).map(|n| format!("{n},name {n}\n")).collect();
    std::fs::write(folder.join("side.csv"), side).unwrap();
    let mut environment = TableEnvironment::new();
    environment.create_scalar_function(scalar_function("count_char", |(text, letter): (String, String)| {
        text.matches(&letter).count() as i64
    }));
    let events = format!("'events.num' = '{EVENTS}', 'first-event.rate' = '250', 'next-event.rate' = '250'");
    let setup = format!(
        "{}
         {}
         CREATE TABLE q10 (auction BIGINT, price BIGINT, dt STRING, hm STRING) PARTITIONED BY (dt, hm) WITH (
           'connector' = 'filesystem', 'path' = 'file://{}/q10', 'format' = 'csv',
           'sink.partition-commit.trigger' = 'partition-time', 'sink.partition-commit.delay' = '1 min',
           'sink.partition-commit.policy.kind' = 'success-file',
           'partition.time-extractor.timestamp-pattern' = '$dt $hm:00',
           'sink.rolling-policy.rollover-interval' = '1min', 'sink.rolling-policy.check-interval' = '1min');",
        queries::tables(&events),
        queries::side(folder),
        folder.display()
    );
    environment
        .execute_script(&setup, |_, _, _| Ok(()))
        .unwrap_or_else(|error| panic!("{}", error.render(&setup)));
    environment
}

/// The rows that are there in the end, in order.
fn rows(environment: &TableEnvironment, query: &str, parallelism: usize) -> Vec<Vec<String>> {
    let config = JobConfig { parallelism, ..JobConfig::new("query") };
    let result = environment.execute_query(query, config);
    let result = result.unwrap_or_else(|error| panic!("{}", error.render(query)));
    let mut table: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for change in result.collect().unwrap() {
        let sign = if matches!(change.kind.to_string().as_str(), "+I" | "+U") { 1 } else { -1 };
        *table.entry(change.values()).or_default() += sign;
    }
    assert!(table.values().all(|count| *count >= 0), "something was taken back that was not there");
    table.into_iter().flat_map(|(row, count)| vec![row; count as usize]).collect()
}

fn int(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// Milliseconds since the epoch.
fn time(text: &str) -> i64 {
    let (date, clock) = text.split_once('T').unwrap();
    let text = if clock.len() == 5 { format!("{date}T{clock}:00") } else { text.to_owned() };
    let days: Vec<i64> = date.split('-').map(int).collect();
    // All of them are of July 2015.
    assert_eq!(&days[..2], [2015, 7]);
    let clock = text.split_once('T').unwrap().1;
    let (clock, millis) = clock.split_once('.').unwrap_or((clock, "0"));
    let parts: Vec<i64> = clock.split(':').map(int).collect();
    let millis = int(&format!("{millis:0<3}"));
    (((days[2] * 24 + parts[0]) * 60 + parts[1]) * 60 + parts[2]) * 1000 + millis
}

/// What a naive program makes of all events.
fn oracle(environment: &TableEnvironment) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let bids = rows(environment, "SELECT auction, bidder, price, dateTime, channel, extra FROM bid", 1);
    let auctions =
        rows(environment, "SELECT id, itemName, expires, seller, category, dateTime FROM auction", 1);
    let people = rows(environment, "SELECT id, name, city, state, dateTime FROM person", 1);
    assert_eq!(bids.len() + auctions.len() + people.len(), EVENTS);
    assert_eq!((people.len(), auctions.len()), (EVENTS / 50, EVENTS * 3 / 50));
    let mut out: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    for bid in bids.iter().filter(|bid| int(&bid[0]) % 123 == 0) {
        out.entry("q2").or_default().push(texts(&[&bid[0], &bid[2]]));
    }
    for auction in auctions.iter().filter(|auction| auction[4] == "10") {
        for person in people.iter().filter(|person| person[0] == auction[3]) {
            if matches!(person[3].as_str(), "OR" | "ID" | "CA") {
                out.entry("q3").or_default().push(texts(&[&person[1], &person[2], &person[3], &auction[0]]));
            }
        }
    }
    // The bids of each auction while it was open.
    let by_id: BTreeMap<&str, &Vec<String>> =
        auctions.iter().map(|auction| (auction[0].as_str(), auction)).collect();
    let mut open: BTreeMap<&str, Vec<&Vec<String>>> = BTreeMap::new();
    for bid in &bids {
        let Some(auction) = by_id.get(bid[0].as_str()) else { continue };
        if (time(&auction[5])..=time(&auction[2])).contains(&time(&bid[3])) {
            open.entry(&bid[0]).or_default().push(bid);
        }
        if auction[4] == "10" {
            out.entry("q20").or_default().push(texts(&[&bid[0], &bid[1], &bid[2], &auction[1], &auction[3]]));
        }
    }
    let mut finals: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (id, of) in &open {
        let best = of.iter().max_by_key(|bid| (int(&bid[2]), -time(&bid[3]))).unwrap();
        let auction = by_id[id];
        finals.entry(&auction[4]).or_default().push(int(&best[2]));
        out.entry("q9").or_default().push(texts(&[
            id,
            &auction[1],
            &auction[3],
            &best[1],
            &best[2],
            &best[3],
        ]));
    }
    for (category, prices) in finals {
        let average = prices.iter().sum::<i64>() / prices.len() as i64;
        out.entry("q4").or_default().push(texts(&[category, &average.to_string()]));
    }
    // Windows of ten seconds, every two.
    let mut windows: BTreeMap<i64, BTreeMap<&str, i64>> = BTreeMap::new();
    let mut highest: BTreeMap<i64, i64> = BTreeMap::new();
    for bid in &bids {
        let at = time(&bid[3]);
        for window in 0..5 {
            *windows.entry(at / 2000 - window).or_default().entry(&bid[0]).or_default() += 1;
        }
        let highest = highest.entry(at / 10_000).or_default();
        *highest = (*highest).max(int(&bid[2]));
    }
    for counts in windows.values() {
        let most = counts.values().max().unwrap();
        for (auction, count) in counts.iter().filter(|(_, count)| *count == most) {
            out.entry("q5").or_default().push(texts(&[auction, &count.to_string()]));
        }
    }
    for bid in &bids {
        let at = time(&bid[3]);
        for (window, price) in &highest {
            if int(&bid[2]) == *price && (window * 10_000..=(window + 1) * 10_000).contains(&at) {
                out.entry("q7").or_default().push(texts(&[&bid[0], &bid[2], &bid[1], &bid[3]]));
            }
        }
    }
    let sellers: BTreeSet<(&str, i64)> =
        auctions.iter().map(|auction| (auction[3].as_str(), time(&auction[5]) / 10_000)).collect();
    let joined: Vec<&Vec<String>> = people
        .iter()
        .filter(|person| sellers.contains(&(person[0].as_str(), time(&person[4]) / 10_000)))
        .collect();
    out.insert("q8", joined.iter().map(|person| texts(&[&person[0], &person[1]])).collect());
    // Sessions end ten seconds after their last bid.
    let mut times: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    bids.iter().for_each(|bid| times.entry(&bid[1]).or_default().push(time(&bid[3])));
    for (bidder, mut of) in times {
        of.sort_unstable();
        let mut count = 0;
        for (index, at) in of.iter().enumerate() {
            count += 1;
            if of.get(index + 1).is_none_or(|next| next - at >= 10_000) {
                out.entry("q11").or_default().push(texts(&[bidder, &count.to_string()]));
                count = 0;
            }
        }
    }
    let mut of_auctions: BTreeMap<&str, Vec<&Vec<String>>> = BTreeMap::new();
    bids.iter().for_each(|bid| of_auctions.entry(&bid[0]).or_default().push(bid));
    for (auction, of) in &of_auctions {
        let prices: Vec<i64> = of.iter().map(|bid| int(&bid[2])).collect();
        let (sum, count) = (prices.iter().sum::<i64>(), prices.len() as i64);
        let numbers = [count, *prices.iter().min().unwrap(), *prices.iter().max().unwrap(), sum / count, sum];
        let mut row = texts(&[auction, "2015-07-15"]);
        row.extend(numbers.map(|number| number.to_string()));
        out.entry("q17").or_default().push(row);
        let mut sorted = of.clone();
        sorted.sort_by_key(|bid| std::cmp::Reverse(int(&bid[2])));
        for (n, bid) in sorted.iter().take(10).enumerate() {
            out.entry("q19").or_default().push(texts(&[auction, &bid[2], &(n + 1).to_string()]));
        }
    }
    let mut last: BTreeMap<(&str, &str), &Vec<String>> = BTreeMap::new();
    for bid in &bids {
        let newest = last.entry((&bid[1], &bid[0])).or_insert(bid);
        if time(&bid[3]) > time(&newest[3]) {
            *newest = bid;
        }
    }
    out.insert("q18", last.values().map(|bid| texts(&[&bid[0], &bid[1], &bid[2], &bid[3]])).collect());
    let distinct = |column: usize, only: &dyn Fn(i64) -> bool| {
        let of = bids.iter().filter(|bid| only(int(&bid[2]))).map(|bid| bid[column].as_str());
        of.collect::<BTreeSet<&str>>().len().to_string()
    };
    let cheap = bids.iter().filter(|bid| int(&bid[2]) < 10_000).count().to_string();
    let (bidders, dear) = (distinct(1, &|_| true), distinct(0, &|price| price >= 1_000_000));
    out.insert("q15", vec![texts(&["2015-07-15", &bids.len().to_string(), &cheap, &bidders, &dear])]);
    out
}

#[test]
fn every_query_gives_what_a_naive_program_gives() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(folder.path());
    let expected = oracle(&environment);
    let mut compared = 0;
    for (name, query) in QUERIES {
        let one = rows(&environment, query, 1);
        let two = rows(&environment, query, 2);
        assert!(one == two, "{name} differs at another parallelism: {} and {} rows", one.len(), two.len());
        assert!(!one.is_empty(), "{name} gives nothing");
        let Some(expected) = expected.get(name) else { continue };
        // What has columns that the oracle leaves out is compared without them.
        let kept: Vec<usize> = match name {
            "q19" => vec![0, 2, 3],
            _ => (0..expected[0].len()).collect(),
        };
        let kept = |row: &Vec<String>| kept.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
        let mut got: Vec<Vec<String>> = one.iter().map(kept).collect();
        let mut expected = expected.clone();
        got.sort();
        expected.sort();
        let differs = got.iter().zip(&expected).find(|(got, expected)| got != expected);
        assert!(got == expected, "{name}: {} rows, not {}; {differs:?}", got.len(), expected.len());
        compared += 1;
    }
    assert_eq!(compared, 13);
}

#[test]
fn bids_are_written_by_the_minute() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = environment(folder.path());
    let script = "INSERT INTO q10 SELECT auction, price, DATE_FORMAT(dateTime, 'yyyy-MM-dd'), DATE_FORMAT(dateTime, 'HH:mm') FROM bid";
    environment
        .execute_script(script, |_, _, outcome| {
            let Outcome::Job(job) = outcome else { panic!("no job") };
            job.build(JobConfig { parallelism: 2, ..JobConfig::new("q10") })?.run().unwrap();
            Ok(())
        })
        .unwrap();
    let day = folder.path().join("q10/dt=2015-07-15");
    let minutes: BTreeSet<String> = std::fs::read_dir(&day)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(minutes, BTreeSet::from(["hm=00%3A00".to_owned()]));
    assert!(day.join("hm=00%3A00/_SUCCESS").exists());
    // What was written is read back, with the columns of the folders.
    let written = rows(&environment, "SELECT COUNT(*), SUM(price), MIN(dt), MAX(hm) FROM q10", 2);
    let bids = rows(&environment, "SELECT COUNT(*), SUM(price), '2015-07-15', '00:00' FROM bid", 1);
    assert_eq!(written, bids);
}
