//! A cluster for the tests: the embedded broker, or the one whose address is in the environment variable
//! `THALWEG_KAFKA`.

#![allow(dead_code, reason = "every test binary takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

pub(crate) mod count;
pub(crate) mod proxy;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use thalweg_broker::{Broker, BrokerConfig};

pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A cluster, which ends with this value if it is ours.
pub(crate) struct Cluster {
    broker: Option<Broker>,
    pub(crate) bootstrap: String,
}

/// A record, as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, Option<String>)>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        match std::env::var("THALWEG_KAFKA") {
            Ok(bootstrap) => Self { broker: None, bootstrap },
            Err(_) => {
                let config = BrokerConfig { auto_create_topics: false, ..BrokerConfig::default() };
                let broker = Broker::start(config).unwrap();
                let bootstrap = broker.bootstrap();
                Self { broker: Some(broker), bootstrap }
            }
        }
    }

    /// Whether a topic that is not there is an error: our broker is told so, another one may create it.
    pub(crate) fn is_strict(&self) -> bool {
        self.broker.is_some()
    }

    /// Ours, which can be told to fail.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    fn admin<T>(&self, call: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T) -> T {
        let admin: AdminClient<_> = self.config().create().unwrap();
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        block_on(call(&admin, &options))
    }

    /// A new topic with a name of its own.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> String {
        self.topic_with(name, partitions, &[])
    }

    pub(crate) fn topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
        let name = unique(name);
        let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        for (setting, value) in settings {
            topic = topic.set(setting, value);
        }
        let created = self.admin(async |admin, options| admin.create_topics([&topic], options).await);
        created.unwrap().remove(0).unwrap();
        self.wait_for_partitions(&name, partitions);
        name
    }

    /// Removes a topic, and waits until nobody sees it any more.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let deleted = self.admin(async |admin, options| admin.delete_topics(&[topic], options).await);
        deleted.unwrap().remove(0).unwrap();
        let mut config = self.config();
        let consumer: BaseConsumer = config.set("allow.auto.create.topics", "false").create().unwrap();
        eventually("the topic to be gone", || {
            let metadata = consumer.fetch_metadata(None, PATIENCE).unwrap();
            metadata.topics().iter().all(|found| found.name() != topic)
        });
    }

    /// Removes a topic and makes one of the same name.
    pub(crate) fn make_anew(&self, topic: &str, partitions: i32) {
        self.delete_topic(topic);
        eventually("the name to be free", || {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
            let created = self.admin(async |admin, options| admin.create_topics([&new], options).await);
            created.unwrap().remove(0).is_ok()
        });
        self.wait_for_partitions(topic, partitions);
    }

    /// Removes the records before an offset, as retention does.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let deleted = self.admin(async |admin, options| admin.delete_records(&list, options).await);
        deleted.unwrap().elements()[0].error().unwrap();
    }

    /// Gives a topic more partitions.
    pub(crate) fn add_partitions(&self, topic: &str, count: usize) {
        let more = NewPartitions::new(topic, count);
        let created = self.admin(async |admin, options| admin.create_partitions([&more], options).await);
        created.unwrap().remove(0).unwrap();
        self.wait_for_partitions(topic, count as i32);
    }

    fn wait_for_partitions(&self, topic: &str, count: i32) {
        let consumer: BaseConsumer = self.config().create().unwrap();
        eventually("the topic to be there", || {
            let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
            let found = metadata.topics().iter().find(|found| found.name() == topic).unwrap();
            let has_leader = |partition: &rdkafka::metadata::MetadataPartition| partition.leader() >= 0;
            found.partitions().iter().filter(|partition| has_leader(partition)).count() == count as usize
        });
    }

    pub(crate) fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.config();
        config.set("linger.ms", "1");
        settings.iter().for_each(|(setting, value)| {
            config.set(*setting, *value);
        });
        config.create().unwrap()
    }

    /// Writes values, without keys, to one partition.
    pub(crate) fn write(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = impl ToString>) {
        let producer = self.producer(&[]);
        write(&producer, topic, partition, values);
        flush(&producer);
    }

    /// Everything that is committed in a topic, in the order of each partition.
    pub(crate) fn read(&self, topic: &str) -> Vec<Seen> {
        let mut config = self.config();
        config
            .set("group.id", unique("reader"))
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().unwrap();
        // The end of everything: the markers of a transaction that is committed may still be on their way.
        let everything: BaseConsumer = config.set("isolation.level", "read_uncommitted").create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let (mut assigned, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
        for partition in metadata.topics()[0].partitions().iter().map(|partition| partition.id()) {
            let (first, end) = everything.fetch_watermarks(topic, partition, PATIENCE).unwrap();
            if first < end {
                assigned.add_partition_offset(topic, partition, Offset::Offset(first)).unwrap();
                ends.insert(partition, end);
            }
        }
        consumer.assign(&assigned).unwrap();
        let mut seen = Vec::new();
        let at_end = || {
            let positions = consumer.position().unwrap();
            let at_end = |element: &TopicPartitionListElem<'_>| matches!(element.offset(), Offset::Offset(offset) if offset >= ends[&element.partition()]);
            positions.elements().iter().all(at_end)
        };
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            match consumer.poll(Duration::from_millis(10)) {
                Some(message) => {
                    let message = message.unwrap();
                    if message.offset() < ends[&message.partition()] {
                        seen.push(seen_of(&message));
                    }
                    deadline = Instant::now() + PATIENCE;
                }
                None if at_end() => break,
                None => assert!(Instant::now() < deadline, "{topic} could not be read"),
            }
        }
        seen
    }

    /// The values of everything that is committed in a topic, sorted.
    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        let mut values: Vec<String> = self.read(topic).into_iter().filter_map(|seen| seen.value).collect();
        values.sort();
        values
    }

    /// What a group has committed.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let consumer: BaseConsumer = self.config().set("group.id", group).clone().create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, partition);
        let committed = consumer.committed_offsets(asked, PATIENCE).unwrap();
        match committed.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    }
}

fn seen_of(message: &impl Message<Headers = rdkafka::message::BorrowedHeaders>) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Seen {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(text),
        value: message.payload().map(text),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(text))).collect(),
    }
}

pub(crate) fn write(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    values: impl IntoIterator<Item = impl ToString>,
) {
    for value in values {
        let value = value.to_string();
        let mut record = BaseRecord::<(), str>::to(topic).partition(partition).payload(&value);
        while let Err((error, same)) = producer.send(record) {
            assert!(error.to_string().contains("Queue full"), "{error}");
            producer.poll(Duration::from_millis(1));
            record = same;
        }
    }
}

/// Waits until everything is delivered. The client's own flush waits in steps of 100 ms.
pub(crate) fn flush(producer: &BaseProducer) {
    let _ = producer.flush(Duration::ZERO);
    eventually("the deliveries", || {
        producer.poll(Duration::from_millis(1));
        producer.in_flight_count() == 0
    });
}

/// A name that no other test has, nor an earlier run against the same cluster.
pub(crate) fn unique(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}-{:x}-{:x}-{}", std::process::id(), nanos, COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until something is the case.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A list that a job's threads write to.
#[derive(Clone)]
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Ord> Log<T> {
    pub(crate) fn push(&self, value: T) {
        self.0.lock().unwrap().push(value);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn get(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn sorted(&self) -> Vec<T> {
        let mut values = self.get();
        values.sort();
        values
    }
}

/// The admin client is asynchronous; librdkafka's own thread completes it.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}
