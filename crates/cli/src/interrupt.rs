//! Ctrl-C (and SIGTERM): the first asks to stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

/// Whether somebody wants the process to stop.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Listens from now on.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let signals = interrupt.0.clone();
        let handle = move || {
            if signals.fetch_add(1, Ordering::SeqCst) > 0 {
                // What is committed is safe; the rest was asked to be dropped.
                std::process::exit(130);
            }
        };
        ctrlc::set_handler(handle).context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Listens from now on, and never ends the process: for who goes on after an interruption.
    #[cfg(feature = "sql")]
    pub(crate) fn listen_patiently() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let signals = interrupt.0.clone();
        let handle = move || {
            signals.fetch_add(1, Ordering::SeqCst);
        };
        ctrlc::set_handler(handle).context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Forgets what came before.
    #[cfg(feature = "sql")]
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}
