//! What learners predict from: dense vectors (`Vec<f64>`, `[f64; N]`), and [`Sparse`] ones for words and hashes.

use serde::{Deserialize, Serialize};

use crate::learner::{MAX_MAGNITUDE, Rejected};
use crate::scratch::Pooled;

/// A vector of numbers, as a linear learner sees it.
pub trait Features {
    /// The number of dimensions.
    fn width(&self) -> usize;
    /// Calls `f` with the place and value of each entry, zeros of a sparse vector left out.
    fn each(&self, f: impl FnMut(usize, f64));
    /// The scalar product with `weights`, which has as many entries as there are dimensions.
    fn dot(&self, weights: &[f64]) -> f64;

    /// Refuses values that are no finite numbers of a sensible size, and another width than `expected`, if one is.
    ///
    /// # Errors
    /// [`Rejected::Feature`] and [`Rejected::Dimension`].
    fn check(&self, expected: Option<usize>) -> Result<(), Rejected>;
}

/// Checks a dense vector: see [`Features::check`].
#[inline]
pub(crate) fn check_dense(x: &[f64], expected: Option<usize>) -> Result<(), Rejected> {
    if let Some(expected) = expected
        && expected != x.len()
    {
        return Err(Rejected::Dimension { expected, found: x.len() });
    }
    // Without branches, so that it is one pass of vector instructions. A NaN compares as false.
    if x.iter().fold(true, |sound, value| sound & (value.abs() <= MAX_MAGNITUDE)) {
        return Ok(());
    }
    let feature = x.iter().position(|value| !matches!(value.abs(), v if v <= MAX_MAGNITUDE)).unwrap_or(0);
    Err(Rejected::Feature { feature })
}

/// Like [`check_dense`], where a NaN is a missing value, and fine.
#[inline]
pub(crate) fn check_with_missing(x: &[f64], expected: Option<usize>) -> Result<(), Rejected> {
    if let Some(expected) = expected
        && expected != x.len()
    {
        return Err(Rejected::Dimension { expected, found: x.len() });
    }
    match x.iter().position(|value| value.abs() > MAX_MAGNITUDE) {
        None => Ok(()),
        Some(feature) => Err(Rejected::Feature { feature }),
    }
}

/// How many sums are kept beside each other: additions need not wait for one another then. The order is the same on every machine.
const LANES: usize = 4;

#[inline]
fn dot(x: &[f64], weights: &[f64]) -> f64 {
    in_lanes(x, weights, |x, weight| x * weight)
}

/// The sum of what `f` makes of each pair.
#[inline]
pub(crate) fn in_lanes(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a_chunks.remainder().iter().zip(b_chunks.remainder()).map(|(a, b)| f(*a, *b)).sum();
    let mut lanes = [0.0; LANES];
    for (a, b) in a_chunks.zip(b_chunks) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f(*a, *b);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

macro_rules! dense {
    ($type:ty, $($generics:tt)*) => {
        impl<$($generics)*> Features for $type {
            #[inline]
            fn width(&self) -> usize {
                self.len()
            }

            #[inline]
            fn each(&self, mut f: impl FnMut(usize, f64)) {
                self.iter().enumerate().for_each(|(index, value)| f(index, *value));
            }

            #[inline]
            fn dot(&self, weights: &[f64]) -> f64 {
                dot(self.as_ref(), weights)
            }

            #[inline]
            fn check(&self, expected: Option<usize>) -> Result<(), Rejected> {
                check_dense(self.as_ref(), expected)
            }
        }
    };
}

/// A borrowed dense vector, for learners inside of learners.
pub(crate) struct Slice<'a>(pub(crate) &'a [f64]);

impl Features for Slice<'_> {
    #[inline]
    fn width(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn each(&self, mut f: impl FnMut(usize, f64)) {
        self.0.iter().enumerate().for_each(|(index, value)| f(index, *value));
    }

    #[inline]
    fn dot(&self, weights: &[f64]) -> f64 {
        dot(self.0, weights)
    }

    #[inline]
    fn check(&self, expected: Option<usize>) -> Result<(), Rejected> {
        check_dense(self.0, expected)
    }
}

dense!(Vec<f64>,);
dense!(Dense,);
dense!([f64; N], const N: usize);

