//! A typed handle to what flows out of an operator: the builder under both faces.

use std::any::TypeId;
use std::sync::Arc;

use super::node::{Edge, Leaves, MakeRouter, NodeKind, OperatorNode, Partitioning, TypedEdge};
use super::{Either, StreamGraph};
use crate::error::BoxError;
use crate::operator::{Operator, OperatorContext};
use crate::operators::{Collect, FlatMap};
use crate::output::OutputTag;
use crate::record::{Data, Divisible, Hashed, Keyed};
use crate::runtime::edge::{Broadcast, ByKey, Custom, Divide, Forward, Global, Rebalance};
use crate::runtime::under_way::{Codec, Serde};
use crate::state::StateData;

/// What flows out of one operator, or of several. Cloning the handle reads the stream twice; nothing is computed twice.
///
/// ```
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::operators::{Collect, FlatMap};
/// use thalweg_dataflow::runtime::{JobConfig, run};
/// use thalweg_dataflow::source::CollectionSource;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let numbers = graph.source("numbers", CollectionSource::new(vec![1, 2, 3]), WatermarkStrategy::no_watermarks());
/// let (doubled, results) = (numbers.map("double", |n| n * 2), std::sync::mpsc::channel());
/// let sender = results.0;
/// doubled.map("send", move |n| sender.send(n));
/// run(&graph, JobConfig::new("doubling"))?;
/// let mut doubled: Vec<i32> = results.1.try_iter().collect();
/// doubled.sort();
/// assert_eq!(doubled, [2, 4, 6]);
/// # Ok::<(), thalweg_dataflow::error::JobError>(())
/// ```
pub struct Stream<T> {
    graph: StreamGraph,
    /// The node, and the name of its side output (empty: the main one). More than one after a union.
    from: Vec<(usize, &'static str)>,
    partitioning: Partitioning,
    router: MakeRouter<T>,
    /// How its records get into a checkpoint, if barriers may overtake them.
    codec: Option<Arc<dyn Codec<T>>>,
    /// Another stream that the next operator reads as well, partitioned in its own way.
    beside: Option<Arc<Stream<T>>>,
    /// The number of subtasks of what follows, up to the next exchange.
    following: Option<usize>,
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        let Self { graph, from, partitioning, router, codec, following, beside } = self;
        let (graph, from, router, beside) = (graph.clone(), from.clone(), router.clone(), beside.clone());
        let codec = codec.clone();
        Self { graph, from, partitioning: *partitioning, router, codec, following: *following, beside }
    }
}

impl<K: Data, T: Data> Stream<Keyed<K, T>> {
    /// One value for each, under the same key. What has been partitioned by key has to be so anew, with
    /// [`Stream::exchange`].
    pub fn map_keyed<U: Data>(
        &self,
        name: &str,
        mut function: impl FnMut(T) -> U + Clone + Send + 'static,
    ) -> Stream<Keyed<K, U>> {
        let unpartitioned = Stream::of(self.graph.clone(), 0, "");
        let before = Stream { from: self.from.clone(), following: self.following, ..unpartitioned };
        before.map(name, move |Keyed { hash, key, value }: Keyed<K, T>| Keyed {
            hash,
            key,
            value: function(value),
        })
    }
}

impl<T: Data> Stream<T> {
    pub(crate) fn of(graph: StreamGraph, node: usize, port: &'static str) -> Self {
        let router: MakeRouter<T> = Arc::new(|_, _, _| Box::new(Forward));
        let (from, partitioning) = (vec![(node, port)], Partitioning::Forward);
        Self { graph, from, partitioning, router, codec: None, following: None, beside: None }
    }

    /// The graph that it is part of.
    pub fn graph(&self) -> &StreamGraph {
        &self.graph
    }

