//! One shard, as a subtask reads it: what is fetched in the background, and handed on bit by bit.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::{Value, json};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{SourceOutput, SplitId, Waker};
use thalweg_dataflow::time::Timestamp;

use super::aggregation::{self, Aggregated, Found};
use super::background::{Background, Next};
use super::client::of_stream_to_read;
use super::fan_out::Subscription;
use super::listing::Listed;
use super::records::{Answer, OfAnswer};
use super::source::{KinesisRecord, ShardPosition};
use super::{KinesisClient, KinesisError};
use crate::contract::Pauses;

/// So many records are asked for at once.
const BATCH: usize = 1_000;

/// A shard that this subtask reads.
pub(super) struct Shard {
    pub(super) id: Arc<str>,
    pub(super) parents: Vec<String>,
    hash_keys: RangeInclusive<u128>,
    pub(super) position: ShardPosition,
    pub(super) split: Option<SplitId>,
    /// Where the next read, or subscription, begins.
    pub(super) iterator: Option<String>,
    pub(super) ready: VecDeque<Ready>,
    /// Whether what is ready is the last of it.
    pub(super) is_last: bool,
    fetching: Option<Background<Fetched>>,
    /// What a subscription is made for; without it, reads are.
    consumer: Option<Arc<str>>,
    /// Whether anything has come of the subscription.
    has_come: bool,
    pub(super) fetch_at: Timestamp,
    pub(super) pauses: Option<Pauses>,
    pub(super) attempts: u32,
    pub(super) behind: f64,
}

/// A record that was read, and is not handed on, or not all of it.
pub(super) struct Ready {
    record: KinesisRecord,
    /// What is in it, if the producer's library has put several together, and what of that is next.
    aggregated: Option<Aggregated>,
    next: usize,
}

pub(super) struct Fetched {
    pub(super) records: Vec<Ready>,
    /// An iterator, or in a subscription the number to go on after; `None` at the end of the shard.
    pub(super) next: Option<String>,
    pub(super) behind: f64,
}

impl Shard {
    pub(super) fn new(listed: &Listed, parents: Vec<String>, position: ShardPosition) -> Self {
        Self {
            id: listed.id.as_str().into(),
            parents,
            hash_keys: listed.hash_keys.clone(),
            position,
            split: None,
            iterator: None,
            ready: VecDeque::new(),
            is_last: false,
            fetching: None,
            consumer: None,
            has_come: false,
            fetch_at: Timestamp::MIN,
            pauses: None,
            attempts: 0,
            behind: 0.0,
        }
    }

    /// Asks for more, on the runtime: once, or, for a consumer of enhanced fan-out, for whatever comes.
    pub(super) fn fetch(
        &mut self,
        client: &KinesisClient,
        stream: &str,
        waker: &Waker,
        consumer: Option<Arc<str>>,
    ) -> Result<(), BoxError> {
        let (client, stream, shard) = (client.clone(), stream.to_owned(), self.id.clone());
        let (hash_keys, position) = (self.hash_keys.clone(), self.position.clone());
        (self.consumer, self.has_come) = (consumer.clone(), false);
        self.fetching = Some(match consumer {
            Some(consumer) => {
                let after = self.iterator.clone();
                let subscription =
                    Subscription { client, stream, consumer, shard, hash_keys, after, position };
                Background::spawn(waker, |answers| subscription.run(answers))?
            }
            None => {
                let iterator = self.iterator.take();
                Background::spawn(waker, |answers| async move {
                    let fetched = fetch(&client, &stream, (&shard, &hash_keys), iterator, &position).await;
                    // A source that is gone wants nothing.
                    answers.give(fetched).await;
                })?
            }
        });
        Ok(())
    }

    /// What the read that was under way has brought, or the subscription has next, if there is anything.
    pub(super) fn fetched(&mut self) -> Option<Result<Fetched, KinesisError>> {
        let fetched = match self.fetching.as_mut()?.next() {
            Next::Nothing => return None,
            Next::Answer(fetched) => fetched,
            Next::End if self.has_come => {
                // It lasts five minutes; the next one goes on from there.
                self.fetching = None;
                return None;
            }
            Next::End => Err(KinesisError::NoAnswer("it has ended before anything came".into())),
        };
        self.has_come = true;
        if self.consumer.is_none() || fetched.is_err() {
            self.fetching = None;
        }
        Some(fetched)
    }

    pub(super) fn is_fetching(&self) -> bool {
        self.fetching.is_some()
    }

    /// Hands on what is ready, as far as there is room, and returns how many bytes that was.
    pub(super) fn hand_on(&mut self, output: &mut SourceOutput<KinesisRecord>) -> usize {
        let mut bytes = 0;
        while output.room() > 0
            && let Some(mut ready) = self.ready.pop_front()
        {
            self.position.after.clone_from(&ready.record.sequence_number);
            self.position.taken = 0;
            let record = match &ready.aggregated {
                None => ready.record,
                Some(aggregated) => {
                    let Some(part) = ready.part(aggregated) else { continue };
                    ready.next += 1;
                    if ready.next < aggregated.len() {
                        self.position.taken = ready.next as u64;
                        self.ready.push_front(ready);
                    }
                    part
                }
            };
            bytes += record.data.len();
            output.weigh(record.data.len());
            let arrival = record.arrival;
            output.push(record, arrival);
        }
        bytes
    }
}

