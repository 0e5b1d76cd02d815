//! A log with transactions, as a broker has them: one commit makes an epoch visible, and a newer instance fences the older.

use std::any::Any;
use std::sync::{Arc, Mutex};

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::checkpoint::committer::{Committer, CommitterContext, CommitterFactory};
use thalweg_dataflow::error::{BoxError, Fatal};
use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::operator::{Operator, OperatorContext};
use thalweg_dataflow::record::Batch;

/// What goes wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Flush,
    /// The commit does not get there.
    CommitLost,
    /// The commit gets there, and its answer is lost.
    AnswerLost,
    Panic,
}

/// The log. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Who may write.
    instance: u64,
    open: Vec<(Epoch, Vec<(u64, i64)>)>,
    committed: Vec<(u64, i64)>,
    marker: Option<Epoch>,
    fault: Option<Fault>,
}

impl Log {
    pub(crate) fn committed(&self) -> Vec<(u64, i64)> {
        self.0.lock().unwrap().committed.clone()
    }

    pub(crate) fn marker(&self) -> Option<Epoch> {
        self.0.lock().unwrap().marker
    }

    /// Forgets which epoch was the last, but not what was committed.
    pub(crate) fn lose_marker(&self) {
        self.0.lock().unwrap().marker = None;
    }

    pub(crate) fn fail_once(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    /// Writes a stream to the log, exactly once.
    pub(crate) fn write(&self, stream: &Stream<(u64, i64)>) {
        let factory = stream.graph().committer("log", || LogFactory(self.clone()));
        let _ = stream.apply("log", LogSink { log: factory.0.clone(), instance: 0, current: Vec::new() });
    }
}

struct LogFactory(Log);

impl CommitterFactory for LogFactory {
    fn make(&self, _: &CommitterContext) -> Result<Box<dyn Committer>, BoxError> {
        Ok(Box::new(LogCommitter { log: self.0.clone(), instance: 0 }))
    }
}

struct LogCommitter {
    log: Log,
    instance: u64,
}

impl LogCommitter {
    fn check(&self, state: &mut State, faults: &[Fault]) -> Result<Option<Fault>, BoxError> {
        if state.instance != self.instance {
            return Err(Box::new(Fatal("fenced by a newer instance".into())));
        }
        Ok(state.fault.take_if(|fault| faults.contains(fault)))
    }
}

impl Committer for LogCommitter {
    fn recover(&mut self) -> Result<Option<Epoch>, BoxError> {
        let mut state = self.log.0.lock().unwrap();
        state.instance += 1;
        state.open.clear();
        self.instance = state.instance;
        Ok(state.marker)
    }

    fn start(&mut self, _: Epoch) -> Result<(), BoxError> {
        Ok(())
    }

    fn flush(&mut self, _: Epoch, _: Vec<Box<dyn Any + Send>>) -> Result<(), BoxError> {
        let mut state = self.log.0.lock().unwrap();
        match self.check(&mut state, &[Fault::Flush])? {
            Some(_) => Err("the log is out of reach".into()),
            None => Ok(()),
        }
    }

    fn commit(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        let mut state = self.log.0.lock().unwrap();
        let fault = self.check(&mut state, &[Fault::CommitLost, Fault::AnswerLost, Fault::Panic])?;
        if fault == Some(Fault::CommitLost) {
            return Err("the log is out of reach".into());
        }
        if fault == Some(Fault::Panic) {
            drop(state);
            panic!("the client has a bug");
        }
        let epochs: Vec<_> = state.open.extract_if(.., |(open, _)| *open <= epoch).collect();
        state.committed.extend(epochs.into_iter().flat_map(|(_, records)| records));
        state.marker = Some(epoch);
        if fault == Some(Fault::AnswerLost) { Err("the answer is lost".into()) } else { Ok(()) }
    }
}

#[derive(Clone)]
struct LogSink {
    log: Log,
    instance: u64,
    current: Vec<(u64, i64)>,
}

impl Operator for LogSink {
    type In = (u64, i64);
    type Out = ();

    fn open(&mut self, _: &OperatorContext) -> Result<(), BoxError> {
        // The committer of this attempt has recovered before.
        self.instance = self.log.0.lock().unwrap().instance;
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<(u64, i64)>, _: &mut Output<()>) -> Result<(), BoxError> {
        self.current.extend(batch.records.drain(..).map(|record| record.value));
        Ok(())
    }

    fn barrier(&mut self, barrier: &Barrier, _: &mut Output<()>) -> Result<(), BoxError> {
        let mut state = self.log.0.lock().unwrap();
        if barrier.checkpoint && state.instance == self.instance {
            state.open.push((barrier.epoch, std::mem::take(&mut self.current)));
        }
        Ok(())
    }
}
