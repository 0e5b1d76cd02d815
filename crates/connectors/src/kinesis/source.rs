//! Reads the shards of a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus};
use thalweg_dataflow::time::{Timestamp, millis};

use super::background::{Background, Next};
use super::client::of_stream_to_read;
use super::fan_out::{self, ConsumerLifecycle, FanOut};
use super::shard::Shard;
use super::{KinesisClient, KinesisError};
use crate::contract::{ConnectorError, ConnectorMetrics, Guarantee, Pauses, Place, Promise, Retry};
use crate::store::runtime;

/// A record of a stream. Its event time is when Kinesis got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KinesisRecord {
    /// The shard that it was read from.
    #[serde(with = "shard_id")]
    pub shard_id: Arc<str>,
    /// What the producer has chosen the shard by.
    pub partition_key: String,
    /// The record itself.
    pub data: Vec<u8>,
    /// Its number, which rises in its shard, with gaps.
    pub sequence_number: String,
    /// If the producer's library has put it together with others into one record: the how manieth of them it is, from 0 on. They have the same sequence number.
    pub sub_sequence_number: Option<u64>,
    /// Of such a record: what the producer has chosen the shard by, if not by the partition key. Of others Kinesis does not tell.
    pub explicit_hash_key: Option<String>,
    /// When Kinesis got it (milliseconds).
    pub arrival: Timestamp,
}

/// The name of a shard, of which all its records have the same one in memory.
mod shard_id {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<str>, D::Error> {
        Ok(String::deserialize(from)?.into())
    }
}

/// Where a job begins that has no checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// At the oldest record that Kinesis still has.
    #[default]
    TrimHorizon,
    /// At what comes from the start of the job on, by this machine's clock.
    Latest,
    /// At the first record that came at or after this time (milliseconds).
    Timestamp(Timestamp),
}

/// Reads a stream. See the [module](super).
///
/// ```
/// use thalweg_connectors::kinesis::{KinesisSource, StartAt};
///
/// let source = KinesisSource::new("words").start_at(StartAt::Latest);
/// # let _ = source;
/// ```
#[derive(Clone, Debug)]
pub struct KinesisSource {
    stream: String,
    start_at: StartAt,
    poll_every: Duration,
    discover_every: Duration,
    retry: Retry,
    fan_out: Option<FanOut>,
    client: Option<KinesisClient>,
    /// The shards that have been read to their end, by whichever subtask.
    finished: Arc<Mutex<BTreeSet<String>>>,
}

impl KinesisSource {
    /// Reads the stream of this name, or of this ARN (`arn:aws:kinesis:eu-central-1:123456789012:stream/words`), from its oldest record on.
    pub fn new(stream: &str) -> Self {
        Self {
            stream: stream.to_owned(),
            start_at: StartAt::default(),
            poll_every: Duration::from_millis(250),
            discover_every: Duration::from_secs(10),
            retry: Retry::new().attempts(10),
            fan_out: None,
            client: None,
            finished: Arc::default(),
        }
    }

    /// Where a job begins that has no checkpoint.
    #[must_use]
    pub fn start_at(mut self, start: StartAt) -> Self {
        self.start_at = start;
        self
    }

    /// The least time between two reads of a shard. Kinesis allows five a second, to all readers together. Default: 250 ms.
    #[must_use]
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll_every = time;
        self
    }

    /// How often to look for new shards. Default: every ten seconds, and whenever one has been read to its end.
    #[must_use]
    pub fn discover_every(mut self, time: Duration) -> Self {
        self.discover_every = time;
        self
    }

    /// How a request is tried again. Default: ten attempts.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Reads by enhanced fan-out, as the consumer of this name: the service sends records as they come, to this consumer at its full rate whoever else reads. A job may change
    /// to it, and back, at a restart.
    ///
    /// ```
    /// use thalweg_connectors::kinesis::{ConsumerLifecycle, KinesisSource};
    ///
    /// let source = KinesisSource::new("words").fan_out("counts", ConsumerLifecycle::JobManaged);
    /// # let _ = source;
    /// ```
    #[must_use]
    pub fn fan_out(mut self, consumer: &str, lifecycle: ConsumerLifecycle) -> Self {
        self.fan_out = Some(FanOut { consumer: consumer.to_owned(), lifecycle });
        self
    }

    /// With a client of one's own, instead of one of the environment's.
    #[must_use]
    pub fn client(mut self, client: KinesisClient) -> Self {
        self.client = Some(client);
        self
    }
}

