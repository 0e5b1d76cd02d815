//! The taxi rides that begin and end in New York (the first exercise of Flink's training, `RideCleansing`).
//!
//! `cargo run --release -p thalweg --example ride_cleansing`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

/// Where a ride began and where it ended: longitude and latitude.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TaxiRide {
    id: u64,
    start: (f32, f32),
    end: (f32, f32),
}

fn is_in_nyc((longitude, latitude): (f32, f32)) -> bool {
    (-74.05..=-73.7).contains(&longitude) && (40.5..=41.0).contains(&latitude)
}

fn main() -> Result<(), BoxError> {
    let (atlantic, penn_station, times_square) =
        ((-90.0, 0.0), (-73.9947, 40.750626), (-73.98567, 40.757973));
    let rides = [(penn_station, times_square), (atlantic, penn_station), (times_square, atlantic)];
    let rides = (1..).zip(rides).map(|(id, (start, end))| TaxiRide { id, start, end }).collect();
    let env = StreamExecutionEnvironment::new();
    let rides = env.from_collection(rides);
    rides.filter(|ride: &TaxiRide| is_in_nyc(ride.start) && is_in_nyc(ride.end)).map(|ride| ride.id).print();
    env.execute("Taxi Ride Cleansing")?;
    Ok(())
}
