//! Sessions of event time: what comes of a key without a pause of three milliseconds, added up (Flink's `SessionWindowing`).
//!
//! `cargo run --release -p thalweg --example session_windowing`

use thalweg::prelude::*;

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    // A key, a time and a number.
    let input = vec![
        ("a", 1, 1),
        ("b", 1, 1),
        ("b", 3, 1),
        ("b", 5, 1),
        ("c", 6, 1),
        // We expect to detect the session of "a" earlier than this one begins (the old one ends at 4).
        ("a", 10, 1),
        // And that of "c" (it ends at 9).
        ("c", 11, 1),
    ];
    let input = input.into_iter().map(|(key, time, n)| (key.to_owned(), time, n)).collect::<Vec<_>>();
    let events = env.from_collection(input).assign_ascending_timestamps(|event| event.1);
    let sessions = events
        .key_by(|event| event.0.clone())
        .window(EventTimeSessionWindows::with_gap(Duration::from_millis(3)));
    let sums = sessions.process(|key, window, events, out| {
        out.collect((key.clone(), window.start, events.iter().map(|event| event.2).sum::<i32>()));
    });
    sums.print();
    env.execute("SessionWindowing")?;
    Ok(())
}
