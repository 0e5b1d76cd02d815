//! The top speed of each car over the last ten seconds, each time that it has gone fifty metres (Flink's `TopSpeedWindowing`).
//!
//! `cargo run --release -p thalweg --example top_speed_windowing`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

/// What a car says of itself each 100 ms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Car {
    id: u32,
    /// Kilometres an hour.
    speed: u32,
    /// Metres since it set out.
    distance: f64,
    time: Timestamp,
}

/// The cars, of which each goes faster or slower by five now and then; the same ones in each run.
fn cars(count: u64) -> Vec<Car> {
    let (mut speeds, mut distances, mut seed) = ([50_u32; 2], [0.0; 2], 7_u64);
    let next = |n: u64| {
        let car = (n % 2) as usize;
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        speeds[car] =
            if seed >> 63 == 1 { (speeds[car] + 5).min(100) } else { speeds[car].saturating_sub(5) };
        distances[car] += f64::from(speeds[car]) / 3.6 / 10.0;
        Car { id: car as u32, speed: speeds[car], distance: distances[car], time: n as Timestamp / 2 * 100 }
    };
    (0..count).map(next).collect()
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let cars = env.from_collection(cars(2_000)).assign_timestamps_and_watermarks(
        WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|car: &Car, _| car.time),
    );
    let top_speeds = cars
        .key_by(|car| car.id)
        .window(GlobalWindows)
        .evictor(TimeEvictor::of(Duration::from_secs(10)))
        .trigger(DeltaTrigger::of(50.0, |old: &Car, new: &Car| new.distance - old.distance))
        .max_by(|car| car.speed);
    top_speeds.print();
    env.execute("CarTopSpeedWindowingExample")?;
    Ok(())
}
