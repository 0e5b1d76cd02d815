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
    marker: Option<Epoch>,
    open: Vec<Record>,
}

/// What a durable checkpoint holds: how far each writer's input had been read.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct State([usize; WRITERS]);

/// The job: the writers, the engine, and the committer.
struct Job {
    protocol: CommitProtocol,
    waiting: [Vec<Record>; WRITERS],
    position: State,
    /// The barrier under way: its number, the positions at it, and who has reached it.
    epoch: Epoch,
    cut: State,
    reached: [bool; WRITERS],
    durable: bool,
}

impl Job {
    fn start(broker: &mut Broker, disk: &BTreeMap<Epoch, State>) -> Self {
        let mut protocol = CommitProtocol::new(CAPACITY);
        // Fencing aborts what was open.
        broker.open.clear();
        (0..WRITERS).for_each(|writer| assert_eq!(protocol.add_writer(), writer));
        assert_eq!(protocol.admit(0, 1), Admission::Wait, "nothing is written before the restore");
        protocol.begun();
        let position = broker.marker.map(|marker| disk[&marker]).unwrap_or_default();
        let epoch = broker.marker.unwrap_or(0) + 1;
        let (waiting, reached, cut) = (Default::default(), [false; WRITERS], State::default());
        Self { protocol, waiting, position, epoch, cut, reached, durable: false }
    }

    fn write(&mut self, broker: &mut Broker, writer: usize, records: usize) {
        let first = self.position.0[writer];
        let batch = (first..first + records).map(|position| (writer, position));
        match self.protocol.admit(writer, records) {
            Admission::Send => {
                broker.open.append(&mut self.waiting[writer]);
                broker.open.extend(batch);
            }
            Admission::Hold => {
                self.waiting[writer].extend(batch);
                assert!(self.waiting[writer].len() <= CAPACITY);
            }
            Admission::Wait => {
                assert!(self.waiting[writer].len() + records > CAPACITY);
                return;
            }
            Admission::Refuse => unreachable!("a job that has failed is started anew"),
        }
        self.position.0[writer] += records;
    }

    fn reach(&mut self, broker: &mut Broker, writer: usize) {
        if self.reached[writer] {
            assert!(self.protocol.reach(writer, self.epoch + 1).is_err(), "two barriers at a time");
            return;
        }
        assert_eq!(self.protocol.admit(writer, 0), Admission::Send);
        broker.open.append(&mut self.waiting[writer]);
        self.protocol.reach(writer, self.epoch).unwrap();
        self.reached[writer] = true;
        self.cut.0[writer] = self.position.0[writer];
    }

    fn write_state(&mut self, disk: &mut BTreeMap<Epoch, State>) {
        if self.reached.contains(&false) {
            assert!(self.protocol.commit(self.epoch).is_err(), "an epoch that is not complete");
            return;
        }
        disk.insert(self.epoch, self.cut);
        self.durable = true;
    }

