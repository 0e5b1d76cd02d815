//! Reads the shards of one subtask: finds them, fetches of each what comes next, and knows where it is in each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{SourceContext, SourceOutput, SourceReader, SourceStatus};
use thalweg_dataflow::time::{Timestamp, millis};

use super::background::{Background, Next};
use super::fan_out;
use super::listing::{Listed, eldest, list};
use super::shard::Shard;
use super::source::{KinesisRecord, KinesisSource, ShardPosition, StartAt};
use super::{KinesisClient, KinesisError};
use crate::contract::{ConnectorError, ConnectorMetrics, Pauses, Place};
use crate::store::runtime;

/// Reads the shards of one subtask.
pub struct KinesisReader {
    source: KinesisSource,
    client: KinesisClient,
    place: Place,
    metrics: ConnectorMetrics,
    context: SourceContext,
    /// Positions of shards that have not been listed since.
    restored: BTreeMap<String, ShardPosition>,
    /// Where shards begin that are there at a fresh start.
    start: Timestamp,
    shards: Vec<Shard>,
    known: BTreeSet<String>,
    discover_at: Timestamp,
    /// Of a discovery that has failed.
    pauses: Option<Pauses>,
    /// The ARN of the consumer of enhanced fan-out, when it is known, and the search for it.
    consumer: Option<Arc<str>>,
    looking: Option<Background<Arc<str>>>,
    discovering: Option<Background<Vec<Listed>>>,
}

impl KinesisReader {
    pub(super) fn new(source: KinesisSource, client: KinesisClient, context: &SourceContext) -> Self {
        Self {
            place: client.place(&source.stream),
            metrics: ConnectorMetrics::of(&context.metrics),
            client,
            source,
            context: context.clone(),
            restored: BTreeMap::new(),
            start: -1,
            shards: Vec::new(),
            known: BTreeSet::new(),
            discover_at: Timestamp::MIN,
            pauses: None,
            consumer: None,
            looking: None,
            discovering: None,
        }
    }

    /// Takes over those of the shards that have not been seen before, and that this subtask is to read.
    fn take_over(&mut self, listed: &[Listed], is_fresh: bool) {
        let parents: BTreeMap<&str, &[String]> =
            listed.iter().map(|shard| (shard.id.as_str(), shard.parents.as_slice())).collect();
        for shard in listed {
            if !self.known.insert(shard.id.clone()) {
                continue;
            }
            let restored = self.restored.remove(&shard.id);
            if !self.context.owns_part(eldest(&parents, &shard.id), 0) {
                continue;
            }
            let position = restored.unwrap_or_else(|| {
                // What comes later than the start is read from its beginning; what was over before it is not wanted.
                let start = if is_fresh { self.start } else { -1 };
                ShardPosition {
                    after: String::new(),
                    taken: 0,
                    start,
                    finished: start >= 0 && shard.is_closed && self.source.start_at == StartAt::Latest,
                }
            });
            // Of parents that are not kept any more there is nothing to be waited for.
            let parents = shard.parents.iter().filter(|parent| parents.contains_key(parent.as_str()));
            let parents = parents.cloned().collect();
            self.set_finished(&shard.id, position.finished);
            self.shards.push(Shard::new(shard, parents, position));
        }
    }

    fn set_finished(&self, shard: &str, is_finished: bool) {
        let mut finished = self.source.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if is_finished {
            finished.insert(shard.to_owned());
        } else {
            finished.remove(shard);
        }
    }

    /// Looks for new shards, in the background, if it is time to. Returns when it is again.
    fn discover_if_due(&mut self, now: Timestamp) -> Result<Timestamp, BoxError> {
        let every = millis(self.source.discover_every);
        if let Some(discovering) = &mut self.discovering {
            let listed = match discovering.next() {
                Next::Nothing => return Ok(now + every),
                Next::Answer(listed) => listed,
                Next::End => Err(KinesisError::NoAnswer("the search has panicked".into())),
            };
            self.discovering = None;
            match listed {
                Ok(listed) => {
                    self.take_over(&listed, false);
                    self.pauses = None;
                }
                Err(error) => {
                    let pauses = self.pauses.get_or_insert_with(|| self.source.retry.pauses());
                    let pause = if error.passes() { pauses.next() } else { None };
                    let Some(pause) = pause else {
                        let failure = error.failure();
                        return Err(ConnectorError::once(&self.place, "list its shards", failure).boxed());
                    };
                    self.metrics.retry();
                    self.discover_at = now + millis(pause);
                }
            }
        }
        if now >= self.discover_at {
            let (client, stream) = (self.client.clone(), self.source.stream.clone());
            self.discovering = Some(Background::spawn(&self.context.waker, |answers| async move {
                answers.give(list(&client, &stream).await).await;
            })?);
            self.discover_at = now + every;
        }
        Ok(self.discover_at)
    }

