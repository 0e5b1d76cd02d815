//! The checkpoint protocol: events in, actions out. No I/O, no clock, no thread; so a test can try every interleaving.
//!
//! ```text
//! barrier n aligned → state of n written and synced → sinks flushed → manifest n → COMMIT → n-1 may go
//!        Passed*              StateWritten               Flushed    ManifestWritten  Committed
//! ```
//!
//! Why this order. State before the commit: a commit that is visible can always be restored. The flush before
//! the manifest: a manifest is the promise that nothing of its epoch can fail any more but the commit. For a
//! job without a committer the manifest is the commit.
//!
//! An epoch in which nothing has changed ends where its state would be written (`Unchanged`): the checkpoint before it, and what was
//! committed with that, still count.
//!
//! One barrier is under way at a time: barrier n+1 enters the graph when n has been committed. Records never wait for
//! that; only the next cut does. So a sink needs at most two open epochs: the one that commits, and the one that fills.

use crate::barrier::{Barrier, Epoch, Then};
use crate::time::Timestamp;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A cut is due.
    Due(Cut),
    /// One more task has passed the barrier, and shared its state if it is a checkpoint.
    Passed(Epoch),
    StateWritten(Epoch),
    /// The state is that of the checkpoint before, and there is nothing to commit: nothing has been written.
    Unchanged(Epoch),
    Flushed(Epoch),
    ManifestWritten(Epoch),
    Committed(Epoch),
}

/// A cut that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) time: Timestamp,
    pub(crate) checkpoint: bool,
    pub(crate) then: Then,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send the barrier to all sources.
    Inject(Barrier),
    WriteState(Epoch),
    Flush(Epoch),
    WriteManifest(Epoch),
    Commit(Epoch),
    /// Tell all tasks that the epoch is committed; after the last barrier they end.
    Notify(Epoch),
    /// Checkpoints before this one may go.
    DiscardBefore(Epoch),
}

/// How far the barrier under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Passing { passed: usize },
    WritingState,
    Flushing,
    WritingManifest,
    Committing,
}

/// The state of the protocol, for one attempt of a job.
#[derive(Debug)]
pub(crate) struct Protocol {
    tasks: usize,
    has_committer: bool,
    last: Epoch,
    current: Option<(Barrier, Phase)>,
    /// Wanted, but another one is still under way. At most one waits: a later cut that is due takes its place,
    /// and inherits what the earlier one was to do.
    waiting: Option<Cut>,
    over: bool,
}

impl Protocol {
    /// A job of `tasks` tasks that continues after epoch `restored`.
    pub(crate) fn new(tasks: usize, has_committer: bool, restored: Epoch) -> Self {
        Self { tasks, has_committer, last: restored, current: None, waiting: None, over: false }
    }

    /// Whether a barrier is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    /// What to do about an event. An event that no action called for is our own bug.
    pub(crate) fn on(&mut self, event: Event, actions: &mut Vec<Action>) {
        match (event, self.current) {
            (Event::Due(cut), None) => self.inject(cut, actions),
            (Event::Due(cut), Some(_)) => {
                self.waiting = Some(match self.waiting {
                    None => cut,
                    Some(earlier) => Cut {
                        checkpoint: earlier.checkpoint || cut.checkpoint,
                        then: if earlier.then == Then::Continue { cut.then } else { earlier.then },
                        ..cut
                    },
                });
            }
            (Event::Passed(epoch), Some((barrier, Phase::Passing { passed }))) if epoch == barrier.epoch => {
                if passed + 1 < self.tasks {
                    self.enter(Phase::Passing { passed: passed + 1 });
                } else if barrier.checkpoint {
                    self.enter(Phase::WritingState);
                    actions.push(Action::WriteState(epoch));
                } else {
                    self.complete(barrier, actions);
                }
            }
            (Event::StateWritten(epoch), Some((barrier, Phase::WritingState))) if epoch == barrier.epoch => {
                if self.has_committer {
                    self.enter(Phase::Flushing);
                    actions.push(Action::Flush(epoch));
                } else {
                    self.enter(Phase::WritingManifest);
                    actions.push(Action::WriteManifest(epoch));
                }
            }
            (Event::Unchanged(epoch), Some((barrier, Phase::WritingState))) if epoch == barrier.epoch => {
                // The checkpoint before is still the one that counts.
                self.complete(Barrier { checkpoint: false, ..barrier }, actions);
            }
            (Event::Flushed(epoch), Some((barrier, Phase::Flushing))) if epoch == barrier.epoch => {
                self.enter(Phase::WritingManifest);
                actions.push(Action::WriteManifest(epoch));
            }
            (Event::ManifestWritten(epoch), Some((barrier, Phase::WritingManifest)))
                if epoch == barrier.epoch =>
            {
                if self.has_committer {
                    self.enter(Phase::Committing);
                    actions.push(Action::Commit(epoch));
                } else {
                    self.complete(barrier, actions);
                }
            }
            (Event::Committed(epoch), Some((barrier, Phase::Committing))) if epoch == barrier.epoch => {
                self.complete(barrier, actions);
            }
            (event, current) => unreachable!("{event:?} at {current:?}"),
        }
    }

