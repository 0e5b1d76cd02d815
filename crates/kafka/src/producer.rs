//! The producer under the sink and the dead letters: waits when its queue is full, and forgets no failed delivery.

use std::cell::Cell;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError as ClientError, KafkaResult};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::client;
use crate::config::{Confirmation, KafkaProperties};
use crate::error::KafkaError;
use crate::send_now::send_now;
use crate::subscription::partition_count;

/// How long to wait for the queue before looking whether waiting still makes sense.
const TICK: Duration = Duration::from_millis(1);

/// A record of borrowed parts.
pub(crate) type ProducerRecord<'a> = BaseRecord<'a, [u8], [u8]>;

/// Says whether waiting has become pointless, as the job is being stopped.
pub(crate) type GiveUp<'a> = &'a dyn Fn() -> bool;

/// A producer. Any number of threads may use it.
pub(crate) struct Producer {
    inner: BaseProducer<Deliveries>,
    bootstrap: String,
    timeout: Duration,
    transactions: Option<Transactions>,
    /// Whether records linger only for as long as more of them come, not because the user wants them to.
    eager: bool,
    /// For errors: the most bytes of a record.
    message_max_bytes: String,
}

/// What a transactional producer knows of its transactions.
struct Transactions {
    id: String,
    timeout: Duration,
    began: Mutex<Instant>,
}

/// What became of the records. Only failures are reported.
#[derive(Default)]
struct Deliveries {
    first_failure: OnceLock<(String, ClientError)>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        client::log_error(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            self.first_failure.get_or_init(|| (message.topic().to_owned(), error.clone()));
        }
    }
}

impl Producer {
    pub(crate) fn create(
        properties: &KafkaProperties,
        confirmation: Confirmation<'_>,
    ) -> Result<Self, KafkaError> {
        let (bootstrap, timeout) = (properties.bootstrap().to_owned(), properties.api_timeout()?);
        let config = properties.producer(confirmation)?;
        let inner = BaseProducer::from_config_and_context(&config, Deliveries::default())
            .map_err(|error| KafkaError::from_client("create a producer", &bootstrap, timeout, error))?;
        let transactions = match confirmation {
            Confirmation::None | Confirmation::Idempotent => None,
            Confirmation::Transactional(id) => {
                let timeout = properties.transaction_timeout()?;
                Some(Transactions { id: id.to_owned(), timeout, began: Mutex::new(Instant::now()) })
            }
        };
        let lingers = ["linger.ms", "queue.buffering.max.ms"];
        let eager = lingers.iter().all(|property| properties.get(property).is_none());
        let message_max_bytes = config.get("message.max.bytes").unwrap_or("1000000").to_owned();
        Ok(Self { inner, bootstrap, timeout, transactions, eager, message_max_bytes })
    }

