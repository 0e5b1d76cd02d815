//! From the graph to tasks: which operators share a thread, and the channels between those that do not.
//!
//! An operator joins the task of the one before it if it reads from that one alone, forward, at the same
//! parallelism. All others begin a task. Tasks are put together from the last to the first, as a link of a
//! chain needs what comes after it.

use std::collections::HashMap;
use std::sync::Arc;

use super::node::{Edge, Leaves, Node, NodeKind, Outputs, Partitioning, Place, SourcePace, Untyped, lock};
use super::{GraphData, identity};
use crate::barrier::Epoch;
use crate::error::{JobError, OperatorName};
use crate::key_group::KeyGroups;
use crate::metrics::{JobMetrics, OperatorMetrics, Role, TaskMetrics};
use crate::operator::{Cancelled, OperatorContext, RunId};
use crate::runtime::JobConfig;
use crate::runtime::gate::{Mailbox, QUEUED_BYTES};
use crate::runtime::rate::SourceRate;
use crate::runtime::task::Task;
use crate::runtime::turns::{Turn, Turns};
use crate::source::Waker;
use crate::state::Memory;
use crate::time::{TaskClock, Timestamp};
use crate::watermark::AlignmentGroups;

/// One task of the physical plan.
pub(crate) struct PlannedTask {
    pub(crate) operator: OperatorName,
    pub(crate) is_source: bool,
    pub(crate) task: Box<dyn Task>,
    pub(crate) mailbox: Arc<dyn Mailbox>,
    pub(crate) clock: TaskClock,
    pub(crate) metrics: Arc<TaskMetrics>,
}

/// The physical plan of one attempt.
pub(crate) struct Plan {
    pub(crate) tasks: Vec<PlannedTask>,
    pub(crate) metrics: JobMetrics,
    /// Of each source its uid, and how fast it may read.
    pub(crate) rates: Vec<(Arc<str>, Arc<SourceRate>)>,
}

/// What differs from attempt to attempt.
pub(crate) struct Attempt {
    pub(crate) start_time: Timestamp,
    pub(crate) restored_epoch: Epoch,
    pub(crate) run: RunId,
    pub(crate) cancelled: Cancelled,
    pub(crate) memory: Option<Memory>,
}

/// The parallelism of each operator.
pub(crate) fn parallelisms(graph: &GraphData, config: &JobConfig) -> Result<Vec<usize>, JobError> {
    let check = |node: &super::node::Node| {
        let parallelism = node.parallelism.unwrap_or(config.parallelism);
        match parallelism {
            0 => Err(JobError::Config(format!(
                "operator `{}` has parallelism 0; it must be at least 1",
                node.name
            ))),
            p if p > usize::from(config.max_parallelism) => Err(JobError::Config(format!(
                "operator `{}` has parallelism {p}, above the maximum of {}; raise max_parallelism (a job's checkpoints are tied to it)",
                node.name, config.max_parallelism
            ))),
            p => Ok(p),
        }
    };
    graph.nodes.iter().map(check).collect()
}

/// A gate, and the mailbox that is part of it.
type PlannedGate = (Untyped, Arc<dyn Mailbox>);

struct Planner<'a> {
    graph: &'a GraphData,
    config: &'a JobConfig,
    attempt: Attempt,
    uids: Vec<Arc<str>>,
    parallelisms: Vec<usize>,
    /// Of operators that begin a task: the gate of each subtask.
    gates: HashMap<usize, Vec<PlannedGate>>,
    metrics: JobMetrics,
    turns: Arc<Turns>,
    rates: HashMap<usize, Arc<SourceRate>>,
    groups: AlignmentGroups,
}

/// Whether the graph can be run with these settings, as far as can be told without doing it.
pub(crate) fn check(graph: &GraphData, config: &JobConfig) -> Result<(), JobError> {
    if let Some(reason) = &graph.invalid {
        return Err(JobError::Graph(reason.clone()));
    }
    if graph.nodes.is_empty() {
        return Err(JobError::Graph("it has no source; begin with a source and end with a sink".to_owned()));
    }
    let identities = graph.identities()?;
    // Where nothing is written down, nothing can be mistaken for something else.
    if config.checkpoint.is_some() {
        identity::check(graph, &identities)?;
    }
    parallelisms(graph, config)?;
    if config.unaligned_after.is_some() && !graph.batch_intervals.is_empty() {
        return Err(JobError::Config(
            "unaligned checkpoints in a job with batches: a batch is what lies before a barrier, so none can be overtaken; leave \
             `unaligned_after` unset, or make a job of its own of what has no batches"
                .to_owned(),
        ));
    }
    for (index, edge) in graph.edges.iter().enumerate() {
        let same_output = |other: &&Edge| (other.from, other.port) == (edge.from, edge.port);
        let others = graph.edges[..index].iter().filter(same_output);
        if others.into_iter().any(|other| other.factory.carries() != edge.factory.carries()) {
            let reason = format!(
                "the side output `{}` of operator `{}` is read as two types; give each type a tag of its own",
                edge.port, graph.nodes[edge.from].name
            );
            return Err(JobError::Graph(reason));
        }
    }
    Ok(())
}