    /// Hands the stream to an operator. Each subtask runs its own clone of `operator`.
    pub fn apply<O>(&self, name: &str, operator: O) -> Stream<O::Out>
    where
        O: Operator<In = T> + Clone,
        O::Out: Data,
    {
        let (begins_event_time, is_determined) = (operator.begins_event_time(), operator.is_determined());
        let (what, idle_timeout) = (operator.identity(), operator.idle_timeout());
        let stream = self.apply_with(name, move |_| Ok(operator.clone()));
        stream.last_node(|node| {
            (node.begins_event_time, node.is_determined, node.what, node.idle_timeout) =
                (begins_event_time, is_determined, what, idle_timeout);
        });
        stream
    }

    /// Whether there is event time in this stream: whether a source, or an operator on the way, makes watermarks.
    pub fn has_event_time(&self) -> bool {
        let graph = self.graph.lock();
        let mut nodes: Vec<usize> = self.from.iter().map(|(node, _)| *node).collect();
        nodes.extend(self.beside.iter().flat_map(|beside| beside.from.iter().map(|(node, _)| *node)));
        while let Some(node) = nodes.pop() {
            if graph.nodes[node].begins_event_time {
                return true;
            }
            // Edges lead from earlier nodes to later ones, so this ends.
            nodes.extend(graph.edges.iter().filter(|edge| edge.to == node).map(|edge| edge.from));
        }
        false
    }

    /// Hands the stream to an operator that `make` makes anew for each subtask of each attempt.
    pub fn apply_with<O>(
        &self,
        name: &str,
        make: impl Fn(&OperatorContext) -> Result<O, BoxError> + Send + 'static,
    ) -> Stream<O::Out>
    where
        O: Operator<In = T>,
        O::Out: Data,
    {
        let mut graph = self.graph.lock();
        let node = graph.add(name, NodeKind::operator(OperatorNode::new(make)));
        // An operator that hands nothing on is a sink.
        if TypeId::of::<O::Out>() == TypeId::of::<()>() {
            graph.nodes[node].leaves = Leaves::Here;
        }
        graph.nodes[node].parallelism = self.following;
        for stream in std::iter::once(self).chain(self.beside.as_deref()) {
            let (router, codec) = (stream.router.clone(), stream.codec.clone());
            let stays = matches!(stream.partitioning, Partitioning::Forward | Partitioning::Broadcast);
            if codec.is_some() && stays {
                graph.refuse(format!(
                    "`unaligned` on the way to `{name}`, where records are forwarded or broadcast: no barrier can overtake them there; \
                     set it on a stream that is partitioned, as by `key_by` or `rebalance`"
                ));
            }
            graph.nodes[node].is_overtaken |= codec.is_some();
            let factory = Arc::new(TypedEdge { router, codec });
            for (from, port) in &stream.from {
                let (partitioning, factory) = (stream.partitioning, factory.clone());
                graph.edges.push(Edge { from: *from, port, to: node, partitioning, factory });
            }
        }
        drop(graph);
        Stream { following: self.following, ..Stream::of(self.graph.clone(), node, "") }
    }

    /// One record for each.
    pub fn map<U: Data>(
        &self,
        name: &str,
        mut function: impl FnMut(T) -> U + Clone + Send + 'static,
    ) -> Stream<U> {
        self.flat_map(name, move |value, out| {
            out.collect(function(value));
            Ok(())
        })
    }

