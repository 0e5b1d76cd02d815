//! What a site's page views say, as they come: one of five figures (Spark's `PageViewStream`). A view is a line `url<TAB>status<TAB>zip<TAB>user`;
//! `page_view_generator` serves such lines.
//!
//! In one terminal `cargo run --release -p thalweg --example page_view_generator -- 44444 1000`, in another
//! `cargo run --release -p thalweg --example page_view_stream -- errorRatePerZipCode localhost 44444`.

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PageView {
    url: String,
    status: u16,
    zip_code: u32,
    user: u32,
}

impl PageView {
    fn parse(line: &str) -> Result<Self, BoxError> {
        let parts: Vec<&str> = line.split('\t').collect();
        let [url, status, zip, user] = parts[..] else {
            return Err(format!("no page view: {line:?}").into());
        };
        Ok(Self { url: url.to_owned(), status: status.parse()?, zip_code: zip.parse()?, user: user.parse()? })
    }
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [metric, host, port]: [String; 3] = arguments.try_into().map_err(|_| {
        "usage: page_view_stream METRIC HOST PORT; METRIC: pageCounts, slidingPageCounts, errorRatePerZipCode, activeUserCount, popularUsersSeen"
    })?;
    let (second, two, ten) = (Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(10));
    let ssc = StreamingContext::new("PageViewStream", second);
    let views = ssc.socket_text_stream(&host, port.parse()?).try_map(|line| PageView::parse(&line));
    let by_url = views.map(|view| view.url);
    match metric.as_str() {
        // How often each page was seen in a batch.
        "pageCounts" => by_url.count_by_value().print(),
        // And in the last ten seconds, every two.
        "slidingPageCounts" => by_url.count_by_value_and_window(ten, two).print(),
        // Of each zip code how many of a hundred views fail, if that is too many.
        "errorRatePerZipCode" => {
            let statuses =
                views.window(Duration::from_secs(30), two).map(|view| (view.zip_code, view.status));
            let rates = statuses.group_by_key().map_values(|statuses| {
                let good = statuses.iter().filter(|status| **status == 200).count();
                1.0 - good as f64 / statuses.len() as f64
            });
            rates.flat_map(|(zip, rate)| (rate > 0.05).then(|| format!("{zip}: **{rate:.3}**"))).print()
        }
        // How many users there were in the last fifteen seconds.
        "activeUserCount" => {
            let users = views.window(Duration::from_secs(15), two).map(|view| (view.user, 1));
            users.group_by_key().count().map(|users| format!("Unique active users: {users}")).print()
        }
        // Which of some users, whose names are known, were there.
        "popularUsersSeen" => {
            let known = [(1, "Ada"), (2, "Blaise"), (3, "Charles")];
            views.map(|view| view.user).foreach_rdd(move |rdd, _| {
                let users = rdd.collect();
                let seen = known.iter().filter(|(user, _)| users.contains(user));
                seen.for_each(|(user, name)| println!("Saw user {name} at time {user}"));
            })
        }
        _ => return Err(format!("there is no metric {metric:?}").into()),
    };
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
