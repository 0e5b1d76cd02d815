//! "Who bought this also bought": pairs of items that are in one basket, old ones counting for less. See `co_occurrence.md`.
//!
//! `cargo run --release -p thalweg --example co_occurrence`

use thalweg::prelude::*;

/// After so many batches a pair counts for half.
const HALF_LIFE: f64 = 4.0;

/// Fifty batches of baskets. Bread goes with butter; in the second half, with jam.
fn baskets() -> Vec<Vec<Vec<&'static str>>> {
    let basket = |batch: usize, n: usize| match n % 4 {
        0 | 1 if batch < 25 => vec!["bread", "butter"],
        0 | 1 => vec!["bread", "jam"],
        2 => vec!["tea", "milk", "sugar"],
        _ => vec!["bread", "milk"],
    };
    (0..50).map(|batch| (0..40).map(|n| basket(batch, n)).collect()).collect()
}

fn main() -> Result<(), BoxError> {
    let ssc = StreamingContext::new("co-occurrence", Duration::from_millis(20));
    let decay = 0.5_f64.powf(1.0 / HALF_LIFE);
    let pairs = ssc.queue_stream(baskets()).flat_map(|basket| {
        let pairs = basket.iter().flat_map(|a| basket.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b);
        pairs.map(|(a, b)| ((a.to_owned(), b.to_owned()), 1.0)).collect::<Vec<_>>()
    });
    // A batch's pairs are added up before they meet the state, which decays once a batch and is forgotten when it is next to nothing.
    let weights =
        pairs.reduce_by_key(|a, b| a + b).update_state_by_key(move |_, new, weight: Option<f64>| {
            let weight = weight.unwrap_or(0.0) * decay + new.iter().sum::<f64>();
            (weight > 0.01).then_some(weight)
        });
    let weights = weights.uid("weights");
    let by_item = weights.map(|((item, other), weight)| (item, (other, weight))).group_by_key();
    let best = by_item.map_values(|mut others| {
        others.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        others.truncate(2);
        others
    });
    let mut batch = 0;
    best.foreach_rdd(move |rdd, _| {
        batch += 1;
        for (item, others) in rdd.sort_by(|(item, _)| item.clone(), true).collect() {
            let others: Vec<String> =
                others.into_iter().map(|(other, weight)| format!("{other} {weight:.1}")).collect();
            println!("batch {batch}: {item} goes with {}", others.join(", "));
        }
    });
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
