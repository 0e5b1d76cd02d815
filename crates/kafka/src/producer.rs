//! The producer under the sink and the dead letters: waits when its queue is full, and forgets no failed delivery.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::client;
use crate::config::{Confirmation, KafkaProperties};
use crate::error::KafkaError;
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
        Ok(Self { inner, bootstrap, timeout })
    }

    /// librdkafka's producer.
    pub(crate) fn inner(&self) -> &BaseProducer<impl ProducerContext> {
        &self.inner
    }

    /// Finds out whether a topic is there, so that a wrong name is an error now and not at the first record.
    /// A cluster that creates topics by itself creates it.
    pub(crate) fn check_topic(&self, topic: &str) -> Result<(), KafkaError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match partition_count(self.inner.client(), &self.bootstrap, topic, left) {
                Ok(_) => return Ok(()),
                // It may be on its way. A cluster that does not create it goes on saying no; it is asked for a moment only.
                Err(KafkaError::UnknownTopic { .. }) if left > self.timeout.saturating_sub(CREATION) => {}
                Err(error) if error.is_retriable() && !left.is_zero() => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(Duration::from_millis(50).min(left));
        }
    }

    /// Queues a record, and waits while the queue is full.
    pub(crate) fn send(&self, mut record: ProducerRecord<'_>, give_up: GiveUp<'_>) -> Result<(), KafkaError> {
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((ClientError::MessageProduction(Code::QueueFull), same)) => record = same,
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

    /// Waits until every record is delivered.
    pub(crate) fn flush(&self, give_up: GiveUp<'_>) -> Result<(), KafkaError> {
        // Sends now what lingers. librdkafka's own flush of an event-based producer waits in steps of 100 ms.
        let _ = self.inner.flush(Duration::ZERO);
        while self.inner.in_flight_count() > 0 {
            self.inner.poll(TICK);
            self.check()?;
            if give_up() {
                return Err(self.stopped());
            }
        }
        self.check()
    }

    /// The first failed delivery, as an error.
    fn check(&self) -> Result<(), KafkaError> {
        match self.inner.context().first_failure.get() {
            None => Ok(()),
            Some((topic, error)) => Err(self.error(&format!("write to '{topic}'"), error.clone())),
        }
    }

    fn stopped(&self) -> KafkaError {
        self.error("wait for deliveries", ClientError::Canceled)
    }

    pub(crate) fn error(&self, action: &str, error: ClientError) -> KafkaError {
        KafkaError::from_client(action, &self.bootstrap, self.timeout, error)
    }
}

/// How long a cluster may take to create a topic.
const CREATION: Duration = Duration::from_secs(2);
