//! Of each hour the driver with the most tips, and how many (an exercise of Flink's training, `HourlyTips`).
//!
//! `cargo run --release -p thalweg --example hourly_tips`

use thalweg::prelude::*;

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), BoxError> {
    // Drivers, their tips, and the minute.
    let fares = [(1, 1.0, 5), (2, 4.0, 10), (1, 5.0, 59), (2, 7.0, 70), (1, 3.0, 80), (2, 0.5, 110)];
    let fares = fares.into_iter().map(|(driver, tip, minute)| ((driver, tip), minute * 60_000)).collect();
    let env = StreamExecutionEnvironment::new();
    let fares = env.from_timed_collection::<(u64, f32)>(fares);
    let hourly_tips = fares.key_by(|fare| fare.0).window(TumblingEventTimeWindows::of(HOUR)).process(
        |driver, window, fares, out| {
            out.collect((window.end, *driver, fares.iter().map(|fare| fare.1).sum::<f32>()));
        },
    );
    hourly_tips.window_all(TumblingEventTimeWindows::of(HOUR)).max_by(|tips| tips.2).print();
    env.execute("Hourly Tips")?;
    Ok(())
}
