//! A graph and its plan, in words.

use std::fmt::Write;

use super::node::Partitioning;
use super::plan::{chained_to, check, parallelisms};
use super::{GraphData, StreamGraph};
use crate::error::JobError;
use crate::runtime::JobConfig;

impl StreamGraph {
    /// The plan of the job: its tasks, each with so many subtasks, that is, threads; the operators of each, what they are, and from where they get
    /// their records.
    ///
    /// ```
    /// use thalweg_dataflow::graph::StreamGraph;
    /// use thalweg_dataflow::runtime::JobConfig;
    /// use thalweg_dataflow::source::CollectionSource;
    /// use thalweg_dataflow::watermark::WatermarkStrategy;
    ///
    /// let graph = StreamGraph::new();
    /// let numbers = graph.source("numbers", CollectionSource::new(vec![1, 2]), WatermarkStrategy::no_watermarks());
    /// numbers.map("double", |n| n * 2).rebalance().map("print", |n| println!("{n}")).parallelism(3);
    /// let mut config = JobConfig::new("doubling");
    /// config.parallelism = 1;
    /// let plan = graph.explain(&config)?;
    /// let tasks: Vec<&str> = plan.lines().filter(|line| line.starts_with("Task")).collect();
    /// assert_eq!(tasks, ["Task 1: 1 subtask", "Task 2: 3 subtasks"]);
    /// assert!(plan.contains("print: from `double`, in turn"), "{plan}");
    /// # Ok::<(), thalweg_dataflow::error::JobError>(())
    /// ```
    ///
    /// # Errors
    /// What would keep the job from being started.
    pub fn explain(&self, config: &JobConfig) -> Result<String, JobError> {
        explain(&self.lock(), config)
    }
}

fn explain(graph: &GraphData, config: &JobConfig) -> Result<String, JobError> {
    check(graph, config)?;
    let (uids, parallelisms) = (graph.uids()?, parallelisms(graph, config)?);
    let task_of = |node: usize| {
        let mut head = node;
        while let Some(before) = chained_to(graph, &parallelisms, head) {
            head = before;
        }
        head
    };
    let tasks: Vec<usize> = (0..graph.nodes.len()).map(task_of).collect();
    let heads = (0..graph.nodes.len()).filter(|node| tasks[*node] == *node);
    let mut text = String::new();
    for (number, head) in (1..).zip(heads) {
        let subtasks = parallelisms[head];
        let plural = if subtasks == 1 { "" } else { "s" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "Task {number}: {subtasks} subtask{plural}");
        for node in (0..graph.nodes.len()).filter(|node| tasks[*node] == head) {
            let super::node::Node { name, what, begins_event_time, .. } = &graph.nodes[node];
            let what = if what.is_empty() { String::new() } else { format!(" ({what})") };
            let time = if *begins_event_time { "; makes watermarks" } else { "" };
            let inputs = graph.edges.iter().filter(|edge| edge.to == node).map(|edge| {
                let how = match edge.partitioning {
                    Partitioning::Forward if tasks[edge.from] == head => "in the same thread",
                    Partitioning::Forward if parallelisms[edge.from] == parallelisms[node] => "one to one",
                    Partitioning::Forward | Partitioning::Rebalance => "in turn",
                    Partitioning::Keyed => "by key",
                    Partitioning::Broadcast => "all to each",
                    Partitioning::Global => "all to the first",
                    Partitioning::Custom => "by a partitioner",
                };
                let port = if edge.port.is_empty() {
                    String::new()
                } else {
                    format!(" (its side output `{}`)", edge.port)
                };
                format!("`{}`{port}, {how}", graph.nodes[edge.from].name)
            });
            let inputs: Vec<String> = inputs.collect();
            let from =
                if inputs.is_empty() { "a source".to_owned() } else { format!("from {}", inputs.join("; ")) };
            let _ = writeln!(text, "  {name}{what}: {from}{time}; uid {}", uids[node]);
        }
    }
    Ok(text)
}