/// The operators on the way to which no barrier overtakes records, though others' may in this job.
pub(crate) fn aligned(graph: &GraphData, config: &JobConfig) -> Result<Vec<String>, JobError> {
    let parallelisms = parallelisms(graph, config)?;
    let waits = |node: &usize| {
        chained_to(graph, &parallelisms, *node).is_none()
            && graph.edges.iter().any(|edge| edge.to == *node && !edge.factory.may_be_overtaken())
    };
    let waiting = (0..graph.nodes.len()).filter(waits).map(|node| format!("`{}`", graph.nodes[node].name));
    Ok(waiting.collect())
}

/// Puts the tasks of a graph together that has been [checked](check).
pub(crate) fn plan(graph: &GraphData, config: &JobConfig, attempt: Attempt) -> Result<Plan, JobError> {
    let (uids, parallelisms) = (graph.uids()?, parallelisms(graph, config)?);
    let (gates, memory) = (HashMap::new(), attempt.memory.clone());
    let metrics = JobMetrics { memory, ..JobMetrics::default() };
    let turns = Turns::new(graph.nodes.iter().filter(|node| node.in_turn).count());
    let (rates, groups) = (HashMap::new(), AlignmentGroups::default());
    let mut planner =
        Planner { graph, config, attempt, uids, parallelisms, gates, metrics, turns, rates, groups };
    let heads: Vec<usize> =
        (0..graph.nodes.len()).filter(|node| planner.chained_to(*node).is_none()).collect();
    let bytes = gate_bytes(graph, config, &heads, &planner.parallelisms);
    for head in &heads {
        if let NodeKind::Operator(factory) = &graph.nodes[*head].kind {
            let gate = |_| lock(factory).gate(config.channel_capacity, bytes);
            planner.gates.insert(*head, (0..planner.parallelisms[*head]).map(gate).collect());
        }
    }
    let mut tasks = Vec::new();
    for head in heads.iter().rev() {
        for subtask in 0..planner.parallelisms[*head] {
            tasks.push(planner.task(*head, subtask)?);
        }
    }
    // Gates know their channels only when everybody who writes to them has been put together; readers come last.
    tasks.reverse();
    planner.metrics.operators.reverse();
    let rates =
        planner.rates.iter().map(|(node, rate)| (planner.uids[*node].clone(), rate.clone())).collect();
    Ok(Plan { tasks, metrics: planner.metrics, rates })
}

/// How many bytes may be queued at each gate.
fn gate_bytes(graph: &GraphData, config: &JobConfig, heads: &[usize], parallelisms: &[usize]) -> u64 {
    let is_operator = |head: &&usize| matches!(graph.nodes[**head].kind, NodeKind::Operator(_));
    let gates: usize = heads.iter().filter(is_operator).map(|head| parallelisms[*head]).sum();
    let share = config.memory.as_ref().map(|memory| memory.queued() / gates.max(1) as u64);
    share.map_or(QUEUED_BYTES, |share| share.min(QUEUED_BYTES))
}

/// The operator whose task `node` joins.
pub(super) fn chained_to(graph: &GraphData, parallelisms: &[usize], node: usize) -> Option<usize> {
    let mut inputs = graph.edges.iter().filter(|edge| edge.to == node);
    match (inputs.next(), inputs.next()) {
        (Some(edge), None)
            if edge.partitioning == Partitioning::Forward
                // What waits for its turn must not keep others waiting that would be in the same task.
                && !graph.nodes[node].in_turn
                && parallelisms[edge.from] == parallelisms[node] =>
        {
            Some(edge.from)
        }
        _ => None,
    }
}

