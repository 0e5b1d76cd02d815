//! The writing side of an edge between tasks: fills a buffer for each target, and sends it when it is full.
//!
//! | partitioning | a record goes to |
//! |---|---|
//! | forward | the one target that this subtask is paired with |
//! | keyed | the subtask that owns its key's group; of a record that holds many rows, each part to the owner of its rows' keys |
//! | rebalance | each target in turn: every batch is dealt out in equal slices, so that no target has more than one record more than another |
//! | broadcast | every target |
//! | global | the first |
//! | custom | the one that a function of the user names |
//!
//! Control events go to all targets, after what is buffered.

use std::sync::Arc;

use super::gate::{Event, Sender};
use crate::collector::{Collector, Control, TaskContext};
use crate::error::Failure;
use crate::metrics::TaskMetrics;
use crate::record::{BATCH_SIZE, Batch, Divisible, Hashed, Origin, Owners, Record};

/// Decides where records go: one virtual call a batch.
pub(crate) trait Router<T>: Send {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure>;

    /// Of records that were under way to all `targets` when a checkpoint was taken, leaves those that `target` is to have. Each of them asks the
    /// same of the same records in the same order. Where it does not matter who has them, it is the first.
    fn keep(&mut self, batch: &mut Batch<T>, target: usize, _targets: usize) {
        if target != 0 {
            batch.records.clear();
        }
    }
}

/// The targets of an edge, each with a buffer.
pub(crate) struct Targets<T> {
    targets: Vec<Target<T>>,
    metrics: Arc<TaskMetrics>,
}

struct Target<T> {
    buffer: Batch<T>,
    sender: Sender<T>,
    /// So many records are a full batch, as its reader wanted them when it was last asked.
    limit: usize,
    /// Of so many of its records the bytes have been counted.
    weighed: usize,
}

/// And so many bytes are one.
const BATCH_BYTES: u64 = 1 << 20;

impl<T> Target<T> {
    /// Some records of a batch of this origin are about to be added.
    fn begin(&mut self, origin: &Origin) {
        self.buffer.origin.merge_places(origin);
        self.weighed = self.buffer.len();
        reserve(&mut self.buffer, self.limit);
    }

    /// Counts the bytes of those that have been added.
    fn weigh(&mut self, each: u64) {
        self.buffer.origin.bytes += (self.buffer.len() - self.weighed) as u64 * each;
        self.weighed = self.buffer.len();
    }
}

/// How many bytes a record of this batch has, about.
fn weight<T>(batch: &Batch<T>) -> u64 {
    batch.origin.bytes / batch.len().max(1) as u64
}

impl<T> Targets<T> {
    /// Sends what is buffered for `target`.
    fn flush(&mut self, target: usize) -> Result<(), Failure> {
        let target = &mut self.targets[target];
        target.weighed = 0;
        if target.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::take(&mut target.buffer);
        let waited = target.sender.send(Event::Batch(full))?;
        if waited > 0 {
            self.metrics.back_pressured_micros.add(waited);
        }
        Ok(())
    }

    /// The records of a batch are about to be dealt out one by one. Returns what each weighs.
    fn begin<U>(&mut self, batch: &Batch<U>) -> u64 {
        for target in &mut self.targets {
            target.limit = target.sender.batch_limit();
            target.begin(&batch.origin);
        }
        weight(batch)
    }

    /// In the middle of it, a target has got a full batch.
    fn full(&mut self, target: usize, origin: &Origin, each: u64) -> Result<(), Failure> {
        self.targets[target].weigh(each);
        self.flush(target)?;
        self.targets[target].begin(origin);
        Ok(())
    }

    /// They have been dealt out.
    fn end(&mut self, each: u64) -> Result<(), Failure> {
        if each == 0 {
            return Ok(());
        }
        for target in 0..self.targets.len() {
            self.targets[target].weigh(each);
            if self.targets[target].buffer.origin.bytes >= BATCH_BYTES {
                self.flush(target)?;
            }
        }
        Ok(())
    }

    /// Adds all of `batch` to the buffer of `target`.
    fn append(&mut self, target: usize, batch: &mut Batch<T>) -> Result<(), Failure> {
        let limit = self.targets[target].sender.batch_limit();
        if batch.len() > limit.max(1) && limit < BATCH_SIZE {
            // Its reader is slow, and wants them in pieces.
            let each = weight(batch);
            while batch.len() > limit.max(1) {
                let records: Vec<_> = batch.records.drain(..limit).collect();
                let origin = batch.origin.of_part(each * records.len() as u64);
                self.append(target, &mut Batch { records, origin })?;
            }
            batch.origin.bytes = each * batch.len() as u64;
        }
        let buffer = &mut self.targets[target].buffer;
        buffer.origin.merge(&batch.origin);
        if buffer.is_empty() && batch.len() >= limit / 2 {
            // A batch of some size travels as it is.
            std::mem::swap(&mut buffer.records, &mut batch.records);
        } else {
            reserve(buffer, limit);
            buffer.records.append(&mut batch.records);
        }
        let full = buffer.len() >= limit / 2 || buffer.origin.bytes >= BATCH_BYTES;
        if full { self.flush(target) } else { Ok(()) }
    }
}

