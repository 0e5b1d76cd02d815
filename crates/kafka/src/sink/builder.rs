use super::{DeliveryGuarantee, KafkaPartitioner, KafkaSink, Serializer};
use crate::config::{Confirmation, KafkaProperties};
use crate::error::{BoxError, KafkaError};
use crate::record::{KafkaSerializer, ProducerRecordBuf};

/// Builds a [`KafkaSink`]. What must be set is the topic ([`set_topic`](Self::set_topic)) and how to write
/// ([`set_serializer`](Self::set_serializer)).
#[must_use = "a builder does nothing by itself"]
pub struct KafkaSinkBuilder<S> {
    properties: KafkaProperties,
    partitioner: KafkaPartitioner,
    topic: Option<String>,
    guarantee: DeliveryGuarantee,
    transactional_id_prefix: Option<String>,
    serializer: S,
}

impl KafkaSink<()> {
    /// Begins a sink that writes to the cluster at `bootstrap`: one address `host:port`, or several with commas
    /// between.
    pub fn builder(bootstrap: impl Into<String>) -> KafkaSinkBuilder<()> {
        KafkaSinkBuilder {
            properties: KafkaProperties::new(bootstrap),
            partitioner: KafkaPartitioner::default(),
            topic: None,
            guarantee: DeliveryGuarantee::default(),
            transactional_id_prefix: None,
            serializer: (),
        }
    }
}

impl<S> KafkaSinkBuilder<S> {
    /// The topic. A serializer may send single records to others.
    pub fn set_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Which partition a record goes to whose serializer does not say. Default: [`KafkaPartitioner::ByKey`].
    pub fn set_partitioner(mut self, partitioner: KafkaPartitioner) -> Self {
        self.partitioner = partitioner;
        self
    }

    /// What is promised. Default: [`DeliveryGuarantee::AtLeastOnce`].
    pub fn set_delivery_guarantee(mut self, guarantee: DeliveryGuarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// The transactional id of an exactly-once job, by which an older instance is fenced and the last committed
    /// epoch found. Default: the job's id. No two jobs that run at the same time may share it, and it must not
    /// change while a job has checkpoints.
    pub fn set_transactional_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.transactional_id_prefix = Some(prefix.into());
        self
    }

    /// Sets a property of librdkafka; see [`config`](crate::config).
    pub fn set_property(mut self, property: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.set(property, value);
        self
    }

    /// How records are written: the same as [`set_serializer`](Self::set_serializer), for a closure whose types are then known but for that of the
    /// record, and that may use `?`.
    ///
    /// ```
    /// use thalweg_kafka::KafkaSink;
    ///
    /// let sink = KafkaSink::builder("localhost:9092").set_topic("ages").set_serializer_fn(|(name, age): &(String, i32), record| {
    ///     record.key().extend_from_slice(name.as_bytes());
    ///     record.value().push(u8::try_from(*age)?);
    ///     Ok(())
    /// });
    /// # sink.build()?;
    /// # Ok::<(), thalweg_kafka::KafkaError>(())
    /// ```
    pub fn set_serializer_fn<T: 'static>(
        self,
        serializer: impl Fn(&T, &mut ProducerRecordBuf) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> KafkaSinkBuilder<Serializer<T>> {
        self.set_serializer(serializer)
    }

    /// How records are written.
    pub fn set_serializer<T>(
        self,
        serializer: impl KafkaSerializer<T> + 'static,
    ) -> KafkaSinkBuilder<Serializer<T>> {
        let Self { properties, partitioner, topic, guarantee, transactional_id_prefix, .. } = self;
        let serializer = Serializer::new(serializer);
        KafkaSinkBuilder { properties, partitioner, topic, guarantee, transactional_id_prefix, serializer }
    }
}

impl<T> KafkaSinkBuilder<Serializer<T>> {
    /// The sink. It asks the cluster nothing before the job starts.
    ///
    /// # Errors
    /// Settings and properties that are missing or wrong.
    pub fn build(self) -> Result<KafkaSink<T>, KafkaError> {
        let Some(topic) = self.topic else {
            let reason = "say where to write, with set_topic".to_owned();
            return Err(KafkaError::Property { property: "topic".to_owned(), reason });
        };
        self.properties.check_producer(match self.guarantee {
            DeliveryGuarantee::None => Confirmation::None,
            DeliveryGuarantee::AtLeastOnce => Confirmation::Idempotent,
            DeliveryGuarantee::ExactlyOnce => Confirmation::Transactional("check"),
        })?;
        Ok(KafkaSink {
            properties: self.properties,
            partitioner: self.partitioner,
            topic: topic.into(),
            guarantee: self.guarantee,
            transactional_id_prefix: self.transactional_id_prefix,
            serializer: self.serializer,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::values;

    #[test]
    fn what_is_missing_or_not_known_is_said_before_the_job_starts() {
        let builder = || KafkaSink::builder("localhost:1").set_serializer(values::<String>());
        assert!(builder().set_topic("t").build().is_ok());
        let error = builder().build().err().unwrap().to_string();
        assert!(error.contains("set_topic"), "{error}");
        let error = builder().set_topic("t").set_property("acks", "1").build().err().unwrap().to_string();
        assert!(error.contains("'acks'"), "{error}");
        let wrong = builder().set_topic("t").set_property("linger.ms", "soon").build();
        let error = wrong.err().unwrap().to_string();
        assert!(error.contains("'linger.ms'"), "{error}");
    }
}
