//! An alert for each taxi ride that lasts longer than two hours, as soon as that is known (an exercise of Flink's training, `LongRides`).
//!
//! `cargo run --release -p thalweg --example long_rides`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

const TWO_HOURS: i64 = 2 * 3_600_000;

/// That a ride begins, or ends. Ends may come before beginnings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct TaxiRide {
    id: u64,
    is_start: bool,
    time: Timestamp,
}

#[derive(Clone, Default)]
struct Alert {
    /// Whichever of the two has come.
    ride: ValueState<u64, TaxiRide>,
}

impl KeyedProcessFunction for Alert {
    type Key = u64;
    type In = TaxiRide;
    type Out = u64;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("ride", &mut self.ride);
    }

    fn process_element(&mut self, ride: TaxiRide, context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
        let Some(other) = self.ride.value(context).cloned() else {
            if ride.is_start {
                context.register_event_time_timer(ride.time + TWO_HOURS);
            }
            self.ride.update(context, ride);
            return Ok(());
        };
        let (start, end) = if ride.is_start { (&ride, &other) } else { (&other, &ride) };
        if end.time - start.time > TWO_HOURS {
            context.collect(start.id);
        }
        context.delete_event_time_timer(start.time + TWO_HOURS);
        self.ride.clear(context);
        Ok(())
    }

    fn on_timer(&mut self, _: OnTimer, context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
        context.collect(*context.key());
        // It leaks nothing; an end that comes after that is taken for one that came first.
        self.ride.clear(context);
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    let minutes = |n: i64| n * 60_000;
    // Ride 1 takes 5 minutes, 2 has no end, 3 takes 3 hours and its end comes first, 4 takes two hours to the minute.
    let events = [
        (1, true, 0),
        (1, false, 5),
        (2, true, 10),
        (3, false, 200),
        (3, true, 20),
        (4, true, 100),
        (4, false, 220),
    ];
    let events =
        events.into_iter().map(|(id, is_start, time)| TaxiRide { id, is_start, time: minutes(time) });
    let env = StreamExecutionEnvironment::new();
    let times = WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(4 * 3600))
        .with_timestamp_assigner(|ride: &TaxiRide, _| ride.time);
    let rides = env.from_collection(events.collect()).assign_timestamps_and_watermarks(times);
    rides.key_by(|ride| ride.id).process(Alert::default()).print();
    env.execute("Long Taxi Rides")?;
    Ok(())
}
