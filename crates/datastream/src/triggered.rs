//! Windows with a trigger or an evictor of their own; count windows.
//!
//! ```
//! use thalweg_datastream::StreamExecutionEnvironment;
//!
//! let env = StreamExecutionEnvironment::new();
//! let numbers = env.from_collection((1..=7).collect());
//! let sums = numbers.key_by(|n| n % 2).count_window(2).reduce(|a, b| a + b);
//! let mut sums = sums.execute_and_collect("sums")?;
//! sums.sort();
//! // 1 + 3, 5 + 7, 2 + 4; 6 is left.
//! assert_eq!(sums, [4, 6, 12]);
//! # Ok::<(), thalweg_datastream::JobError>(())
//! ```

use std::time::Duration;

use thalweg_dataflow::OutputTag;
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operators::{Collect, KeyedProcess};
use thalweg_dataflow::record::{Data, Keyed};
use thalweg_dataflow::state::{Key, StateData};
use thalweg_dataflow::time::at_least_millis;
use thalweg_dataflow::window::aggregate::AggregateFunction;
use thalweg_dataflow::window::evictor::{CountEvictor, Evictor, NoEvictor};
use thalweg_dataflow::window::trigger::{CountTrigger, PurgingTrigger, TimeTrigger, Trigger};
use thalweg_dataflow::window::{
    FixedWindows, GlobalWindows, Lateness, ProcessWindow, ProcessWindowFunction, TimeWindow,
    TriggeredWindows, WindowFunction,
};

use crate::keyed::{greater_by, lesser_by};
use crate::{Collector, DataStream, KeyedStream, StreamExecutionEnvironment, WindowedStream};

/// A keyed stream, cut into windows that fire when a trigger says so. They keep all of their records.
#[derive(Clone)]
pub struct TriggeredStream<K, T, W, R, E> {
    env: StreamExecutionEnvironment,
    stream: Stream<Keyed<K, T>>,
    assigner: W,
    trigger: R,
    evictor: E,
    lateness: Lateness<T>,
    /// For the windows of a whole stream.
    parallelism: Option<usize>,
}

impl<K: Key, T: StateData, W: FixedWindows> WindowedStream<K, T, W> {
    /// Fires windows when `trigger` says so, instead of when they end.
    pub fn trigger<R: Trigger<T>>(self, trigger: R) -> TriggeredStream<K, T, W, R, NoEvictor> {
        let Self { env, stream, assigner, lateness, parallelism } = self;
        TriggeredStream { env, stream, assigner, trigger, evictor: NoEvictor, lateness, parallelism }
    }

    /// Drops records of windows that fire; they fire when they end.
    pub fn evictor<E: Evictor<T>>(self, evictor: E) -> TriggeredStream<K, T, W, TimeTrigger, E> {
        let trigger = self.assigner.default_trigger();
        self.trigger(trigger).evictor(evictor)
    }
}

impl<K: Key, T: StateData> KeyedStream<K, T> {
    /// Windows of `size` records of a key. The last ones, if they are fewer, are never emitted.
    pub fn count_window(
        &self,
        size: u64,
    ) -> TriggeredStream<K, T, GlobalWindows, PurgingTrigger<CountTrigger>, NoEvictor> {
        self.window(GlobalWindows).trigger(PurgingTrigger::of(CountTrigger::of(size)))
    }

    /// The last `size` records of a key, with every `slide`th.
    pub fn count_window_sliding(
        &self,
        size: usize,
        slide: u64,
    ) -> TriggeredStream<K, T, GlobalWindows, CountTrigger, CountEvictor> {
        self.window(GlobalWindows).trigger(CountTrigger::of(slide)).evictor(CountEvictor::of(size))
    }
}

