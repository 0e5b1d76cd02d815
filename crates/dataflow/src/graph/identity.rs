//! Who is who: the id under which the state of an operator is found again.
//!
//! An operator has the uid that it was given, or one that says what it *is*: its name, what tells it from others of that
//! name ([`Operator::identity`](crate::operator::Operator::identity), [`Source::identity`](crate::source::Source::identity)), and
//! where it hangs: the ids of its inputs. So a branch that is added, taken away or moved changes nothing for the others. A closure
//! has no name that would survive an edit; two operators that differ only in theirs, on the same input, look the same.
//! If they keep state, the job is refused; if not, they are numbered.
//!
//! ```text
//! uid       = name-hash      hash over: name, what it is, of each input (in no order): uid, side output, how it is divided
//! structure = the same, with sources taken for what they read, whatever their uid: so a source can begin anew, under
//!             another uid, and what hangs below it still finds its state
//! ```
//!
//! How records are spread (`rebalance`) is no part of it; by key, or to all, is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::GraphData;
use super::node::{NodeKind, Partitioning};
use crate::error::JobError;
use crate::hash::key_hash;

/// Who an operator of a job is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// No other operator of the job has it.
    pub(crate) uid: Arc<str>,
    /// The uid before numbering: of operators that look the same it is the same.
    base: Arc<str>,
    /// See the [module](self).
    pub(crate) structure: Arc<str>,
}

/// The identity of each node, in order.
pub(crate) fn identities(graph: &GraphData) -> Result<Vec<Identity>, JobError> {
    let mut found: Vec<Identity> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        // Edges lead from earlier nodes to later ones.
        let of_inputs = |id: fn(&Identity) -> &Arc<str>| {
            let inputs = graph.edges.iter().filter(|edge| edge.to == index);
            let mut inputs: Vec<[&str; 3]> =
                inputs.map(|edge| [&**id(&found[edge.from]), edge.port, spread(edge.partitioning)]).collect();
            inputs.sort_unstable();
            inputs
        };
        let derived = |id: fn(&Identity) -> &Arc<str>| match &node.identity {
            Some(given) => named(&node.name, &[given], &[]),
            None => named(&node.name, &[&node.what], &of_inputs(id)),
        };
        let base = node.uid.as_deref().map_or_else(|| derived(|identity| &identity.base), Arc::from);
        let structure = match &node.uid {
            Some(uid) if !matches!(node.kind, NodeKind::Source(_)) => uid.as_str().into(),
            _ => derived(|identity| &identity.structure),
        };
        found.push(Identity { uid: base.clone(), base, structure });
    }
    number(graph, &mut found)?;
    Ok(found)
}

fn spread(partitioning: Partitioning) -> &'static str {
    match partitioning {
        Partitioning::Forward | Partitioning::Rebalance => "",
        Partitioning::Keyed => "keyed",
        Partitioning::Broadcast => "broadcast",
        Partitioning::Global => "global",
        Partitioning::Custom => "custom",
    }
}

/// A name, and a hash over it and all else. Fields are told apart by their lengths.
fn named(name: &str, what: &[&str], inputs: &[[&str; 3]]) -> Arc<str> {
    let fields = [name].into_iter().chain(what.iter().copied()).chain(inputs.iter().flatten().copied());
    let text: String = fields.map(|field| format!("{}:{field}", field.len())).collect();
    format!("{name}-{:012x}", key_hash(text.as_str()) >> 16).into()
}

