//! Item co-occurrence with time decay: who clicked this lately also clicked that.
//!
//! - **Source**: Sarwar, Karypis, Konstan and Riedl, "Item-based collaborative filtering recommendation algorithms", WWW 2001, with
//!   counts that halve in a half-life.
//! - **Learns** clicks, in about the order of time: each pairs with the last items of its user. An item keeps its strongest partners
//!   only; a click that is older than what was
//!   learnt counts as it would have, had it come in time.
//! - **Predicts** the items that go best with what a user clicked last, those items left out.
//! - **Numbers** agree with what is counted by hand, pair by pair (`tests/learners/recommend.rs`).
//! - **Parallel**: one subtask, or one model for each key (such as a region or a shop).
//!
//! ```
//! use thalweg_ml::Learner;
//! use thalweg_ml::recommend::{Click, ItemCoOccurrence};
//!
//! let mut model = ItemCoOccurrence::new(86_400_000.0, 5, 100, 3);
//! for (user, item, time) in [("ada", "tent", 0), ("ada", "lamp", 1), ("bob", "tent", 2), ("bob", "lamp", 3), ("eve", "tent", 4)] {
//!     model.learn_one(&Click { user: user.to_owned(), item: item.to_owned(), time }, &())?;
//! }
//! let click = Click { user: "eve".to_owned(), item: "tent".to_owned(), time: 5 };
//! assert_eq!(model.predict_one(&click)?[0].0, "lamp");
//! # Ok::<(), thalweg_ml::Rejected>(())
//! ```

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Id, top};
use crate::{Learner, Rejected};

/// A user chose an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click<U, I> {
    /// Who.
    pub user: U,
    /// What.
    pub item: I,
    /// When (milliseconds).
    pub time: i64,
}

/// A decayed count, as of a time.
type Count = (f64, i64);

/// What an item goes with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "", transparent)]
struct Partners<I: Id>(#[serde(with = "crate::pairs")] BTreeMap<I, Count>);

/// The learner: its prediction is the best items, each with its score. See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ItemCoOccurrence<U: Id, I: Id> {
    half_life: f64,
    history: usize,
    partners: usize,
    recommended: usize,
    #[serde(with = "crate::pairs")]
    recent: BTreeMap<U, VecDeque<I>>,
    #[serde(with = "crate::pairs")]
    pairs: BTreeMap<I, Partners<I>>,
}

impl<U: Id, I: Id> ItemCoOccurrence<U, I> {
    /// Counts halve in `half_life` milliseconds; a click pairs with the user's last `history` items; an item keeps its `partners`
    /// strongest; `recommended` items are
    /// predicted.
    pub fn new(half_life: f64, history: usize, partners: usize, recommended: usize) -> Self {
        let (recent, pairs) = (BTreeMap::new(), BTreeMap::new());
        Self { half_life, history: history.max(1), partners: partners.max(1), recommended, recent, pairs }
    }

    fn decayed(&self, (count, at): Count, time: i64) -> f64 {
        count * libm::exp2(-((time - at) as f64) / self.half_life)
    }

    fn pair(&mut self, item: &I, other: &I, time: i64) {
        let before = self.pairs.get(item).and_then(|of| of.0.get(other)).copied();
        let latest = before.map_or(time, |(_, at)| at.max(time));
        let count =
            before.map_or(0.0, |count| self.decayed(count, latest)) + self.decayed((1.0, time), latest);
        let Partners(of) = self.pairs.entry(item.clone()).or_insert_with(|| Partners(BTreeMap::new()));
        of.insert(other.clone(), (count, latest));
        if of.len() > self.partners {
            let half_life = self.half_life;
            let now = |(count, at): Count| count * libm::exp2(-((latest - at) as f64) / half_life);
            let weakest =
                of.iter().min_by(|a, b| now(*a.1).total_cmp(&now(*b.1))).map(|(other, _)| other.clone());
            weakest.map(|weakest| of.remove(&weakest));
        }
    }

    /// The items that go best with what a user chose last, as of a time (milliseconds).
    pub fn recommend(&self, user: &U, time: i64, n: usize) -> Vec<(I, f64)> {
        let Some(recent) = self.recent.get(user) else { return Vec::new() };
        let mut scores: BTreeMap<&I, f64> = BTreeMap::new();
        for (other, count) in recent.iter().filter_map(|item| self.pairs.get(item)).flat_map(|of| &of.0) {
            if !recent.contains(other) {
                *scores.entry(other).or_insert(0.0) += self.decayed(*count, time);
            }
        }
        top(scores.into_iter().map(|(item, score)| (item.clone(), score)), n)
    }
}

impl<U: Id, I: Id> Learner<Click<U, I>> for ItemCoOccurrence<U, I> {
    type Target = ();
    type Prediction = Vec<(I, f64)>;

    fn learn_one(&mut self, click: &Click<U, I>, (): &()) -> Result<(), Rejected> {
        let recent = self.recent.get(&click.user).cloned().unwrap_or_default();
        for other in recent.iter().filter(|other| **other != click.item) {
            self.pair(&click.item, other, click.time);
            self.pair(other, &click.item, click.time);
        }
        let recent = self.recent.entry(click.user.clone()).or_default();
        recent.retain(|item| *item != click.item);
        recent.push_back(click.item.clone());
        while recent.len() > self.history {
            recent.pop_front();
        }
        Ok(())
    }

    fn predict_one(&self, click: &Click<U, I>) -> Result<Vec<(I, f64)>, Rejected> {
        Ok(self.recommend(&click.user, click.time, self.recommended))
    }
}
