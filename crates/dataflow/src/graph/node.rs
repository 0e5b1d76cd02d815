//! Nodes and edges, and the factories that know their types.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::chain::Chained;
use crate::collector::{Collector, Discard, Fork};
use crate::error::{BoxError, panic_message};
use crate::metrics::TaskMetrics;
use crate::operator::{Operator, OperatorContext};
use crate::output::{Output, SidePort, TypedSidePort};
use crate::record::Data;
use crate::runtime::edge::{EdgeWriter, Rebalance, Router};
use crate::runtime::gate::{Gate, Mailbox, Sender};
use crate::runtime::source_task::SourceTask;
use crate::runtime::task::{OperatorTask, Task};
use crate::source::Source;
use crate::time::Clock;
use crate::watermark::WatermarkStrategy;

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
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
    pub(crate) parallelism: Option<usize>,
    pub(crate) kind: NodeKind,
    /// Whether event time begins here.
    pub(crate) begins_event_time: bool,
}

pub(crate) enum NodeKind {
    Source(Box<dyn SourceFactory>),
    Operator(Box<dyn OperatorFactory>),
}

impl Node {
    pub(crate) fn new(name: &str, kind: NodeKind) -> Self {
        Self { name: name.to_owned(), uid: None, parallelism: None, kind, begins_event_time: false }
    }
}

/// Which target a record goes to, in words. The types are in [`EdgeFactory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partitioning {
    Forward,
    Keyed,
    Rebalance,
    Broadcast,
}

/// A stream from one node, or one of its side outputs, to another node.
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
    /// A channel into a gate.
    fn channel(&self, gate: &Untyped) -> Untyped;
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
}

impl<T: Data> EdgeFactory for TypedEdge<T> {
    fn carries(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn channel(&self, gate: &Untyped) -> Untyped {
        Box::new(typed_ref::<Gate<T>>(gate).add_channel())
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

/// Makes the subtasks of an operator.
pub(crate) trait OperatorFactory: Send {
    /// The gate of a task that begins with this operator, and its mailbox.
    fn gate(&self, capacity: usize) -> (Untyped, Arc<dyn Mailbox>);
    /// One subtask, as a link of a chain.
    fn link(&self, context: OperatorContext, outputs: Outputs) -> Result<Untyped, BoxError>;
    /// The task that begins with this operator.
    fn task(&self, gate: Untyped, link: Untyped) -> Box<dyn Task>;
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
    fn gate(&self, capacity: usize) -> (Untyped, Arc<dyn Mailbox>) {
        let gate = Gate::<O::In>::new(capacity);
        (Box::new(gate.clone()), Arc::new(gate))
    }

    fn link(&self, context: OperatorContext, outputs: Outputs) -> Result<Untyped, BoxError> {
        let made = catch_unwind(AssertUnwindSafe(|| (self.make)(&context)));
        let operator = made.unwrap_or_else(|panic| Err(panic_message(&*panic).into()))?;
        let link: Box<dyn Collector<O::In>> =
            Box::new(Chained::new(operator, outputs.into_output(), context));
        Ok(Box::new(link))
    }

    fn task(&self, gate: Untyped, link: Untyped) -> Box<dyn Task> {
        Box::new(OperatorTask::<O::In> { gate: typed(gate), chain: typed(link) })
    }
}

/// Makes the subtasks of a source.
pub(crate) trait SourceFactory: Send {
    fn task(
        &self,
        context: OperatorContext,
        clock: Clock,
        job: Arc<str>,
        outputs: Outputs,
    ) -> (Box<dyn Task>, Arc<dyn Mailbox>);
}

pub(crate) struct SourceNode<S: Source> {
    source: Arc<S>,
    strategy: std::sync::Mutex<WatermarkStrategy<S::Item>>,
}

impl<S: Source> SourceNode<S> {
    pub(crate) fn new(source: S, strategy: WatermarkStrategy<S::Item>) -> Self {
        Self { source: Arc::new(source), strategy: strategy.into() }
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
        outputs: Outputs,
    ) -> (Box<dyn Task>, Arc<dyn Mailbox>) {
        let gate = Gate::new(1);
        let strategy = self.strategy.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let (source, output) = (self.source.clone(), outputs.into_output());
        let task = SourceTask { source, strategy, gate: gate.clone(), output, context, clock, job };
        (Box::new(task), Arc::new(gate))
    }
}
