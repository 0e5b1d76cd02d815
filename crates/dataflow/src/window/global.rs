//! Global windows: one for each key, without an end. They fire when their [trigger](super::trigger) says so.

use super::aggregate::AggregateFunction;
use super::function::WindowFunction;
use super::trigger::TimeTrigger;
use super::{Aligned, Lateness, TimeDomain, TimeWindow, WindowAssigner};
use crate::graph::Stream;
use crate::operators::Collect;
use crate::record::{Data, Keyed};
use crate::state::Key;
use crate::time::Timestamp;

/// One window for each key (Flink's `GlobalWindows`).
#[derive(Clone, Copy, Debug)]
pub struct GlobalWindows;

impl GlobalWindows {
    /// The assigner.
    pub fn create() -> Self {
        Self
    }
}

/// Windows that do not move when records come, so that they may be given a trigger.
pub trait FixedWindows: Copy + Send + 'static {
    /// The windows of a time, the earliest first.
    fn windows_at(&self, time: Timestamp) -> impl Iterator<Item = TimeWindow> + use<Self>;

    /// Whether a record belongs by its own time, or by the clock; `None`: by neither.
    fn domain(&self) -> Option<TimeDomain>;

    /// What they are, in a few words.
    fn describe(&self) -> String;

    /// Why there can be no such windows, if that is so: the job is refused with it.
    fn problem(&self) -> Option<String> {
        None
    }

    /// When they fire if nothing else is said.
    fn default_trigger(&self) -> TimeTrigger {
        match self.domain() {
            Some(TimeDomain::Event) => TimeTrigger::Event,
            Some(TimeDomain::Processing) => TimeTrigger::Processing,
            None => TimeTrigger::Never,
        }
    }
}

impl FixedWindows for GlobalWindows {
    fn windows_at(&self, _: Timestamp) -> impl Iterator<Item = TimeWindow> + use<> {
        std::iter::once(TimeWindow { start: Timestamp::MIN, end: Timestamp::MAX })
    }

    fn domain(&self) -> Option<TimeDomain> {
        None
    }

    fn describe(&self) -> String {
        "global".to_owned()
    }
}

impl FixedWindows for Aligned {
    fn windows_at(&self, time: Timestamp) -> impl Iterator<Item = TimeWindow> + use<> {
        self.windows_of(self.pane_of(time))
    }

    fn domain(&self) -> Option<TimeDomain> {
        Some(self.domain)
    }

    fn describe(&self) -> String {
        let Self { domain, size, slide, offset, .. } = self;
        format!("{domain:?} time, {size} ms every {slide} ms from {offset} ms")
    }

    fn problem(&self) -> Option<String> {
        Aligned::problem(self)
    }
}

impl<T: Data> WindowAssigner<T> for GlobalWindows {
    /// Refused: nothing would ever come out.
    fn call<K, A, F, Out>(
        self,
        stream: &Stream<Keyed<K, T>>,
        name: &str,
        _: Lateness<T>,
        _: A,
        _: F,
    ) -> Stream<Out>
    where
        K: Key,
        A: AggregateFunction<In = T>,
        F: WindowFunction<K, A::Out, Out>,
        Out: Data,
    {
        stream.graph().refuse("global windows never fire by themselves: give them a trigger".to_owned());
        stream.flat_map(name, |_, _: &mut Collect<'_, Out>| Ok(()))
    }
}
