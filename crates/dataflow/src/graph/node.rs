//! Nodes and edges, and the factories that know their types.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::chain::Chained;
use crate::collector::{Collector, Discard, Fork};
use crate::error::{BoxError, OperatorName, panic_message};
use crate::metrics::TaskMetrics;
use crate::operator::{Operator, OperatorContext};
use crate::output::{Output, SidePort, TypedSidePort};
use crate::record::Data;
use crate::runtime::edge::{EdgeWriter, Rebalance, Router};
use crate::runtime::gate::{Gate, Mailbox, Sender};
use crate::runtime::rate::SourceRate;
use crate::runtime::source_task::SourceTask;
use crate::runtime::task::{OperatorTask, Task};
use crate::runtime::under_way::{Codec, Lane, UNDER_WAY, UnderWay};
use crate::source::{SPLITS, Source};
use crate::state::States;
use crate::time::Clock;
use crate::watermark::{AlignmentGroups, WatermarkStrategy};

/// A value whose type only its factory and its user know. They are made by the same generic call, so they agree.
pub(crate) type Untyped = Box<dyn Any + Send>;

/// Gives a value its type back.
pub(crate) fn typed<T: 'static>(value: Untyped) -> T {
    match value.downcast::<T>() {
        Ok(value) => *value,
        // Edges are made by `Stream<T>` only, between the output and the input of one type; what a tag names is checked.
        Err(_) => unreachable!("an edge of another type than {}", std::any::type_name::<T>()),
    }
}

fn typed_ref<T: 'static>(value: &Untyped) -> &T {
    match value.downcast_ref::<T>() {
        Some(value) => value,
        None => unreachable!("an edge of another type than {}", std::any::type_name::<T>()),
    }
}

/// One step of the graph.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
    /// What tells it from others of its name: what a source reads, how long a window is.
    pub(crate) what: String,
    /// What its derived uid is made of, if that is not its name and where it hangs.
    pub(crate) identity: Option<String>,
    pub(crate) parallelism: Option<usize>,
    pub(crate) kind: NodeKind,
    /// Whether event time begins here.
    pub(crate) begins_event_time: bool,
    /// Whether its state follows from its input alone.
    pub(crate) is_determined: bool,
    /// Whether records leave the job here.
    pub(crate) leaves: Leaves,
    /// Whether records may be under way to it when a checkpoint is taken.
    pub(crate) is_overtaken: bool,
    /// Found out when it is first asked for.
    states: Arc<OnceLock<Option<Vec<&'static str>>>>,
    /// Whether its batches wait for those of outputs that were registered before.
    pub(crate) in_turn: bool,
    /// [`Operator::idle_timeout`].
    pub(crate) idle_timeout: Option<i64>,
}

/// Whether records leave the job at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// They go on, or end.
    No,
    /// What it is handed leaves.
    Here,
    /// It is part of an output that they have entered before.
    Within,
}

/// The factories are shared by all executions that a node is part of.
#[derive(Clone)]
pub(crate) enum NodeKind {
    Source(Arc<Mutex<dyn SourceFactory>>),
    Operator(Arc<Mutex<dyn OperatorFactory>>),
}

/// What a factory shares with others is left whole by a panic of a user's function, which is caught within.
pub(crate) fn lock<T: ?Sized>(factory: &Mutex<T>) -> MutexGuard<'_, T> {
    factory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NodeKind {
    pub(crate) fn source(factory: impl SourceFactory + 'static) -> Self {
        Self::Source(Arc::new(Mutex::new(factory)))
    }

    pub(crate) fn operator(factory: impl OperatorFactory + 'static) -> Self {
        Self::Operator(Arc::new(Mutex::new(factory)))
    }
}

impl Node {
    pub(crate) fn new(name: &str, kind: NodeKind) -> Self {
        let (what, name) = (String::new(), name.to_owned());
        let (uid, identity, parallelism, states) = (None, None, None, Arc::default());
        let (begins_event_time, is_determined, leaves) = (false, false, Leaves::No);
        Self {
            name,
            uid,
            what,
            identity,
            parallelism,
            kind,
            begins_event_time,
            is_determined,
            leaves,
            is_overtaken: false,
            states,
            in_turn: false,
            idle_timeout: None,
        }
    }

    /// The names of the pieces of state that its operator keeps; `None` if it does not tell before it is opened.
    pub(crate) fn states(&self) -> Option<&[&'static str]> {
        let find = || match &self.kind {
            NodeKind::Source(_) => Some(vec![SPLITS]),
            NodeKind::Operator(factory) => {
                let states = lock(factory).states();
                states
                    .map(|states| states.into_iter().chain(self.is_overtaken.then_some(UNDER_WAY)).collect())
            }
        };
        self.states.get_or_init(find).as_deref()
    }

    /// Whether its operator may keep state.
    pub(crate) fn keeps_state(&self) -> bool {
        self.states().is_none_or(|states| !states.is_empty())
    }
}

