//! One round of compaction, through all closed segments of a partition.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::log::batch::BatchHeader;
use crate::log::checkpoint::Checkpoint;
use crate::log::compaction::dirt::Dirt;
use crate::log::compaction::filter::{Filter, Outcome, decode};
use crate::log::compaction::keys::Keys;
use crate::log::compaction::output::{FileOutput, Output};
use crate::log::compaction::pace::Pace;
use crate::log::compaction::swap::Swap;
use crate::log::compaction::transactions::Transactions;
use crate::log::compaction::{Halted, Rules};
use crate::log::offset_file;
use crate::log::partition::{Log, Partition};
use crate::log::pending;
use crate::log::producers::AbortedTransaction;
use crate::log::records::Records;
use crate::log::segment::{Batches, Segment, Summary, file_name};

/// Segments that are made into one at most: each is a file to be removed while nobody can append.
const MERGED: usize = 100;

/// A segment that is to be compacted.
#[derive(Debug, Clone, Copy)]
struct Part {
    base: i64,
    /// Where the next one begins.
    end: i64,
    size: u64,
}

/// The part being read.
#[derive(Debug)]
struct Reading {
    batches: Batches,
    at: u64,
    size: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Round<'a, 'p> {
    partition: &'a Partition,
    rules: &'a Rules<'a>,
    pace: &'a mut Pace<'p>,
    first_dirty: i64,
    bound: i64,
    directory: Option<PathBuf>,
    start: i64,
    parts: Vec<Part>,
    aborted: Vec<AbortedTransaction>,
}

impl<'a, 'p> Round<'a, 'p> {
    pub(super) fn begin(
        partition: &'a Partition,
        dirt: &Dirt,
        rules: &'a Rules<'a>,
        pace: &'a mut Pace<'p>,
    ) -> Result<Self, Halted> {
        // What is made of several segments takes over the producers from the index of the last.
        partition.checkpoint(pending::Extent::IfMuch)?;
        let log = partition.log();
        if log.deleted {
            return Err(Halted::Stopped);
        }
        let ends = log.segments[1..].iter().map(Segment::base_offset);
        let parts = log.segments.iter().zip(ends).map(|(segment, end)| Part {
            base: segment.base_offset(),
            end,
            size: segment.size(),
        });
        Ok(Self {
            partition,
            rules,
            pace,
            first_dirty: dirt.first_dirty,
            bound: dirt.bound,
            directory: log.directory.clone(),
            start: log.start_offset,
            parts: parts.take_while(|part| part.end <= dirt.bound).collect(),
            aborted: log.producers.aborted_in(0, dirt.bound),
        })
    }

    pub(super) fn run(mut self) -> Result<(), Halted> {
        let keys = self.last_offsets()?;
        let Some(keys_end) = keys.end() else { return Ok(()) };
        let mut filter = Filter {
            keys: &keys,
            keys_end,
            transactions: Transactions::new(self.aborted.clone()),
            last_batches: Default::default(),
            start: self.start,
            bound: self.bound,
            now_ms: self.rules.now_ms,
            delete_retention_ms: self.rules.config.delete_retention_ms,
        };
        self.parts.retain(|part| part.base < keys_end);
        for group in groups(&self.parts, self.rules.config.rules().segment_bytes) {
            filter.last_batches = self.partition.log().producers.last_batches();
            self.compact(&group, &mut filter)?;
        }
        if let Some(directory) = &self.directory {
            self.rules.steps.step()?;
            offset_file::CLEAN.store(directory, keys_end)?;
        }
        self.partition.log().clean_offset = keys_end;
        Ok(())
    }

    /// The last offset of each key from the first dirty offset on: of all, or of as many as there is memory for.
    fn last_offsets(&mut self) -> Result<Keys, Halted> {
        let first_dirty = self.first_dirty;
        let expected = self.bound - first_dirty;
        let mut keys = Keys::within(self.rules.keys_bytes, self.rules.load_factor, expected);
        let left = |aborted: &&AbortedTransaction| aborted.last_offset >= first_dirty;
        let mut transactions = Transactions::new(self.aborted.iter().filter(left).copied().collect());
        for part in self.parts.clone().into_iter().filter(|part| part.end > first_dirty) {
            let mut reading = self.open(&part, first_dirty)?;
            while let Some((header, batch)) = self.next(&mut reading)? {
                if header.is_control() {
                    transactions.is_needless(&header, &batch);
                } else if !transactions.is_aborted(&header) && header.last_offset() >= first_dirty {
                    let records = Records::open(&batch, &header)?;
                    for record in decode(&records)?.filter(|record| record.offset >= first_dirty) {
                        if record.key.is_some_and(|key| !keys.put(key, record.offset)) {
                            return Ok(keys);
                        }
                    }
                }
                keys.complete_to(first_dirty.max(header.last_offset() + 1));
            }
            keys.complete_to(part.end);
        }
        Ok(keys)
    }