/// Operators that look the same, by their index.
fn alike(identities: &[Identity]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, identity) in identities.iter().enumerate() {
        groups.entry(&identity.base).or_default().push(index);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// Gives operators that look the same a number, but for the first: the one with that uid, else one that keeps state.
fn number(graph: &GraphData, identities: &mut [Identity]) -> Result<(), JobError> {
    let mut taken: HashSet<Arc<str>> = identities.iter().map(|identity| identity.base.clone()).collect();
    for mut group in alike(identities) {
        let explicit = |index: &usize| graph.nodes[*index].uid.is_some();
        if group.iter().filter(|index| explicit(index)).count() > 1 {
            let uid = &identities[group[0]].base;
            let reason =
                format!("two operators have the uid `{uid}`: give one of them another, with .uid(…)");
            return Err(JobError::Graph(reason));
        }
        group.sort_by_key(|index| (!explicit(index), !graph.nodes[*index].keeps_state()));
        let mut number = 2;
        for index in &group[1..] {
            let free = (number..).map(|n| (n, Arc::from(format!("{}-{n}", identities[*index].base))));
            // There are more numbers than operators.
            for (n, uid) in free {
                if taken.insert(Arc::clone(&uid)) {
                    (identities[*index].uid, number) = (uid, n + 1);
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Refuses a graph with operators that look the same and keep state: after the next change of the program the state of
/// one could be taken for that of another.
pub(crate) fn check(graph: &GraphData, identities: &[Identity]) -> Result<(), JobError> {
    let unclear = |index: &usize| graph.nodes[*index].uid.is_none() && graph.nodes[*index].keeps_state();
    let unclear: Vec<Vec<usize>> = alike(identities)
        .into_iter()
        .filter(|group| group.iter().any(unclear) && !keep_the_same(graph, group))
        .collect();
    if unclear.is_empty() {
        return Ok(());
    }
    let show = |group: &Vec<usize>| format!("{} operators that are {}", group.len(), path(graph, group[0]));
    let all: Vec<String> = unclear.iter().map(show).collect();
    let count: usize = unclear.iter().map(Vec::len).sum();
    Err(JobError::Graph(format!(
        "{count} operators that keep state cannot be told apart: there are {}. After a change of the program, one could be \
         given the state of another. Give each a uid of its own, such as .uid(\"{}-of-orders\") on the stream that comes out of it; a \
         uid also tells apart what hangs below",
        all.join("; "),
        graph.nodes[unclear[0][0]].name,
    )))
}

/// Whether all of them always keep the same state: nothing that a user wrote stands between them and one stream.
fn keep_the_same(graph: &GraphData, group: &[usize]) -> bool {
    group[1..].iter().all(|other| is_the_same(graph, group[0], *other))
}

fn is_the_same(graph: &GraphData, one: usize, other: usize) -> bool {
    let known = |node: usize| graph.nodes[node].is_determined && graph.nodes[node].uid.is_none();
    let inputs = |node: usize| graph.edges.iter().filter(move |edge| edge.to == node);
    one == other
        || (known(one) && known(other))
            && graph.nodes[one].name == graph.nodes[other].name
            && graph.nodes[one].what == graph.nodes[other].what
            && inputs(one).count() == inputs(other).count()
            && inputs(one).zip(inputs(other)).all(|(one, other)| {
                (one.port, one.partitioning) == (other.port, other.partitioning)
                    && is_the_same(graph, one.from, other.from)
            })
}

/// An operator and what it hangs on, up to the sources, for people.
pub(crate) fn path(graph: &GraphData, node: usize) -> String {
    let known = &graph.nodes[node];
    let what = if known.what.is_empty() { String::new() } else { format!(" ({})", known.what) };
    let shown = format!("`{}`{what}", known.name);
    let mut inputs: Vec<usize> =
        graph.edges.iter().filter(|edge| edge.to == node).map(|edge| edge.from).collect();
    inputs.dedup();
    match inputs.as_slice() {
        [] => shown,
        [input] => format!("{shown} behind {}", path(graph, *input)),
        [first, ..] => {
            format!("{shown} behind {} streams, one of them {}", inputs.len(), path(graph, *first))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    use super::*;
    use crate::error::BoxError;
    use crate::graph::{Stream, StreamGraph};
    use crate::operator::Operator;
    use crate::operators::BatchWindow;
    use crate::output::Output;
    use crate::record::Batch;
    use crate::source::CollectionSource;
    use crate::state::States;
    use crate::watermark::WatermarkStrategy;

    /// An operator that keeps state, or does not.
    #[derive(Clone)]
    struct Step {
        state: Option<Vec<u64>>,
    }

    impl Operator for Step {
        type In = u64;
        type Out = u64;

        fn states(&mut self, states: &mut States<'_>) {
            if let Some(state) = &mut self.state {
                states.list("state", state);
            }
        }

        fn process(&mut self, batch: &mut Batch<u64>, output: &mut Output<u64>) -> Result<(), BoxError> {
            output.push_batch(&mut batch.records);
            Ok(())
        }
    }

    /// What one operator of a program is. Its place in the list is its true identity, which the engine cannot see.
    #[derive(Clone, Debug)]
    struct Spec {
        name: usize,
        /// Of those before it. None: a source.
        inputs: Vec<usize>,
        keeps_state: bool,
        uid: bool,
    }

    const NAMES: [&str; 3] = ["a", "b", "a-2"];

    fn specs() -> impl Strategy<Value = Vec<Spec>> {
        let spec =
            (0..NAMES.len(), prop::collection::vec(any::<prop::sample::Index>(), 0..3), any::<bool>(), 0..6);
        prop::collection::vec(spec, 1..14).prop_map(|drawn| {
            let spec = |(index, (name, inputs, keeps_state, uid)): (
                usize,
                (_, Vec<prop::sample::Index>, _, i32),
            )| Spec {
                name,
                // Mostly one; a source only at times.
                inputs: if index == 0 {
                    vec![]
                } else {
                    inputs.iter().map(|input| input.index(index)).collect()
                },
                keeps_state,
                uid: uid == 0,
            };
            drawn.into_iter().enumerate().map(spec).collect()
        })
    }

    /// Builds the operators with these numbers, in this order as far as inputs come first. Returns the graph, and which number each
    /// of its nodes is.
    fn build(specs: &[Spec], order: &[usize]) -> (StreamGraph, Vec<usize>) {
        let graph = StreamGraph::new();
        let mut streams: BTreeMap<usize, Stream<u64>> = BTreeMap::new();
        let (mut built, mut left) = (Vec::new(), order.to_vec());
        while !left.is_empty() {
            let next =
                left.iter().position(|number| specs[*number].inputs.iter().all(|i| streams.contains_key(i)));
            let number = left.remove(next.unwrap());
            let spec = &specs[number];
            let name = NAMES[spec.name];
            let mut inputs = spec.inputs.iter().map(|input| streams[input].clone());
            let stream = match inputs.next() {
                None => {
                    graph.source(name, CollectionSource::new(vec![1]), WatermarkStrategy::no_watermarks())
                }
                Some(first) => {
                    let all = inputs.fold(first, |all, input| all.union(&input));
                    all.apply(name, Step { state: spec.keeps_state.then(Vec::new) })
                }
            };
            let stream = if spec.uid { stream.uid(&format!("given-{number}")) } else { stream };
            streams.insert(number, stream);
            built.push(number);
        }
        (graph, built)
    }

    /// The uid of each operator that keeps state, by number; `None` if the program is refused.
    fn uids(specs: &[Spec], order: &[usize]) -> Option<BTreeMap<usize, Arc<str>>> {
        let (graph, built) = build(specs, order);
        let graph = graph.lock();
        let identities = graph.identities().unwrap();
        let distinct: BTreeSet<&str> = identities.iter().map(|identity| &*identity.uid).collect();
        assert_eq!(distinct.len(), identities.len(), "two operators with one uid");
        check(&graph, &identities).ok()?;
        let stateful = built.iter().zip(&identities).zip(&graph.nodes).filter(|(_, node)| node.keeps_state());
        Some(stateful.map(|((number, identity), _)| (*number, identity.uid.clone())).collect())
    }

    proptest! {
        #[test]
        fn an_unrelated_edit_changes_nobody(
            specs in specs(),
            keep in prop::collection::vec(any::<bool>(), 14),
            shuffled in Just((0..14).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            // The program before: some operators, and all that they read from. After: all of them, in another order. Which
            // way the edit goes does not matter.
            let mut kept: BTreeSet<usize> = (0..specs.len()).filter(|number| keep[*number]).collect();
            for number in (0..specs.len()).rev() {
                if kept.contains(&number) {
                    kept.extend(&specs[number].inputs);
                }
            }
            let before = uids(&specs, &kept.iter().copied().collect::<Vec<_>>());
            let order: Vec<usize> = shuffled.into_iter().filter(|number| *number < specs.len()).collect();
            let after = uids(&specs, &order);
            if let (Some(before), Some(after)) = (before, after) {
                for (number, uid) in &before {
                    prop_assert_eq!(after.get(number), Some(uid), "operator {}", number);
                }
            }
        }
    }

    #[test]
    fn most_programs_are_not_refused() {
        // Else the property above would say little.
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let accepted = (0..200).filter(|_| {
            let specs = specs().new_tree(&mut runner).unwrap().current();
            uids(&specs, &(0..specs.len()).collect::<Vec<_>>()).is_some()
        });
        let accepted = accepted.count();
        assert!((40..190).contains(&accepted), "{accepted} of 200");
    }

    fn numbers(graph: &StreamGraph) -> Stream<u64> {
        graph.source("numbers", CollectionSource::new(vec![1]), WatermarkStrategy::no_watermarks())
    }

    fn sum(stream: &Stream<u64>) -> Stream<u64> {
        stream.apply("sum", Step { state: Some(Vec::new()) })
    }

    fn refusal(graph: &StreamGraph) -> Option<String> {
        let graph = graph.lock();
        check(&graph, &graph.identities().unwrap()).err().map(|error| error.to_string())
    }

    #[test]
    fn ids_never_change() {
        // Checkpoints are found by them: what is written here was written by the first version that had them.
        let graph = StreamGraph::new();
        sum(&numbers(&graph).map("key", |n| n).rebalance());
        let uids = graph.lock().uids().unwrap();
        let uids: Vec<&str> = uids.iter().map(|uid| &**uid).collect();
        assert_eq!(uids, GOLDEN);
    }

    const GOLDEN: [&str; 3] = ["numbers-76648ab4c224", "key-81f73a39954a", "sum-6a94a4ce14c7"];

    #[test]
    fn a_uid_above_or_a_structural_id_tells_twins_apart() {
        let graph = StreamGraph::new();
        let numbers = numbers(&graph);
        let twins = [numbers.map("field", |n| n), numbers.map("field", |n| n * 2)];
        let sums = twins.each_ref().map(sum);
        let error = refusal(&graph).unwrap();
        for part in ["2 operators", "`sum` behind `field` behind `numbers` (u64)", ".uid("] {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        let [left, _] = sums;
        let left = left.identity("plan of the left one");
        assert_eq!(refusal(&graph), None);
        let _ = left.identity("plan of both");
        let [_, right] = twins;
        let _ = right.uid("doubled");
        assert_eq!(refusal(&graph), None);
    }

    #[test]
    fn twins_that_cannot_differ_are_not_refused() {
        let graph = StreamGraph::new();
        let numbers = numbers(&graph);
        let window = |stream: &Stream<u64>| stream.apply("window", BatchWindow::new(10, 20, 10));
        let _ = (window(&numbers), window(&numbers));
        assert_eq!(refusal(&graph), None);
        let [ours, again] = [(), ()].map(|()| numbers.map("ours", |n| n).determined());
        let _ = (window(&ours), window(&again));
        assert_eq!(refusal(&graph), None);
        let [theirs, others] = [1, 2].map(|by| numbers.map("theirs", move |n| n * by));
        let _ = (window(&theirs), window(&others));
        assert!(
            refusal(&graph)
                .unwrap()
                .contains("2 operators that are `window` (20 ms, every 10 ms) behind `theirs`")
        );
    }

    #[test]
    fn sources_that_read_the_same_want_a_uid() {
        let graph = StreamGraph::new();
        let (first, _) = (numbers(&graph), numbers(&graph));
        assert!(refusal(&graph).unwrap().contains("`numbers` (u64)"));
        let _ = first.uid("first");
        assert_eq!(refusal(&graph), None);
    }
}
