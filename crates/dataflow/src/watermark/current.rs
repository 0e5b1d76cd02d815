//! The watermark that an operator has reached, as part of its state: what was late before a restore is late after it.

use crate::state::States;
use crate::time::{MAX_WATERMARK, MIN_WATERMARK, Timestamp};

/// The watermark that one operator has reached.
#[derive(Clone, Debug)]
pub struct CurrentWatermark {
    reached: Timestamp,
    shared: Vec<Timestamp>,
}

impl Default for CurrentWatermark {
    fn default() -> Self {
        Self { reached: MIN_WATERMARK, shared: Vec::new() }
    }
}

impl CurrentWatermark {
    /// The watermark; before the first, the least there is.
    #[inline]
    pub fn get(&self) -> Timestamp {
        self.reached
    }

    /// Moves on; never back.
    pub fn advance(&mut self, watermark: Timestamp) {
        self.reached = self.reached.max(watermark);
    }

    /// Names it to the engine, as union state `watermark`. After a restore it is the lowest that any subtask
    /// had reached. One that had reached the end of its input begins anew: whoever resumes the job has more.
    pub fn states(&mut self, states: &mut States<'_>) {
        let opening = states.epoch().is_none();
        if !opening {
            self.shared = vec![self.reached];
        }
        states.union("watermark", &mut self.shared);
        if opening {
            let lowest = self.shared.iter().copied().min();
            self.reached = lowest.filter(|lowest| *lowest != MAX_WATERMARK).unwrap_or(MIN_WATERMARK);
        }
    }
}