    /// Whether shards can be read: by enhanced fan-out only when its consumer is there, which is looked for in the background.
    fn has_consumer(&mut self) -> Result<bool, BoxError> {
        let Some(fan_out) = self.source.fan_out.as_ref().filter(|_| self.consumer.is_none()) else {
            return Ok(true);
        };
        let Some(looking) = &mut self.looking else {
            let (client, source, fan_out) = (self.client.clone(), self.source.clone(), fan_out.clone());
            self.looking = Some(Background::spawn(&self.context.waker, |answers| async move {
                let consumer = fan_out::consumer(&client, &source.stream, &fan_out, &source.retry).await;
                answers.give(consumer).await;
            })?);
            return Ok(false);
        };
        let error = match looking.next() {
            Next::Nothing => return Ok(false),
            Next::Answer(Ok(consumer)) => {
                (self.consumer, self.looking) = (Some(consumer), None);
                return Ok(true);
            }
            Next::Answer(Err(error)) => error,
            Next::End => KinesisError::NoAnswer("the search has panicked".into()),
        };
        let what = format!("find its consumer {}, or register it", fan_out.consumer);
        Err(ConnectorError::once(&self.place, what, error.failure()).boxed())
    }
}

impl SourceReader for KinesisReader {
    type Item = KinesisRecord;
    type Position = ShardPosition;

    fn open(&mut self, restored: Option<Vec<(String, ShardPosition)>>) -> Result<(), BoxError> {
        self.start = match self.source.start_at {
            _ if restored.is_some() => -1,
            StartAt::TrimHorizon => -1,
            StartAt::Latest => self.context.clock.now(),
            StartAt::Timestamp(time) => time,
        };
        let is_fresh = restored.is_none();
        self.restored = restored.into_iter().flatten().collect();
        // What a run that has failed had read to the end is not so any more, unless the checkpoint says so.
        for (shard, position) in &self.restored {
            self.set_finished(shard, position.finished);
        }
        // Here, so that no checkpoint is taken before positions have their owners.
        let runtime = runtime::handle()?;
        let list =
            |_| runtime.block_on(list(&self.client, &self.source.stream)).map_err(KinesisError::failure);
        let listed =
            self.source.retry.run(&self.place, "list its shards", list).map_err(|error| error.boxed())?;
        self.take_over(&listed, is_fresh);
        self.discover_at = self.context.clock.now() + millis(self.source.discover_every);
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<KinesisRecord>) -> Result<SourceStatus, BoxError> {
        let now = self.context.clock.now();
        let mut until = self.discover_if_due(now)?;
        if !self.has_consumer()? {
            return Ok(SourceStatus::Idle { until: Some(until) });
        }
        for shard in self.shards.iter_mut().filter(|shard| !shard.position.finished) {
            let waits = {
                let finished = self.source.finished.lock().unwrap_or_else(PoisonError::into_inner);
                shard.parents.iter().any(|parent| !finished.contains(parent))
            };
            if waits {
                // Another subtask may read them.
                until = until.min(now + millis(self.source.poll_every));
                continue;
            }
            let split = *shard.split.get_or_insert_with(|| output.add_split(&shard.id));
            // Of a subscription the next, too, if there was nothing in the first.
            while shard.ready.is_empty()
                && !shard.is_last
                && let Some(fetched) = shard.fetched()
            {
                match fetched {
                    Ok(fetched) => {
                        (shard.pauses, shard.attempts) = (None, 0);
                        shard.is_last = fetched.next.is_none();
                        (shard.iterator, shard.behind) = (fetched.next, fetched.behind);
                        shard.ready.extend(fetched.records);
                        shard.fetch_at = now + millis(self.source.poll_every);
                    }
                    Err(error) => {
                        shard.attempts += 1;
                        let pauses = shard.pauses.get_or_insert_with(|| self.source.retry.pauses());
                        let pause = if error.passes() { pauses.next() } else { None };
                        let Some(pause) = pause else {
                            let what = format!("read shard {}", shard.id);
                            let mut error = ConnectorError::once(&self.place, what, error.failure());
                            error.attempts = shard.attempts;
                            return Err(error.boxed());
                        };
                        self.metrics.retry();
                        shard.fetch_at = now + millis(pause);
                    }
                }
            }
            if shard.ready.is_empty() && shard.is_last {
                shard.position.finished = true;
                let mut finished = self.source.finished.lock().unwrap_or_else(PoisonError::into_inner);
                finished.insert(shard.id.to_string());
                output.finish_split(split);
                // Its children are there by now.
                self.discover_at = now;
                return Ok(SourceStatus::Ready);
            }
            if shard.ready.is_empty() && !shard.is_fetching() {
                match shard.fetch_at <= now {
                    true => {
                        let consumer = self.consumer.clone();
                        shard.fetch(&self.client, &self.source.stream, &self.context.waker, consumer)?;
                    }
                    false => until = until.min(shard.fetch_at),
                }
            }
            if !shard.ready.is_empty() {
                let bytes = shard.hand_on(output);
                self.metrics.bytes(bytes as u64);
                output.origin(split, 0, 0);
                let behind = self.shards.iter().map(|shard| shard.behind).fold(0.0, f64::max);
                self.metrics.lag(behind);
                // The next poll begins with another one.
                self.shards.rotate_left(1);
                return Ok(SourceStatus::Ready);
            }
        }
        Ok(SourceStatus::Idle { until: Some(until) })
    }

    fn positions(&mut self) -> Vec<(String, ShardPosition)> {
        // Shards that were not listed any more after the restore: one of the subtasks carries them on.
        let carried = self.restored.iter().filter(|_| self.context.owns(0));
        let carried = carried.map(|(shard, position)| (shard.clone(), position.clone()));
        self.shards
            .iter()
            .map(|shard| (shard.id.to_string(), shard.position.clone()))
            .chain(carried)
            .collect()
    }
}