impl Promise for KinesisSource {
    fn place(&self) -> String {
        format!("the Kinesis stream {}", self.stream)
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "records have sequence numbers, and stay for as long as the stream retains them".to_owned()
    }
}

impl Source for KinesisSource {
    type Item = KinesisRecord;
    type Reader = KinesisReader;

    fn identity(&self) -> String {
        self.stream.clone()
    }

    fn reader(&self, context: &SourceContext) -> Result<KinesisReader, BoxError> {
        let client = self.client.clone().map_or_else(KinesisClient::from_env, Ok)?;
        Ok(KinesisReader {
            place: client.place(&self.stream),
            metrics: ConnectorMetrics::of(&context.metrics),
            client,
            source: self.clone(),
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
        })
    }
}

/// Where in a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardPosition {
    /// The last record that was read; empty if none was.
    pub(super) after: String,
    /// If it has several in it, and not all were read: how many were. Checkpoints of before records were taken apart do not have it.
    #[serde(default)]
    pub(super) taken: u64,
    /// If none was: the time that reading begins at; below zero: the oldest record.
    pub(super) start: Timestamp,
    /// Whether it was read to its end.
    pub(super) finished: bool,
}

/// A shard as the service lists it.
pub(super) struct Listed {
    pub(super) id: String,
    parents: Vec<String>,
    is_closed: bool,
    pub(super) hash_keys: RangeInclusive<u128>,
}

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
}

impl KinesisReader {
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

/// All shards of a stream.
async fn list(client: &KinesisClient, stream: &str) -> Result<Vec<Listed>, KinesisError> {
    let (mut listed, mut request) = (Vec::new(), of_stream_to_read(stream));
    loop {
        let answer = client.request("ListShards", &request).await?;
        for shard in answer["Shards"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let Some(id) = text(&shard["ShardId"]) else { continue };
            let parents = [&shard["ParentShardId"], &shard["AdjacentParentShardId"]]
                .into_iter()
                .filter_map(text)
                .collect();
            let is_closed = shard["SequenceNumberRange"]["EndingSequenceNumber"].is_string();
            let hash_key = |name: &str, otherwise| {
                shard["HashKeyRange"][name].as_str().map_or(Ok(otherwise), str::parse)
            };
            let from = hash_key("StartingHashKey", 0);
            let hash_keys = match (from, hash_key("EndingHashKey", u128::MAX)) {
                (Ok(from), Ok(to)) => from..=to,
                _ => 0..=u128::MAX,
            };
            listed.push(Listed { id, parents, is_closed, hash_keys });
        }
        match answer["NextToken"].as_str() {
            Some(token) => request = json!({ "NextToken": token }),
            None => return Ok(listed),
        }
    }
}

/// The oldest first parent of a shard that is still known: all that has come out of it by splits is read by one subtask.
fn eldest<'a>(parents: &BTreeMap<&'a str, &'a [String]>, shard: &'a str) -> &'a str {
    let mut eldest = shard;
    // A shard is younger than its parents; so this ends, unless the service is wrong.
    for _ in 0..10_000 {
        match parents
            .get(eldest)
            .and_then(|of| of.first())
            .filter(|parent| parents.contains_key(parent.as_str()))
        {
            Some(parent) => eldest = parent,
            None => break,
        }
    }
    eldest
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

#[cfg(test)]
mod tests {
    use thalweg_dataflow::state::evolution::StateEncoder;

    use super::*;

    /// A position as it was before records were taken apart.
    mod of_before {
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize)]
        pub(super) struct ShardPosition {
            pub(super) after: String,
            pub(super) start: i64,
            pub(super) finished: bool,
        }
    }

    #[test]
    fn a_position_of_an_older_checkpoint_is_read() {
        let old = of_before::ShardPosition { after: "49590".to_owned(), start: -1, finished: true };
        let (mut encoder, mut bytes) = (StateEncoder::new(), Vec::new());
        encoder.encode(&[old], &mut bytes).unwrap();
        // As they have been written since there are such checkpoints: lengths, digits, a number, a truth.
        assert!(bytes.windows(8).any(|at| at == b"\x0549590\x01\x01"), "{bytes:?}");
        let mut read = Vec::new();
        encoder.decoder().unwrap().decode(&bytes, |position: ShardPosition| read.push(position)).unwrap();
        assert_eq!(read, [ShardPosition { after: "49590".to_owned(), taken: 0, start: -1, finished: true }]);
    }
}
