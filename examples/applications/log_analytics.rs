//! What a web server's log says: error rates batch by batch, and over the bridge the visits and the most wanted pages of each minute. See
//! `log_analytics.md`.
//!
//! `cargo run --release -p thalweg --example log_analytics`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

const BATCH: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hit {
    user: u32,
    page: String,
    status: u16,
    time: Timestamp,
}

/// A line `time user status page`, as the generator writes it.
fn parse(line: &str) -> Result<Hit, BoxError> {
    let parts: Vec<&str> = line.splitn(4, ' ').collect();
    let [time, user, status, page] = parts[..] else {
        return Err(format!("no line of the log: {line:?}").into());
    };
    Ok(Hit { user: user.parse()?, page: page.to_owned(), status: status.parse()?, time: time.parse()? })
}

/// Five minutes of a log. `/checkout` is broken in the third; visitors come, click ten times, and go.
fn log() -> Vec<String> {
    let line = |n: i64| {
        let time = n * 60;
        let user = (n / 100) * 10 + n % 10;
        let page = ["/", "/news", "/", "/search", "/", "/checkout", "/news"][(n % 7) as usize];
        let broken = page == "/checkout" && (120_000..180_000).contains(&time);
        format!("{time} {user} {} {page}", if broken { 500 } else { 200 })
    };
    (0..5_000).map(line).collect()
}

fn main() -> Result<(), BoxError> {
    let ssc = StreamingContext::new("log-analytics", BATCH);
    // Each batch is what a minute has written.
    let batches = log().chunks(1_000).map(<[String]>::to_vec).collect();
    let hits = ssc.queue_stream(batches).try_map(|line: String| parse(&line));

    // Batch by batch, in Spark's words: how many of each page's hits fail.
    let of_page = hits.map(|hit| (hit.page, (u32::from(hit.status >= 500), 1_u32)));
    let rates = of_page.reduce_by_key(|a, b| (a.0 + b.0, a.1 + b.1)).uid("error-rates");
    rates.filter(|(_, (errors, all))| errors * 20 > *all).foreach_rdd(|rdd, _| {
        rdd.for_each(|(page, (errors, all))| println!("errors: {page} {errors} of {all}"));
    });

    // And over the bridge, by the time of the hits, in Flink's.
    let hits = hits.to_data_stream().assign_ascending_timestamps(|hit| hit.time);
    let visits = hits
        .key_by(|hit| hit.user)
        .window(EventTimeSessionWindows::with_gap(Duration::from_secs(30)))
        .count();
    let per_length = visits.map(|(_, hits)| hits).key_by(|hits| *hits);
    per_length
        .window(TumblingEventTimeWindows::of(10 * MINUTE))
        .count()
        .print_with_prefix("visits of so many hits");

    let per_page = hits.key_by(|hit| hit.page.clone()).window(TumblingEventTimeWindows::of(MINUTE)).count();
    let top =
        per_page.window_all(TumblingEventTimeWindows::of(MINUTE)).process(|(), window, mut pages, out| {
            pages.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            pages.truncate(2);
            out.collect((window.start / 60_000, pages));
        });
    top.print_with_prefix("top pages of minute");

    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
