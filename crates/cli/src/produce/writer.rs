//! Hands records to the producer: waits while its queue is full, holds a rate, and tells at the end what was written.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::delivery::Deliveries;
use super::parse::{Parser, Record};
use super::progress::Progress;
use super::{Args, LOOK};
use crate::client::{Heard, TIMEOUT, in_words};
use crate::interrupt::Interrupt;

/// How many records are sent before deliveries and the clock are looked at.
const SOME: usize = 1_000;

/// How long a cluster may take to create a topic by itself.
const CREATION: Duration = Duration::from_secs(3);

/// How long Ctrl-C waits for deliveries that do not come.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Writer<'a> {
    args: &'a Args,
    interrupt: &'a Interrupt,
    heard: Heard,
    producer: BaseProducer<Deliveries>,
    /// Headers of every record.
    headers: Option<OwnedHeaders>,
    /// Records of the input so far, those that could not be sent included.
    number: usize,
    began: Instant,
    progress: Progress,
}

impl<'a> Writer<'a> {
    pub(super) fn open(args: &'a Args, interrupt: &'a Interrupt) -> anyhow::Result<Self> {
        let mut defaults = vec![
            ("delivery.report.only.error", "true"),
            ("linger.ms", "5"),
            // The memory that the queue may take; a record must fit into it.
            ("queue.buffering.max.kbytes", "131072"),
            ("queue.buffering.max.messages", "200000"),
            // What is too large is for the cluster to say.
            ("message.max.bytes", "100000000"),
            // Java's default, so that a key is in the same partition whoever wrote it.
            ("partitioner", "murmur2_random"),
            ("acks", args.acks.as_str()),
        ];
        if matches!(args.acks.as_str(), "all" | "-1") {
            // Each record once and in order, whatever has to be sent again.
            defaults.push(("enable.idempotence", "true"));
        }
        if let Some(codec) = &args.compression {
            defaults.push(("compression.type", codec));
        }
        if let Some(id) = &args.transactional {
            // A long input takes its time; this is what clusters allow unless they are told otherwise.
            defaults.extend([("transactional.id", id.as_str()), ("transaction.timeout.ms", "900000")]);
        }
        let heard = Heard::default();
        let unit = if args.delimiter == "\\n" && args.format.is_none() { "line" } else { "record" };
        let deliveries = Deliveries::new(heard.clone(), unit, args.quiet);
        let created = args.connection.config(&defaults)?.create_with_context(deliveries);
        let producer =
            created.map_err(|error| args.connection.failed("set up a producer", &error, &heard))?;
        let headers = args.headers.iter().map(|(name, value)| Header { key: name, value: Some(value) });
        let headers =
            (!args.headers.is_empty()).then(|| headers.fold(OwnedHeaders::new(), OwnedHeaders::insert));
        let progress = Progress::new(args.quiet);
        let began = Instant::now();
        let writer = Self { args, interrupt, heard, producer, headers, number: 0, began, progress };
        writer.check_topic()?;
        if args.transactional.is_some() {
            writer.transaction("begin a transaction", |producer| {
                producer.init_transactions(TIMEOUT).and_then(|()| producer.begin_transaction())
            })?;
        }
        Ok(writer)
    }

