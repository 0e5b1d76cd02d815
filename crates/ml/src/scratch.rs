//! Space that is used again: what a record needs while it is learnt or predicted comes from a pool of the thread, and goes back to it. So no
//! record allocates once the thread has had one like it.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The pool keeps so many, and none with room for more than this.
const KEPT: usize = 32;
const LARGEST: usize = 1 << 16;

/// What there is a pool of.
pub trait Pool: Sized + 'static {
    /// The pool of this thread.
    #[doc(hidden)]
    fn pool() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>>;
}

macro_rules! pool {
    ($($type:ty),+) => {$(
        impl $crate::scratch::Pool for $type {
            fn pool() -> &'static std::thread::LocalKey<std::cell::RefCell<Vec<Vec<Self>>>> {
                thread_local! {
                    static POOL: std::cell::RefCell<Vec<Vec<$type>>> =
                        const { std::cell::RefCell::new(Vec::new()) };
                }
                &POOL
            }
        }
    )+};
}
pub(crate) use pool;

pool!(f64, (u32, f64), (f64, f64), u32, usize);

/// A vector out of the pool of its thread; where it is dropped, that thread's pool gets it.
pub struct Pooled<T: Pool>(Vec<T>);

impl<T: Pool> Pooled<T> {
    /// An empty one.
    pub fn new() -> Self {
        let kept = T::pool().try_with(|pool| pool.try_borrow_mut().ok()?.pop()).ok().flatten();
        Self(kept.unwrap_or_default())
    }
}

impl<T: Pool> Drop for Pooled<T> {
    fn drop(&mut self) {
        if self.0.capacity() == 0 || self.0.capacity() > LARGEST {
            return;
        }
        let mut vector = std::mem::take(&mut self.0);
        vector.clear();
        // A thread that is at its end has no pool any longer.
        let _ = T::pool().try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < KEPT
            {
                pool.push(vector);
            }
        });
    }
}

impl<T: Pool> Default for Pooled<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Pool> Deref for Pooled<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Pool> DerefMut for Pooled<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T: Pool> AsRef<[T]> for Pooled<T> {
    fn as_ref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pool> IntoIterator for Pooled<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(mut self) -> Self::IntoIter {
        std::mem::take(&mut self.0).into_iter()
    }
}

impl<'a, T: Pool> IntoIterator for &'a Pooled<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Pool> Extend<T> for Pooled<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        self.0.extend(values);
    }
}

impl<T: Pool> FromIterator<T> for Pooled<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut all = Self::new();
        all.0.extend(values);
        all
    }
}

impl<T: Pool + Clone> Clone for Pooled<T> {
    fn clone(&self) -> Self {
        self.0.iter().cloned().collect()
    }

    fn clone_from(&mut self, other: &Self) {
        self.0.clone_from(&other.0);
    }
}

impl<T: Pool + fmt::Debug> fmt::Debug for Pooled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Pool + PartialEq> PartialEq for Pooled<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T: Pool + PartialEq> PartialEq<Vec<T>> for Pooled<T> {
    fn eq(&self, other: &Vec<T>) -> bool {
        self.0 == *other
    }
}

impl<T: Pool + PartialEq, const N: usize> PartialEq<[T; N]> for Pooled<T> {
    fn eq(&self, other: &[T; N]) -> bool {
        self.0 == *other
    }
}

impl<T: Pool> From<Vec<T>> for Pooled<T> {
    fn from(vector: Vec<T>) -> Self {
        Self(vector)
    }
}

impl<T: Pool + Serialize> Serialize for Pooled<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pool + Deserialize<'de>> Deserialize<'de> for Pooled<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

/// Space of a learner's own that is no part of the model: two are the same whatever is in it, a copy has none, and none is written.
#[derive(Debug, Default)]
pub(crate) struct Spare<T>(pub(crate) T);

impl<T: Default> Clone for Spare<T> {
    fn clone(&self) -> Self {
        Self::default()
    }

    fn clone_from(&mut self, _: &Self) {}
}

impl<T> PartialEq for Spare<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_used_again_and_empty() {
        let mut first = Pooled::<f64>::new();
        first.extend([1.0, 2.0]);
        let place = first.as_ptr();
        drop(first);
        let second = Pooled::<f64>::new();
        assert!(second.is_empty() && second.as_ptr() == place);
        let third: Pooled<f64> = [3.0].into_iter().collect();
        assert_eq!((third.clone(), third.len()), (third.clone(), 1));
    }
}