    /// None, one or many records for each.
    pub fn flat_map<U: Data>(
        &self,
        name: &str,
        function: impl FnMut(T, &mut Collect<'_, U>) -> Result<(), BoxError> + Clone + Send + 'static,
    ) -> Stream<U> {
        self.apply(name, FlatMap::new(function))
    }

    /// A side output of the operator that this stream comes out of.
    pub fn side_output<S: Data>(&self, tag: &OutputTag<S>) -> Stream<S> {
        let mut side = Stream::of(self.graph.clone(), 0, tag.name());
        side.from = self.from.iter().map(|(node, _)| (*node, tag.name())).collect();
        side.following = self.following;
        side
    }

    /// The records of both, in no particular order. Watermarks combine by minimum.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if !Arc::ptr_eq(&self.graph.0, &other.graph.0) {
            self.graph.refuse("a union of streams of two jobs; both must come from the same environment");
            return self.clone();
        }
        if self.partitioning != other.partitioning {
            self.graph
                .refuse("a union of streams that are partitioned in different ways; partition the union");
        }
        let mut union = self.clone();
        union.codec = union.codec.filter(|_| other.codec.is_some());
        union.following = self.following.filter(|_| self.following == other.following);
        for from in &other.from {
            // A stream united with itself: each record twice, as the field has it.
            union.from.push(*from);
        }
        union
    }

    /// This stream and another as the two inputs of one operator.
    pub fn either<U: Data>(&self, other: &Stream<U>) -> Stream<Either<T, U>> {
        self.map("left", Either::Left).determined().union(&other.map("right", Either::Right).determined())
    }

    /// This stream and another as the two inputs of one operator, every subtask of which is sent all of the other (Flink's broadcast state
    /// pattern). This one is divided among the subtasks as it is without the other.
    ///
    /// ```
    /// use thalweg_dataflow::graph::{Either, StreamGraph};
    /// use thalweg_dataflow::runtime::{JobConfig, run};
    /// use thalweg_dataflow::source::CollectionSource;
    /// use thalweg_dataflow::watermark::WatermarkStrategy;
    ///
    /// let graph = StreamGraph::new();
    /// let source = |items: Vec<i32>| graph.source("numbers", CollectionSource::new(items), WatermarkStrategy::no_watermarks());
    /// let both = source(vec![1, 2]).with_broadcast(&source(vec![10]).map("rule", |n| n.to_string()));
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// both.map("see", move |record| sender.send(matches!(record, Either::Right(_)))).parallelism(3);
    /// run(&graph, JobConfig::new("rules"))?;
    /// let seen: Vec<bool> = seen.try_iter().collect();
    /// assert_eq!((seen.iter().filter(|rule| **rule).count(), seen.len()), (3, 5));
    /// # Ok::<(), thalweg_dataflow::error::JobError>(())
    /// ```
    pub fn with_broadcast<U: Data>(&self, other: &Stream<U>) -> Stream<Either<T, U>> {
        if !Arc::ptr_eq(&self.graph.0, &other.graph.0) {
            self.graph
                .refuse("a broadcast from another job; both streams must come from the same environment");
        }
        let mut both = self.map("left", Either::Left).determined();
        both.beside = Some(Arc::new(other.map("right", Either::Right).determined().broadcast()));
        both
    }

    fn partitioned(&self, partitioning: Partitioning, router: MakeRouter<T>) -> Self {
        Self {
            graph: self.graph.clone(),
            from: self.from.clone(),
            partitioning,
            router,
            codec: self.codec.clone(),
            following: None,
            beside: self.beside.clone(),
        }
    }

    /// Lets barriers overtake the records of this stream on their way to the next operator, if the job has [unaligned
    /// checkpoints](crate::runtime::JobConfig::unaligned_after): what is under way then becomes a part of the checkpoint, for which records must be
    /// what can be kept in state. For a stream that is partitioned by key, evenly, by a function, or to one subtask.
    ///
    /// ```
    /// use std::time::Duration;
    /// use thalweg_dataflow::checkpoint::CheckpointStorage;
    /// use thalweg_dataflow::graph::StreamGraph;
    /// use thalweg_dataflow::runtime::{CheckpointConfig, JobConfig, run};
    /// use thalweg_dataflow::source::CollectionSource;
    /// use thalweg_dataflow::watermark::WatermarkStrategy;
    ///
    /// let graph = StreamGraph::new();
    /// let numbers = graph.source("numbers", CollectionSource::new(vec![1, 2, 3]), WatermarkStrategy::no_watermarks());
    /// numbers.rebalance().unaligned().map("slow", |n| std::thread::sleep(Duration::from_millis(n)));
    /// let folder = tempfile::tempdir()?;
    /// let storage = CheckpointStorage::local(folder.path())?;
    /// let checkpoint = Some(CheckpointConfig::new(Duration::from_secs(1), storage));
    /// run(&graph, JobConfig { checkpoint, unaligned_after: Some(Duration::from_millis(100)), ..JobConfig::new("slow") })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn unaligned(&self) -> Self
    where
        T: StateData,
    {
        self.unaligned_with(Ok)
    }

    /// The same for records of which a checkpoint does not keep all that is needed on their way, as a hash that follows from the rest:
    /// `again` adds it to what has been read.
    #[must_use]
    pub fn unaligned_with(&self, again: impl Fn(T) -> Result<T, BoxError> + Send + Sync + 'static) -> Self
    where
        T: StateData,
    {
        Self { codec: Some(Arc::new(Serde::new(Arc::new(again)))), ..self.clone() }
    }

    /// Deals records out evenly over `parallelism` subtasks, which is how many the operators that follow have, up to the next exchange
    /// (Spark's `repartition`).
    #[must_use]
    pub fn repartition(&self, parallelism: usize) -> Self {
        Self { following: Some(parallelism), ..self.rebalance() }
    }

    /// Deals records out evenly over the subtasks of the next operator: of what one subtask sends, none gets more than one record more
    /// than another.
    #[must_use]
    pub fn rebalance(&self) -> Self {
        self.partitioned(
            Partitioning::Rebalance,
            Arc::new(|_, _, subtask| Box::new(Rebalance::starting_at(subtask))),
        )
    }

    /// Sends every record to the first subtask of the next operator.
    #[must_use]
    pub fn global(&self) -> Self {
        self.partitioned(Partitioning::Global, Arc::new(|_, _, _| Box::new(Global)))
    }

    /// Hands every record to the subtask of the next operator that has the same number; if there are as many, in the same thread.
    #[must_use]
    pub fn forward(&self) -> Self {
        let forward = self.partitioned(Partitioning::Forward, Arc::new(|_, _, _| Box::new(Forward)));
        Self { following: self.following, ..forward }
    }

    /// Sends every record to the subtask of the next operator that `partitioner` names, given how many there are: a number from 0 on, of
    /// which the remainder counts if it is too large.
    #[must_use]
    pub fn partition_custom(
        &self,
        partitioner: impl FnMut(&T, usize) -> usize + Clone + Send + Sync + 'static,
    ) -> Self {
        self.partitioned(Partitioning::Custom, Arc::new(move |_, _, _| Box::new(Custom(partitioner.clone()))))
    }

    /// Sends every record to every subtask of the next operator.
    #[must_use]
    pub fn broadcast(&self) -> Self {
        self.partitioned(Partitioning::Broadcast, Arc::new(|_, _, _| Box::new(Broadcast)))
    }

    /// Sends every record to the subtask of the next operator that owns its key.
    #[must_use]
    pub fn exchange(&self) -> Self
    where
        T: Hashed,
    {
        self.partitioned(
            Partitioning::Keyed,
            Arc::new(|groups, targets, _| Box::new(ByKey::new(groups, targets))),
        )
    }

    /// Divides every record of many rows among the subtasks of the next operator, so that each row gets to the owner of its key.
    ///
    /// ```
    /// use thalweg_dataflow::graph::StreamGraph;
    /// use thalweg_dataflow::hash::key_hash;
    /// use thalweg_dataflow::record::{Divisible, Owners};
    /// use thalweg_dataflow::runtime::{JobConfig, run};
    /// use thalweg_dataflow::source::CollectionSource;
    /// use thalweg_dataflow::watermark::WatermarkStrategy;
    ///
    /// #[derive(Clone)]
    /// struct Numbers(Vec<u64>);
    ///
    /// impl Divisible for Numbers {
    ///     fn divide(self, owners: &Owners, take: &mut dyn FnMut(usize, Self)) {
    ///         let mut parts = vec![Vec::new(); owners.targets()];
    ///         self.0.into_iter().for_each(|n| parts[owners.of(key_hash(&n))].push(n));
    ///         let parts = parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty());
    ///         parts.for_each(|(target, part)| take(target, Numbers(part)));
    ///     }
    /// }
    ///
    /// let graph = StreamGraph::new();
    /// let source = CollectionSource::new(vec![Numbers((0..100).collect()), Numbers((0..100).collect())]);
    /// let numbers = graph.source("numbers", source, WatermarkStrategy::no_watermarks()).exchange_divided();
    /// let (sender, seen) = std::sync::mpsc::channel();
    /// numbers.map("see", move |part| sender.send((std::thread::current().id(), part.0))).parallelism(2);
    /// run(&graph, JobConfig::new("divided"))?;
    /// // Each number is seen twice, and by one subtask.
    /// let mut seen: Vec<_> = seen.try_iter().flat_map(|(who, part)| part.into_iter().map(move |n| (n, format!("{who:?}")))).collect();
    /// assert_eq!(seen.len(), 200);
    /// seen.sort();
    /// seen.dedup();
    /// assert_eq!(seen.len(), 100);
    /// # Ok::<(), thalweg_dataflow::error::JobError>(())
    /// ```
    #[must_use]
    pub fn exchange_divided(&self) -> Self
    where
        T: Divisible,
    {
        self.partitioned(
            Partitioning::Keyed,
            Arc::new(|groups, targets, _| Box::new(Divide::new(groups, targets))),
        )
    }

    fn last_node(&self, set: impl FnOnce(&mut super::node::Node)) {
        let mut graph = self.graph.lock();
        match self.from.as_slice() {
            [(node, _)] => set(&mut graph.nodes[*node]),
            _ => graph.refuse("a uid, name or parallelism for a union, which is no operator; set it on the one before or after".to_owned()),
        }
    }

    /// Sets the stable id of the operator that this stream comes out of: under it its state is found again.
    pub fn uid(self, uid: &str) -> Self {
        self.last_node(|node| node.uid = Some(uid.to_owned()));
        self
    }

    /// Says what the operator that this stream comes out of is, beyond its name: which topic it writes, how long its windows are.
    /// It is part of the id that is derived for it, as [`Operator::identity`] is. For who builds operators with
    /// [`apply_with`](Self::apply_with).
    pub fn described(self, what: &str) -> Self {
        self.last_node(|node| what.clone_into(&mut node.what));
        self
    }

    /// Says that no function of a user has a part in the operator that this stream comes out of, as
    /// [`Operator::is_determined`] does: for functions that a face hands over itself.
    pub fn determined(self) -> Self {
        self.last_node(|node| node.is_determined = true);
        self
    }

    /// Sets what the derived id of the operator that this stream comes out of is made of, beside its name, in place of
    /// what it is and where it hangs. For planners, which build graphs by machine and know better than the graph what is the
    /// same: a digest of the part of the plan that the operator stands for. Unlike a [`uid`](Self::uid), it need not be unique
    /// where no state is kept; operators with state that share one are refused, as all that look the same.
    pub fn identity(self, identity: &str) -> Self {
        self.last_node(|node| node.identity = Some(identity.to_owned()));
        self
    }

    /// Sets the name of the operator that this stream comes out of, as it appears in errors and metrics. It is part of the id
    /// that is derived for the operator.
    pub fn name(self, name: &str) -> Self {
        self.last_node(|node| name.clone_into(&mut node.name));
        self
    }

    /// Makes the operator that this stream comes out of an output of batches, in one subtask: at the barrier that closes a batch it waits
    /// until the outputs that were registered before it have worked on theirs.
    #[must_use]
    pub fn in_turn(self) -> Self {
        self.last_node(|node| (node.in_turn, node.parallelism) = (true, Some(1)));
        self
    }

    /// Sets the number of subtasks of the operator that this stream comes out of.
    pub fn parallelism(self, parallelism: usize) -> Self {
        self.last_node(|node| node.parallelism = Some(parallelism));
        self
    }
}