    /// Finds out whether the topic is there, so that a wrong name is an error now and not at the first record.
    fn check_topic(&self) -> anyhow::Result<()> {
        let (topic, at) = (&self.args.topic, self.args.connection.bootstrap());
        let action = format!("look up topic '{topic}'");
        let partitions = loop {
            let asked = self.producer.client().fetch_metadata(Some(topic), TIMEOUT);
            let metadata = asked.map_err(|error| {
                // Its errors wait to be picked up, one at a time, among other things.
                (0..100).for_each(|_| self.producer.poll(Duration::ZERO));
                self.args.connection.failed(&action, &error, &self.heard)
            })?;
            let found = metadata.topics().first();
            match found.and_then(|topic| topic.error()).map(Code::from) {
                None => break found.map_or(0, |topic| topic.partitions().len()),
                // It may be on its way, if the cluster creates topics by itself.
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::LeaderNotAvailable)
                    if self.began.elapsed() < CREATION && !self.interrupt.is_set() =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => bail!(
                    "there is no topic '{topic}' in the cluster at {at}; create it with `thalweg topics create \
                     {topic}`, or correct its name"
                ),
                Some(code) => bail!("cannot {action}: {}", in_words(code)),
            }
        };
        match self.args.partition {
            Some(partition)
                if usize::try_from(partition).map_or(true, |partition| partition >= partitions) =>
            {
                bail!("topic '{topic}' has no partition {partition}; it has {partitions}, counted from 0")
            }
            _ => Ok(()),
        }
    }

    /// The next records come from this file.
    pub(super) fn begin(&mut self, file: PathBuf) {
        self.producer.context().begin(self.number, file);
    }

    /// Writes a record of the input.
    pub(super) fn write(&mut self, parser: &Parser, input: &[u8]) -> anyhow::Result<()> {
        if input.is_empty() && matches!(parser, Parser::Json) {
            self.number += 1;
            return Ok(());
        }
        if !self.wait_for_turn() {
            return Ok(());
        }
        self.number += 1;
        if self.number.is_multiple_of(SOME) {
            self.idle();
        }
        match parser.parse(input) {
            Ok(record) => self.send(record),
            Err(reason) => {
                self.producer.context().report(self.number, &reason);
                Ok(())
            }
        }
    }

    fn send(&mut self, record: Record<'_>) -> anyhow::Result<()> {
        let nothing = |part: &[u8]| self.args.null && part.is_empty();
        let key =
            record.key.as_deref().or(self.args.key.as_deref().map(str::as_bytes)).filter(|key| !nothing(key));
        let value = record.value.as_deref().filter(|value| !nothing(value));
        let mut message = BaseRecord::with_opaque_to(&self.args.topic, self.number);
        message.key = key;
        message.payload = value;
        message.timestamp = record.timestamp;
        message.headers = self.headers.clone();
        for (name, value) in &record.headers {
            let header = Header { key: name, value: value.as_deref() };
            message.headers = Some(message.headers.take().unwrap_or_default().insert(header));
        }
        let own = if self.args.json && !self.args.keep_partitions { None } else { record.partition };
        message.partition = self.args.partition.or(own);
        loop {
            let (error, same) = match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            match error.rdkafka_error_code() {
                Some(Code::QueueFull) => self.producer.poll(LOOK / 10),
                Some(code @ (Code::UnknownPartition | Code::MessageSizeTooLarge)) => {
                    self.producer.context().report(self.number, &in_words(code));
                    return Ok(());
                }
                _ => return Err(self.failed(&format!("write to {}", self.args.topic), &error)),
            }
            if self.interrupt.is_set() && self.producer.in_flight_count() > 0 {
                // Somebody waits for the end, and the cluster takes its time.
                self.producer.context().report(self.number, "interrupted");
                return Ok(());
            }
            message = same;
        }
    }

    /// Looks after deliveries while there is nothing to write.
    pub(super) fn idle(&mut self) {
        self.producer.poll(Duration::ZERO);
        self.progress.update(self.written());
    }

    /// Holds the rate. False if there will be no turn any more.
    fn wait_for_turn(&mut self) -> bool {
        let Some(rate) = self.args.rate else { return true };
        let turn = Duration::from_secs_f64(self.number as f64 / f64::from(rate));
        loop {
            if self.interrupt.is_set() {
                return false;
            }
            let left = turn.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return true;
            }
            self.idle();
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn written(&self) -> u64 {
        let waiting = u64::try_from(self.producer.in_flight_count()).unwrap_or(0);
        (self.number as u64).saturating_sub(waiting + self.producer.context().failed())
    }

    /// Waits for deliveries, ends the transaction, and says what was written.
    ///
    /// # Errors
    /// That of `result`, or records that were not written.
    pub(super) fn close(mut self, result: anyhow::Result<()>) -> anyhow::Result<()> {
        self.flush();
        self.progress.clear();
        let failed = self.producer.context().failed();
        let topic = &self.args.topic;
        if self.args.transactional.is_some() {
            if result.is_ok() && failed == 0 {
                self.transaction("commit the transaction", |producer| producer.commit_transaction(GRACE))?;
            } else {
                self.transaction("abort the transaction", |producer| producer.abort_transaction(GRACE))?;
                return Err(match result {
                    Err(error) => error.context("the transaction is aborted, nothing was written"),
                    Ok(()) => anyhow!(
                        "{failed} records were not accepted; the transaction is aborted, nothing was written"
                    ),
                });
            }
        }
        let written = self.written();
        let partly = result.is_err() || failed > 0 || self.interrupt.is_set();
        if !self.args.quiet && (partly || self.progress.is_shown()) {
            eprintln!("{written} records written to {topic}");
        }
        result?;
        if failed > 0 {
            bail!("{failed} records were not written to {topic}");
        }
        Ok(())
    }

    /// Waits until each record is delivered or given up.
    fn flush(&mut self) {
        let mut interrupted: Option<Instant> = None;
        while self.producer.in_flight_count() > 0 {
            let _ = self.producer.flush(LOOK);
            self.progress.update(self.written());
            if self.interrupt.is_set() && interrupted.get_or_insert_with(Instant::now).elapsed() > GRACE {
                self.producer.purge(PurgeConfig::default().queue().inflight());
                let _ = self.producer.flush(GRACE);
                return;
            }
        }
        // Failures that wait to be told.
        self.producer.poll(Duration::ZERO);
    }

    fn transaction(
        &self,
        action: &str,
        step: impl Fn(&BaseProducer<Deliveries>) -> Result<(), KafkaError>,
    ) -> anyhow::Result<()> {
        step(&self.producer).map_err(|error| self.failed(action, &error))
    }

    fn failed(&self, action: &str, error: &KafkaError) -> anyhow::Error {
        self.args.connection.failed(action, error, &self.heard)
    }
}
