//! A source whose records come when the test lets them: so a test can have a checkpoint before the rest of the input.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};

/// Split `s` of four holds the numbers `s`, `s + 4`, …; number `n` has event time `n`.
#[derive(Clone)]
pub(crate) struct Faucet {
    shared: Arc<Shared>,
    /// Whether a reader ends when it has read its splits, or waits for more that never come.
    ends: bool,
}

struct Shared {
    /// So many numbers there are in each split.
    total: u64,
    /// Of each split: so many may be read by now.
    released: [AtomicU64; SPLITS],
    /// Of all splits: so many have been read, those that were read again included.
    read: AtomicU64,
}

pub(crate) const SPLITS: usize = 4;

impl Faucet {
    /// A source of `numbers` numbers, a multiple of four, of which none may be read yet.
    pub(crate) fn new(numbers: u64) -> Self {
        let (total, released) = (numbers / SPLITS as u64, Default::default());
        Self { shared: Arc::new(Shared { total, released, read: AtomicU64::new(0) }), ends: true }
    }

    /// The same source, except that it does not end.
    pub(crate) fn waiting(&self) -> Self {
        Self { ends: false, ..self.clone() }
    }

    /// The numbers below `numbers` may be read.
    pub(crate) fn release(&self, numbers: u64) {
        (0..SPLITS).for_each(|split| self.release_split(split, numbers / SPLITS as u64));
    }

    /// The first `count` numbers of one split may be read.
    pub(crate) fn release_split(&self, split: usize, count: u64) {
        self.shared.released[split].store(count.min(self.shared.total), Ordering::SeqCst);
    }

    /// All may be read.
    pub(crate) fn open(&self) {
        self.release(u64::MAX);
    }

    /// So many have been read so far, those that were read again included.
    pub(crate) fn read(&self) -> u64 {
        self.shared.read.load(Ordering::SeqCst)
    }
}

impl Source for Faucet {
    type Item = u64;
    type Reader = FaucetReader;

    fn reader(&self, context: &SourceContext) -> Result<FaucetReader, BoxError> {
        let mine = (0..SPLITS).filter(|split| context.owns(*split));
        let splits = mine.map(|number| Split { number, next: 0, id: None }).collect();
        Ok(FaucetReader {
            shared: self.shared.clone(),
            ends: self.ends,
            context: context.clone(),
            splits,
            turn: 0,
        })
    }
}

pub(crate) struct FaucetReader {
    shared: Arc<Shared>,
    ends: bool,
    context: SourceContext,
    splits: Vec<Split>,
    turn: usize,
}

struct Split {
    number: usize,
    next: u64,
    id: Option<SplitId>,
}

impl SourceReader for FaucetReader {
    type Item = u64;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        for (name, next) in restored.into_iter().flatten() {
            if let Some(split) = self.splits.iter_mut().find(|split| name == self::name(split.number)) {
                split.next = next;
            }
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<u64>) -> Result<SourceStatus, BoxError> {
        for split in &mut self.splits {
            split.id.get_or_insert_with(|| output.add_split(&name(split.number)));
        }
        for _ in 0..self.splits.len() {
            self.turn = (self.turn + 1) % self.splits.len();
            let split = &mut self.splits[self.turn];
            let id = split.id.unwrap();
            let released = self.shared.released[split.number].load(Ordering::SeqCst);
            let (first, last) = (split.next, released.min(split.next + 100));
            if first >= last {
                continue;
            }
            for count in first..last {
                let number = count * SPLITS as u64 + split.number as u64;
                output.push(number, number as i64);
            }
            split.next = last;
            self.shared.read.fetch_add(last - first, Ordering::SeqCst);
            output.origin(id, first, last - 1);
            if last == self.shared.total {
                output.finish_split(id);
            }
            return Ok(SourceStatus::Ready);
        }
        if self.ends && self.splits.iter().all(|split| split.next >= self.shared.total) {
            return Ok(SourceStatus::End);
        }
        Ok(SourceStatus::Idle { until: Some(self.context.clock.now() + 1) })
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        self.splits.iter().map(|split| (name(split.number), split.next)).collect()
    }
}

pub(crate) fn name(split: usize) -> String {
    format!("faucet-{split}")
}
