//! Named steps of the protocol at which a test can stop, or kill, the process: for campaigns against exactly-once, not for programs.
//!
//! Where no hook is set, a step costs the look at one pointer; and steps are reached a few times a checkpoint, never for a record.

use std::sync::OnceLock;

static HOOK: OnceLock<fn(&'static str)> = OnceLock::new();

/// The steps, in the order in which a job comes by them: its start, each checkpoint, and what becomes visible with it.
pub const STEPS: &[&str] = &[
    "owner-claimed",
    "before-fencing",
    "fenced",
    "before-begin",
    "begun",
    "state-written",
    "flushed",
    "before-manifest",
    "manifest-written",
    "before-commit",
    "committed",
    "before-publish",
    "published",
    "discarded",
];

/// Sets what is called at each step, by the thread that has reached it. It can be set once in the life of a process.
pub fn set(hook: fn(&'static str)) -> bool {
    HOOK.set(hook).is_ok()
}

/// Calls the hook, if there is one.
pub fn reach(step: &'static str) {
    if let Some(hook) = HOOK.get() {
        hook(step);
    }
}
