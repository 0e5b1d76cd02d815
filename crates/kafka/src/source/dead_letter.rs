//! What becomes of records that cannot be decoded.

use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use thalweg_dataflow::tell;

use crate::config::{Confirmation, KafkaProperties};
use crate::error::{BoxError, KafkaError};
use crate::producer::{Producer, ProducerRecord};
use crate::record::{BadRecordPolicy, ConsumerRecord};

/// Carries the policy out, for one subtask.
pub(super) enum BadRecords {
    Fail,
    /// Whether it has been told that there are some.
    Skip(bool),
    DeadLetter(Box<DeadLetters>),
}

/// Writes records as they are to a topic of the same cluster.
pub(super) struct DeadLetters {
    topic: String,
    producer: Producer,
    timeout: Duration,
    unconfirmed: bool,
}

impl BadRecords {
    pub(super) fn open(policy: &BadRecordPolicy, properties: &KafkaProperties) -> Result<Self, KafkaError> {
        Ok(match policy {
            BadRecordPolicy::Fail => Self::Fail,
            BadRecordPolicy::Skip => Self::Skip(false),
            BadRecordPolicy::DeadLetter(topic) => {
                let producer = Producer::create(properties, Confirmation::Idempotent)?;
                producer.check_topic(topic)?;
                let timeout = properties.api_timeout()?;
                let letters = DeadLetters { topic: topic.clone(), producer, timeout, unconfirmed: false };
                Self::DeadLetter(Box::new(letters))
            }
        })
    }

    /// Whether the first bad record ends the job.
    pub(super) fn fails(&self) -> bool {
        matches!(self, Self::Fail)
    }

    /// Takes a record that the deserializer refused.
    pub(super) fn take(&mut self, record: &ConsumerRecord<'_>, reason: BoxError) -> Result<(), KafkaError> {
        let ConsumerRecord { topic, partition, offset, .. } = *record;
        match self {
            Self::Fail => Err(KafkaError::Decode { topic: topic.to_owned(), partition, offset, reason }),
            Self::Skip(told) => {
                if std::mem::replace(told, true) {
                    tracing::warn!(topic, partition, offset, %reason, "skipped a record that cannot be decoded");
                } else {
                    tell::warn(format_args!(
                        "skipped a record that cannot be decoded, offset {offset} of {topic}-{partition}: {reason}; more of them are \
                         counted, and not told one by one"
                    ));
                }
                Ok(())
            }
            Self::DeadLetter(letters) => letters.write(record, &reason.to_string()),
        }
    }

    /// Waits until what was set aside is in Kafka: only then may the source's position go past it.
    pub(super) fn confirm(&mut self) -> Result<(), KafkaError> {
        match self {
            Self::DeadLetter(letters) if letters.unconfirmed => {
                letters.unconfirmed = false;
                let deadline = Instant::now() + letters.timeout;
                letters.producer.flush(&|| Instant::now() > deadline)
            }
            _ => Ok(()),
        }
    }
}

impl DeadLetters {
    fn write(&mut self, record: &ConsumerRecord<'_>, reason: &str) -> Result<(), KafkaError> {
        let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
        let place = [
            ("thalweg.topic", record.topic),
            ("thalweg.partition", &partition),
            ("thalweg.offset", &offset),
            ("thalweg.error", reason),
        ];
        let known = record.headers().map(|(key, value)| Header { key, value });
        let place = place.into_iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) });
        let headers = known.chain(place).fold(OwnedHeaders::new(), OwnedHeaders::insert);
        let mut letter = ProducerRecord::to(&self.topic).headers(headers);
        letter.key = record.key;
        letter.payload = record.value;
        letter.timestamp = record.timestamp;
        let deadline = Instant::now() + self.timeout;
        self.unconfirmed = true;
        self.producer.send(letter, &|| Instant::now() > deadline)
    }
}
