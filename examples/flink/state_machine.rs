//! Events of many addresses, each of which goes through the states of a protocol; an alert for each event that its state does not allow (Flink's
//! `StateMachineExample`).
//!
//! `cargo run --release -p thalweg --example state_machine`

use serde::{Deserialize, Serialize};
use thalweg::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Initial,
    Greeted,
    Trusted,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Hello,
    Key,
    Data,
    Bye,
    Done,
}

impl State {
    /// The state after an event; `None` if the event may not come.
    fn after(self, kind: Kind) -> Option<State> {
        Some(match (self, kind) {
            (State::Initial, Kind::Hello) => State::Greeted,
            (State::Greeted, Kind::Key) => State::Trusted,
            (State::Trusted, Kind::Data) => State::Trusted,
            (State::Greeted | State::Trusted, Kind::Bye) => State::Closing,
            (State::Closing, Kind::Done) => State::Initial,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Event {
    address: u32,
    kind: Kind,
}

/// Addresses that follow the protocol, but that one event in a thousand is another one.
fn events(count: u32) -> impl Iterator<Item = Event> + Clone {
    let rounds = [Kind::Hello, Kind::Key, Kind::Data, Kind::Data, Kind::Bye, Kind::Done];
    (0..count).map(move |n| {
        let (address, step) = (n % 100, n as usize / 100);
        let kind = if n % 1_000 == 777 { Kind::Done } else { rounds[step % rounds.len()] };
        Event { address, kind }
    })
}

fn main() -> Result<(), BoxError> {
    let env = StreamExecutionEnvironment::new();
    let events = env.from_iter(events(60_000));
    let alerts =
        events.key_by(|event| event.address).flat_map_with_state(|event, state: &mut Option<State>, out| {
            let before = state.unwrap_or(State::Initial);
            match before.after(event.kind) {
                // What is back at the beginning needs no state.
                Some(State::Initial) => *state = None,
                Some(after) => *state = Some(after),
                None => {
                    out.collect(format!(
                        "ALERT: 192.168.0.{}: {before:?} -({:?})-> InvalidTransition",
                        event.address, event.kind
                    ));
                    *state = None;
                }
            }
        });
    alerts.print();
    env.execute("State machine job")?;
    Ok(())
}