/// Which target a record goes to, in words. The types are in [`EdgeFactory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partitioning {
    Forward,
    Keyed,
    Rebalance,
    Broadcast,
    Global,
    Custom,
}

/// A stream from one node, or one of its side outputs, to another node.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    /// The name of the side output; empty for the main one.
    pub(crate) port: &'static str,
    pub(crate) to: usize,
    pub(crate) partitioning: Partitioning,
    pub(crate) factory: Arc<dyn EdgeFactory>,
}

/// Makes the pieces of an edge, of the type that it carries.
pub(crate) trait EdgeFactory: Send + Sync {
    /// The type that it carries.
    fn carries(&self) -> TypeId;
    /// A channel into a gate, of the edge of this name.
    fn channel(&self, gate: &Untyped, name: &Arc<str>) -> Untyped;
    /// What the reader has to know of the edge of this name, if a barrier may overtake records on it: a [`Lane`].
    fn lane(&self, name: Arc<str>, max_parallelism: u16, targets: usize) -> Option<Untyped>;
    /// Whether it may.
    fn may_be_overtaken(&self) -> bool;
    /// A writer to these channels.
    fn writer(
        &self,
        channels: Vec<Untyped>,
        max_parallelism: u16,
        subtask: usize,
        metrics: Arc<TaskMetrics>,
    ) -> Untyped;
    /// A writer that sends batches to these channels in turn.
    fn rebalancer(&self, channels: Vec<Untyped>, subtask: usize, metrics: Arc<TaskMetrics>) -> Untyped;
    /// A second handle to a gate.
    fn gate_handle(&self, gate: &Untyped) -> Untyped;
    /// One collector out of those of all edges of the same output.
    fn fork(&self, branches: Vec<Untyped>) -> Untyped;
    /// The collector of a side output.
    fn side(&self, tag: &'static str, collector: Untyped) -> Box<dyn SidePort>;
}

/// Makes a [`Router`]: from the number of key groups, the number of targets, and the index of the writing subtask.
pub(crate) type MakeRouter<T> = Arc<dyn Fn(u16, usize, usize) -> Box<dyn Router<T>> + Send + Sync>;

pub(crate) struct TypedEdge<T> {
    pub(crate) router: MakeRouter<T>,
    /// How its records get into a checkpoint, if a barrier may overtake them.
    pub(crate) codec: Option<Arc<dyn Codec<T>>>,
}

impl<T: Data> EdgeFactory for TypedEdge<T> {
    fn carries(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn channel(&self, gate: &Untyped, name: &Arc<str>) -> Untyped {
        Box::new(typed_ref::<Gate<T>>(gate).add_channel_of(self.codec.as_ref().map(|_| name.clone())))
    }

    fn lane(&self, name: Arc<str>, max_parallelism: u16, targets: usize) -> Option<Untyped> {
        let codec = self.codec.clone()?;
        Some(Box::new(Lane { name, codec, router: (self.router)(max_parallelism, targets, 0) }))
    }

    fn may_be_overtaken(&self) -> bool {
        self.codec.is_some()
    }

    fn gate_handle(&self, gate: &Untyped) -> Untyped {
        Box::new(typed_ref::<Gate<T>>(gate).clone())
    }

    fn writer(
        &self,
        channels: Vec<Untyped>,
        max_parallelism: u16,
        subtask: usize,
        metrics: Arc<TaskMetrics>,
    ) -> Untyped {
        let router = (self.router)(max_parallelism, channels.len(), subtask);
        boxed_writer(channels, router, metrics)
    }

    fn rebalancer(&self, channels: Vec<Untyped>, subtask: usize, metrics: Arc<TaskMetrics>) -> Untyped {
        boxed_writer::<T>(channels, Box::new(Rebalance::starting_at(subtask)), metrics)
    }

    fn fork(&self, branches: Vec<Untyped>) -> Untyped {
        let branches: Vec<Box<dyn Collector<T>>> = branches.into_iter().map(typed).collect();
        Box::new(Fork::of(branches))
    }

    fn side(&self, tag: &'static str, collector: Untyped) -> Box<dyn SidePort> {
        Box::new(TypedSidePort::<T>::new(tag, typed(collector)))
    }
}

fn boxed_writer<T: Data>(
    channels: Vec<Untyped>,
    router: Box<dyn Router<T>>,
    metrics: Arc<TaskMetrics>,
) -> Untyped {
    let senders: Vec<Sender<T>> = channels.into_iter().map(typed).collect();
    let writer: Box<dyn Collector<T>> = Box::new(EdgeWriter::new(senders, router, metrics));
    Box::new(writer)
}

/// The outputs of one subtask of an operator: `None` for a main output that nobody reads.
pub(crate) struct Outputs {
    pub(crate) main: Option<Untyped>,
    pub(crate) sides: Vec<Box<dyn SidePort>>,
}

impl Outputs {
    fn into_output<T: Send + 'static>(self) -> Output<T> {
        let main: Box<dyn Collector<T>> = self.main.map_or_else(|| Box::new(Discard) as _, typed);
        Output::new(main, self.sides)
    }
}

/// Where a task begins: at which operator, and what is known of the edges to it.
pub(crate) struct Place {
    pub(crate) operator: OperatorName,
    pub(crate) parallelism: usize,
    /// A [`Lane`] each.
    pub(crate) lanes: Vec<Untyped>,
}

/// Makes the subtasks of an operator.
pub(crate) trait OperatorFactory: Send {
    /// The gate of a task that begins with this operator, and its mailbox.
    fn gate(&self, capacity: usize, bytes: u64) -> (Untyped, Arc<dyn Mailbox>);
    /// One subtask, as a link of a chain.
    fn link(&self, context: OperatorContext, outputs: Outputs) -> Result<Untyped, BoxError>;
    /// The task that begins with this operator.
    fn task(&self, gate: Untyped, link: Untyped, at: Place) -> Box<dyn Task>;
    /// The names of the pieces of its state; `None` if it does not tell before it is opened.
    fn states(&self) -> Option<Vec<&'static str>>;
}

pub(crate) struct OperatorNode<O, F> {
    make: F,
    operator: PhantomData<fn() -> O>,
}

impl<O: Operator, F: Fn(&OperatorContext) -> Result<O, BoxError> + Send> OperatorNode<O, F> {
    pub(crate) fn new(make: F) -> Self {
        Self { make, operator: PhantomData }
    }
}

impl<O: Operator, F: Fn(&OperatorContext) -> Result<O, BoxError> + Send> OperatorFactory
    for OperatorNode<O, F>
{
    fn gate(&self, capacity: usize, bytes: u64) -> (Untyped, Arc<dyn Mailbox>) {
        let gate = Gate::<O::In>::bounded(capacity, bytes);
        (Box::new(gate.clone()), Arc::new(gate))
    }

    fn link(&self, context: OperatorContext, outputs: Outputs) -> Result<Untyped, BoxError> {
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)(&context)));
        let operator = made.unwrap_or_else(|panic| Err(panic_message(&*panic).into()))?;
        let link: Box<dyn Collector<O::In>> =
            Box::new(Chained::new(operator, outputs.into_output(), context));
        Ok(Box::new(link))
    }

    fn task(&self, gate: Untyped, link: Untyped, at: Place) -> Box<dyn Task> {
        let Place { operator, parallelism, lanes } = at;
        let under_way = UnderWay { operator, parallelism, lanes: lanes.into_iter().map(typed).collect() };
        Box::new(OperatorTask::<O::In> { gate: typed(gate), chain: typed(link), under_way })
    }

    fn states(&self) -> Option<Vec<&'static str>> {
        // One that is not going to be opened. A function may count on having been.
        let name = || {
            let mut operator = (self.make)(&OperatorContext::unplaced()).ok()?;
            let mut states = States::naming();
            operator.states(&mut states);
            Some(states.into_names())
        };
        catch_unwind(AssertUnwindSafe(name)).ok().flatten()
    }
}

