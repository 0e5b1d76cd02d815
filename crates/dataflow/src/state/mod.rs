//! State: what an operator remembers between batches, and how it gets into a checkpoint and out again.
//!
//! An operator names its pieces of state in one place, [`Operator::states`](crate::operator::Operator::states);
//! the engine calls that with a [`States`] that opens, snapshots or restores whatever it is shown. There is
//! keyed state ([`KeyedTable`] and what is made of it), divided by key group, and operator state: a *list*,
//! dealt out among the subtasks when the job is restored, or a *union*, of which every subtask gets all.
//!
//! A snapshot does not stop records while it is written: at the barrier state is only *shared* (tables are behind
//! an `Arc` from then on and copied piecemeal, where written to), and encoded on another thread.
//!
//! The types of state may change from one version of a program to the next: see [`evolution`].

pub mod aggregating;
mod deadlines;
pub(crate) mod encoding;
pub mod evolution;
mod fingerprint;
pub mod list;
pub mod map;
pub mod memory;
#[cfg(test)]
pub(crate) mod part_log;
pub mod reducing;
pub mod table;
pub mod timers;
pub mod ttl;
pub mod value;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use aggregating::AggregatingState;
pub use encoding::{PartDecoder, PartEncoder};
pub use fingerprint::shape_of;
pub use list::ListState;
pub use map::MapState;
pub use memory::Memory;
pub use reducing::ReducingState;
pub use table::{KeyedTable, TableState};
pub use timers::{Timer, TimerQueue};
pub use ttl::{StateTtlConfig, UpdateType};
pub use value::ValueState;

use crate::barrier::Epoch;
use crate::checkpoint::Restore;
use crate::error::{BoxError, CheckpointError, OperatorName};
use crate::key_group::KeyGroups;
use crate::operator::OperatorContext;
use crate::time::Timestamp;

pub(crate) use deadlines::Deadlines;
pub(crate) use encoding::{Encoder, Encoders};
pub(crate) use table::{SharedGroup, UNNAMED, hash_in};

/// What can be kept in state: cloned at a barrier where it has to be, written to and read from a checkpoint. Every type is that
/// owns its data and derives `Clone`, [`serde::Serialize`] and [`serde::Deserialize`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept in state",
    label = "this type cannot be written to a checkpoint and read again",
    note = "give it `#[derive(Clone, serde::Serialize, serde::Deserialize)]`, and the same to what it is made of",
    note = "it must own its data: `&str` wants to be `String`, as in `text.to_owned()`; `Rc` wants to be `Arc`"
)]
pub trait StateData: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {}
// So that people are told of the above, and not of the first of these that is missing.
#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static> StateData for T {}

/// What state can be keyed by: what can be kept in state, and derives `PartialEq`, `Eq` and `Hash`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "a stream cannot be keyed by this type",
    note = "give it `#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]`, and the same to what it is made of",
    note = "it must own its data: `&str` wants to be `String`, as in `.key_by(|line| line.to_owned())`",
    note = "`f32` and `f64` are no keys, as NaN is not equal to itself: key by their `to_bits()`, or by a whole number"
)]
pub trait Key: StateData + std::hash::Hash + Eq {}
#[diagnostic::do_not_recommend]
impl<T: StateData + std::hash::Hash + Eq> Key for T {}

/// How a piece of state is divided when the parallelism changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum StateKind {
    /// By key group.
    Keyed,
    /// Item by item, in turn.
    List,
    /// Not at all: every subtask gets everything.
    Union,
}