impl<K, T, W, R, E> TriggeredStream<K, T, W, R, E>
where
    K: Key,
    T: StateData,
    W: FixedWindows,
    R: Trigger<T>,
    E: Evictor<T>,
{
    /// Fires windows when another trigger says so.
    pub fn trigger<R2: Trigger<T>>(self, trigger: R2) -> TriggeredStream<K, T, W, R2, E> {
        let Self { env, stream, assigner, evictor, lateness, parallelism, .. } = self;
        TriggeredStream { env, stream, assigner, trigger, evictor, lateness, parallelism }
    }

    /// Drops records of windows that fire, before or after their function is called.
    pub fn evictor<E2: Evictor<T>>(self, evictor: E2) -> TriggeredStream<K, T, W, R, E2> {
        let Self { env, stream, assigner, trigger, lateness, parallelism, .. } = self;
        TriggeredStream { env, stream, assigner, trigger, evictor, lateness, parallelism }
    }

    /// Keeps windows of event time for so long after their end; the trigger is asked for each record that comes within it.
    #[must_use]
    pub fn allowed_lateness(self, lateness: Duration) -> Self {
        Self { lateness: Lateness { allowed: at_least_millis(lateness), ..self.lateness }, ..self }
    }

    /// Sends records that come even later to a side output.
    #[must_use]
    pub fn side_output_late_data(self, tag: &OutputTag<T>) -> Self {
        Self { lateness: Lateness { tag: Some(tag.clone()), ..self.lateness }, ..self }
    }

    /// Hands key, window and its records, in the order in which they came, to `function` each time that it fires.
    pub fn process<Out: Data>(
        self,
        function: impl FnMut(&K, TimeWindow, Vec<T>, &mut Collector<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out> {
        self.windowed("window-process", function)
    }

    /// Hands the records of a window to a function with state of the key and of the window, each time that it fires: see
    /// [`WindowedStream::process_function`]. What the trigger purges is not over by that: the window keeps its state.
    pub fn process_function<F>(self, function: F) -> DataStream<F::Out>
    where
        F: ProcessWindowFunction<Key = K, In = Vec<T>>,
        F::Out: Data,
    {
        self.call("window-process", ProcessWindow::new(function))
    }

    /// Combines the records of a window into one, each time that it fires.
    pub fn reduce(self, mut function: impl FnMut(T, T) -> T + Clone + Send + 'static) -> DataStream<T> {
        self.windowed("window-reduce", move |_, _, values, out| {
            if let Some(reduced) = values.into_iter().reduce(&mut function) {
                out.collect(reduced);
            }
        })
    }

    /// Aggregates the records of a window each time that it fires; emits the key with the result.
    pub fn aggregate<A>(self, mut aggregate: A) -> DataStream<(K, A::Out)>
    where
        A: AggregateFunction<In = T>,
        A::Out: Data,
    {
        self.windowed("window", move |key, _, values, out| {
            let mut accumulator = aggregate.create_accumulator();
            values.into_iter().for_each(|value| aggregate.add(&mut accumulator, value));
            out.collect((key.clone(), aggregate.get_result(&accumulator)));
        })
    }

    /// The record of a window for which `field` is greatest, the first of several.
    pub fn max_by<N: PartialOrd>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<T> {
        self.reduce(greater_by(field))
    }

    /// The record of a window for which `field` is least, the first of several.
    pub fn min_by<N: PartialOrd>(self, field: impl FnMut(&T) -> N + Clone + Send + 'static) -> DataStream<T> {
        self.reduce(lesser_by(field))
    }

    fn windowed<Out: Data>(
        self,
        name: &str,
        mut function: impl FnMut(&K, TimeWindow, Vec<T>, &mut Collect<'_, Out>) + Clone + Send + 'static,
    ) -> DataStream<Out> {
        self.call(name, move |key: &K, window: TimeWindow, values: Vec<T>, out: &mut Collect<'_, Out>| {
            function(key, window, values, out);
            Ok(())
        })
    }

    fn call<Out: Data>(self, name: &str, function: impl WindowFunction<K, Vec<T>, Out>) -> DataStream<Out> {
        let Self { env, stream, assigner, trigger, evictor, lateness, parallelism } = self;
        if let Some(reason) = assigner.problem() {
            stream.graph().refuse(reason);
        }
        let what = format!("{} {} {}", assigner.describe(), trigger.describe(), function.identity());
        let windows = TriggeredWindows::new(assigner, trigger, evictor, lateness, function);
        let stream = stream.apply(name, KeyedProcess::new(windows)).described(what.trim_end());
        DataStream::over(
            env,
            match parallelism {
                Some(parallelism) => stream.parallelism(parallelism),
                None => stream,
            },
        )
    }
}
