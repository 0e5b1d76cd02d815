//! Reads the partitions of one topic, or those that a group gives us.
//!
//! librdkafka tells which partition has come to its end, but not of which topic; so outside of groups each topic has
//! a client of its own.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::{Args, bad_batch};
use crate::client::{Connection, Heard, TIMEOUT};
use crate::position::Position;

/// What has happened.
pub(super) enum Event {
    Nothing,
    /// A record was printed.
    Printed,
    /// A record behind the end of what is wanted was passed over, or something else that is none.
    Passed,
    /// There is no more in this partition, for now.
    End {
        topic: String,
        partition: i32,
        next: i64,
    },
    /// No broker can be reached.
    Lost,
}

pub(super) struct Reader {
    consumer: BaseConsumer<Heard>,
    /// The topic, if it is known to be only one.
    topic: Option<String>,
    in_group: bool,
    /// What to pass over bad batches with, if that is wanted.
    skips: Option<Connection>,
    parts: Vec<Part>,
    /// Of the record before. Records come in runs of one partition.
    current: usize,
}

/// How far a partition has been read.
struct Part {
    topic: String,
    partition: i32,
    /// The offset behind the last record that was printed.
    next: i64,
    /// The first offset that is not wanted.
    until: i64,
    /// There was no more behind the last record.
    at_end: bool,
    done: bool,
    /// Whether `next` is still to be stored for the group.
    moved: bool,
}

impl Reader {
    /// A member of a group, that shares the topics.
    pub(super) fn of_group(args: &Args, group: &str) -> anyhow::Result<Self> {
        let reset = if args.offset == Position::End { "latest" } else { "earliest" };
        let properties = [
            ("group.id", group),
            ("auto.offset.reset", reset),
            ("enable.auto.commit", "true"),
            ("auto.commit.interval.ms", "1000"),
        ];
        let mut reader = Self::create(args, &properties)?;
        reader.in_group = true;
        reader.topic = Some(&args.topics).filter(|topics| topics.len() == 1).map(|topics| topics[0].clone());
        let topics: Vec<_> = args.topics.iter().map(String::as_str).collect();
        reader.consumer.subscribe(&topics).context("cannot subscribe")?;
        Ok(reader)
    }

