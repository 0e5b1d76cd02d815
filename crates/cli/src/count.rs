//! Records of partitions, counted.
//!
//! Offsets do not count records: ends of transactions, aborted records and what compaction has removed take some as well. No
//! request of Kafka's tells how many, so whoever wants the last ten records has them read: backwards from the end, in windows
//! that grow for as long as there are too few records in them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::client::{Connection, Heard};

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait for the next event.
const LOOK: Duration = Duration::from_millis(50);

/// A stretch of a partition in which records are looked for.
struct Window {
    partition: i32,
    from: i64,
    /// Behind the last offset that counts.
    to: i64,
    /// How many records are enough.
    limit: usize,
    /// Of the records that are there, in order.
    offsets: Vec<i64>,
    done: bool,
}

/// Counts records of one topic: those that a reader of an isolation level sees.
pub(crate) struct Counter<'a> {
    topic: &'a str,
    connection: &'a Connection,
    heard: Heard,
    consumer: BaseConsumer<Heard>,
}

impl<'a> Counter<'a> {
    pub(crate) fn new(connection: &'a Connection, topic: &'a str, isolation: &str) -> anyhow::Result<Self> {
        let defaults = [
            // librdkafka assigns nothing without the name of a group; nothing is ever asked or committed under it.
            ("group.id", "thalweg-count"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("isolation.level", isolation),
            ("fetch.wait.max.ms", "10"),
        ];
        let heard = Heard::default();
        let created = connection.config(&defaults)?.create_with_context(heard.clone());
        let consumer = created.map_err(|error| connection.failed("set up a consumer", &error, &heard))?;
        Ok(Self { topic, connection, heard, consumer })
    }

    /// The offset of the `count`th record before an offset, or where the partition begins if there are fewer; for several
    /// partitions, each with its beginning and that offset.
    pub(crate) fn back(&self, partitions: &[(i32, i64, i64)], count: i64) -> anyhow::Result<Vec<i64>> {
        let wanted = usize::try_from(count).unwrap_or(0);
        // What is missing, how far it has been looked at, and how far to look next.
        let mut looked: Vec<(usize, i64, i64)> =
            partitions.iter().map(|(_, _, before)| (wanted, *before, count)).collect();
        let mut found: Vec<Option<i64>> = vec![None; partitions.len()];
        loop {
            let mut windows = Vec::new();
            for (((partition, begin, _), (missing, low, step)), found) in
                partitions.iter().zip(&mut looked).zip(&mut found)
            {
                if found.is_some() {
                    continue;
                }
                if *missing == 0 || *low <= *begin {
                    *found = Some(*low);
                    continue;
                }
                let from = low.saturating_sub(*step).max(*begin);
                let (partition, offsets) = (*partition, Vec::new());
                windows.push(Window { partition, from, to: *low, limit: usize::MAX, offsets, done: false });
            }
            if windows.is_empty() {
                return Ok(found.into_iter().flatten().collect());
            }
            self.read(&mut windows)?;
            for window in windows {
                let nth = partitions.iter().position(|(partition, ..)| *partition == window.partition);
                let Some(nth) = nth else { continue };
                let (missing, low, step) = &mut looked[nth];
                match window.offsets.len().checked_sub(*missing) {
                    Some(first) => found[nth] = Some(window.offsets[first]),
                    None => {
                        *missing -= window.offsets.len();
                        (*low, *step) = (window.from, step.saturating_mul(2));
                    }
                }
            }
        }
    }

    /// The offset behind the `count`th record from an offset on, or the end if there are fewer; for several partitions, each
    /// with that offset and its end.
    pub(crate) fn forth(&self, partitions: &[(i32, i64, i64)], count: i64) -> anyhow::Result<Vec<i64>> {
        let limit = usize::try_from(count).unwrap_or(0);
        if limit == 0 {
            return Ok(partitions.iter().map(|(_, from, _)| *from).collect());
        }
        let window = |(partition, from, to): &(i32, i64, i64)| {
            let done = from >= to;
            Window { partition: *partition, from: *from, to: *to, limit, offsets: Vec::new(), done }
        };
        let mut windows: Vec<Window> = partitions.iter().map(window).collect();
        self.read(&mut windows)?;
        let behind = |window: Window| match window.offsets.get(limit - 1) {
            Some(last) => last + 1,
            None => window.to.max(window.from),
        };
        Ok(windows.into_iter().map(behind).collect())
    }

    /// Notes the offsets of the records in windows of different partitions.
    fn read(&self, windows: &mut [Window]) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::with_capacity(windows.len());
        for window in windows.iter().filter(|window| !window.done) {
            list.add_partition_offset(self.topic, window.partition, Offset::Offset(window.from))
                .context("cannot begin there")?;
        }
        self.consumer.assign(&list).context("cannot read these partitions")?;
        let mut heard = Instant::now();
        while windows.iter().any(|window| !window.done) {
            match self.consumer.poll(LOOK) {
                None if heard.elapsed() > PATIENCE => bail!(
                    "cannot count the records of {}: nothing has come from Kafka at {} for {} s",
                    self.topic,
                    self.connection.bootstrap(),
                    PATIENCE.as_secs()
                ),
                None => continue,
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let window = windows.iter_mut().find(|window| window.partition == partition);
                    // What comes of a partition that is done is passed over. It is not paused: it would stay so.
                    let Some(window) = window.filter(|window| !window.done) else { continue };
                    if (window.from..window.to).contains(&offset) {
                        window.offsets.push(offset);
                    }
                    window.done = offset + 1 >= window.to || window.offsets.len() >= window.limit;
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let of_it = windows.iter_mut().filter(|window| window.partition == partition);
                    of_it.for_each(|window| window.done = true);
                }
                Some(Err(error)) => match error.rdkafka_error_code() {
                    // It connects again by itself, and nobody asks anything of the group that is none.
                    Some(
                        Code::AllBrokersDown
                        | Code::BrokerTransportFailure
                        | Code::Resolve
                        | Code::OperationTimedOut
                        | Code::GroupAuthorizationFailed,
                    ) => continue,
                    _ => return Err(self.connection.failed("count records", &error, &self.heard)),
                },
            }
            heard = Instant::now();
        }
        Ok(())
    }
}
