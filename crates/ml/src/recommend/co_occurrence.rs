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
use smallvec::SmallVec;

use super::Id;
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

/// What an item goes with, by item.
type Partners<I> = Vec<(I, Count)>;

/// The best items for a user, each with its score; up to ten of them are in place.
pub type Recommended<I> = SmallVec<[(I, f64); 10]>;

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

    fn decayed(&self, count: Count, time: i64) -> f64 {
        decayed(count, time, self.half_life)
    }

    /// How much an item goes with another, as of a time.
    fn count(&self, item: &I, other: &I, time: i64) -> f64 {
        let Some(of) = self.pairs.get(item) else { return 0.0 };
        of.binary_search_by(|(known, _)| known.cmp(other)).map_or(0.0, |at| self.decayed(of[at].1, time))
    }

    /// The items that go best with what a user chose last, as of a time (milliseconds).
    pub fn recommend(&self, user: &U, time: i64, n: usize) -> Recommended<I> {
        let mut best: SmallVec<[(&I, f64); 16]> = SmallVec::new();
        let Some(recent) = self.recent.get(user).filter(|_| n > 0) else { return Recommended::new() };
        for (place, item) in recent.iter().enumerate() {
            for (other, _) in self.pairs.get(item).into_iter().flatten() {
                // One that goes with several is met several times, and summed the first time.
                let is_known = |before: &I| {
                    let of = self.pairs.get(before);
                    of.is_some_and(|of| of.binary_search_by(|(known, _)| known.cmp(other)).is_ok())
                };
                if recent.contains(other) || recent.iter().take(place).any(is_known) {
                    continue;
                }
                let score: f64 = recent.iter().skip(place).map(|item| self.count(item, other, time)).sum();
                let at = best.partition_point(|(item, of)| *of > score || (*of == score && *item < other));
                if at < n {
                    best.truncate(n - 1);
                    best.insert(at, (other, score));
                }
            }
        }
        best.into_iter().map(|(item, score)| (item.clone(), score)).collect()
    }
}

fn decayed((count, at): Count, time: i64, half_life: f64) -> f64 {
    count * libm::exp2(-((time - at) as f64) / half_life)
}

/// Counts that an item was chosen with another.
fn pair<I: Id>(
    pairs: &mut BTreeMap<I, Partners<I>>,
    (item, other): (&I, &I),
    time: i64,
    half_life: f64,
    most: usize,
) {
    if !pairs.contains_key(item) {
        pairs.insert(item.clone(), Vec::with_capacity(8));
    }
    let Some(of) = pairs.get_mut(item) else { return };
    let place = of.binary_search_by(|(known, _)| known.cmp(other));
    let before = place.ok().map(|at| of[at].1);
    let latest = before.map_or(time, |(_, at)| at.max(time));
    let sum = before.map_or(0.0, |count| decayed(count, latest, half_life))
        + decayed((1.0, time), latest, half_life);
    match place {
        Ok(at) => of[at].1 = (sum, latest),
        Err(at) => of.insert(at, (other.clone(), (sum, latest))),
    }
    if of.len() > most {
        let now = |count: Count| decayed(count, latest, half_life);
        let weakest = (0..of.len()).min_by(|a, b| now(of[*a].1).total_cmp(&now(of[*b].1)));
        weakest.map(|weakest| of.remove(weakest));
    }
}

impl<U: Id, I: Id> Learner<Click<U, I>> for ItemCoOccurrence<U, I> {
    type Target = ();
    type Prediction = Recommended<I>;

    fn learn_one(&mut self, click: &Click<U, I>, (): &()) -> Result<(), Rejected> {
        let Self { half_life, history, partners, recent, pairs, .. } = self;
        if !recent.contains_key(&click.user) {
            recent.insert(click.user.clone(), VecDeque::with_capacity(*history));
        }
        let Some(recent) = recent.get_mut(&click.user) else { return Ok(()) };
        for other in recent.iter().filter(|other| **other != click.item) {
            pair(pairs, (&click.item, other), click.time, *half_life, *partners);
            pair(pairs, (other, &click.item), click.time, *half_life, *partners);
        }
        // What it takes the place of, it takes the space of, too.
        let known = recent.iter().position(|item| *item == click.item);
        let mut space = match known {
            Some(at) => recent.remove(at),
            None if recent.len() >= *history => recent.pop_front(),
            None => None,
        };
        match &mut space {
            Some(space) => space.clone_from(&click.item),
            None => space = Some(click.item.clone()),
        }
        recent.extend(space);
        Ok(())
    }

    fn predict_one(&self, click: &Click<U, I>) -> Result<Recommended<I>, Rejected> {
        Ok(self.recommend(&click.user, click.time, self.recommended))
    }
}
