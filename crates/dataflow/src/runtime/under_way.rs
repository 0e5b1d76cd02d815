//! Unaligned checkpoints: records that a barrier has overtaken become a part of the checkpoint, and come back with it (FLIP-76).
//!
//! An aligned barrier waits until all records before it have been worked on. Where one record takes seconds, that is long. A barrier that is
//! told to *overtake* waits only until it has come in all channels of a gate, wherever it stands in them: it is taken out of the queues and passed
//! on at once. What it has passed by stays queued, and is worked on after it; a copy of that goes into the checkpoint, as state of the
//! operator at the head of the task. Writers do not wait for room as long as their barrier has to get through, so it is soon in all channels: what
//! that takes in memory is the rest of the batch that each of them has in hand.
//!
//! After a restore each subtask reads what was under way to all of them, and keeps what is its own by the partitioning of the edge: so it works
//! at any parallelism. The channels of old are played back one beside the other, each with its watermarks in their places, so that what was late is
//! late, and what was not is not. Nothing is read from the new channels before that. What a barrier finds of it that has not been played back
//! yet is older than what stands in those, and is played back before it the next time: so the records of a key keep their order.
//!
//! Only what is dealt out by what is in a record can come back so ([`Stream::unaligned`](crate::graph::Stream::unaligned)). On forwarded and on broadcast edges barriers
//! wait for their turn: a record that was under way to one subtask would have to be told from its copy to another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::edge::Router;
use super::gate::Event;
use crate::checkpoint::Restore;
use crate::collector::Control;
use crate::error::{BoxError, Fatal, OperatorName};
use crate::record::{Batch, Origin, Record};
use crate::state::{Encode, StateData, StateKind, StateSnapshot, shape_of};
use crate::time::Timestamp;
use crate::watermark::{Combined, Watermarks};

/// The name of this state.
pub(crate) const UNDER_WAY: &str = "records under way";

/// What was under way in one channel.
pub(crate) struct Taken<T> {
    /// Which edge it belongs to.
    pub(crate) lane: Arc<str>,
    /// How far event time had come in it, before all of this.
    pub(crate) watermark: Timestamp,
    pub(crate) idle: bool,
    /// In so many checkpoints it has been before this one: the older goes before the younger.
    pub(crate) age: u32,
    pub(crate) events: Vec<Event<T>>,
}

/// What is written of it.
#[derive(Clone, Serialize, Deserialize)]
struct Channel<T> {
    lane: String,
    watermark: Timestamp,
    idle: bool,
    age: u32,
    events: Vec<Waiting<T>>,
}

#[derive(Clone, Serialize, Deserialize)]
enum Waiting<T> {
    Records { bytes: u64, records: Vec<(Timestamp, T)> },
    Watermark(Timestamp),
    Idle,
}

/// Knows how records of one type get into a checkpoint and out again.
pub(crate) trait Codec<T>: Send + Sync {
    /// A copy of what is queued.
    fn copy(&self, event: &Event<T>) -> Event<T>;
    /// What was under way, as a piece of state.
    fn snapshot(&self, channels: Vec<Taken<T>>) -> StateSnapshot;
    /// What was under way to all subtasks of the operator with this uid.
    fn restore(&self, restore: &Restore, uid: &str) -> Result<Vec<Taken<T>>, BoxError>;
}

/// Makes of a record that has come out of a checkpoint what it was on its way.
pub(crate) type Again<T> = Arc<dyn Fn(T) -> Result<T, BoxError> + Send + Sync>;

/// Of records that can be kept in state.
pub(crate) struct Serde<T> {
    again: Again<T>,
}

impl<T> Serde<T> {
    pub(crate) fn new(again: Again<T>) -> Self {
        Self { again }
    }
}

impl<T: StateData> Codec<T> for Serde<T> {
    fn copy(&self, event: &Event<T>) -> Event<T> {
        match event {
            Event::Batch(batch) => Event::Batch(batch.clone()),
            Event::Control(control) => Event::Control(control.clone()),
        }
    }