    /// Makes one segment of several, or of one of which something goes.
    fn compact(&mut self, group: &[Part], filter: &mut Filter<'_>) -> Result<(), Halted> {
        let ([first, ..], [.., last]) = (group, group) else { return Ok(()) };
        let Some(directory) = self.directory.clone() else {
            let mut output = Output::in_memory(first.base);
            let changed = self.write(group, &mut output, filter)?;
            let needed = filter.transactions.take_needed();
            if let (true, Output::Memory(mut segment)) = (changed, output) {
                segment.close();
                let mut log = self.partition.log();
                let at = log.place_of(group)?;
                log.replace(at, group, segment, needed);
            }
            return Ok(());
        };
        let swap = Swap::new(&directory, first.base, last.end);
        match self.prepare(&directory, group, &swap, filter) {
            Ok(Some((summary, needed))) => {
                let swapped = self.swap(&directory, group, &swap, summary, needed);
                swapped.map_err(|halted| match halted {
                    // What was begun is finished by the next start, and nothing may come in between.
                    Halted::NoSpace(error) => Halted::Failed(error),
                    halted => halted,
                })
            }
            Ok(None) => Ok(swap.undo(&self.rules.steps)?),
            Err(halted) => {
                swap.undo(&self.rules.steps)?;
                Err(halted)
            }
        }
    }

    /// Writes the new segment and its index; `None` if it would be the old one.
    fn prepare(
        &mut self,
        directory: &Path,
        group: &[Part],
        swap: &Swap<'_>,
        filter: &mut Filter<'_>,
    ) -> Result<Option<(Summary, Vec<AbortedTransaction>)>, Halted> {
        let ([first, ..], [.., last]) = (group, group) else { return Ok(None) };
        let mut output = Output::File(FileOutput::create(&swap.cleaned(), first.base, &self.rules.steps)?);
        let changed = self.write(group, &mut output, filter)?;
        let needed = filter.transactions.take_needed();
        let (true, Output::File(output)) = (changed, output) else { return Ok(None) };

        let log = directory.join(file_name(last.base));
        // Whoever removes it holds this, but for a client that deletes records, after which nothing will be swapped.
        let _upkeep = self.partition.upkeep();
        self.partition.log().place_of(group)?;
        let modified = std::fs::metadata(&log)?.modified()?;
        let index = Checkpoint::load(&log, last.size)?;
        let Checkpoint { producers, .. } = index.ok_or_else(|| io::Error::other("a segment has no index"))?;
        let summary = output.finish(modified)?;
        let checkpoint = Checkpoint { summary, aborted: needed, producers };
        self.rules.steps.step()?;
        checkpoint.store(&swap.cleaned())?;
        Ok(Some((checkpoint.summary, checkpoint.aborted)))
    }

    /// Lets the new segment take the place of the old ones.
    fn swap(
        &self,
        directory: &Path,
        group: &[Part],
        swap: &Swap<'_>,
        summary: Summary,
        needed: Vec<AbortedTransaction>,
    ) -> Result<(), Halted> {
        let steps = &self.rules.steps;
        let [first, ..] = group else { return Ok(()) };
        let _upkeep = self.partition.upkeep();
        if let Err(halted) = self.partition.log().place_of(group).map(drop) {
            swap.undo(steps)?;
            return Err(halted);
        }
        swap.decide(steps)?;
        let mut log = self.partition.log();
        let at = match log.place_of(group) {
            Ok(at) => at,
            Err(halted) => {
                // A client has deleted the records just now.
                drop(log);
                swap.undo(steps)?;
                return Err(halted);
            }
        };
        let made_of: Vec<_> = group.iter().map(|part| part.base).collect();
        swap.place(&made_of, steps)?;
        log.replace(at, group, Segment::closed(directory, first.base, summary), needed);
        drop(log);
        Ok(swap.sync(steps)?)
    }

