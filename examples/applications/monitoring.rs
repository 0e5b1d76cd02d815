//! Machines that are watched: an alert when one gets hot, and when one is not heard of any more. See `monitoring.md`.
//!
//! `cargo run --release -p thalweg --example monitoring`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

/// An alert is raised above this, and cleared below the other: what lies between changes nothing.
const HOT: f64 = 80.0;
const COOL: f64 = 70.0;
/// One that is silent for so long (milliseconds) is missing.
const SILENCE: i64 = 30_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    machine: u32,
    degrees: f64,
    time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Alert {
    Hot { machine: u32, since: Timestamp },
    CooledDown { machine: u32, at: Timestamp },
    Missing { machine: u32, since: Timestamp },
    Back { machine: u32, at: Timestamp },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    is_hot: bool,
    is_missing: bool,
    last: Timestamp,
}

#[derive(Clone, Default)]
struct Watch {
    known: ValueState<u32, Known>,
}

impl KeyedProcessFunction for Watch {
    type Key = u32;
    type In = Reading;
    type Out = Alert;

    fn states(&mut self, states: &mut States<'_>) {
        states.keyed("known", &mut self.known);
    }

    fn process_element(
        &mut self,
        reading: Reading,
        context: &mut ContextOf<'_, Self>,
    ) -> Result<(), BoxError> {
        let Reading { machine, degrees, time } = reading;
        let mut known =
            self.known.value(context).copied().unwrap_or(Known { last: time, ..Known::default() });
        // The watermark goes on in steps: it may not have said yet what this reading says.
        if !known.is_missing && time > known.last + SILENCE {
            context.collect(Alert::Missing { machine, since: known.last });
            known.is_missing = true;
        }
        if known.is_missing {
            context.collect(Alert::Back { machine, at: time });
            known.is_missing = false;
        }
        // Two thresholds, so that one that wavers around the first is not an alert each time.
        if !known.is_hot && degrees > HOT {
            context.collect(Alert::Hot { machine, since: time });
            known.is_hot = true;
        } else if known.is_hot && degrees < COOL {
            context.collect(Alert::CooledDown { machine, at: time });
            known.is_hot = false;
        }
        // That something does not come is known by time alone: a timer that each reading puts off.
        context.delete_event_time_timer(known.last + SILENCE);
        known.last = known.last.max(time);
        context.register_event_time_timer(known.last + SILENCE);
        self.known.update(context, known);
        Ok(())
    }

    fn on_timer(&mut self, _: OnTimer, context: &mut ContextOf<'_, Self>) -> Result<(), BoxError> {
        if let Some(known) = self.known.value(context).copied() {
            context.collect(Alert::Missing { machine: *context.key(), since: known.last });
            self.known.update(context, Known { is_missing: true, ..known });
        }
        Ok(())
    }
}

/// Ten machines, each heard of every second for five minutes. Machine 3 gets hot for a while, and wavers; machine 7 is away for a minute.
fn readings() -> Vec<Reading> {
    let reading = |second: i64, machine: u32| {
        let mut degrees = 50.0 + (second * 7 + i64::from(machine) * 13).rem_euclid(11) as f64;
        if machine == 3 && (100..160).contains(&second) {
            degrees = if second % 2 == 0 { 81.0 } else { 75.0 };
        }
        let is_away = machine == 7 && (200..260).contains(&second);
        // Readings come up to two seconds late.
        let time = second * 1_000 - (second % 3) * 700;
        (!is_away).then_some(Reading { machine, degrees, time })
    };
    (0..300).flat_map(|second| (0..10).filter_map(move |machine| reading(second, machine))).collect()
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let readings = env.from_collection(readings());
    let readings = readings.assign_timestamps(Duration::from_secs(5), |reading| reading.time);
    let alerts = readings.key_by(|reading| reading.machine).process(Watch::default()).uid("watch");
    // When the input ends, so does time, and everybody is silent for ever: that is none.
    let end = 299_000 - 5_000;
    alerts
        .filter(move |alert| !matches!(alert, Alert::Missing { since, .. } if *since > end - SILENCE))
        .print();
    env.execute("monitoring")?;
    Ok(())
}
