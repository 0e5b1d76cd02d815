//! A user's function with a life: opened before its first record, closed after its last.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::BoxError;

/// A function that is closed when it goes, if it was opened.
#[derive(Debug)]
pub(crate) struct Rich<F> {
    function: F,
    close: fn(&mut F),
    opened: bool,
}

impl<F> Rich<F> {
    pub(crate) fn new(function: F, close: fn(&mut F)) -> Self {
        Self { function, close, opened: false }
    }

    /// Calls `open`. Also a function that fails in it is closed.
    pub(crate) fn open(&mut self, open: impl FnOnce(&mut F) -> Result<(), BoxError>) -> Result<(), BoxError> {
        self.opened = true;
        open(&mut self.function)
    }
}

// A clone has not been opened.
impl<F: Clone> Clone for Rich<F> {
    fn clone(&self) -> Self {
        Self::new(self.function.clone(), self.close)
    }
}

impl<F> Deref for Rich<F> {
    type Target = F;

    fn deref(&self) -> &F {
        &self.function
    }
}

impl<F> DerefMut for Rich<F> {
    fn deref_mut(&mut self) -> &mut F {
        &mut self.function
    }
}

impl<F> Drop for Rich<F> {
    fn drop(&mut self) {
        if self.opened && catch_unwind(AssertUnwindSafe(|| (self.close)(&mut self.function))).is_err() {
            tracing::error!(function = std::any::type_name::<F>(), "its `close` panicked");
        }
    }
}
