//! The protocol against a broker of twenty lines, through random interleavings, failures and crashes.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const WRITERS: usize = 3;
const CAPACITY: usize = 4;

/// A record: which writer wrote it, and its position in that writer's input.
type Record = (usize, usize);

/// Transactions as a broker keeps them, with the marker. It survives a crash of the job.
#[derive(Default)]
struct Broker {
    log: Vec<Record>,
    marker: Option<u64>,
    open: Option<Vec<Record>>,
}

/// What a durable checkpoint holds: how far each writer's input had been read.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct State([usize; WRITERS]);

/// The job: the driver of the protocol, its waiting records, and the checkpoints on its disk.
struct Job {
    protocol: CommitProtocol,
    waiting: [VecDeque<Record>; WRITERS],
    position: State,
    /// The number of the next barrier of each writer.
    barrier: [u64; WRITERS],
    /// Positions at the barriers, by checkpoint; a checkpoint is on disk if it is in `durable`.
    cuts: BTreeMap<u64, State>,
    durable: Vec<u64>,
    decided: Vec<u64>,
    committing: Option<u64>,
    failed: bool,
}

impl Job {
    fn start(broker: &mut Broker, disk: &BTreeMap<u64, State>) -> Self {
        let (protocol, first) = CommitProtocol::start(WRITERS, CAPACITY);
        assert_eq!(first, Action::Fence);
        broker.open = None;
        let state = broker.marker.map(|marker| disk[&marker]).unwrap_or_default();
        let next = disk.keys().last().copied().max(broker.marker).map_or(1, |last| last + 1);
        let mut job = Self {
            protocol,
            waiting: Default::default(),
            position: state,
            barrier: [next; WRITERS],
            cuts: BTreeMap::new(),
            durable: Vec::new(),
            decided: Vec::new(),
            committing: None,
            failed: false,
        };
        assert_eq!(job.protocol.admit(0, 1), Admission::Wait, "nothing is written before the restore");
        assert_eq!(job.protocol.on(Event::Fenced), [Action::ReadMarker]);
        job.event(broker, Event::MarkerRead(broker.marker));
        job
    }

    fn event(&mut self, broker: &mut Broker, event: Event) {
        for action in self.protocol.on(event) {
            match action {
                Action::Fence | Action::ReadMarker => unreachable!("only at the start"),
                Action::Begin => assert!(broker.open.replace(Vec::new()).is_none(), "two transactions"),
                Action::Release { writer, records } => {
                    let transaction = broker.open.as_mut().unwrap();
                    transaction.extend(self.waiting[writer].drain(..records));
                }
                Action::Commit { checkpoint } => {
                    assert!(self.durable.contains(&checkpoint), "committed before its state was durable");
                    self.committing = Some(checkpoint);
                }
                Action::Fail => self.failed = true,
            }
        }
    }

    fn write(&mut self, broker: &mut Broker, writer: usize, records: usize) {
        let first = self.position.0[writer];
        let batch = (first..first + records).map(|position| (writer, position));
        match self.protocol.admit(writer, records) {
            Admission::Send => broker.open.as_mut().unwrap().extend(batch),
            Admission::Hold => {
                self.waiting[writer].extend(batch);
                assert!(self.waiting[writer].len() <= CAPACITY);
            }
            Admission::Wait => {
                assert!(self.waiting[writer].len() + records > CAPACITY);
                return;
            }
            Admission::Refuse => return assert!(self.failed),
        }
        self.position.0[writer] += records;
    }

    fn reach_barrier(&mut self, broker: &mut Broker, writer: usize) {
        let checkpoint = self.barrier[writer];
        self.cuts.entry(checkpoint).or_default().0[writer] = self.position.0[writer];
        self.barrier[writer] += 1;
        self.event(broker, Event::Barrier { writer, checkpoint });
    }

    /// The oldest checkpoint whose fate is open; a durable one needs every writer, an abandoned one does not.
    fn undecided(&self, durable: bool) -> Option<u64> {
        let reached = self.barrier.iter().min().copied()?;
        let oldest = self.cuts.keys().copied().find(|n| !self.decided.contains(n))?;
        (!durable || oldest < reached).then_some(oldest)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(usize, usize),
    Barrier(usize),
    Durable,
    Abandon,
    Commit,
    /// A failed commit. `done`: the broker has committed all the same, and its answer was lost.
    CommitFails {
        retriable: bool,
        done: bool,
    },
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..WRITERS, 1..4usize).prop_map(|(writer, records)| Step::Write(writer, records)),
        6 => (0..WRITERS).prop_map(Step::Barrier),
        4 => Just(Step::Durable),
        1 => Just(Step::Abandon),
        4 => Just(Step::Commit),
        2 => (any::<bool>(), any::<bool>()).prop_map(|(retriable, done)| Step::CommitFails { retriable, done }),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..200)
}

/// Exactly the records up to the marked checkpoint, each once, each writer's in order.
fn check(broker: &Broker, disk: &BTreeMap<u64, State>) {
    let expected = broker.marker.map(|marker| disk[&marker]).unwrap_or_default();
    for writer in 0..WRITERS {
        let positions = broker.log.iter().filter(|record| record.0 == writer).map(|record| record.1);
        assert!(positions.eq(0..expected.0[writer]), "writer {writer}: {:?}", broker.log);
    }
}