/// What says how fast the subtask of a source reads, and when it is asked.
pub(crate) struct SourcePace<'a> {
    /// How often it says how far it has caught up, in milliseconds.
    pub(crate) caught_up_every: Option<i64>,
    pub(crate) rate: Arc<SourceRate>,
    pub(crate) groups: &'a AlignmentGroups,
}

/// Makes the subtasks of a source.
pub(crate) trait SourceFactory: Send {
    fn task(
        &self,
        context: OperatorContext,
        clock: Clock,
        job: Arc<str>,
        pace: SourcePace<'_>,
        outputs: Outputs,
    ) -> (Box<dyn Task>, Arc<dyn Mailbox>);
}

pub(crate) struct SourceNode<S: Source> {
    source: Arc<S>,
    strategy: WatermarkStrategy<S::Item>,
}

impl<S: Source> SourceNode<S> {
    pub(crate) fn new(source: S, strategy: WatermarkStrategy<S::Item>) -> Self {
        Self { source: Arc::new(source), strategy }
    }
}

impl<S: Source> SourceFactory for SourceNode<S>
where
    S::Item: Data,
{
    fn task(
        &self,
        context: OperatorContext,
        clock: Clock,
        job: Arc<str>,
        pace: SourcePace<'_>,
        outputs: Outputs,
    ) -> (Box<dyn Task>, Arc<dyn Mailbox>) {
        let gate = Gate::new(1);
        let strategy = self.strategy.clone();
        let (source, output) = (self.source.clone(), outputs.into_output());
        let SourcePace { caught_up_every, rate, groups } = pace;
        let alignment = strategy.alignment().map(|(group, drift)| groups.join(group, drift));
        let task = SourceTask {
            source,
            strategy,
            gate: gate.clone(),
            output,
            context,
            clock,
            job,
            caught_up_every,
            rate,
            alignment,
        };
        (Box::new(task), Arc::new(gate))
    }
}