/// Keyed state, as the engine sees it.
pub trait KeyedState {
    /// The shape of what is stored ([`shape_of`]): for people, and to tell a checkpoint of format version 1 of another type from
    /// this one.
    fn shape(&self) -> String;
    /// Empties it, for these key groups.
    fn open(&mut self, groups: &KeyGroups);
    /// Shares its contents as they are now, all of them if `whole`, else at least what has changed since the last call: cheap, on
    /// the task's thread. What is returned encodes them, on another thread.
    fn share(&mut self, whole: bool) -> Encode;
    /// Adds one part that an [`Encode`] wrote for `group`: all that there was, several parts for a group if need be; or, a
    /// `delta`, what has changed since the parts before it.
    fn restore(&mut self, group: u16, part: PartDecoder<'_>, delta: bool) -> Result<(), BoxError>;
    /// All parts have been added. What is shared next may go on from them with deltas if `continues`; else it must be whole.
    fn restored(&mut self, _continues: bool) {}
    /// It is `now`, in processing time (milliseconds), for what expires. Returns whether anything does: it is then called again before
    /// each batch, watermark, timer and barrier.
    fn tick(&mut self, _now: Timestamp) -> bool {
        false
    }
    /// Says, after [`open`](Self::open), that what does not fit into this memory is to go to disk. State that cannot do that keeps
    /// everything in memory.
    fn bound(&mut self, _memory: &Memory) {}
}

/// Writes shared state into parts.
pub type Encode = Box<dyn FnOnce(&mut PartWriter<'_>) -> Result<(), BoxError> + Send>;

/// Receives the encoded parts of one piece of state.
pub struct PartWriter<'a> {
    encoder: &'a mut Encoder,
    buffer: Vec<u8>,
    parts: Vec<Part>,
    /// So many parts have left the buffer, and are where they are.
    settled: usize,
    append: &'a Append<'a>,
    wasteful: Box<dyn Fn(u16) -> bool + 'a>,
}

/// Adds bytes to where parts go, and says where they begin there.
type Append<'a> = dyn Fn(&[u8]) -> Result<u64, BoxError> + 'a;

/// Parts are handed on in chunks of about so many bytes.
const CHUNK: usize = 256 << 10;

/// One part of one piece of state: where it lies in the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) struct Part {
    pub(crate) group: u16,
    pub(crate) kind: PartKind,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// What a part says of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) enum PartKind {
    /// All there is. It may take several such parts of one file.
    Whole,
    /// What has changed since the checkpoint before.
    Delta,
    /// Nothing has: what earlier files say of it still holds. It has no bytes.
    Unchanged,
}

impl<'a> PartWriter<'a> {
    pub(crate) fn new(
        encoder: &'a mut Encoder,
        append: &'a Append<'a>,
        wasteful: impl Fn(u16) -> bool + 'a,
    ) -> Self {
        let (buffer, parts, wasteful) = (Vec::new(), Vec::new(), Box::new(wasteful));
        Self { encoder, buffer, parts, settled: 0, append, wasteful }
    }

    /// Whether a file is kept for little more than `group`, which had better be written whole the next time.
    pub(crate) fn is_wasteful(&self, group: u16) -> bool {
        (self.wasteful)(group)
    }

    /// Hands on what is in the buffer.
    fn settle(&mut self) -> Result<(), BoxError> {
        if self.settled < self.parts.len() {
            let begin = (self.append)(&self.buffer)?;
            self.parts[self.settled..].iter_mut().for_each(|part| part.offset += begin);
            self.settled = self.parts.len();
            self.buffer.clear();
        }
        Ok(())
    }

    /// All that has been written: where, and its checksum if that is wanted.
    pub(crate) fn finish(mut self, sum: bool) -> Result<(Vec<Part>, Option<u32>), BoxError> {
        let sum = (sum && self.settled == 0).then(|| crc32c::crc32c(&self.buffer));
        self.settle()?;
        Ok((self.parts, sum))
    }

