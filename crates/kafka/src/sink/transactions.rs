//! What the writers and the committer of one attempt share: the producer, and who may write when.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::Cancelled;

use super::commit_protocol::{Admission, CommitProtocol, OutOfOrder};
use crate::producer::Producer;

/// How many records may wait at each writer for a commit: twenty times what came in during one at 50,000 records/s.
const WAITING: usize = 20_000;

/// How often a writer that waits for space looks whether the job is over.
const TICK: Duration = Duration::from_millis(20);

/// The transactions of one attempt of a job.
pub(super) struct Transactions {
    producer: Producer,
    protocol: Mutex<CommitProtocol>,
    /// Somebody who waits may be let in now.
    changed: Condvar,
}

impl Transactions {
    pub(super) fn new(producer: Producer) -> Self {
        Self { producer, protocol: Mutex::new(CommitProtocol::new(WAITING)), changed: Condvar::new() }
    }

    pub(super) fn producer(&self) -> &Producer {
        &self.producer
    }

    fn lock(&self) -> MutexGuard<'_, CommitProtocol> {
        self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_writer(&self) -> usize {
        self.lock().add_writer()
    }

    /// See [`CommitProtocol::admit`].
    pub(super) fn admit(&self, writer: usize, records: usize) -> Admission {
        self.lock().admit(writer, records)
    }

    /// Waits until these records may be sent or held.
    pub(super) fn wait(
        &self,
        writer: usize,
        records: usize,
        cancelled: &Cancelled,
    ) -> Result<Admission, BoxError> {
        let mut protocol = self.lock();
        loop {
            match protocol.admit(writer, records) {
                admitted @ (Admission::Send | Admission::Hold) => return Ok(admitted),
                // Refused, too: the committer says why, and its error must be the first that is heard of.
                Admission::Wait | Admission::Refuse if !cancelled.is_set() => {
                    let waited = self.changed.wait_timeout(protocol, TICK);
                    protocol = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Admission::Wait | Admission::Refuse => return Err("the attempt is over".into()),
            }
        }
    }

    pub(super) fn reach(&self, writer: usize, epoch: Epoch) -> Result<(), OutOfOrder> {
        self.lock().reach(writer, epoch)
    }

    pub(super) fn check_complete(&self, epoch: Epoch) -> Result<(), OutOfOrder> {
        self.lock().check_complete(epoch)
    }

    pub(super) fn commit(&self, epoch: Epoch) -> Result<(), OutOfOrder> {
        self.lock().commit(epoch)
    }

    /// See [`CommitProtocol::skip`].
    pub(super) fn skip(&self, epoch: Epoch) -> Result<bool, OutOfOrder> {
        let skipped = self.lock().skip(epoch)?;
        self.changed.notify_all();
        Ok(skipped)
    }

    pub(super) fn begun(&self) {
        self.lock().begun();
        self.changed.notify_all();
    }

    pub(super) fn fail(&self) {
        self.lock().fail();
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Confirmation, KafkaProperties};

    /// A producer that has no broker: nothing is sent.
    fn transactions() -> Transactions {
        let properties = KafkaProperties::new("localhost:1");
        Transactions::new(Producer::create(&properties, Confirmation::Transactional("job")).unwrap())
    }

    #[test]
    fn a_writer_without_space_waits_for_the_commit() {
        let transactions = transactions();
        let (writer, running) = (transactions.add_writer(), Cancelled::default());
        transactions.begun();
        assert_eq!(transactions.wait(writer, WAITING + 1, &running).unwrap(), Admission::Send);
        transactions.reach(writer, 1).unwrap();
        transactions.check_complete(1).unwrap();
        assert_eq!(transactions.wait(writer, WAITING, &running).unwrap(), Admission::Hold);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| transactions.wait(writer, 1, &running).unwrap());
            transactions.commit(1).unwrap();
            std::thread::sleep(TICK * 2);
            assert!(!waiting.is_finished());
            transactions.begun();
            assert_eq!(waiting.join().unwrap(), Admission::Send);
        });
    }

    #[test]
    fn nothing_is_written_after_a_commit_has_failed() {
        let transactions = transactions();
        let writer = transactions.add_writer();
        transactions.begun();
        transactions.reach(writer, 1).unwrap();
        transactions.commit(1).unwrap();
        transactions.fail();
        assert_eq!(transactions.admit(writer, 1), Admission::Refuse);
        assert!(!transactions.is_open());
    }
}
