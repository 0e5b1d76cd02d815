//! A log with transactions, as a broker has them: one commit makes an epoch visible, and a newer instance fences the older.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use thalweg_dataflow::Output;
use thalweg_dataflow::barrier::{Barrier, Epoch};
use thalweg_dataflow::checkpoint::committer::{Committer, CommitterContext, CommitterFactory, Marker};
use thalweg_dataflow::error::{BoxError, Fenced};
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
    marker: Option<Marker>,
    fault: Option<Fault>,
    /// Whether the next instance that begins is held up until one more has.
    held: bool,
    /// Where the marker is kept, if not where it is usually.
    place: Option<String>,
}

impl Log {
    pub(crate) fn committed(&self) -> Vec<(u64, i64)> {
        self.0.lock().unwrap().committed.clone()
    }

    pub(crate) fn marker(&self) -> Option<Epoch> {
        self.0.lock().unwrap().marker.as_ref().map(|marker| marker.epoch)
    }

    /// What another instance has committed.
    pub(crate) fn set_marker(&self, marker: Marker) {
        self.0.lock().unwrap().marker = Some(marker);
    }

    /// From now on the marker is looked for elsewhere, where none is.
    pub(crate) fn move_marker(&self, place: &str) {
        let mut state = self.0.lock().unwrap();
        (state.marker, state.place) = (None, Some(place.to_owned()));
    }

    /// Another instance begins to write, and is never heard of again.
    pub(crate) fn fence(&self) {
        self.0.lock().unwrap().instance += 1;
    }

    /// How often an instance has begun to write, and fenced who did before.
    pub(crate) fn instances(&self) -> u64 {
        self.0.lock().unwrap().instance
    }

    /// Forgets which epoch was the last, but not what was committed.
    pub(crate) fn lose_marker(&self) {
        self.0.lock().unwrap().marker = None;
    }

    /// The next instance that begins is slow to: another one comes in between.
    pub(crate) fn hold_next(&self) {
        self.0.lock().unwrap().held = true;
    }

    pub(crate) fn is_holding(&self) -> bool {
        !self.0.lock().unwrap().held
    }

    pub(crate) fn fail_once(&self, fault: Fault) {
        self.0.lock().unwrap().fault = Some(fault);
    }

    /// Writes a stream to the log, exactly once.
    pub(crate) fn write(&self, stream: &Stream<(u64, i64)>) {
        let factory =
            stream.graph().committer("log", || LogFactory { log: self.clone(), instance: Arc::default() });
        let LogFactory { log, instance } = &*factory;
        let sink = LogSink { log: log.clone(), ours: instance.clone(), instance: 0, current: Vec::new() };
        let _ = stream.apply("log", sink);
    }
}

struct LogFactory {
    log: Log,
    /// That of the present attempt's committer.
    instance: Arc<AtomicU64>,
}

impl CommitterFactory for LogFactory {
    fn make(&self, context: &CommitterContext) -> Result<Box<dyn Committer>, BoxError> {
        Ok(Box::new(LogCommitter {
            log: self.log.clone(),
            ours: self.instance.clone(),
            instance: 0,
            context: context.clone(),
        }))
    }
}

struct LogCommitter {
    log: Log,
    ours: Arc<AtomicU64>,
    instance: u64,
    context: CommitterContext,
}

impl LogCommitter {
    fn check(&self, state: &mut State, faults: &[Fault]) -> Result<Option<Fault>, BoxError> {
        if state.instance != self.instance {
            return Err(Box::new(Fenced("fenced by a newer instance".into())));
        }
        Ok(state.fault.take_if(|fault| faults.contains(fault)))
    }
}

impl Committer for LogCommitter {
    fn recover(&mut self) -> Result<Option<Marker>, BoxError> {
        let mut state = self.log.0.lock().unwrap();
        if std::mem::take(&mut state.held) {
            let before = state.instance;
            drop(state);
            crate::counts::until("another instance begins", || self.log.0.lock().unwrap().instance > before);
            state = self.log.0.lock().unwrap();
        }
        state.instance += 1;
        state.open.clear();
        self.instance = state.instance;
        self.ours.store(state.instance, Ordering::SeqCst);
        Ok(state.marker.clone())
    }

    fn place(&self) -> String {
        self.log.0.lock().unwrap().place.clone().unwrap_or_else(|| "the log".to_owned())
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
        state.marker = Some(self.context.marker(epoch));
        if fault == Some(Fault::AnswerLost) { Err("the answer is lost".into()) } else { Ok(()) }
    }
}

#[derive(Clone)]
struct LogSink {
    log: Log,
    ours: Arc<AtomicU64>,
    instance: u64,
    current: Vec<(u64, i64)>,
}

impl Operator for LogSink {
    type In = (u64, i64);
    type Out = ();

    fn open(&mut self, _: &OperatorContext) -> Result<(), BoxError> {
        // The committer of this attempt has recovered before.
        self.instance = self.ours.load(Ordering::SeqCst);
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