    fn snapshot(&self, channels: Vec<Taken<T>>) -> StateSnapshot {
        let written = |taken: Taken<T>| {
            let Taken { lane, watermark, idle, age, events } = taken;
            let events = events.into_iter().filter_map(Waiting::of).collect();
            Channel { lane: lane.to_string(), watermark, idle, age, events }
        };
        let encode: Encode = Box::new(move |parts| {
            let channels: Vec<Channel<T>> = channels.into_iter().map(written).collect();
            match channels.is_empty() {
                true => Ok(()),
                false => parts.part(0, |part| part.items(&channels)).map(drop),
            }
        });
        StateSnapshot { name: UNDER_WAY, kind: StateKind::Union, shape: shape_of::<Channel<T>>(), encode }
    }

    fn restore(&self, restore: &Restore, uid: &str) -> Result<Vec<Taken<T>>, BoxError> {
        let mut channels: Vec<Channel<T>> = Vec::new();
        let shape = shape_of::<Channel<T>>();
        let wanted = (uid, UNDER_WAY, StateKind::Union, &*shape);
        restore.read(wanted, |_| true, |_, part, _| part.items(|channel| channels.push(channel)))?;
        let taken = |channel: Channel<T>| {
            let Channel { lane, watermark, idle, age, events } = channel;
            let events = events.into_iter().map(|waiting| waiting.into_event(&self.again));
            let events = events.collect::<Result<_, BoxError>>()?;
            Ok(Taken { lane: lane.into(), watermark, idle, age, events })
        };
        channels.into_iter().map(taken).collect()
    }
}

impl<T> Waiting<T> {
    /// What is written of an event. The end is not: who has come to it says so again after a restore.
    fn of(event: Event<T>) -> Option<Self> {
        match event {
            Event::Batch(Batch { records, origin }) => {
                let records = records.into_iter().map(|record| (record.timestamp, record.value)).collect();
                Some(Self::Records { bytes: origin.bytes, records })
            }
            Event::Control(Control::Watermark(watermark)) => Some(Self::Watermark(watermark)),
            Event::Control(Control::Idle) => Some(Self::Idle),
            Event::Control(_) => None,
        }
    }

    fn into_event(self, again: &Again<T>) -> Result<Event<T>, BoxError> {
        Ok(match self {
            Self::Records { bytes, records } => {
                let record = |(timestamp, value)| again(value).map(|value| Record { value, timestamp });
                let records = records.into_iter().map(record).collect::<Result<_, _>>()?;
                Event::Batch(Batch { records, origin: Origin::default().of_part(bytes) })
            }
            Self::Watermark(watermark) => Event::Control(Control::Watermark(watermark)),
            Self::Idle => Event::Control(Control::Idle),
        })
    }
}

/// An edge on which a barrier may overtake records, as the task that reads from it sees it.
pub(crate) struct Lane<T> {
    pub(crate) name: Arc<str>,
    pub(crate) codec: Arc<dyn Codec<T>>,
    /// Knows whose a record is.
    pub(crate) router: Box<dyn Router<T>>,
}

/// What a task does about records under way: for the operator at its head.
pub(crate) struct UnderWay<T> {
    pub(crate) operator: OperatorName,
    pub(crate) parallelism: usize,
    pub(crate) lanes: Vec<Lane<T>>,
}

