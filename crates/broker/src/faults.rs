//! What a test can do to a broker: move its clock.

use std::time::Duration;

use crate::state::State;

/// The hooks of one broker; see [`Broker::faults`](crate::Broker::faults).
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    state: &'a State,
}

impl<'a> Faults<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// Puts the broker's clock forward. When this returns, what has become due meanwhile has happened: sessions of
    /// silent members are over, transactions that were left open are aborted.
    pub fn advance_clock(&self, by: Duration) {
        self.state.clock.advance(by);
        self.state.tick();
        // It sleeps until a time that may have passed.
        self.state.alarm.now();
    }
}