fn commit(broker: &mut Broker, checkpoint: u64) {
    // Repeating a commit that is done already does nothing, as in Kafka.
    if broker.marker != Some(checkpoint) {
        broker.log.extend(broker.open.take().unwrap());
        broker.marker = Some(checkpoint);
    }
}

fn run(steps: &[Step]) -> (Broker, BTreeMap<u64, State>) {
    let mut broker = Broker::default();
    let mut disk = BTreeMap::new();
    let mut job = Job::start(&mut broker, &disk);
    for &step in steps {
        match step {
            Step::Write(writer, records) => job.write(&mut broker, writer, records),
            Step::Barrier(writer) => job.reach_barrier(&mut broker, writer),
            Step::Durable | Step::Abandon => {
                let durable = matches!(step, Step::Durable);
                let Some(checkpoint) = job.undecided(durable) else { continue };
                job.decided.push(checkpoint);
                if durable {
                    disk.insert(checkpoint, job.cuts[&checkpoint]);
                    job.durable.push(checkpoint);
                    job.event(&mut broker, Event::Durable { checkpoint });
                } else {
                    job.event(&mut broker, Event::Abandoned { checkpoint });
                }
            }
            Step::Commit => {
                let Some(checkpoint) = job.committing.take() else { continue };
                commit(&mut broker, checkpoint);
                job.event(&mut broker, Event::Committed);
                assert_eq!(job.protocol.committed(), broker.marker);
            }
            Step::CommitFails { retriable, done } => {
                let Some(checkpoint) = job.committing.take() else { continue };
                if done {
                    commit(&mut broker, checkpoint);
                }
                job.event(&mut broker, Event::CommitFailed { retriable });
                assert_eq!(job.failed, !retriable);
                assert_eq!(
                    job.committing,
                    retriable.then_some(checkpoint),
                    "repeats the same commit, or none"
                );
            }
            Step::Crash => job = Job::start(&mut broker, &disk),
        }
        check(&broker, &disk);
        if job.failed {
            job = Job::start(&mut broker, &disk);
        }
    }
    (broker, disk)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn output_is_what_came_before_the_marked_checkpoint(steps in steps()) {
        run(&steps);
    }

    /// After any history the job can still make progress: nothing is stuck in a waiting room.
    #[test]
    fn whatever_happened_the_next_checkpoints_commit(mut steps in steps()) {
        let (before, _) = run(&steps);
        steps.push(Step::Crash);
        steps.push(Step::Write(0, 1));
        for _ in 0..3 {
            steps.extend((0..WRITERS).map(Step::Barrier));
            steps.extend([Step::Durable, Step::Commit]);
        }
        let (after, _) = run(&steps);
        prop_assert!(after.log.len() > before.log.len());
        prop_assert!(after.marker > before.marker);
    }
}

fn open(writers: usize, capacity: usize) -> CommitProtocol {
    let (mut protocol, _) = CommitProtocol::start(writers, capacity);
    protocol.on(Event::Fenced);
    assert_eq!(protocol.on(Event::MarkerRead(None)), [Action::Begin]);
    protocol
}

#[test]
fn records_behind_a_barrier_wait_for_its_commit() {
    let mut protocol = open(1, 10);
    assert_eq!(protocol.admit(0, 5), Admission::Send);
    assert_eq!(protocol.on(Event::Barrier { writer: 0, checkpoint: 1 }), []);
    assert_eq!(protocol.admit(0, 7), Admission::Hold);
    assert_eq!(protocol.on(Event::Durable { checkpoint: 1 }), [Action::Commit { checkpoint: 1 }]);
    assert_eq!(protocol.admit(0, 7), Admission::Wait);
    let released = [Action::Begin, Action::Release { writer: 0, records: 7 }];
    assert_eq!(protocol.on(Event::Committed), released);
    assert_eq!(protocol.admit(0, 7), Admission::Send);
}

#[test]
fn a_writer_that_has_ended_holds_up_no_commit() {
    let mut protocol = open(2, 10);
    protocol.on(Event::Ended { writer: 1 });
    protocol.on(Event::Barrier { writer: 0, checkpoint: 1 });
    assert_eq!(protocol.on(Event::Durable { checkpoint: 1 }), [Action::Commit { checkpoint: 1 }]);
}

#[test]
fn the_final_checkpoint_commits_when_every_writer_has_ended() {
    let mut protocol = open(1, 10);
    assert_eq!(protocol.admit(0, 5), Admission::Send);
    protocol.on(Event::Ended { writer: 0 });
    assert_eq!(protocol.on(Event::Durable { checkpoint: 1 }), [Action::Commit { checkpoint: 1 }]);
}

#[test]
fn an_abandoned_checkpoint_is_committed_with_the_next() {
    let mut protocol = open(1, 10);
    protocol.on(Event::Barrier { writer: 0, checkpoint: 1 });
    assert_eq!(protocol.admit(0, 3), Admission::Hold);
    let released = [Action::Release { writer: 0, records: 3 }];
    assert_eq!(protocol.on(Event::Abandoned { checkpoint: 1 }), released);
    protocol.on(Event::Barrier { writer: 0, checkpoint: 2 });
    assert_eq!(protocol.on(Event::Durable { checkpoint: 2 }), [Action::Commit { checkpoint: 2 }]);
}