impl<T> UnderWay<T> {
    /// Whether a barrier may overtake anything.
    pub(crate) fn is_possible(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// The codec of the gate's records, if they have one.
    pub(crate) fn codec(&self) -> Option<&Arc<dyn Codec<T>>> {
        self.lanes.first().map(|lane| &lane.codec)
    }

    /// What was under way when the checkpoint was taken, as far as it is for this subtask, the oldest first.
    pub(crate) fn restore(&mut self, restore: &Restore) -> Result<Vec<Taken<T>>, BoxError> {
        let Some(codec) = self.codec() else { return Ok(Vec::new()) };
        let mut channels = codec.restore(restore, &self.operator.uid)?;
        for Taken { lane, events, .. } in &mut channels {
            let (subtask, count) = (self.operator.subtask, self.parallelism);
            let is_only = self.lanes.len() == 1;
            let known = self.lanes.iter_mut().find(|known| is_only || known.name == *lane);
            let Some(Lane { router, .. }) = known else {
                let reason = format!(
                    "the checkpoint has records that were under way to it from `{lane}`, which is no input of it any more; take a savepoint \
                     with the program that wrote it, in which nothing is under way, and begin from that"
                );
                return Err(Box::new(Fatal(reason.into())));
            };
            for event in events.iter_mut() {
                if let Event::Batch(batch) = event {
                    router.keep(batch, subtask, count);
                }
            }
            events.retain(|event| !matches!(event, Event::Batch(batch) if batch.is_empty()));
        }
        channels.sort_by_key(|channel| std::cmp::Reverse(channel.age));
        Ok(channels)
    }
}

/// Event time while what was under way is played back: those of one age after those of another.
pub(crate) struct Playback {
    channels: Vec<Played>,
    /// The age of those that are played back.
    age: u32,
    watermarks: Watermarks,
}

struct Played {
    lane: Arc<str>,
    age: u32,
    watermark: Timestamp,
    idle: bool,
    /// Its number among those of its age.
    number: usize,
}

impl Playback {
    /// Of channels, the oldest first.
    pub(crate) fn of<T>(channels: &[Taken<T>]) -> Self {
        let mut played: Vec<Played> = Vec::with_capacity(channels.len());
        for Taken { lane, watermark, idle, age, .. } in channels {
            let number = played.iter().filter(|before| before.age == *age).count();
            played.push(Played { lane: lane.clone(), age: *age, watermark: *watermark, idle: *idle, number });
        }
        let age = played.first().map_or(0, |oldest| oldest.age);
        let watermarks = of_age(&played, age);
        Self { channels: played, age, watermarks }
    }

    /// Something has been read of one of the channels: those that are older have been played back.
    pub(crate) fn enter(&mut self, channel: usize) {
        let age = self.channels[channel].age;
        if age != self.age {
            let reached = self.watermarks.reached();
            (self.age, self.watermarks) = (age, of_age(&self.channels, age));
            self.watermarks.go_on_from(reached);
        }
    }

    /// One of the channels says something of event time.
    pub(crate) fn hear(&mut self, channel: usize, control: &Control) {
        let number = self.channels[channel].number;
        match control {
            Control::Watermark(watermark) => self.watermarks.advance(number, *watermark),
            Control::Idle => self.watermarks.set_idle(number),
            _ => {}
        }
    }

    /// What that means for all of them.
    pub(crate) fn news(&mut self) -> Option<Combined> {
        self.watermarks.news()
    }

    /// How far event time has come.
    pub(crate) fn reached(&self) -> Timestamp {
        self.watermarks.reached()
    }

    /// What is left of one of the channels; `None` if it has been played back.
    pub(crate) fn left<T>(&self, channel: usize, events: Vec<Event<T>>) -> Option<Taken<T>> {
        let Played { lane, age, watermark, idle, number } = &self.channels[channel];
        let (watermark, idle) =
            if *age == self.age { self.watermarks.of(*number) } else { (*watermark, *idle) };
        let taken = Taken { lane: lane.clone(), watermark, idle, age: age + 1, events };
        (*age <= self.age).then_some(taken)
    }
}

fn of_age(channels: &[Played], age: u32) -> Watermarks {
    let mut watermarks = Watermarks::default();
    for Played { watermark, idle, .. } in channels.iter().filter(|channel| channel.age == age) {
        let number = watermarks.add();
        watermarks.advance(number, *watermark);
        if *idle {
            watermarks.set_idle(number);
        }
    }
    watermarks
}
