//! One of two: how an operator with two inputs is an operator with one.
//!
//! The two streams are wrapped and united; so barriers align, and watermarks combine, over the channels of both as over
//! those of any other operator. A batch holds records of one side only.

use crate::record::{Divisible, Hashed, Owners};

/// A record of the first or of the second input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Either<A, B> {
    /// Of the first.
    Left(A),
    /// Of the second.
    Right(B),
}

impl<A: Hashed, B: Hashed> Hashed for Either<A, B> {
    #[inline]
    fn hash(&self) -> u64 {
        match self {
            Either::Left(left) => left.hash(),
            Either::Right(right) => right.hash(),
        }
    }
}

impl<L: Divisible, R: Divisible> Divisible for Either<L, R> {
    fn divide(self, owners: &Owners, take: &mut dyn FnMut(usize, Self)) {
        match self {
            Self::Left(left) => left.divide(owners, &mut |target, part| take(target, Self::Left(part))),
            Self::Right(right) => right.divide(owners, &mut |target, part| take(target, Self::Right(part))),
        }
    }
}