impl Ready {
    /// Whether anything of it has not been read at this position. Numbers rise in a shard.
    pub(super) fn is_left_after(&self, position: &ShardPosition) -> bool {
        let (number, after) = (&self.record.sequence_number, &position.after);
        (number.len(), number) > (after.len(), after) || (number == after && position.taken > 0)
    }

    /// The next one of those that are in it.
    fn part(&self, aggregated: &Aggregated) -> Option<KinesisRecord> {
        let (key, hash_key, data) = aggregated.get(&self.record.data, self.next)?;
        Some(KinesisRecord {
            shard_id: self.record.shard_id.clone(),
            partition_key: key.to_owned(),
            data: data.to_owned(),
            sequence_number: self.record.sequence_number.clone(),
            sub_sequence_number: Some(self.next as u64),
            explicit_hash_key: hash_key.map(str::to_owned),
            arrival: self.record.arrival,
        })
    }
}

async fn fetch(
    client: &KinesisClient,
    stream: &str,
    (shard, hash_keys): (&Arc<str>, &RangeInclusive<u128>),
    iterator: Option<String>,
    position: &ShardPosition,
) -> Result<Fetched, KinesisError> {
    let iterator = match iterator {
        Some(iterator) => iterator,
        None => {
            let mut request = of_stream_to_read(stream);
            request["ShardId"] = Value::from(&**shard);
            let (of, at) = begin(position);
            request["ShardIteratorType"] = of.into();
            if let Some((name, value)) = at {
                let name = if name == "SequenceNumber" { "StartingSequenceNumber" } else { name };
                request[name] = value;
            }
            let answer = client.request("GetShardIterator", &request).await?;
            answer["ShardIterator"].as_str().unwrap_or_default().to_owned()
        }
    };
    let answer: Answer =
        client.ask("GetRecords", &json!({ "ShardIterator": iterator, "Limit": BATCH })).await?;
    let records = unpack(answer.records, stream, (shard, hash_keys), position);
    let (next, behind) = (answer.next_shard_iterator, answer.millis_behind_latest.unwrap_or(0.0));
    Ok(Fetched { records, next, behind })
}

/// Where the service is to begin, as it says it: a type, and what belongs to it.
pub(super) fn begin(position: &ShardPosition) -> (&'static str, Option<(&'static str, Value)>) {
    match position {
        ShardPosition { after, taken, .. } if !after.is_empty() => {
            let of = if *taken > 0 { "AT_SEQUENCE_NUMBER" } else { "AFTER_SEQUENCE_NUMBER" };
            (of, Some(("SequenceNumber", after.as_str().into())))
        }
        ShardPosition { start, .. } if *start >= 0 => {
            ("AT_TIMESTAMP", Some(("Timestamp", (*start as f64 / 1000.0).into())))
        }
        _ => ("TRIM_HORIZON", None),
    }
}

/// The records of an answer, and what of them is not taken yet.
pub(super) fn unpack(
    of_answer: Option<Vec<OfAnswer>>,
    stream: &str,
    (shard, hash_keys): (&Arc<str>, &RangeInclusive<u128>),
    position: &ShardPosition,
) -> Vec<Ready> {
    let of_answer = of_answer.unwrap_or_default();
    let mut records = Vec::with_capacity(of_answer.len());
    for of_answer in of_answer {
        let record = record(of_answer, shard);
        match aggregation::find(&record.data, hash_keys) {
            Found::Plain => records.push(Ready { record, aggregated: None, next: 0 }),
            Found::Aggregated(aggregated) => {
                // Of the one that a checkpoint was taken within.
                let taken = if record.sequence_number == position.after { position.taken } else { 0 };
                records.push(Ready { record, aggregated: Some(aggregated), next: taken as usize });
            }
            Found::Foreign => tracing::warn!(
                "Kinesis {stream}, {shard}: the aggregated record {} has records in it that belong into another shard, and is dropped: its producer did not know of a \
                 resharding, and sends them again",
                record.sequence_number
            ),
        }
    }
    records
}

fn record(record: OfAnswer, shard: &Arc<str>) -> KinesisRecord {
    let arrival = record.approximate_arrival_timestamp.unwrap_or(0.0);
    KinesisRecord {
        shard_id: shard.clone(),
        partition_key: record.partition_key.unwrap_or_default(),
        data: record.data,
        sequence_number: record.sequence_number.unwrap_or_default(),
        sub_sequence_number: None,
        explicit_hash_key: None,
        arrival: (arrival * 1000.0) as Timestamp,
    }
}
