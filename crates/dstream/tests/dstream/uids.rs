//! A uid is that of a whole operation: of everything in it that has state.

use std::collections::BTreeSet;
use std::time::Duration;

use thalweg_dstream::{DStream, StreamingContext};

const MS_10: Duration = Duration::from_millis(10);

/// The uids of the operators of an operation that is given the uid `mine`, without those that other operators
/// have by default.
fn uids<T>(operation: impl FnOnce(&DStream<(u8, u8)>) -> DStream<T>) -> BTreeSet<String>
where
    T: Clone + Send + 'static,
{
    let ssc = StreamingContext::new("uids", MS_10);
    let operation = operation(&ssc.queue_stream(vec![vec![(1, 1)]])).uid("mine");
    // What it is for is not known here.
    let _ = operation.stream();
    ssc.start().unwrap();
    let operators = ssc.await_termination().unwrap().metrics.operators;
    operators.into_iter().map(|(name, _)| name.uid.to_string()).collect()
}

#[test]
fn everything_with_state_has_the_uid_of_its_operation() {
    let has = |uids: BTreeSet<String>, expected: &[&str]| {
        let found: Vec<&str> =
            uids.iter().map(String::as_str).filter(|uid| uid.starts_with("mine")).collect();
        assert_eq!(found, expected);
        // What is left has no state.
        let others: Vec<&String> = uids.iter().filter(|uid| !uid.starts_with("mine")).collect();
        let stateless = ["combine", "group", "key", "left", "map", "queue", "right"];
        let is_stateless =
            |uid: &&String| uid.split('-').next().is_some_and(|name| stateless.contains(&name));
        assert!(others.iter().all(is_stateless), "{others:?}");
    };
    has(uids(|stream| stream.reduce_by_key(|a, b| a + b)), &["mine"]);
    has(uids(|stream| stream.group_by_key()), &["mine", "mine-co-group"]);
    has(uids(|stream| stream.update_state_by_key(|_, _, state: Option<u8>| state)), &["mine"]);
    has(uids(|stream| stream.join(stream)), &["mine", "mine-co-group"]);
    has(uids(|stream| stream.cogroup(stream)), &["mine"]);
    has(uids(|stream| stream.count()), &["mine", "mine-share"]);
    has(uids(|stream| stream.count_by_value()), &["mine"]);
    has(uids(|stream| stream.reduce(|a, _| a)), &["mine", "mine-fold", "mine-fold-share"]);
    has(uids(|stream| stream.print()), &["mine", "mine-batch", "mine-fold", "mine-fold-share"]);
    has(uids(|stream| stream.transform(|rdd, _| rdd)), &["mine", "mine-batch"]);
    has(uids(|stream| stream.transform_with(stream, |rdd, _, _| rdd)), &["mine", "mine-batch"]);
    has(uids(|stream| stream.foreach_rdd(|_, _| ())), &["mine", "mine-batch"]);
    has(uids(|stream| stream.window(MS_10, MS_10)), &["mine"]);
    has(
        uids(|stream| stream.group_by_key_and_window(MS_10, MS_10)),
        &["mine", "mine-co-group", "mine-window"],
    );
    let counts = ["mine", "mine-batch", "mine-batch-share", "mine-share", "mine-window"];
    has(uids(|stream| stream.count_by_window(MS_10, MS_10)), &counts);
    let reduced = [
        "mine",
        "mine-batch",
        "mine-batch-fold",
        "mine-batch-fold-share",
        "mine-fold",
        "mine-fold-share",
        "mine-window",
    ];
    has(uids(|stream| stream.reduce_by_window(|a, _| a, MS_10, MS_10)), &reduced);
}