    fn enter(&mut self, phase: Phase) {
        if let Some((_, current)) = &mut self.current {
            *current = phase;
        }
    }

    fn inject(&mut self, cut: Cut, actions: &mut Vec<Action>) {
        if self.over {
            return;
        }
        self.last += 1;
        self.over = cut.then != Then::Continue;
        let barrier =
            Barrier { epoch: self.last, time: cut.time, checkpoint: cut.checkpoint, then: cut.then };
        self.current = Some((barrier, Phase::Passing { passed: 0 }));
        actions.push(Action::Inject(barrier));
    }

    fn complete(&mut self, barrier: Barrier, actions: &mut Vec<Action>) {
        self.current = None;
        actions.push(Action::Notify(barrier.epoch));
        if barrier.checkpoint {
            actions.push(Action::DiscardBefore(barrier.epoch));
        }
        if let Some(cut) = self.waiting.take() {
            self.inject(cut, actions);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A world in which every action takes a while, and any crash may come at any moment.
    #[derive(Default)]
    struct World {
        state: Vec<Epoch>,
        flushed: Vec<Epoch>,
        manifests: Vec<Epoch>,
        visible: Vec<Epoch>,
        pending: Vec<Event>,
    }

    impl World {
        fn act(&mut self, actions: &[Action], tasks: usize, committer: bool) {
            for action in actions {
                match *action {
                    Action::Inject(barrier) => {
                        self.pending.extend(std::iter::repeat_n(Event::Passed(barrier.epoch), tasks));
                    }
                    Action::WriteState(epoch) if epoch % 3 == 0 => self.pending.push(Event::Unchanged(epoch)),
                    Action::WriteState(epoch) => {
                        self.state.push(epoch);
                        self.pending.push(Event::StateWritten(epoch));
                    }
                    Action::Flush(epoch) => {
                        assert!(self.state.contains(&epoch));
                        self.flushed.push(epoch);
                        self.pending.push(Event::Flushed(epoch));
                    }
                    Action::WriteManifest(epoch) => {
                        assert!(self.state.contains(&epoch) && (!committer || self.flushed.contains(&epoch)));
                        self.manifests.push(epoch);
                        self.pending.push(Event::ManifestWritten(epoch));
                    }
                    Action::Commit(epoch) => {
                        assert!(self.manifests.contains(&epoch));
                        self.visible.push(epoch);
                        self.pending.push(Event::Committed(epoch));
                    }
                    Action::Notify(_) => {}
                    // What may go is never what a restore could ask for.
                    Action::DiscardBefore(epoch) => {
                        assert!(if committer {
                            self.visible.contains(&epoch)
                        } else {
                            self.manifests.contains(&epoch)
                        });
                        self.state.retain(|kept| *kept >= epoch);
                        self.manifests.retain(|kept| *kept >= epoch);
                    }
                }
                // At every moment a crash finds the state of the last visible epoch.
                if let Some(last) = self.visible.last() {
                    assert!(
                        self.state.contains(last) && self.manifests.contains(last),
                        "{last} cannot be restored"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_order_of_events_the_committed_epoch_can_be_restored(
            tasks in 1_usize..4,
            committer: bool,
            steps in prop::collection::vec((0_usize..3, any::<bool>()), 1..200),
        ) {
            let (mut protocol, mut world) = (Protocol::new(tasks, committer, 7), World::default());
            let (mut time, mut actions) = (0, Vec::new());
            for (choice, checkpoint) in steps {
                let event = match world.pending.pop() {
                    Some(event) if choice > 0 => event,
                    other => {
                        world.pending.extend(other);
                        time += 1;
                        Event::Due(Cut { time, checkpoint, then: Then::Continue })
                    }
                };
                actions.clear();
                protocol.on(event, &mut actions);
                world.act(&actions, tasks, committer);
            }
            prop_assert!(world.visible.is_sorted());
        }
    }

    #[test]
    fn the_last_cut_ends_it_even_if_it_had_to_wait() {
        let (mut protocol, mut actions) = (Protocol::new(1, false, 0), Vec::new());
        let cut = |time, checkpoint, then| Event::Due(Cut { time, checkpoint, then });
        protocol.on(cut(1, false, Then::Continue), &mut actions);
        protocol.on(cut(2, true, Then::Finish), &mut actions);
        protocol.on(cut(3, false, Then::Continue), &mut actions);
        actions.clear();
        protocol.on(Event::Passed(1), &mut actions);
        let last = Barrier { epoch: 2, time: 3, checkpoint: true, then: Then::Finish };
        assert_eq!(actions, [Action::Notify(1), Action::Inject(last)]);
        protocol.on(Event::Passed(2), &mut actions);
        protocol.on(Event::StateWritten(2), &mut actions);
        actions.clear();
        protocol.on(Event::ManifestWritten(2), &mut actions);
        protocol.on(cut(9, true, Then::Continue), &mut actions);
        assert_eq!(actions, [Action::Notify(2), Action::DiscardBefore(2)]);
    }
}
