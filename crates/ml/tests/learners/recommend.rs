//! Matrix factorisation against river's numbers; co-occurrence against its definition; ranking against what users like.

use crate::support::{close, data, golden, numbers};
use std::collections::BTreeMap;

use thalweg_ml::Learner;
use thalweg_ml::metrics::roc_auc;
use thalweg_ml::recommend::{BayesianPersonalizedRanking, Click, ItemCoOccurrence, MatrixFactorization};
use thalweg_ml::rng::Rng;

#[test]
fn factors_are_rivers() {
    let golden = golden("recommend");
    let mut model = MatrixFactorization::new(5, 0).begin_with(0.1).rates(0.02, 0.03, 0.01);
    for ((x, y), theirs) in data("chick_weights").into_iter().zip(numbers(&golden["predictions"])) {
        let pair = (x[0] as u32, x[1] as u32);
        close(model.predict_one(&pair).unwrap(), theirs, "a chick's weight");
        model.learn_one(&pair, &y).unwrap();
    }
}

#[test]
fn co_occurrence_is_what_is_counted_by_hand() {
    const HALF_LIFE: f64 = 5000.0;
    let mut rng = Rng::new(4);
    let clicks: Vec<Click<u32, u32>> = (0..400)
        .map(|n| Click { user: rng.below(9) as u32, item: rng.below(12) as u32, time: n * 100 })
        .collect();
    let mut model = ItemCoOccurrence::new(HALF_LIFE, 4, 100, 12);
    let mut recent: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut pairs: Vec<(u32, u32, i64)> = Vec::new();
    for click in &clicks {
        // Of the items that a user clicked last, which goes how well with what others clicked with them?
        let of = recent.entry(click.user).or_default();
        let mut scores: BTreeMap<u32, f64> = BTreeMap::new();
        for (_, other, time) in
            pairs.iter().filter(|(item, other, _)| of.contains(item) && !of.contains(other))
        {
            let age = (click.time - time) as f64;
            *scores.entry(*other).or_default() += (-age / HALF_LIFE).exp2();
        }
        let ours: BTreeMap<u32, f64> = model.predict_one(click).unwrap().into_iter().collect();
        assert_eq!(ours.keys().collect::<Vec<_>>(), scores.keys().collect::<Vec<_>>());
        ours.values().zip(scores.values()).for_each(|(ours, theirs)| close(*ours, *theirs, "a score"));
        let others = of.iter().filter(|other| **other != click.item);
        pairs.extend(
            others.flat_map(|other| [(click.item, *other, click.time), (*other, click.item, click.time)]),
        );
        of.retain(|item| *item != click.item);
        of.push(click.item);
        if of.len() > 4 {
            of.remove(0);
        }
        model.learn_one(click, &()).unwrap();
    }
}

/// Users of three tastes, items of three kinds: each click is ranked, before it is learnt, against an item that was not clicked.
#[test]
fn what_is_liked_ranks_above_what_is_not() {
    let mut rng = Rng::new(6);
    let mut model = BayesianPersonalizedRanking::new(8, 42).rates(0.1, 0.002);
    let mut ranked = Vec::new();
    for n in 0..12_000 {
        let user = rng.below(60) as u32;
        let kind = if rng.below(10) == 0 { rng.below(3) as u32 } else { user % 3 };
        let (item, other) = (rng.below(20) as u32 * 3 + kind, rng.below(60) as u32);
        if n >= 8000 && other % 3 != item % 3 {
            ranked.push((true, model.predict_one(&(user, item)).unwrap()));
            ranked.push((false, model.predict_one(&(user, other)).unwrap()));
        }
        model.learn_one(&(user, item), &()).unwrap();
    }
    let area = roc_auc(ranked);
    // One click in ten is of no taste, so that nobody can be right of more than about nineteen in twenty.
    println!("{area}");
    assert!(area > 0.85, "{area}");
}
