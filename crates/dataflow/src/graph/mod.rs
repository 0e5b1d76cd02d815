//! The graph of a job, as it is built: operators, and the edges between them.
//!
//! [`Stream`] is the builder that both faces of Thalweg stand on: a typed handle to what flows out of an
//! operator. The graph itself has forgotten all types but those inside its factories, which put them back
//! together when the job starts.

mod either;
mod execution;
mod explain;
pub(crate) mod identity;
pub(crate) mod node;
pub(crate) mod plan;
mod stream;

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use either::Either;
pub use stream::Stream;

use crate::checkpoint::committer::CommitterFactory;
use crate::error::JobError;
use crate::source::Source;
use crate::watermark::WatermarkStrategy;
use identity::Identity;
use node::{Edge, Leaves, Node, NodeKind, SourceNode};

/// The graph of one job. Clones are handles to the same graph.
#[derive(Clone, Default)]
pub struct StreamGraph(Arc<Mutex<GraphData>>);

#[derive(Default)]
pub(crate) struct GraphData {
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    /// The batch intervals in the job, in milliseconds.
    pub(crate) batch_intervals: Vec<i64>,
    pub(crate) committer: Option<(String, Arc<dyn AnyCommitterFactory>)>,
    /// The first thing found wrong while the graph was built.
    pub(crate) invalid: Option<String>,
    /// So many of the nodes have been part of an execution.
    pub(crate) executed: usize,
}

/// A [`CommitterFactory`] that can be given its type back.
pub(crate) trait AnyCommitterFactory: CommitterFactory + Any {}
impl<F: CommitterFactory> AnyCommitterFactory for F {}

impl StreamGraph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, GraphData> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a source. Its watermarks are made by `strategy`, for each of its splits.
    pub fn source<S>(&self, name: &str, source: S, strategy: WatermarkStrategy<S::Item>) -> Stream<S::Item>
    where
        S: Source,
        S::Item: crate::record::Data,
    {
        let mut graph = self.lock();
        let (begins_event_time, what) = (strategy.has_watermarks(), source.identity());
        let node = graph.add(name, NodeKind::source(SourceNode::new(source, strategy)));
        graph.nodes[node].begins_event_time = begins_event_time;
        graph.nodes[node].what = what;
        drop(graph);
        Stream::of(self.clone(), node, "")
    }

    /// Says that a stream of this job is cut into batches, of `interval` milliseconds.
    /// The barriers of the job come at the greatest common divisor of all of its intervals.
    pub fn batch_interval(&self, interval: i64) {
        let mut graph = self.lock();
        if interval <= 0 {
            graph.refuse(format!("a batch interval of {interval} ms; it must be at least 1 ms"));
        }
        graph.batch_intervals.push(interval);
    }

    /// Whether a stream of this job is cut into batches.
    pub fn has_batches(&self) -> bool {
        !self.lock().batch_intervals.is_empty()
    }

    /// Makes one output of the operators that `build` adds: records that are handed to them have left the job, however many steps
    /// that takes. A job's totals count them.
    pub fn output<R>(&self, build: impl FnOnce() -> R) -> R {
        let first = self.lock().nodes.len();
        let built = build();
        let mut graph = self.lock();
        for node in first..graph.nodes.len() {
            let enters = graph.edges.iter().any(|edge| edge.to == node && edge.from < first);
            graph.nodes[node].leaves = if enters { Leaves::Here } else { Leaves::Within };
        }
        built
    }

    /// Whether there is an output among what has been added since the last execution.
    pub fn has_output(&self) -> bool {
        let graph = self.lock();
        graph.nodes[graph.executed..].iter().any(|node| node.leaves == Leaves::Here)
    }

    /// What was found wrong so far while the graph was built.
    pub fn refusal(&self) -> Option<String> {
        self.lock().invalid.clone()
    }

    /// Registers what commits the epochs of this job, and returns it. Sinks that share one transaction register
    /// it under the same `key` (such as the cluster), and are all given the first one's; another key is refused
    /// when the job starts, as two transactions cannot commit as one.
    pub fn committer<F: CommitterFactory>(&self, key: &str, make: impl FnOnce() -> F) -> Arc<F> {
        let mut graph = self.lock();
        if let Some((known, factory)) = &graph.committer {
            let shared: Arc<dyn Any + Send + Sync> = factory.clone();
            match shared.downcast::<F>() {
                Ok(shared) if known == key => return shared,
                _ => {
                    let reason = format!(
                        "exactly-once sinks in both `{known}` and `{key}`: one transaction cannot span them; \
                         write to one of them exactly-once, or make two jobs of it"
                    );
                    graph.refuse(reason);
                    return Arc::new(make());
                }
            }
        }
        let factory = Arc::new(make());
        graph.committer = Some((key.to_owned(), factory.clone()));
        factory
    }

    /// Refuses the graph when the job starts, with this reason: for mistakes found while building, where
    /// nothing can be returned.
    pub fn refuse(&self, reason: impl Into<String>) {
        self.lock().refuse(reason.into());
    }
}

impl GraphData {
    pub(crate) fn add(&mut self, name: &str, kind: NodeKind) -> usize {
        self.nodes.push(Node::new(name, kind));
        self.nodes.len() - 1
    }

    pub(crate) fn refuse(&mut self, reason: String) {
        self.invalid.get_or_insert(reason);
    }

    /// Who each node is, in order.
    pub(crate) fn identities(&self) -> Result<Vec<Identity>, JobError> {
        identity::identities(self)
    }

    /// The stable id of each node: the explicit one, else one that says what it is and where it hangs.
    pub(crate) fn uids(&self) -> Result<Vec<Arc<str>>, JobError> {
        Ok(self.identities()?.into_iter().map(|identity| identity.uid).collect())
    }
}