    fn committed(&mut self) {
        self.protocol.begun();
        (self.epoch, self.reached, self.durable) = (self.epoch + 1, [false; WRITERS], false);
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(usize, usize),
    Barrier(usize),
    WriteState,
    Commit,
    /// A commit whose answer is lost, after writers have gone on. `done`: the broker has committed all the same.
    /// `repeat`: it may be repeated; if not, the job fails.
    CommitFails {
        done: bool,
        repeat: bool,
        meanwhile: usize,
    },
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fails = (any::<bool>(), any::<bool>(), 1..4usize);
    let step = prop_oneof![
        8 => (0..WRITERS, 1..4usize).prop_map(|(writer, records)| Step::Write(writer, records)),
        6 => (0..WRITERS).prop_map(Step::Barrier),
        4 => Just(Step::WriteState),
        4 => Just(Step::Commit),
        2 => fails.prop_map(|(done, repeat, meanwhile)| Step::CommitFails { done, repeat, meanwhile }),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 0..200)
}

/// Exactly the records up to the marked checkpoint, each once, each writer's in order.
fn check(broker: &Broker, disk: &BTreeMap<Epoch, State>) {
    let expected = broker.marker.map(|marker| disk[&marker]).unwrap_or_default();
    for writer in 0..WRITERS {
        let positions = broker.log.iter().filter(|record| record.0 == writer).map(|record| record.1);
        assert!(positions.eq(0..expected.0[writer]), "writer {writer}: {:?}", broker.log);
    }
}

fn commit(broker: &mut Broker, epoch: Epoch) {
    // Repeating a commit that is done already does nothing, as in Kafka.
    if broker.marker != Some(epoch) {
        broker.log.append(&mut broker.open);
        broker.marker = Some(epoch);
    }
}

fn run(steps: &[Step]) -> (Broker, BTreeMap<Epoch, State>) {
    let mut broker = Broker::default();
    let mut disk = BTreeMap::new();
    let mut job = Job::start(&mut broker, &disk);
    for &step in steps {
        match step {
            Step::Write(writer, records) => job.write(&mut broker, writer, records),
            Step::Barrier(writer) => job.reach(&mut broker, writer),
            Step::WriteState => job.write_state(&mut disk),
            Step::Commit | Step::CommitFails { .. } if !job.durable => {}
            Step::Commit => {
                job.protocol.commit(job.epoch).unwrap();
                commit(&mut broker, job.epoch);
                job.committed();
            }
            Step::CommitFails { done, repeat, meanwhile } => {
                job.protocol.commit(job.epoch).unwrap();
                if done {
                    commit(&mut broker, job.epoch);
                }
                (0..WRITERS).for_each(|writer| job.write(&mut broker, writer, meanwhile));
                if repeat {
                    commit(&mut broker, job.epoch);
                    job.committed();
                } else {
                    job.protocol.fail();
                    assert_eq!(job.protocol.admit(0, 1), Admission::Refuse);
                    job = Job::start(&mut broker, &disk);
                }
            }
            Step::Crash => job = Job::start(&mut broker, &disk),
        }
        check(&broker, &disk);
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
        for _ in 0..3 {
            steps.push(Step::Write(0, 1));
            steps.extend((0..WRITERS).map(Step::Barrier));
            steps.extend([Step::Write(0, 2), Step::WriteState, Step::Commit]);
        }
        let (after, _) = run(&steps);
        prop_assert_eq!(after.log.len(), before.log.len() + 7);
        prop_assert_eq!(after.marker, Some(before.marker.unwrap_or(0) + 3));
    }
}

#[test]
fn records_behind_a_barrier_wait_for_its_commit() {
    let mut protocol = CommitProtocol::new(10);
    let writer = protocol.add_writer();
    protocol.begun();
    assert_eq!(protocol.admit(writer, 5), Admission::Send);
    protocol.reach(writer, 1).unwrap();
    assert_eq!(protocol.admit(writer, 7), Admission::Hold);
    protocol.commit(1).unwrap();
    assert!(!protocol.is_open());
    assert_eq!(protocol.admit(writer, 7), Admission::Wait, "there is room for 3");
    protocol.begun();
    assert_eq!(protocol.admit(writer, 7), Admission::Send);
}

#[test]
fn an_order_that_the_engine_excludes_is_an_error() {
    let mut protocol = CommitProtocol::new(10);
    let (first, second) = (protocol.add_writer(), protocol.add_writer());
    protocol.begun();
    protocol.reach(first, 1).unwrap();
    let error = protocol.commit(1).unwrap_err().to_string();
    assert!(error.starts_with("a commit at barrier 1, before every writer"), "{error}");
    assert!(protocol.reach(second, 2).is_err());
    protocol.reach(second, 1).unwrap();
    assert!(protocol.commit(2).is_err());
    protocol.commit(1).unwrap();
}

#[test]
fn an_epoch_is_skipped_only_if_nothing_is_written_in_it() {
    let mut protocol = CommitProtocol::new(10);
    let writers = [protocol.add_writer(), protocol.add_writer()];
    protocol.begun();
    let reach = |protocol: &mut CommitProtocol, epoch| {
        writers.iter().for_each(|writer| protocol.reach(*writer, epoch).unwrap())
    };
    protocol.reach(writers[0], 1).unwrap();
    assert!(protocol.skip(1).is_err(), "not all have reached it");
    protocol.reach(writers[1], 1).unwrap();
    assert_eq!(protocol.skip(1), Ok(true));
    assert_eq!(protocol.admit(writers[1], 3), Admission::Send);
    reach(&mut protocol, 2);
    // What comes behind the barrier waits, and is written into the next transaction.
    assert_eq!(protocol.admit(writers[0], 2), Admission::Hold);
    assert_eq!(protocol.skip(2), Ok(false));
    protocol.commit(2).unwrap();
    protocol.begun();
    assert_eq!(protocol.admit(writers[0], 0), Admission::Send);
    reach(&mut protocol, 3);
    assert_eq!(protocol.skip(3), Ok(false), "what waited has been written");
    protocol.commit(3).unwrap();
    protocol.begun();
    reach(&mut protocol, 4);
    assert_eq!(protocol.skip(4), Ok(true));
    reach(&mut protocol, 6);
    assert_eq!(protocol.skip(6), Ok(true));
}