    /// Writes one part that belongs to `group`, and is all that there is of it. Returns how many bytes that were.
    ///
    /// # Errors
    /// Those of `encode`, and of the store.
    pub fn part(
        &mut self,
        group: u16,
        encode: impl FnOnce(&mut PartEncoder<'_>) -> Result<(), BoxError>,
    ) -> Result<u64, BoxError> {
        self.write(group, PartKind::Whole, encode)
    }

    /// Writes what has changed of `group` since the checkpoint before. Returns how many bytes that were.
    ///
    /// # Errors
    /// Those of `encode`, and of the store.
    pub fn delta(
        &mut self,
        group: u16,
        encode: impl FnOnce(&mut PartEncoder<'_>) -> Result<(), BoxError>,
    ) -> Result<u64, BoxError> {
        self.write(group, PartKind::Delta, encode)
    }

    /// Says that nothing has changed of `group`.
    pub fn unchanged(&mut self, group: u16) {
        let part = Part { group, kind: PartKind::Unchanged, offset: self.buffer.len() as u64, length: 0 };
        self.parts.push(part);
    }

    fn write(
        &mut self,
        group: u16,
        kind: PartKind,
        encode: impl FnOnce(&mut PartEncoder<'_>) -> Result<(), BoxError>,
    ) -> Result<u64, BoxError> {
        let offset = self.buffer.len();
        self.encoder.part(&mut self.buffer, encode)?;
        let length = (self.buffer.len() - offset) as u64;
        self.parts.push(Part { group, kind, offset: offset as u64, length });
        if self.buffer.len() >= CHUNK {
            self.settle()?;
        }
        Ok(length)
    }
}

/// A shared piece of state, still to be encoded.
pub(crate) struct StateSnapshot {
    pub(crate) name: &'static str,
    pub(crate) kind: StateKind,
    pub(crate) shape: String,
    pub(crate) encode: Encode,
}

/// Visits the state of an operator: to open and restore it, or to snapshot it.
pub struct States<'a> {
    mode: Mode<'a>,
    /// The names so far.
    names: Vec<&'static str>,
    /// Whether any of it expires.
    perishes: bool,
    failure: Option<CheckpointError>,
}

enum Mode<'a> {
    Naming,
    /// It is so late.
    Ticking(Timestamp),
    Opening {
        now: Timestamp,
        operator: OperatorName,
        parallelism: usize,
        groups: KeyGroups,
        memory: Option<Memory>,
        restore: Option<&'a Restore>,
    },
    Snapshotting {
        epoch: Epoch,
        whole: bool,
        snapshots: Vec<StateSnapshot>,
    },
}

impl<'a> States<'a> {
    pub(crate) fn opening(context: &OperatorContext, restore: Option<&'a Restore>) -> Self {
        let (operator, groups) = (context.operator.clone(), context.key_groups.clone());
        Self {
            mode: Mode::Opening {
                now: context.clock.now(),
                operator,
                parallelism: context.parallelism,
                groups,
                memory: context.memory.clone(),
                restore,
            },
            names: Vec::new(),
            perishes: false,
            failure: None,
        }
    }

    /// Tells what expires the time.
    pub(crate) fn ticking(now: Timestamp) -> Self {
        Self { mode: Mode::Ticking(now), ..Self::naming() }
    }

    /// Whether any of the state expires.
    pub(crate) fn perishes(&self) -> bool {
        self.perishes
    }

    /// Only asks for the names.
    pub(crate) fn naming() -> Self {
        Self { mode: Mode::Naming, names: Vec::new(), perishes: false, failure: None }
    }

    pub(crate) fn into_names(self) -> Vec<&'static str> {
        self.names
    }

    /// Takes note of a name. Two pieces of state under one would be mixed up when they are restored.
    fn name(&mut self, name: &'static str) {
        if let Mode::Opening { operator, .. } = &self.mode
            && self.names.contains(&name)
        {
            let (operator, state) = (operator.to_string(), name.to_owned());
            keep_first(&mut self.failure, Err(CheckpointError::NamedTwice { operator, state }));
        }
        self.names.push(name);
    }

    /// A snapshot that says everything if `whole`, else one that follows those before.
    pub(crate) fn snapshotting(epoch: Epoch, whole: bool) -> Self {
        let mode = Mode::Snapshotting { epoch, whole, snapshots: Vec::new() };
        Self { mode, ..Self::naming() }
    }