/// A buffer gets its room when it gets its first record, not when the one before it is sent: for as many as its reader wants at once.
fn reserve<T>(buffer: &mut Batch<T>, limit: usize) {
    if buffer.records.capacity() == 0 {
        buffer.records.reserve_exact(limit.clamp(1, BATCH_SIZE));
    }
}

/// An edge to other tasks, as the last link of a chain.
pub(crate) struct EdgeWriter<T> {
    targets: Targets<T>,
    router: Box<dyn Router<T>>,
}

impl<T> EdgeWriter<T> {
    pub(crate) fn new(
        senders: Vec<Sender<T>>,
        router: Box<dyn Router<T>>,
        metrics: Arc<TaskMetrics>,
    ) -> Self {
        let targets = senders
            .into_iter()
            .map(|sender| Target { buffer: Batch::default(), sender, limit: BATCH_SIZE, weighed: 0 })
            .collect();
        Self { targets: Targets { targets, metrics }, router }
    }
}

impl<T: Send> Collector<T> for EdgeWriter<T> {
    fn batch(&mut self, batch: &mut Batch<T>) -> Result<(), Failure> {
        self.router.route(batch, &mut self.targets)
    }

    fn control(&mut self, control: &Control, _: &mut TaskContext) -> Result<(), Failure> {
        // These are between the coordinator and one task.
        if matches!(
            control,
            Control::Open | Control::ProcessingTime(_) | Control::Woken | Control::Committed(_)
        ) {
            return Ok(());
        }
        for target in 0..self.targets.targets.len() {
            self.targets.flush(target)?;
            if *control != Control::Flush {
                let waited = self.targets.targets[target].sender.send(Event::Control(control.clone()))?;
                self.targets.metrics.back_pressured_micros.add(waited);
            }
        }
        Ok(())
    }

    fn is_crowded(&self) -> bool {
        self.targets.targets.iter().any(|target| target.sender.is_crowded())
    }
}

/// All records to one target.
pub(crate) struct Forward;

impl<T> Router<T> for Forward {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        targets.append(0, batch)
    }
}

/// Each target in turn.
pub(crate) struct Rebalance {
    next: usize,
}

impl Rebalance {
    /// Begins at another target in each subtask, lest all begin at the first.
    pub(crate) fn starting_at(subtask: usize) -> Self {
        Self { next: subtask }
    }
}

impl<T> Router<T> for Rebalance {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        let count = targets.targets.len();
        if count == 1 {
            return targets.append(0, batch);
        }
        let (share, rest, each) = (batch.len() / count, batch.len() % count, weight(batch));
        let Batch { records, origin } = batch;
        let mut records = records.drain(..);
        // Those that get one more are the next in turn.
        for turn in 0..if share == 0 { rest } else { count } {
            let index = (self.next + turn) % count;
            let target = &mut targets.targets[index];
            target.limit = target.sender.batch_limit();
            target.begin(origin);
            target.buffer.records.extend(records.by_ref().take(share + usize::from(turn < rest)));
            target.weigh(each);
            if target.buffer.len() >= BATCH_SIZE / 2 || target.buffer.origin.bytes >= BATCH_BYTES {
                targets.flush(index)?;
            }
        }
        self.next = (self.next + rest) % count;
        Ok(())
    }

    fn keep(&mut self, batch: &mut Batch<T>, target: usize, targets: usize) {
        batch.records.retain(|_| {
            self.next += 1;
            self.next % targets == target
        });
    }
}

/// Every target.
pub(crate) struct Broadcast;

impl<T: Clone> Router<T> for Broadcast {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        for target in 1..targets.targets.len() {
            targets.append(target, &mut batch.clone())?;
        }
        targets.append(0, batch)
    }
}

/// The first target.
pub(crate) struct Global;

impl<T> Router<T> for Global {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        targets.append(0, batch)
    }
}

/// The target that a function names, of so many.
pub(crate) struct Custom<F>(pub(crate) F);

