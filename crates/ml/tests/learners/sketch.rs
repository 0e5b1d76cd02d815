//! Sketches against the exact answers, whole and merged out of parts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use thalweg_ml::sketch::{CountMin, HyperLogLog, Reservoir, SpaceSaving, TDigest};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn parts_of_exact_sketches_make_the_whole(values in prop::collection::vec(0_u64..300, 0..2000), cut in 0_usize..2000) {
        let (left, right) = values.split_at(cut.min(values.len()));
        let (mut whole, mut part, mut other) = (HyperLogLog::new(10), HyperLogLog::new(10), HyperLogLog::new(10));
        values.iter().for_each(|v| whole.insert(v));
        left.iter().for_each(|v| part.insert(v));
        right.iter().for_each(|v| other.insert(v));
        part.merge(&other);
        prop_assert_eq!(&part, &whole);
        let distinct = values.iter().collect::<std::collections::BTreeSet<_>>().len() as f64;
        prop_assert!((whole.estimate() - distinct).abs() <= 3.0 + 0.12 * distinct, "{} of {}", whole.estimate(), distinct);

        let (mut whole, mut part, mut other) = (CountMin::new(256, 4), CountMin::new(256, 4), CountMin::new(256, 4));
        values.iter().for_each(|v| whole.insert(v, 1));
        left.iter().for_each(|v| part.insert(v, 1));
        right.iter().for_each(|v| other.insert(v, 1));
        prop_assert!(part.merge(&other) && !part.merge(&CountMin::new(8, 2)));
        prop_assert_eq!(&part, &whole);
        for value in &values {
            prop_assert!(whole.count(value) >= values.iter().filter(|v| *v == value).count() as u64);
        }
    }

    #[test]
    fn what_is_frequent_is_never_missed(values in prop::collection::vec(0_u32..60, 1..1500), cut in 0_usize..1500) {
        let (left, right) = values.split_at(cut.min(values.len()));
        let sketch = |values: &[u32]| { let mut s = SpaceSaving::new(20); values.iter().for_each(|v| s.insert(*v)); s };
        let mut exact: BTreeMap<u32, u64> = BTreeMap::new();
        values.iter().for_each(|v| *exact.entry(*v).or_default() += 1);
        let mut merged = sketch(left);
        merged.merge(&sketch(right));
        for found in [sketch(&values), merged] {
            let top = found.top(20);
            for (value, count, error) in &top {
                let exact = exact[value];
                prop_assert!(*count >= exact && count - error <= exact, "{value}: {count} - {error}, {exact}");
            }
            for (value, count) in exact.iter().filter(|(_, count)| **count as usize > values.len() / 10) {
                prop_assert!(top.iter().any(|(of, ..)| of == value), "{value} of {count} is missing");
            }
        }
    }

    #[test]
    fn quantiles_are_near(values in prop::collection::vec(-1e3..1e3, 50..3000), cut in 0_usize..3000, q in 0.0..1.0) {
        let (left, right) = values.split_at(cut.min(values.len()));
        let digest = |values: &[f64]| { let mut d = TDigest::new(100.0); values.iter().for_each(|v| d.insert(*v)); d };
        let mut merged = digest(left);
        merged.merge(&digest(right));
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for found in [digest(&values), merged] {
            let value = found.quantile(q).unwrap();
            let rank = sorted.partition_point(|v| *v < value) as f64 / sorted.len() as f64;
            prop_assert!((rank - q).abs() < 0.03, "{value} at {rank} instead of {q}");
            prop_assert_eq!(found.quantile(0.0), sorted.first().copied());
            prop_assert_eq!(found.quantile(1.0), sorted.last().copied());
        }
    }
}

#[test]
fn a_sample_of_parts_is_as_uniform_as_one_of_the_whole() {
    let mut total = 0.0;
    for seed in 0..50 {
        let (mut sample, mut other) = (Reservoir::new(20, seed), Reservoir::new(20, seed + 1000));
        (0..300).for_each(|n| sample.insert(n));
        (300..1000).for_each(|n| other.insert(n));
        sample.merge(&other);
        assert_eq!((sample.values().count(), sample.seen()), (20, 1000));
        total += sample.values().map(|n| f64::from(*n)).sum::<f64>() / 20.0;
    }
    assert!((total / 50.0 - 499.5).abs() < 30.0, "{}", total / 50.0);
}