    /// The epoch that is being snapshotted; `None` while state is opened.
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.mode {
            Mode::Snapshotting { epoch, .. } => Some(*epoch),
            Mode::Opening { .. } | Mode::Naming | Mode::Ticking(_) => None,
        }
    }

    /// Whether state is opened, and what there was is gone.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.mode, Mode::Opening { .. })
    }

    /// Keyed state: divided by key group.
    pub fn keyed(&mut self, name: &'static str, state: &mut impl KeyedState) {
        if let Mode::Ticking(now) = self.mode {
            self.perishes |= state.tick(now);
            return;
        }
        self.name(name);
        match &mut self.mode {
            Mode::Naming | Mode::Ticking(_) => {}
            Mode::Snapshotting { snapshots, whole, .. } => {
                let (shape, encode) = (state.shape(), state.share(*whole));
                snapshots.push(StateSnapshot { name, kind: StateKind::Keyed, shape, encode });
            }
            Mode::Opening { now, operator, groups, memory, restore, .. } => {
                state.open(groups);
                if let Some(memory) = memory {
                    state.bound(memory);
                }
                self.perishes |= state.tick(*now);
                let Some(restore) = restore else { return };
                let owned = groups.owned();
                let result = restore.read(
                    (&operator.uid, name, StateKind::Keyed, &state.shape()),
                    |group| owned.contains(&group),
                    |group, part, delta| state.restore(group, part, delta),
                );
                if result.is_ok() {
                    // What is new there has nothing to go on from.
                    state.restored(restore.continues() && restore.knows_state(&operator.uid, name));
                }
                keep_first(&mut self.failure, result);
            }
        }
    }

    /// Operator state: a list whose items are dealt out among the subtasks when the job is restored.
    pub fn list<T: StateData>(&mut self, name: &'static str, items: &mut Vec<T>) {
        self.operator_state(name, StateKind::List, items);
    }

    /// Operator state of which, when the job is restored, every subtask gets the items of all.
    pub fn union<T: StateData>(&mut self, name: &'static str, items: &mut Vec<T>) {
        self.operator_state(name, StateKind::Union, items);
    }

    fn operator_state<T: StateData>(&mut self, name: &'static str, kind: StateKind, items: &mut Vec<T>) {
        if let Mode::Ticking(_) = self.mode {
            return;
        }
        self.name(name);
        match &mut self.mode {
            Mode::Naming | Mode::Ticking(_) => {}
            Mode::Snapshotting { snapshots, .. } => {
                let shared = items.clone();
                // What is empty is not there: whoever is gone with it is not missed.
                let encode: Encode = Box::new(move |parts| match shared.is_empty() {
                    true => Ok(()),
                    false => parts.part(0, |part| part.items(&shared)).map(drop),
                });
                snapshots.push(StateSnapshot { name, kind, shape: shape_of::<T>(), encode });
            }
            Mode::Opening { operator, parallelism, restore, .. } => {
                items.clear();
                let Some(restore) = restore else { return };
                let wanted = (&*operator.uid, name, kind, &*shape_of::<T>());
                let result = restore.read(wanted, |_| true, |_, part, _| part.items(|item| items.push(item)));
                if kind == StateKind::List {
                    let mut index = 0;
                    items.retain(|_| {
                        index += 1;
                        (index - 1) % *parallelism == operator.subtask
                    });
                }
                keep_first(&mut self.failure, result);
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(), CheckpointError> {
        self.failure.map_or(Ok(()), Err)
    }

    pub(crate) fn into_snapshots(self) -> Vec<StateSnapshot> {
        match self.mode {
            Mode::Snapshotting { snapshots, .. } => snapshots,
            Mode::Opening { .. } | Mode::Naming | Mode::Ticking(_) => Vec::new(),
        }
    }
}

/// For tests of state: the parts that it writes, and the schema of the values in them.
#[cfg(test)]
pub(crate) fn encoded(encode: Encode) -> (Vec<(Part, Vec<u8>)>, encoding::Schema) {
    let file = std::cell::RefCell::new(Vec::new());
    let append = |bytes: &[u8]| {
        let begin = file.borrow().len() as u64;
        file.borrow_mut().extend_from_slice(bytes);
        Ok(begin)
    };
    let mut encoder = Encoder::new();
    let mut writer = PartWriter::new(&mut encoder, &append, |_| false);
    encode(&mut writer).unwrap();
    let (parts, _) = writer.finish(false).unwrap();
    let file = file.borrow();
    let bytes = |part: &Part| file[part.offset as usize..][..part.length as usize].to_vec();
    (parts.into_iter().map(|part| (part.clone(), bytes(&part))).collect(), encoder.schema().clone())
}

/// For tests of state: what becomes of it when it is written to a checkpoint and read into `empty`.
#[cfg(test)]
pub(crate) fn restored<S: KeyedState>(state: &mut S, mut empty: S) -> S {
    empty.open(&KeyGroups::all(128));
    let (parts, schema) = encoded(state.share(true));
    let plan = encoding::Plan::new(&schema);
    for (part, bytes) in parts {
        empty.restore(part.group, PartDecoder::new(&plan, &bytes), false).unwrap();
    }
    empty.restored(false);
    empty
}

fn keep_first(slot: &mut Option<CheckpointError>, result: Result<(), CheckpointError>) {
    if let Err(error) = result
        && slot.is_none()
    {
        *slot = Some(error);
    }
}
