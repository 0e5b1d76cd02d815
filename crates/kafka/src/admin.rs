//! Topics: what a program needs to set up its own.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::config::KafkaProperties;
use crate::error::KafkaError;
use crate::subscription::TopicPartition;

/// How long a question to the cluster may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Creates topics and looks at their ends (Kafka's `Admin`).
///
/// ```no_run
/// use thalweg_kafka::admin::KafkaAdmin;
/// use thalweg_kafka::config::KafkaProperties;
///
/// let admin = KafkaAdmin::new(&KafkaProperties::new("localhost:9092"))?;
/// admin.create_topic("lines", 3)?;
/// # Ok::<(), thalweg_kafka::KafkaError>(())
/// ```
pub struct KafkaAdmin {
    client: AdminClient<DefaultClientContext>,
    bootstrap: String,
    /// librdkafka answers by futures; nothing else runs here.
    runtime: tokio::runtime::Runtime,
}

impl KafkaAdmin {
    /// Connects to the cluster that `properties` name.
    ///
    /// # Errors
    /// Properties that librdkafka refuses. Whether the cluster can be reached is found out by the first question.
    pub fn new(properties: &KafkaProperties) -> Result<Self, KafkaError> {
        let setup = |source| KafkaError::Client { action: "set up an admin client".to_owned(), source };
        let client = properties.admin()?.create().map_err(setup)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| setup(ClientError::ClientCreation(error.to_string())))?;
        Ok(Self { client, bootstrap: properties.bootstrap().to_owned(), runtime })
    }

    /// Creates a topic, with the cluster's default replication. One that is there already is left as it is.
    ///
    /// # Errors
    /// An unreachable cluster, or one that refuses the name or the user.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), KafkaError> {
        let action = format!("create topic '{topic}'");
        let failed = |source| KafkaError::from_client(&action, &self.bootstrap, TIMEOUT, source);
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        // -1: as the cluster has it.
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
        let asked = self.runtime.block_on(self.client.create_topics([&new], &options));
        let answers = asked.map_err(|error| match error {
            // Nobody has answered; that is all that librdkafka says.
            ClientError::AdminOp(Code::OperationTimedOut) => KafkaError::Unreachable {
                bootstrap: self.bootstrap.clone(),
                waited: Some(TIMEOUT),
                last: None,
            },
            error => failed(error),
        })?;
        for answer in answers {
            match answer {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed(ClientError::AdminOp(code))),
            }
        }
        Ok(())
    }

    /// The offset behind the newest record of each partition.
    ///
    /// # Errors
    /// An unreachable cluster, or an unknown topic.
    pub fn end_offsets(&self, topic: &str) -> Result<BTreeMap<TopicPartition, i64>, KafkaError> {
        let action = format!("look up the end of topic '{topic}'");
        let failed = |source| KafkaError::from_client(&action, &self.bootstrap, TIMEOUT, source);
        let client = self.client.inner();
        let metadata = client.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut ends = BTreeMap::new();
        for partition in partitions.map(|partition| partition.id()) {
            let (_, end) = client.fetch_watermarks(topic, partition, TIMEOUT).map_err(failed)?;
            ends.insert(TopicPartition::new(topic, partition), end);
        }
        if ends.is_empty() {
            return Err(KafkaError::UnknownTopic {
                topic: topic.to_owned(),
                bootstrap: self.bootstrap.clone(),
            });
        }
        Ok(ends)
    }
}
