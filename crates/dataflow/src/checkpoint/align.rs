//! Alignment: a task passes a barrier on when it has come on every channel.

use crate::barrier::Barrier;

/// The alignment of one task.
#[derive(Debug)]
pub(crate) struct Aligner {
    channels: usize,
    arrived: usize,
    current: Option<Barrier>,
}

impl Aligner {
    pub(crate) fn new(channels: usize) -> Self {
        Self { channels, arrived: 0, current: None }
    }

    /// A barrier has come on a channel. `Some` when that was the last one; until then the channel is to be blocked.
    ///
    /// Every source emits every barrier in order, and a blocked channel yields nothing, so no channel can be ahead.
    pub(crate) fn arrive(&mut self, barrier: Barrier) -> Option<Barrier> {
        debug_assert!(
            self.current.is_none_or(|current| current == barrier),
            "{barrier:?} met {:?}",
            self.current
        );
        self.current = Some(barrier);
        self.arrived += 1;
        if self.arrived < self.channels {
            return None;
        }
        self.arrived = 0;
        self.current.take()
    }

    /// The barrier is passed on without waiting for the rest of the channels to yield it: it has overtaken what is in them.
    pub(crate) fn overtake(&mut self) {
        (self.arrived, self.current) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::Then;

    #[test]
    fn the_last_channel_completes_the_barrier() {
        let barrier = |epoch| Barrier { epoch, time: 0, checkpoint: true, then: Then::Continue };
        let mut aligner = Aligner::new(3);
        assert_eq!(aligner.arrive(barrier(1)), None);
        assert_eq!(aligner.arrive(barrier(1)), None);
        assert_eq!(aligner.arrive(barrier(1)), Some(barrier(1)));
        assert_eq!(aligner.arrive(barrier(2)), None);
    }
}