    /// Reads partitions of a topic, each from an offset up to one.
    pub(super) fn of_partitions(
        args: &Args,
        topic: &str,
        ranges: Vec<(i32, i64, i64)>,
    ) -> anyhow::Result<Self> {
        // librdkafka assigns nothing without the name of a group; nothing is ever asked or committed under it.
        let properties = [
            ("group.id", "thalweg-consume"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ];
        let mut reader = Self::create(args, &properties)?;
        reader.topic = Some(topic.to_owned());
        let mut list = TopicPartitionList::with_capacity(ranges.len());
        for (partition, begin, until) in ranges {
            let done = begin >= until;
            reader.parts.push(Part { next: begin, until, done, ..Part::new(topic, partition) });
            if !done {
                list.add_partition_offset(topic, partition, Offset::Offset(begin))
                    .context("cannot begin there")?;
            }
        }
        reader.consumer.assign(&list).context("cannot read these partitions")?;
        Ok(reader)
    }

    fn create(args: &Args, properties: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut defaults = vec![
            ("isolation.level", args.isolation.as_str()),
            ("enable.partition.eof", "true"),
            ("enable.auto.offset.store", "false"),
            // A full queue is looked at again after this long; the default of 1 s shows as a stutter.
            ("fetch.queue.backoff.ms", "5"),
        ];
        if args.exit || args.until.is_some() {
            // That there is no more is known when a fetch comes back with nothing.
            defaults.push(("fetch.wait.max.ms", "10"));
        }
        defaults.extend(properties);
        let heard = Heard::default();
        let created = args.connection.config(&defaults)?.create_with_context(heard.clone());
        let consumer =
            created.map_err(|error| args.connection.failed("set up a consumer", &error, &heard))?;
        let skips = (args.bad_records == "skip").then(|| args.connection.clone());
        Ok(Self { consumer, topic: None, in_group: false, skips, parts: Vec::new(), current: 0 })
    }

    /// Waits for the next event. Records from the time `until` on are not wanted.
    pub(super) fn poll(
        &mut self,
        wait: Duration,
        until: Option<i64>,
        print: impl FnOnce(&BorrowedMessage<'_>) -> std::io::Result<()>,
    ) -> anyhow::Result<Event> {
        match self.consumer.poll(wait) {
            None => Ok(Event::Nothing),
            Some(Ok(message)) => {
                let at = find(&mut self.parts, self.current, self.topic.as_deref(), &message);
                self.current = at;
                let part = &mut self.parts[at];
                let offset = message.offset();
                let late =
                    until.is_some_and(|until| message.timestamp().to_millis().is_some_and(|at| at >= until));
                part.at_end = false;
                part.done |= late || offset >= part.until;
                if part.done {
                    return Ok(Event::Passed);
                }
                print(&message).context("cannot write a record")?;
                part.next = offset + 1;
                part.moved = true;
                part.done = part.next >= part.until;
                Ok(Event::Printed)
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(self.ended(partition)),
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(Code::AllBrokersDown) => Ok(Event::Lost),
                // It connects again by itself.
                Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut) => {
                    Ok(Event::Passed)
                }
                // Of the group that is none.
                Some(Code::GroupAuthorizationFailed) if !self.in_group => Ok(Event::Passed),
                Some(Code::BadCompression | Code::BadMessage | Code::InvalidMessage) => {
                    if !self.pass_over()? {
                        let advice = if self.in_group {
                            "a batch cannot be read; `thalweg groups reset` sets the group behind it"
                        } else {
                            "a batch cannot be read; --bad-records skip goes past it"
                        };
                        return Err(error).context(advice);
                    }
                    Ok(Event::Passed)
                }
                _ => Err(error).context("cannot read"),
            },
        }
    }

    /// Goes past batches that cannot be read, wherever they are next. Whether there were any, and this is wanted.
    fn pass_over(&mut self) -> anyhow::Result<bool> {
        let Some(connection) = &self.skips else { return Ok(false) };
        let mut any = false;
        for part in self.parts.iter_mut().filter(|part| !part.done) {
            let (topic, partition) = (part.topic.as_str(), part.partition);
            let mut next = part.next;
            while let Some(batch) = bad_batch::at(connection, topic, partition, next)? {
                let Err(reason) = batch.readable else { break };
                let (first, last) = (batch.base_offset.max(next), batch.last_offset);
                eprintln!(
                    "passed over offsets {first} to {last} of {topic} [{partition}], which cannot be read: {reason}"
                );
                next = last + 1;
            }
            if next > part.next {
                any = true;
                part.next = next;
                part.done = next >= part.until;
                let moved = self.consumer.seek(topic, partition, Offset::Offset(next), TIMEOUT);
                moved.with_context(|| format!("cannot go on at offset {next} of {topic} [{partition}]"))?;
            }
        }
        Ok(any)
    }

    fn ended(&mut self, partition: i32) -> Event {
        let Some(topic) = &self.topic else { return Event::Passed };
        let at = self.parts.iter().position(|part| part.partition == partition).unwrap_or_else(|| {
            self.parts.push(Part::new(topic, partition));
            self.parts.len() - 1
        });
        let part = &mut self.parts[at];
        part.at_end = true;
        Event::End { topic: part.topic.clone(), partition, next: part.next }
    }

    /// Whether there is nothing more to print; `ending` when what has come to its end is done.
    pub(super) fn is_done(&mut self, ending: bool) -> bool {
        for part in &mut self.parts {
            part.done |= ending && part.at_end;
        }
        if !self.in_group {
            return self.parts.iter().all(|part| part.done);
        }
        // Partitions come and go with the other members.
        let Ok(assigned) = self.consumer.assignment() else { return false };
        let done = |partition| self.parts.iter().any(|part| part.partition == partition && part.done);
        ending && assigned.count() > 0 && assigned.elements().iter().all(|element| done(element.partition()))
    }

    /// What was given to [`poll`](Self::poll)'s `print` has been printed: a group goes on behind it.
    pub(super) fn printed(&mut self) {
        if !self.in_group {
            return;
        }
        let mut list = TopicPartitionList::new();
        for part in self.parts.iter_mut().filter(|part| part.moved) {
            part.moved = false;
            let _ = list.add_partition_offset(&part.topic, part.partition, Offset::Offset(part.next));
        }
        if list.count() > 0 {
            // A partition that has been given to another member is read again there.
            let _ = self.consumer.store_offsets(&list);
        }
    }

    /// Commits what was printed, if a group wants to know it.
    pub(super) fn commit(&self) -> anyhow::Result<()> {
        if !self.in_group {
            return Ok(());
        }
        match self.consumer.commit_consumer_state(CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() != Some(Code::NoOffset) => {
                Err(error).context("cannot commit what was printed; the group will read it again")
            }
            _ => Ok(()),
        }
    }
}

impl Part {
    fn new(topic: &str, partition: i32) -> Self {
        let topic = topic.to_owned();
        Self { topic, partition, next: 0, until: i64::MAX, at_end: false, done: false, moved: false }
    }
}

/// The place of a message's partition among `parts`, where `current` is tried first.
fn find(parts: &mut Vec<Part>, current: usize, topic: Option<&str>, message: &BorrowedMessage<'_>) -> usize {
    let partition = message.partition();
    // The name need not be looked at where there is one topic only.
    let is = |part: &Part| part.partition == partition && (topic.is_some() || part.topic == message.topic());
    if parts.get(current).is_some_and(is) {
        return current;
    }
    parts.iter().position(is).unwrap_or_else(|| {
        parts.push(Part::new(message.topic(), partition));
        parts.len() - 1
    })
}