impl Planner<'_> {
    fn chained_to(&self, node: usize) -> Option<usize> {
        chained_to(self.graph, &self.parallelisms, node)
    }

    fn task(&mut self, head: usize, subtask: usize) -> Result<PlannedTask, JobError> {
        let (clock, metrics) = (TaskClock::default(), Arc::new(TaskMetrics::default()));
        let operator = self.name(head, subtask);
        let outputs = self.outputs(head, subtask, &clock, &metrics)?;
        let context = self.context(head, subtask, &clock);
        self.metrics.tasks.push((operator.clone(), metrics.clone()));
        let graph = self.graph;
        let (task, mailbox) = match &graph.nodes[head].kind {
            NodeKind::Source(factory) => {
                let job = self.config.id.as_str().into();
                let caught_up_every = self.caught_up_every(head);
                let initial = self.config.back_pressure.and_then(|pid| pid.initial_rate);
                let rate = self.rates.entry(head).or_insert_with(|| SourceRate::new(initial)).clone();
                let pace = SourcePace { caught_up_every, rate, groups: &self.groups };
                lock(factory).task(context, self.config.clock.clone(), job, pace, outputs)
            }
            NodeKind::Operator(factory) => {
                let link = lock(factory).link(context, outputs);
                let link = link.map_err(|error| cannot_make(&operator, &error))?;
                // The planner keeps its handle for those who write to the gate.
                let (gate, mailbox) = self.gate_handle(head, subtask);
                let (operator, lanes) = (operator.clone(), self.lanes(head));
                let at = Place { operator, parallelism: self.parallelisms[head], lanes };
                (lock(factory).task(gate, link, at), mailbox)
            }
        };
        let is_source = matches!(graph.nodes[head].kind, NodeKind::Source(_));
        Ok(PlannedTask { operator, is_source, task, mailbox, clock, metrics })
    }

    /// The turn of an output of batches, by the order in which they were registered.
    fn turn(&self, node: usize) -> Turn {
        if !self.graph.nodes[node].in_turn {
            return Turn::default();
        }
        self.turns.turn(self.graph.nodes[..node].iter().filter(|before| before.in_turn).count())
    }

    /// How often a source says how far it has caught up with the outside: several times within the least timeout of the operators
    /// behind it, if there is one.
    fn caught_up_every(&self, source: usize) -> Option<i64> {
        let (mut behind, mut next) = (vec![false; self.graph.nodes.len()], vec![source]);
        while let Some(node) = next.pop() {
            if !std::mem::replace(&mut behind[node], true) {
                next.extend(self.graph.edges.iter().filter(|edge| edge.from == node).map(|edge| edge.to));
            }
        }
        let nodes = self.graph.nodes.iter().zip(behind).filter(|(_, is_behind)| *is_behind);
        nodes.filter_map(|(node, _)| node.idle_timeout).min().map(|timeout| (timeout / 4).max(1))
    }

    /// A handle to the gate of a subtask that reads from it.
    fn gate_handle(&mut self, head: usize, subtask: usize) -> PlannedGate {
        let graph = self.graph;
        let gates = self.gates.get_mut(&head);
        match (gates, graph.edges.iter().find(|edge| edge.to == head)) {
            (Some(gates), Some(edge)) => {
                let (gate, mailbox) = &gates[subtask];
                (edge.factory.gate_handle(gate), mailbox.clone())
            }
            _ => unreachable!("an operator that begins a task has a gate and an input"),
        }
    }

    /// The edges to an operator on which a barrier may overtake records.
    fn lanes(&self, head: usize) -> Vec<Untyped> {
        let edges = self.graph.edges.iter().filter(|edge| edge.to == head);
        let lane = |edge: &Edge| {
            edge.factory.lane(self.lane(edge), self.config.max_parallelism, self.parallelisms[head])
        };
        edges.filter_map(lane).collect()
    }

    /// The name of an edge among all that lead to the same operator.
    fn lane(&self, edge: &Edge) -> Arc<str> {
        match edge.port {
            "" => self.uids[edge.from].clone(),
            port => format!("{} {port}", self.uids[edge.from]).into(),
        }
    }

    /// What the operator writes to: the rest of its chain, and the edges to other tasks.
    fn outputs(
        &mut self,
        node: usize,
        subtask: usize,
        clock: &TaskClock,
        metrics: &Arc<TaskMetrics>,
    ) -> Result<Outputs, JobError> {
        let graph = self.graph;
        let mut ports: Vec<(&'static str, Vec<(usize, Untyped)>)> = Vec::new();
        for (index, edge) in graph.edges.iter().enumerate().filter(|(_, edge)| edge.from == node) {
            let collector = if self.chained_to(edge.to) == Some(node) {
                self.link(edge.to, subtask, clock, metrics)?
            } else {
                self.writer(index, subtask, metrics)
            };
            match ports.iter_mut().find(|(port, _)| *port == edge.port) {
                Some((_, branches)) => branches.push((index, collector)),
                None => ports.push((edge.port, vec![(index, collector)])),
            }
        }
        let mut outputs = Outputs { main: None, sides: Vec::new() };
        for (port, branches) in ports {
            let factory = graph.edges[branches[0].0].factory.clone();
            let collector = factory.fork(branches.into_iter().map(|(_, collector)| collector).collect());
            if port.is_empty() {
                outputs.main = Some(collector);
            } else {
                outputs.sides.push(factory.side(port, collector));
            }
        }
        Ok(outputs)
    }

    fn link(
        &mut self,
        node: usize,
        subtask: usize,
        clock: &TaskClock,
        metrics: &Arc<TaskMetrics>,
    ) -> Result<Untyped, JobError> {
        let outputs = self.outputs(node, subtask, clock, metrics)?;
        let context = self.context(node, subtask, clock);
        let operator = context.operator.clone();
        match &self.graph.nodes[node].kind {
            NodeKind::Operator(factory) => {
                lock(factory).link(context, outputs).map_err(|error| cannot_make(&operator, &error))
            }
            NodeKind::Source(_) => unreachable!("a source has no input"),
        }
    }

    fn writer(&self, edge: usize, subtask: usize, metrics: &Arc<TaskMetrics>) -> Untyped {
        let edge = &self.graph.edges[edge];
        let gates = &self.gates[&edge.to];
        let same = self.parallelisms[edge.from] == self.parallelisms[edge.to];
        let max_parallelism = self.config.max_parallelism;
        let lane = self.lane(edge);
        match edge.partitioning {
            Partitioning::Forward if same => {
                let channel = edge.factory.channel(&gates[subtask].0, &lane);
                edge.factory.writer(vec![channel], max_parallelism, subtask, metrics.clone())
            }
            Partitioning::Forward => {
                // From one parallelism to another there is no pairing: everybody writes to everybody, in turn.
                let channels = gates.iter().map(|(gate, _)| edge.factory.channel(gate, &lane)).collect();
                edge.factory.rebalancer(channels, subtask, metrics.clone())
            }
            _ => {
                let channels = gates.iter().map(|(gate, _)| edge.factory.channel(gate, &lane)).collect();
                edge.factory.writer(channels, max_parallelism, subtask, metrics.clone())
            }
        }
    }

    fn name(&self, node: usize, subtask: usize) -> OperatorName {
        OperatorName {
            name: self.graph.nodes[node].name.as_str().into(),
            uid: self.uids[node].clone(),
            subtask,
        }
    }

    fn context(&mut self, node: usize, subtask: usize, clock: &TaskClock) -> OperatorContext {
        let role = match &self.graph.nodes[node] {
            Node { kind: NodeKind::Source(_), .. } => Role::Source,
            Node { leaves: Leaves::Here, .. } => Role::Sink,
            _ => Role::Within,
        };
        let (operator, metrics) = (self.name(node, subtask), Arc::new(OperatorMetrics::of(role)));
        self.metrics.operators.push((operator.clone(), metrics.clone()));
        let parallelism = self.parallelisms[node];
        OperatorContext {
            operator,
            parallelism,
            key_groups: KeyGroups::of_subtask(self.config.max_parallelism, parallelism, subtask),
            clock: clock.clone(),
            metrics,
            start_time: self.attempt.start_time,
            restored_epoch: self.attempt.restored_epoch,
            run: self.attempt.run.clone(),
            cancelled: self.attempt.cancelled.clone(),
            // It is known when the task starts.
            waker: Waker::default(),
            turn: self.turn(node),
            memory: self.attempt.memory.clone(),
            queued_bytes: self.queued_bytes(node),
        }
    }

    /// What a subtask of a source, or of a sink, may hold of records on their way.
    fn queued_bytes(&self, node: usize) -> Option<u64> {
        let memory = self.config.memory.as_ref()?;
        let is_source = |node: usize| matches!(self.graph.nodes[node].kind, NodeKind::Source(_));
        let is_sink = |node: usize| self.graph.edges.iter().all(|edge| edge.from != node);
        let like_it: &dyn Fn(usize) -> bool = if is_source(node) { &is_source } else { &is_sink };
        let subtasks: usize = (0..self.graph.nodes.len())
            .filter(|node| like_it(*node))
            .map(|node| self.parallelisms[node])
            .sum();
        Some(memory.queued() / subtasks.max(1) as u64)
    }
}

fn cannot_make(operator: &OperatorName, error: &crate::error::BoxError) -> JobError {
    JobError::Config(format!("operator {operator} cannot be set up: {error}"))
}
