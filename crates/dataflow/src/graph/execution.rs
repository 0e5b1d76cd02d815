//! What one execution of a graph consists of: what has been added since the one before, and all that it reads from.
//!
//! The execution is cut off from the graph that it came from: what is added to that one while a job runs is for the next. Operators
//! are made anew for each, so a source that two executions read is read twice.

use std::sync::{Arc, Mutex};

use super::{GraphData, StreamGraph};
use crate::error::JobError;

impl StreamGraph {
    /// The graph of the next execution.
    ///
    /// # Errors
    /// When nothing has been added since the last one.
    pub(crate) fn next_execution(&self) -> Result<Self, JobError> {
        let mut graph = self.lock();
        if graph.executed > 0 && graph.executed == graph.nodes.len() {
            let reason = "nothing has been added to it since it was last executed; to run the same once more, build it anew";
            return Err(JobError::Graph(reason.to_owned()));
        }
        let mut wanted: Vec<bool> = (0..graph.nodes.len()).map(|node| node >= graph.executed).collect();
        for node in graph.executed..graph.nodes.len() {
            mark_inputs(&graph, node, &mut wanted);
        }
        let mut place = vec![None; wanted.len()];
        let mut execution =
            GraphData { batch_intervals: graph.batch_intervals.clone(), ..GraphData::default() };
        for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| wanted[*index]) {
            place[index] = Some(execution.nodes.len());
            execution.nodes.push(node.clone());
        }
        for edge in &graph.edges {
            if let (Some(from), Some(to)) = (place[edge.from], place[edge.to]) {
                let mut edge = edge.clone();
                (edge.from, edge.to) = (from, to);
                execution.edges.push(edge);
            }
        }
        (execution.committer, execution.invalid) = (graph.committer.take(), graph.invalid.take());
        graph.executed = graph.nodes.len();
        Ok(Self(Arc::new(Mutex::new(execution))))
    }
}

/// Marks all that a node reads from.
fn mark_inputs(graph: &GraphData, node: usize, wanted: &mut [bool]) {
    let mut left = vec![node];
    while let Some(node) = left.pop() {
        for edge in graph.edges.iter().filter(|edge| edge.to == node) {
            if !std::mem::replace(&mut wanted[edge.from], true) {
                left.push(edge.from);
            }
        }
    }
}
