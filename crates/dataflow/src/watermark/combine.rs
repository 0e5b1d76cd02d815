//! The watermark of several inputs: the lowest among those that are not idle.
//!
//! The inputs are the splits of a source, or the channels of a task. An idle input is left out; when all are idle, that is
//! what is passed on, so that a stalled watermark is never a riddle: it is either idle or held back by a certain input.

use crate::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// The inputs and what each has promised.
#[derive(Debug)]
pub(crate) struct Watermarks {
    inputs: Vec<Input>,
    /// The last that was passed on.
    emitted: Option<Combined>,
    /// The highest watermark that was passed on. Idleness in between does not undo it.
    reached: Timestamp,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { inputs: Vec::new(), emitted: None, reached: MIN_WATERMARK }
    }
}

#[derive(Clone, Copy, Debug)]
struct Input {
    watermark: Timestamp,
    idle: bool,
}

/// What follows from all inputs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combined {
    /// Event time has come this far.
    Watermark(Timestamp),
    /// No input says anything about event time at present.
    Idle,
}

impl Watermarks {
    pub(crate) fn new(inputs: usize) -> Self {
        let mut watermarks = Self::default();
        (0..inputs).for_each(|_| {
            watermarks.add();
        });
        watermarks
    }

    /// One more input, at the beginning of time. Returns its index.
    pub(crate) fn add(&mut self) -> usize {
        self.inputs.push(Input { watermark: MIN_WATERMARK, idle: false });
        self.inputs.len() - 1
    }

    /// Input `index` has reached `watermark`; it is not idle any more. Watermarks never fall.
    pub(crate) fn advance(&mut self, index: usize, watermark: Timestamp) {
        let input = &mut self.inputs[index];
        input.watermark = input.watermark.max(watermark);
        input.idle = false;
    }

    /// Input `index` is not to be waited for.
    pub(crate) fn set_idle(&mut self, index: usize) {
        self.inputs[index].idle = true;
    }

    /// The input that holds the others back.
    pub(crate) fn lowest(&self) -> Option<usize> {
        let active = self
            .inputs
            .iter()
            .enumerate()
            .filter(|(_, input)| !input.idle && input.watermark < MAX_WATERMARK);
        active.min_by_key(|(_, input)| input.watermark).map(|(index, _)| index)
    }

    /// What to pass on, if it is news.
    pub(crate) fn news(&mut self) -> Option<Combined> {
        let active = self.inputs.iter().filter(|input| !input.idle).map(|input| input.watermark);
        let combined = match active.min() {
            // An input that wakes up may be behind what was promised while it slept: its records will be late.
            Some(watermark) => {
                self.reached = self.reached.max(watermark);
                Combined::Watermark(self.reached)
            }
            None => Combined::Idle,
        };
        if combined == Combined::Watermark(MIN_WATERMARK) || Some(combined) == self.emitted {
            return None;
        }
        self.emitted = Some(combined);
        Some(combined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_input_counts_unless_idle() {
        let mut inputs = Watermarks::new(2);
        assert_eq!(inputs.news(), None);
        inputs.advance(0, 10);
        assert_eq!(inputs.news(), None, "the other has promised nothing yet");
        assert_eq!(inputs.lowest(), Some(1));
        inputs.advance(1, 5);
        assert_eq!(inputs.news(), Some(Combined::Watermark(5)));
        assert_eq!(inputs.news(), None);
        inputs.set_idle(1);
        assert_eq!(inputs.news(), Some(Combined::Watermark(10)));
        inputs.advance(1, 6);
        assert_eq!(inputs.news(), None, "never back");
        inputs.set_idle(0);
        inputs.set_idle(1);
        assert_eq!(inputs.news(), Some(Combined::Idle));
        inputs.advance(1, 7);
        assert_eq!(inputs.news(), Some(Combined::Watermark(10)), "never back, also after all were idle");
        inputs.set_idle(1);
        assert_eq!(inputs.news(), Some(Combined::Idle));
        inputs.advance(0, MAX_WATERMARK);
        assert_eq!(inputs.news(), Some(Combined::Watermark(MAX_WATERMARK)));
    }
}
