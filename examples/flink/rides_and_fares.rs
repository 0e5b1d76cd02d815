//! Each taxi ride with its fare, whichever comes first (an exercise of Flink's training, `RidesAndFares`).
//!
//! `cargo run --release -p thalweg --example rides_and_fares`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TaxiRide {
    id: u64,
    passengers: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TaxiFare {
    ride: u64,
    total: f32,
}

/// Keeps the one until the other comes.
#[derive(Clone, Default)]
struct Enrichment {
    ride: ValueState<u64, TaxiRide>,
    fare: ValueState<u64, TaxiFare>,
}

impl KeyedCoProcessFunction for Enrichment {
    type Key = u64;
    type In1 = TaxiRide;
    type In2 = TaxiFare;
    type Out = (TaxiRide, TaxiFare);

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("ride", &mut self.ride);
        states.keyed("fare", &mut self.fare);
    }

    fn process_element1(
        &mut self,
        ride: TaxiRide,
        context: &mut CoContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        match self.fare.clear(context) {
            Some(fare) => context.collect((ride, fare)),
            None => drop(self.ride.update(context, ride)),
        }
        Ok(())
    }

    fn process_element2(
        &mut self,
        fare: TaxiFare,
        context: &mut CoContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        match self.ride.clear(context) {
            Some(ride) => context.collect((ride, fare)),
            None => drop(self.fare.update(context, fare)),
        }
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let rides = (1..=3).map(|id| TaxiRide { id, passengers: id as u32 }).collect();
    let fares = (1..=3).rev().map(|ride| TaxiFare { ride, total: 10.0 * ride as f32 }).collect();
    let rides = env.from_collection(rides).key_by(|ride: &TaxiRide| ride.id);
    let fares = env.from_collection(fares).key_by(|fare: &TaxiFare| fare.ride);
    rides.connect(&fares).process(Enrichment::default()).uid("enrichment").print();
    env.execute("Join Rides with Fares")?;
    Ok(())
}