/// A dense vector that a transformer makes: like a `Vec<f64>`, in space of its thread that is used again.
///
/// ```
/// use thalweg_ml::Dense;
///
/// let x: Dense = [1.0, 2.0].into_iter().collect();
/// assert_eq!((x[1], x.to_vec()), (2.0, vec![1.0, 2.0]));
/// ```
pub type Dense = Pooled<f64>;

/// A vector that is zero almost everywhere.
///
/// ```
/// use thalweg_ml::Sparse;
///
/// let words = Sparse::new(1_000_000, [(70, 1.0), (3, 2.0), (70, 0.5)])?;
/// assert_eq!(words.iter().collect::<Vec<_>>(), [(3, 2.0), (70, 1.5)]);
/// assert!(Sparse::new(10, [(10, 1.0)]).is_err());
/// # Ok::<(), thalweg_ml::Rejected>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sparse {
    width: u32,
    indices: Pooled<u32>,
    values: Pooled<f64>,
}

impl Sparse {
    /// A vector of `width` dimensions with these entries, in any order; those of one place are summed.
    ///
    /// # Errors
    /// [`Rejected::Dimension`] for a place outside of the vector.
    pub fn new(width: u32, entries: impl IntoIterator<Item = (u32, f64)>) -> Result<Self, Rejected> {
        let mut entries: Pooled<(u32, f64)> = entries.into_iter().collect();
        // Those of one place are summed in the order of their values, whatever the order in which they came.
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        if let Some((index, _)) = entries.last()
            && *index >= width
        {
            return Err(Rejected::Dimension { expected: width as usize, found: *index as usize + 1 });
        }
        entries.dedup_by(|(index, value), (kept, sum)| {
            let same = index == kept;
            if same {
                *sum += *value;
            }
            same
        });
        let indices = entries.iter().map(|(index, _)| *index).collect();
        let values = entries.iter().map(|(_, value)| *value).collect();
        Ok(Self { width, indices, values })
    }

    /// The entries: place and value, by place.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f64)> + '_ {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }

    /// The value at a place.
    pub fn get(&self, index: u32) -> f64 {
        self.indices.binary_search(&index).map_or(0.0, |at| self.values[at])
    }
}

impl Features for Sparse {
    fn width(&self) -> usize {
        self.width as usize
    }

    #[inline]
    fn each(&self, mut f: impl FnMut(usize, f64)) {
        self.iter().for_each(|(index, value)| f(index as usize, value));
    }

    #[inline]
    fn dot(&self, weights: &[f64]) -> f64 {
        self.iter().map(|(index, value)| value * weights.get(index as usize).copied().unwrap_or(0.0)).sum()
    }

    fn check(&self, expected: Option<usize>) -> Result<(), Rejected> {
        if let Some(expected) = expected
            && expected != self.width()
        {
            return Err(Rejected::Dimension { expected, found: self.width() });
        }
        // A vector that was decoded may be anything.
        if self.indices.len() != self.values.len()
            || self.indices.last().is_some_and(|last| *last >= self.width)
            || !self.indices.is_sorted_by(|a, b| a < b)
        {
            return Err(Rejected::Dimension { expected: self.width(), found: self.indices.len() });
        }
        match self.iter().find(|(_, value)| !matches!(value.abs(), v if v <= MAX_MAGNITUDE)) {
            None => Ok(()),
            Some((feature, _)) => Err(Rejected::Feature { feature: feature as usize }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_would_poison_a_model_are_named() {
        assert_eq!(vec![1.0, f64::NAN].check(None), Err(Rejected::Feature { feature: 1 }));
        assert_eq!([f64::INFINITY, 1.0].check(Some(2)), Err(Rejected::Feature { feature: 0 }));
        assert_eq!(vec![1e101].check(None), Err(Rejected::Feature { feature: 0 }));
        assert_eq!(vec![1.0].check(Some(2)), Err(Rejected::Dimension { expected: 2, found: 1 }));
        assert_eq!(vec![-1e100, 0.0].check(Some(2)), Ok(()));
        let unsorted = Sparse { width: 5, indices: vec![2, 1].into(), values: vec![1.0, 1.0].into() };
        assert!(unsorted.check(None).is_err());
    }
}
