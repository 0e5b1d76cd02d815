//! The clients that write while the broker dies, and what they know of it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{
    BaseRecord, DefaultProducerContext, DeliveryResult, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use crate::random::Random;

pub(crate) const PLAIN: &str = "plain";
pub(crate) const TRANSACTIONAL: &str = "transactional";
pub(crate) const TABLE: &str = "table";
pub(crate) const GROUP: &str = "group";
pub(crate) const PARTITIONS: usize = 3;

const KEYS: u64 = 40;
const PATIENCE: Duration = Duration::from_secs(60);
/// Records of about a kilobyte, so that segments of the smallest size are full soon.
const PADDING: usize = 1_000;
/// Records that are under way at most: what a kill can leave in doubt.
const WINDOW: i32 = 500;

pub(crate) fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config.set("reconnect.backoff.ms", "5").set("reconnect.backoff.max.ms", "20");
    config.set("retry.backoff.ms", "5").set("retry.backoff.max.ms", "20");
    config.set("log_level", "2");
    config
}

pub(crate) fn create_topics(address: &str) {
    let small = ("segment.bytes", "1048576");
    let topic =
        |name| NewTopic::new(name, PARTITIONS as i32, TopicReplication::Fixed(1)).set(small.0, small.1);
    let compacted = |name| {
        topic(name)
            .set("cleanup.policy", "compact")
            // Most codecs make little of the padding.
            .set("internal.segment.bytes", "6000")
            .set("min.cleanable.dirty.ratio", "0.01")
            .set("delete.retention.ms", "100")
    };
    let topics = [topic(PLAIN), compacted(TRANSACTIONAL), compacted(TABLE)];
    let admin: AdminClient<DefaultClientContext> = client(address).create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let created = runtime.block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
    created.into_iter().for_each(|result| drop(result.unwrap()));
}

/// A number at the front, and something to fill the log with.
fn payload(number: u64) -> String {
    format!("{number} {}", "x".repeat(PADDING))
}

struct Running<T> {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Running<T> {
    fn begin(act: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || act(&stop)
        });
        Self { stop, thread }
    }

    fn end(self) -> T {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

/// Numbers records in the order of sending. Every one has to be acknowledged, since the broker always comes back.
pub(crate) struct Idempotent(Running<Vec<Vec<u64>>>);

impl Idempotent {
    pub(crate) fn begin(address: &str) -> Self {
        let mut config = client(address);
        config.set("enable.idempotence", "true").set("linger.ms", "1").set("batch.size", "16384");
        Self(Running::begin(move |stop| {
            let producer: ThreadedProducer<MustArrive> = config.create_with_context(MustArrive).unwrap();
            let mut sent = vec![Vec::new(); PARTITIONS];
            for number in 0.. {
                if stop.load(Relaxed) {
                    break;
                }
                while producer.in_flight_count() > WINDOW {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let partition = number as usize % PARTITIONS;
                let payload = payload(number);
                let record = BaseRecord::<(), str>::to(PLAIN).partition(partition as i32).payload(&payload);
                producer.send(record).map_err(|(error, _)| error).unwrap();
                sent[partition].push(number);
            }
            producer.flush(PATIENCE).unwrap();
            sent
        }))
    }

    /// The numbers sent to each partition.
    pub(crate) fn end(self) -> Vec<Vec<u64>> {
        self.0.end()
    }
}

struct MustArrive;

impl ClientContext for MustArrive {}

impl ProducerContext for MustArrive {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            // A panic here would end the process within a C function.
            eprintln!("a record was not acknowledged: {error}");
        }
    }
}

/// What became of the transactions.
pub(crate) struct Transactions {
    /// In the order of committing.
    pub(crate) committed: Vec<u64>,
}

/// Transactions of one record in each partition and an offset. Some are aborted, some left behind by a producer that is gone.
pub(crate) struct Transactional(Running<Transactions>);

impl Transactional {
    pub(crate) fn begin(address: &str, seed: u64) -> Self {
        let address = address.to_owned();
        Self(Running::begin(move |stop| {
            let mut random = Random::new(seed);
            let mut producer = start_transactional(&address);
            let group: BaseConsumer = client(&address).set("group.id", GROUP).create().unwrap();
            let group = group.group_metadata().unwrap();
            let mut committed = Vec::new();
            for number in 1.. {
                if stop.load(Relaxed) {
                    break;
                }
                producer.begin_transaction().unwrap();
                for partition in 0..PARTITIONS {
                    // Only what was aborted may be lost to compaction: no key comes twice.
                    let (key, payload) = (number.to_string(), payload(number));
                    let record =
                        BaseRecord::to(TRANSACTIONAL).partition(partition as i32).key(&key).payload(&payload);
                    producer.send(record).map_err(|(error, _)| error).unwrap();
                }
                let mut offsets = TopicPartitionList::new();
                offsets.add_partition_offset(PLAIN, 0, Offset::Offset(number as i64)).unwrap();
                until_done(|| producer.send_offsets_to_transaction(&offsets, &group, PATIENCE));
                match random.below(8) {
                    0 => until_done(|| producer.abort_transaction(PATIENCE)),
                    1 => producer = start_transactional(&address),
                    _ => {
                        until_done(|| producer.commit_transaction(PATIENCE));
                        committed.push(number);
                    }
                }
            }
            // Whatever the last one has left open is aborted by its successor.
            drop(start_transactional(&address));
            Transactions { committed }
        }))
    }

