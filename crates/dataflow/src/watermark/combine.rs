//! The watermark of several inputs: the lowest among those that are neither idle nor finished.
//!
//! The inputs are the splits of a source, or the channels of a task. An idle input is left out; when all are idle, that is
//! what is passed on, so that a stalled watermark is never a riddle: it is either idle or held back by a certain input.
//!
//! An input that has said the last watermark has finished for ever: nothing that is said of it afterwards counts, and it never
//! idles. An input that has finished without it, as a file of a folder does, is not waited for, but others may come after it; when
//! there is none, or none yet, that is as if all idled.
//!
//! When nobody is left to be waited for, the watermark goes as far as the furthest has promised, whether all fell silent at once
//! or one after another. The end of some inputs is not that of the idle ones: these may still have records.

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

#[derive(Clone, Copy, Debug)]
struct Input {
    watermark: Timestamp,
    idle: bool,
    finished: bool,
}

impl Input {
    fn is_active(&self) -> bool {
        !self.idle && !self.finished
    }

    /// Whether it has said that nothing more will come.
    fn is_over(&self) -> bool {
        self.watermark == MAX_WATERMARK
    }
}

/// What follows from all inputs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Combined {
    /// Event time has come this far.
    Watermark(Timestamp),
    /// No input says anything about event time at present.
    Idle,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self { inputs: Vec::new(), emitted: None, reached: MIN_WATERMARK }
    }
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
        self.inputs.push(Input { watermark: MIN_WATERMARK, idle: false, finished: false });
        self.inputs.len() - 1
    }

    /// Input `index` has reached `watermark`; it is not idle any more. Watermarks never fall. The last one finishes the input.
    pub(crate) fn advance(&mut self, index: usize, watermark: Timestamp) {
        let input = &mut self.inputs[index];
        input.watermark = input.watermark.max(watermark);
        input.idle = false;
        input.finished |= watermark == MAX_WATERMARK;
    }

    /// Input `index` is not to be waited for, unless it is over.
    pub(crate) fn set_idle(&mut self, index: usize) {
        let input = &mut self.inputs[index];
        input.idle = !input.is_over();
    }

    /// Input `index` has no more records.
    pub(crate) fn finish(&mut self, index: usize) {
        self.inputs[index].finished = true;
    }

    /// The input that holds the others back.
    pub(crate) fn lowest(&self) -> Option<usize> {
        let active = self.inputs.iter().enumerate().filter(|(_, input)| input.is_active());
        active.min_by_key(|(_, input)| input.watermark).map(|(index, _)| index)
    }

    /// How far input `index` has come, and whether it idles.
    pub(crate) fn of(&self, index: usize) -> (Timestamp, bool) {
        (self.inputs[index].watermark, self.inputs[index].idle)
    }

    /// The highest that was passed on.
    pub(crate) fn reached(&self) -> Timestamp {
        self.reached
    }

    /// Others before these have come as far as `reached`, which has been passed on.
    pub(crate) fn go_on_from(&mut self, reached: Timestamp) {
        if reached > self.reached {
            self.reached = reached;
            self.emitted = Some(Combined::Watermark(reached));
        }
    }

    /// What to pass on, if it is news. To be asked until there is none.
    pub(crate) fn news(&mut self) -> Option<Combined> {
        let active = self.inputs.iter().filter(|input| input.is_active()).map(|input| input.watermark);
        let combined = match active.min() {
            // An input that wakes up may be behind what was promised while it slept: its records will be late.
            Some(lowest) => Combined::Watermark(lowest.max(self.reached)),
            None => self.without_active()?,
        };
        // After idleness, that there is something to be waited for is news, however far it has come.
        let is_nothing = combined == Combined::Watermark(MIN_WATERMARK) && self.emitted.is_none();
        if is_nothing || Some(combined) == self.emitted {
            return None;
        }
        if let Combined::Watermark(watermark) = combined {
            self.reached = watermark;
        }
        self.emitted = Some(combined);
        Some(combined)
    }

    fn without_active(&self) -> Option<Combined> {
        let all_over = !self.inputs.is_empty() && self.inputs.iter().all(Input::is_over);
        let promised = self.inputs.iter().map(|input| input.watermark);
        let furthest = promised.filter(|watermark| all_over || *watermark < MAX_WATERMARK).max();
        match furthest.filter(|furthest| *furthest > self.reached) {
            Some(furthest) => Some(Combined::Watermark(furthest)),
            None => (!all_over).then_some(Combined::Idle),
        }
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
        assert_eq!(inputs.news(), None, "the other may wake up");
        inputs.advance(1, 12);
        assert_eq!(inputs.news(), Some(Combined::Watermark(12)));
        inputs.advance(1, MAX_WATERMARK);
        assert_eq!(inputs.news(), Some(Combined::Watermark(MAX_WATERMARK)));
        assert_eq!(inputs.news(), None);
    }

    #[test]
    fn when_all_fall_silent_at_once_it_is_as_if_one_after_another() {
        let mut inputs = Watermarks::new(3);
        inputs.advance(0, 10);
        inputs.advance(1, 20);
        (0..3).for_each(|input| inputs.set_idle(input));
        assert_eq!(inputs.news(), Some(Combined::Watermark(20)));
        assert_eq!(inputs.news(), Some(Combined::Idle));
        assert_eq!(inputs.news(), None);
    }

    #[test]
    fn an_input_that_comes_after_all_others_have_finished_counts() {
        let mut inputs = Watermarks::new(2);
        inputs.advance(0, 10);
        inputs.advance(1, 20);
        inputs.finish(0);
        assert_eq!(inputs.news(), Some(Combined::Watermark(20)));
        inputs.finish(1);
        assert_eq!((inputs.news(), inputs.lowest()), (Some(Combined::Idle), None));
        inputs.set_idle(1);
        assert_eq!(inputs.news(), None);
        let later = inputs.add();
        assert_eq!((inputs.news(), inputs.lowest()), (Some(Combined::Watermark(20)), Some(later)));
        inputs.advance(later, 30);
        assert_eq!(inputs.news(), Some(Combined::Watermark(30)));
    }

    #[test]
    fn what_has_ended_neither_idles_nor_wakes_up() {
        let mut inputs = Watermarks::new(2);
        inputs.advance(0, MAX_WATERMARK);
        inputs.set_idle(0);
        assert_eq!((inputs.news(), inputs.lowest()), (None, Some(1)));
        inputs.advance(1, 10);
        assert_eq!(inputs.news(), Some(Combined::Watermark(10)));
        inputs.set_idle(1);
        assert_eq!(inputs.news(), Some(Combined::Idle));
        inputs.set_idle(0);
        inputs.advance(1, MAX_WATERMARK);
        inputs.set_idle(1);
        assert_eq!(inputs.news(), Some(Combined::Watermark(MAX_WATERMARK)));
        assert_eq!(inputs.news(), None);
    }

    #[test]
    fn without_any_input_there_is_nothing_to_wait_for_until_one_comes() {
        let mut inputs = Watermarks::default();
        assert_eq!((inputs.news(), inputs.news()), (Some(Combined::Idle), None));
        let first = inputs.add();
        assert_eq!((inputs.news(), inputs.lowest()), (Some(Combined::Watermark(MIN_WATERMARK)), Some(first)));
        inputs.advance(first, 5);
        assert_eq!(inputs.news(), Some(Combined::Watermark(5)));
    }
}