impl<T, F: FnMut(&T, usize) -> usize + Send> Router<T> for Custom<F> {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        let count = targets.targets.len();
        let each = targets.begin(batch);
        for record in batch.records.drain(..) {
            let target = (self.0)(&record.value, count) % count;
            let Target { buffer, limit, .. } = &mut targets.targets[target];
            buffer.records.push(record);
            if buffer.len() >= *limit {
                targets.full(target, &batch.origin, each)?;
            }
        }
        targets.end(each)
    }

    fn keep(&mut self, batch: &mut Batch<T>, target: usize, targets: usize) {
        batch.records.retain(|record| (self.0)(&record.value, targets) % targets == target);
    }
}

/// The owner of the key's group.
pub(crate) struct ByKey {
    owners: Owners,
}

impl ByKey {
    pub(crate) fn new(max_parallelism: u16, parallelism: usize) -> Self {
        Self { owners: Owners::new(max_parallelism, parallelism) }
    }
}

impl<T: Hashed> Router<T> for ByKey {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        if let [only] = targets.targets.as_mut_slice()
            && only.buffer.is_empty()
        {
            return targets.append(0, batch);
        }
        let each = targets.begin(batch);
        for record in batch.records.drain(..) {
            let target = self.owners.of(record.value.hash());
            let Target { buffer, limit, .. } = &mut targets.targets[target];
            buffer.records.push(record);
            if buffer.len() >= *limit {
                targets.full(target, &batch.origin, each)?;
            }
        }
        targets.end(each)
    }

    fn keep(&mut self, batch: &mut Batch<T>, target: usize, _: usize) {
        batch.records.retain(|record| self.owners.of(record.value.hash()) == target);
    }
}

/// Each part of a record of many rows to the owner of its rows' keys.
pub(crate) struct Divide {
    owners: Owners,
}

impl Divide {
    pub(crate) fn new(max_parallelism: u16, parallelism: usize) -> Self {
        Self { owners: Owners::new(max_parallelism, parallelism) }
    }
}

impl<T: Divisible> Router<T> for Divide {
    fn route(&mut self, batch: &mut Batch<T>, targets: &mut Targets<T>) -> Result<(), Failure> {
        if targets.targets.len() == 1 {
            return targets.append(0, batch);
        }
        let each = weight(batch) / targets.targets.len() as u64;
        let Batch { records, origin } = batch;
        for target in &mut targets.targets {
            target.buffer.origin.merge_places(origin);
        }
        for Record { value, timestamp } in records.drain(..) {
            value.divide(&self.owners, &mut |target, value| {
                let buffer = &mut targets.targets[target].buffer;
                buffer.records.push(Record { value, timestamp });
                buffer.origin.bytes += each;
            });
        }
        // What is divided is large: it does not wait for company.
        (0..targets.targets.len()).try_for_each(|target| targets.flush(target))
    }

    fn keep(&mut self, batch: &mut Batch<T>, target: usize, _: usize) {
        let mut mine = Vec::new();
        for Record { value, timestamp } in batch.records.drain(..) {
            value.divide(&self.owners, &mut |owner, value| {
                if owner == target {
                    mine.push(Record { value, timestamp });
                }
            });
        }
        batch.records = mine;
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::{Gate, Next};
    use super::*;
    use crate::record::Keyed;

    #[test]
    fn a_batch_is_full_by_its_bytes_too() {
        let gate = Gate::new(16);
        let senders = vec![gate.add_channel(), gate.add_channel()];
        let metrics = Arc::new(TaskMetrics::default());
        let mut edge = EdgeWriter::new(senders, Box::new(ByKey::new(128, 2)), metrics);
        // Forty records of 100 kB.
        for poll in 0..4 {
            let record = |key: u32| Record { value: Keyed::new(key, ()), timestamp: 0 };
            let origin = Origin::default().of_part(1_000_000);
            let mut batch = Batch { records: (poll * 10..poll * 10 + 10).map(record).collect(), origin };
            edge.batch(&mut batch).unwrap();
        }
        let mut sent = Vec::new();
        while let Some(Next::Event(_, Event::Batch(batch))) = gate.try_next() {
            assert!(batch.origin.bytes >= BATCH_BYTES && batch.origin.bytes < 2 * BATCH_BYTES);
            sent.push(batch.len());
        }
        assert!(sent.len() >= 2 && sent.iter().all(|records| (10..=20).contains(records)), "{sent:?}");
        edge.control(&Control::Flush, &mut TaskContext::default()).unwrap();
        while let Some(Next::Event(_, Event::Batch(batch))) = gate.try_next() {
            sent.push(batch.len());
        }
        assert_eq!(sent.iter().sum::<usize>(), 40);
    }
}