    pub(crate) fn end(self) -> Transactions {
        self.0.end()
    }
}

fn start_transactional(address: &str) -> ThreadedProducer<DefaultProducerContext> {
    let mut config = client(address);
    // On a busy machine it may be long until a broker is back.
    config.set("transactional.id", "crash").set("linger.ms", "0").set("transaction.timeout.ms", "600000");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create().unwrap();
    until_done(|| producer.init_transactions(PATIENCE));
    producer
}

/// Tries again what the client library says may be tried again.
fn until_done(mut act: impl FnMut() -> Result<(), KafkaError>) {
    loop {
        match act() {
            Ok(()) => return,
            Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Versions of a few keys, ever increasing.
pub(crate) struct Table(Running<()>, Arc<Acknowledged>);

#[derive(Default)]
struct Acknowledged(Mutex<Versions>);

#[derive(Default)]
struct Versions {
    /// Newest version acknowledged and newest sent, by key.
    by_key: Vec<(u64, u64)>,
    /// How many records were acknowledged.
    count: u64,
}

impl Table {
    pub(crate) fn begin(address: &str, seed: u64) -> Self {
        let acknowledged = Arc::new(Acknowledged::default());
        acknowledged.0.lock().unwrap().by_key = vec![(0, 0); KEYS as usize];
        let context = CountVersions(Arc::clone(&acknowledged));
        let mut config = client(address);
        config.set("enable.idempotence", "true").set("linger.ms", "1").set("batch.size", "16384");
        config.set("compression.type", ["none", "gzip", "snappy", "lz4", "zstd"][seed as usize % 5]);
        let running = Running::begin(move |stop| {
            let versions = Arc::clone(&context.0);
            let producer: ThreadedProducer<CountVersions> = config.create_with_context(context).unwrap();
            let mut random = Random::new(seed);
            for version in 1.. {
                if stop.load(Relaxed) {
                    break;
                }
                while producer.in_flight_count() > WINDOW {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let key = random.below(KEYS);
                versions.0.lock().unwrap().by_key[key as usize].1 = version;
                let (name, payload) = (key.to_string(), payload(version));
                let partition = (key % PARTITIONS as u64) as i32;
                let record = BaseRecord::to(TABLE).partition(partition).key(&name).payload(&payload);
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            producer.flush(PATIENCE).unwrap();
        });
        Self(running, acknowledged)
    }

    /// Waits until so many more records are acknowledged.
    pub(crate) fn wait_for(&self, more: u64) {
        let count = || self.1.0.lock().unwrap().count;
        let (wanted, deadline) = (count() + more, Instant::now() + PATIENCE);
        while count() < wanted {
            assert!(Instant::now() < deadline, "nothing more is acknowledged");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// For each key the newest version that was acknowledged, and the newest that was sent.
    pub(crate) fn end(self) -> Vec<(u64, u64)> {
        self.0.end();
        std::mem::take(&mut self.1.0.lock().unwrap().by_key)
    }
}

/// Fills every partition of the table until nothing that was there before is in a segment that is appended to.
pub(crate) fn close_segments(address: &str) {
    let producer: ThreadedProducer<MustArrive> = client(address).create_with_context(MustArrive).unwrap();
    for number in 0..100 {
        for partition in 0..PARTITIONS {
            let payload = payload(number);
            let record = BaseRecord::to(TABLE).partition(partition as i32).key("end").payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
}

struct CountVersions(Arc<Acknowledged>);

impl ClientContext for CountVersions {}

impl ProducerContext for CountVersions {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Ok(message) = result else { return };
        let (Some(key), Some(version)) = (message.key(), message.payload().and_then(number_of)) else {
            return;
        };
        let key = std::str::from_utf8(key).ok().and_then(|key| key.parse::<usize>().ok());
        if let (Some(key), Ok(mut versions)) = (key, self.0.0.lock()) {
            versions.count += 1;
            versions.by_key[key].0 = versions.by_key[key].0.max(version);
        }
    }
}

/// The number at the front of a payload.
pub(crate) fn number_of(payload: &[u8]) -> Option<u64> {
    std::str::from_utf8(payload).ok()?.split_once(' ')?.0.parse().ok()
}