    /// Finds out whether a topic is there, so that a wrong name is an error now and not at the first record.
    /// A cluster that creates topics by itself creates it. Returns the number of its partitions.
    pub(crate) fn check_topic(&self, topic: &str) -> Result<i32, KafkaError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match partition_count(self.inner.client(), &self.bootstrap, topic, left) {
                // librdkafka asks for its producer id when metadata comes in and a connection is up, or else
                // after 500 ms. The first answer comes while the connection is not counted as up; so ask once
                // more, which costs a round trip.
                Ok(_) => return partition_count(self.inner.client(), &self.bootstrap, topic, left),
                // It may be on its way. A cluster that does not create it goes on saying no; it is asked for a
                // moment only.
                Err(KafkaError::UnknownTopic { .. }) if left > self.timeout.saturating_sub(CREATION) => {}
                Err(error) if error.is_retriable() && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(BACKOFF.min(left));
        }
    }

    /// Queues a record, and waits while the queue is full.
    pub(crate) fn send(&self, mut record: ProducerRecord<'_>, give_up: GiveUp<'_>) -> Result<(), KafkaError> {
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((ClientError::MessageProduction(Code::QueueFull), same)) => record = same,
                Err((ClientError::MessageProduction(Code::MessageSizeTooLarge), record)) => {
                    let bytes = record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len);
                    return Err(self.too_large(record.topic, format!("{bytes} bytes")));
                }
                Err((error, record)) => {
                    self.check()?;
                    return Err(self.error(&format!("write to '{}'", record.topic), error));
                }
            }
            self.inner.poll(TICK);
            self.check()?;
            if give_up() {
                return Err(self.stopped());
            }
        }
    }

    /// Learns of failed deliveries. To be called now and then.
    pub(crate) fn poll(&self) -> Result<(), KafkaError> {
        self.inner.poll(Duration::ZERO);
        self.check()
    }

    /// No more records are at hand: sends those that linger for others to join them, unless the user wants them to.
    pub(crate) fn idle(&self) -> Result<(), KafkaError> {
        if self.eager && self.inner.in_flight_count() > 0 {
            send_now(self.inner.client(), LOOK_MS);
        }
        self.poll()
    }

    /// Waits until every record is delivered.
    pub(crate) fn flush(&self, give_up: GiveUp<'_>) -> Result<(), KafkaError> {
        send_now(self.inner.client(), LOOK_MS);
        while self.inner.in_flight_count() > 0 {
            self.inner.poll(TICK);
            self.check()?;
            if give_up() {
                return Err(self.stopped());
            }
        }
        self.check()
    }

    /// The same at the end of a job, which must come also if the cluster does not: not longer than `default.api.timeout.ms` goes by
    /// without a delivery.
    pub(crate) fn flush_at_end(&self, give_up: GiveUp<'_>) -> Result<(), KafkaError> {
        let last = Cell::new((self.inner.in_flight_count(), Instant::now()));
        let stalls = || {
            let (count, since) = last.get();
            let now = self.inner.in_flight_count();
            if now != count {
                last.set((now, Instant::now()));
            }
            now == count && since.elapsed() > self.timeout
        };
        self.flush(&|| give_up() || stalls())
    }

    /// The first failed delivery, as an error.
    fn check(&self) -> Result<(), KafkaError> {
        match self.inner.context().first_failure.get() {
            None => Ok(()),
            Some((topic, ClientError::MessageProduction(Code::MessageSizeTooLarge))) => {
                Err(self.too_large(topic, "more bytes than the cluster takes".to_owned()))
            }
            Some((topic, error)) => Err(self.error(&format!("write to '{topic}'"), error.clone())),
        }
    }

    fn too_large(&self, topic: &str, bytes: String) -> KafkaError {
        let limit = format!(
            "the sink's property message.max.bytes is {}, and so may be a limit of the topic's (max.message.bytes) or the broker's \
             (message.max.bytes); raise all of them with set_property and in the cluster",
            self.message_max_bytes
        );
        KafkaError::RecordTooLarge { topic: topic.to_owned(), bytes, limit }
    }

    /// Whoever waited has given up.
    fn stopped(&self) -> KafkaError {
        KafkaError::Unreachable { bootstrap: self.bootstrap.clone(), waited: Some(self.timeout), last: None }
    }

    fn error(&self, action: &str, error: ClientError) -> KafkaError {
        // After a fatal error every call fails with the same code, which says nothing; the cause is kept.
        let fatal = self.inner.client().fatal_error();
        let code = fatal.as_ref().map(|(code, _)| *code).or(error.rdkafka_error_code());
        match (&self.transactions, code) {
            (Some(transactions), Some(code)) if is_fenced(code) => transactions.ended_by_broker(),
            (Some(transactions), Some(Code::InvalidTransactionTimeout)) => {
                KafkaError::TransactionTimeoutTooLong { timeout_ms: milliseconds(transactions.timeout) }
            }
            _ => {
                let action = match fatal {
                    Some((_, reason)) => format!("{action} ({reason})"),
                    None => action.to_owned(),
                };
                KafkaError::from_client(&action, &self.bootstrap, self.timeout, error)
            }
        }
    }

    /// Fences older producers with the same transactional id, and aborts what they left open.
    pub(crate) fn init_transactions(&self) -> Result<(), KafkaError> {
        self.repeat("begin with transactions", self.timeout, |left| self.inner.init_transactions(left))
    }

    /// Begins a transaction. The broker hears of it with the first record.
    pub(crate) fn begin_transaction(&self) -> Result<(), KafkaError> {
        if let Some(transactions) = &self.transactions {
            *transactions.began.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        self.inner.begin_transaction().map_err(|error| self.error("begin a transaction", error))
    }

    /// Makes offsets of a consumer group part of the transaction.
    pub(crate) fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), KafkaError> {
        let action = "commit offsets with a transaction (if another consumer uses the source's group, give it another)";
        self.repeat(action, self.timeout, |left| self.inner.send_offsets_to_transaction(offsets, group, left))
    }

    /// Commits the transaction. All records have been flushed. Whether it was committed is not known after an error.
    pub(crate) fn commit_transaction(&self) -> Result<(), KafkaError> {
        let most = self.transactions.as_ref().map_or(self.timeout, |transactions| transactions.timeout);
        self.repeat("commit a transaction", most, |left| self.inner.commit_transaction(left))
    }

    /// Gives up the transaction, so that nobody has to wait for it to time out. After an error it is left to
    /// the broker: to end it librdkafka may ask for a new epoch, and another instance may own the id by now.
    pub(crate) fn abort_transaction(&self) {
        if self.poll().is_ok()
            && self.inner.client().fatal_error().is_none()
            && let Err(error) = self.inner.abort_transaction(ABORT.min(self.timeout))
        {
            tracing::debug!(%error, "the open transaction is left to the broker");
        }
    }

    /// Calls librdkafka until it succeeds, fails for good, or `most` is over.
    fn repeat(
        &self,
        action: &str,
        most: Duration,
        call: impl Fn(Duration) -> KafkaResult<()>,
    ) -> Result<(), KafkaError> {
        let deadline = Instant::now() + most;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match call(left) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let repeat = matches!(&error, ClientError::Transaction(error) if error.is_retriable());
            if !repeat || Instant::now() >= deadline {
                return Err(self.error(action, error));
            }
            tracing::debug!(%error, "{action}: repeated");
            std::thread::sleep(BACKOFF.min(left));
        }
    }
}

impl Transactions {
    /// The broker does not accept this producer any more. It says the same when another one has taken over, and
    /// when it has aborted the transaction itself; it does the latter only after the timeout.
    fn ended_by_broker(&self) -> KafkaError {
        let open = self.began.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if open < self.timeout {
            return KafkaError::Fenced { transactional_id: self.id.clone() };
        }
        KafkaError::TransactionTimedOut { open, timeout_ms: milliseconds(self.timeout) }
    }
}

fn is_fenced(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long the threads that send may take to look whether they are to send at once, in milliseconds: as long at most
/// whoever asks for it waits.
const LOOK_MS: i32 = 1;

/// Between two calls of which the first failed.
const BACKOFF: Duration = Duration::from_millis(20);

/// How long the end of a job may be held up by giving up its transaction. A broker may be busy for seconds, and what
/// is left open holds up everybody who reads what is committed until it times out: a minute by default.
const ABORT: Duration = Duration::from_secs(10);

/// How long a cluster may take to create a topic.
const CREATION: Duration = Duration::from_secs(1);