    /// Writes what stays; returns whether that is something else than before. A segment of which nothing goes is only read.
    fn write(
        &mut self,
        group: &[Part],
        output: &mut Output<'_>,
        filter: &mut Filter<'_>,
    ) -> Result<bool, Halted> {
        // Bytes at the front of the only segment that will be written if something goes further back.
        let mut untouched = (group.len() == 1).then_some(0);
        for part in group {
            let mut reading = self.open(part, part.base)?;
            while let Some((header, batch)) = self.next(&mut reading)? {
                let outcome = filter.apply(&header, &batch)?;
                match &mut untouched {
                    Some(bytes) if outcome == Outcome::Same => {
                        *bytes += header.len as u64;
                        continue;
                    }
                    _ => {}
                }
                if let Some(bytes) = untouched.take() {
                    self.copy(part, bytes, output)?;
                }
                match outcome {
                    Outcome::Gone => {}
                    Outcome::Same => self.append(&header, &batch, output)?,
                    Outcome::Changed(header, batch) => self.append(&header, &batch, output)?,
                }
            }
        }
        Ok(untouched.is_none())
    }

    /// Writes the first so many bytes of a part.
    fn copy(&mut self, part: &Part, bytes: u64, output: &mut Output<'_>) -> Result<(), Halted> {
        let mut reading = self.open(part, part.base)?;
        while reading.at < bytes
            && let Some((header, batch)) = self.next(&mut reading)?
        {
            self.append(&header, &batch, output)?;
        }
        Ok(())
    }

    fn append(&mut self, header: &BatchHeader, batch: &[u8], output: &mut Output<'_>) -> Result<(), Halted> {
        self.pace.wrote(header.len);
        Ok(output.append(header, batch)?)
    }

    /// Begins to read a part, from before `offset` on.
    fn open(&self, part: &Part, offset: i64) -> Result<Reading, Halted> {
        let log = self.partition.log();
        let at = log.place_of(std::slice::from_ref(part))?;
        let position = log.segments[at].mark_before(|_, at| at <= offset).0;
        let batches = log.segments[at].extent(position)?.batches();
        Ok(Reading { batches, at: position, size: part.size })
    }

    /// The next batch of a part. All there was has to come.
    fn next(&mut self, reading: &mut Reading) -> Result<Option<(BatchHeader, Bytes)>, Halted> {
        let Some((header, batch)) = reading.batches.next()? else {
            let whole = reading.at == reading.size;
            return if whole { Ok(None) } else { Err(damaged(reading.at)) };
        };
        if BatchHeader::verify(&batch).is_err() {
            return Err(damaged(reading.at));
        }
        reading.at += header.len as u64;
        self.pace.read(header.len, || self.partition.log().deleted)?;
        Ok(Some((header, batch)))
    }
}

fn damaged(at: u64) -> Halted {
    io::Error::new(io::ErrorKind::InvalidData, format!("the segment is damaged at byte {at}")).into()
}

/// Neighbours that fit into one segment.
fn groups(parts: &[Part], segment_bytes: u64) -> Vec<Vec<Part>> {
    let mut groups: Vec<Vec<Part>> = Vec::new();
    let mut size = 0;
    for part in parts {
        match groups.last_mut() {
            // Marks count offsets from the segment's first one.
            Some(group)
                if group.len() < MERGED
                    && size + part.size <= segment_bytes
                    && part.end - group[0].base <= i64::from(i32::MAX) =>
            {
                size += part.size;
                group.push(*part);
            }
            _ => {
                size = part.size;
                groups.push(vec![*part]);
            }
        }
    }
    groups
}

impl Log {
    /// Where these segments are, if they are all still there.
    fn place_of(&self, group: &[Part]) -> Result<usize, Halted> {
        let gone = || Halted::Stopped;
        let first = group.first().ok_or_else(gone)?;
        let at = self.segments.partition_point(|segment| segment.base_offset() < first.base);
        let there = self.segments.get(at..at + group.len()).ok_or_else(gone)?;
        let same = group.iter().zip(there).all(|(part, segment)| part.base == segment.base_offset());
        if same && !self.deleted { Ok(at) } else { Err(gone()) }
    }

    /// Puts one segment in the place of others, and leaves of the transactions aborted there those that are needed.
    fn replace(&mut self, at: usize, group: &[Part], segment: Segment, needed: Vec<AbortedTransaction>) {
        let ([first, ..], [.., last]) = (group, group) else { return };
        self.segments.splice(at..at + group.len(), [segment]);
        self.producers.retain_aborted(first.base..last.end, needed);
        self.pending.merged(first.base..last.end);
        self.generation += 1;
    }
}
