//! Changes to a cluster.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::client::{Connection, Heard, TIMEOUT, in_words};

/// A client that changes things.
pub(crate) struct Admin<'a> {
    connection: &'a Connection,
    heard: Heard,
    client: AdminClient<Heard>,
    /// librdkafka answers by futures; nothing else runs here.
    runtime: tokio::runtime::Runtime,
    options: AdminOptions,
}

/// How long it may take until changed settings are seen.
const SETTLED: Duration = Duration::from_secs(2);

/// What became of one name.
type Answer = Result<String, (String, Code)>;

impl<'a> Admin<'a> {
    pub(crate) fn new(connection: &'a Connection) -> anyhow::Result<Self> {
        let heard = Heard::default();
        let created = connection.config(&[])?.create_with_context(heard.clone());
        let client = created.map_err(|error| connection.failed("set up an admin client", &error, &heard))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().build().context("cannot wait for answers")?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        Ok(Self { connection, heard, client, runtime, options })
    }

    /// Creates a topic. False if it was there.
    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i32,
        settings: &[(String, String)],
    ) -> anyhow::Result<bool> {
        let action = format!("create topic '{name}'");
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let answers = self.wait(&action, self.client.create_topics([&new], &self.options))?;
        match answers.into_iter().next() {
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            answer => self.one(&action, answer).map(|()| true),
        }
    }

    pub(crate) fn delete_topic(&self, name: &str) -> anyhow::Result<()> {
        let action = format!("delete topic '{name}'");
        let answers = self.wait(&action, self.client.delete_topics(&[name], &self.options))?;
        self.one(&action, answers.into_iter().next())
    }

    pub(crate) fn set_partitions(&self, topic: &str, partitions: usize) -> anyhow::Result<()> {
        let action = format!("give topic '{topic}' {partitions} partitions");
        let new = NewPartitions::new(topic, partitions);
        let answers = self.wait(&action, self.client.create_partitions([&new], &self.options))?;
        self.one(&action, answers.into_iter().next())
    }

    /// The settings of a topic that were made for it, and are not the cluster's.
    pub(crate) fn settings(&self, topic: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let action = format!("look up the settings of topic '{topic}'");
        let what = ResourceSpecifier::Topic(topic);
        let answers = self.wait(&action, self.client.describe_configs([&what], &self.options))?;
        let answer = answers.into_iter().next();
        let resource = match answer {
            Some(Ok(resource)) => resource,
            Some(Err(code)) => return Err(anyhow!("cannot {action}: {}", in_words(code))),
            None => return Err(anyhow!("cannot {action}: no answer")),
        };
        let own = resource.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        Ok(own.map(|entry| (entry.name, entry.value.unwrap_or_default())).collect())
    }

    /// Sets and unsets settings of a topic.
    pub(crate) fn change_settings(
        &self,
        topic: &str,
        set: &[(String, String)],
        unset: &[String],
    ) -> anyhow::Result<()> {
        // The client library has AlterConfigs, which replaces all settings, and no IncrementalAlterConfigs: what is
        // to stay is read and sent along. A change that somebody else makes in between is lost.
        let mut settings = self.settings(topic)?;
        settings.retain(|name, _| !unset.contains(name));
        settings.extend(set.iter().cloned());
        let action = format!("set the settings of topic '{topic}'");
        let alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let alter = settings.iter().fold(alter, |alter, (name, value)| alter.set(name, value));
        self.wait(&action, self.client.alter_configs([&alter], &self.options))?;
        // It does not tell either whether the cluster has agreed, so that is looked up.
        let asked = Instant::now();
        while self.settings(topic)? != settings {
            if asked.elapsed() > SETTLED {
                let wanted: Vec<_> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
                return Err(anyhow!(
                    "cannot {action}: the cluster has not accepted {}; is each a setting of topics, with a value that \
                     it can have?",
                    [wanted, unset.to_vec()].concat().join(" ")
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Deletes what stands before an offset of each partition, and returns from where on they hold records now.
    pub(crate) fn delete_records(&self, before: &TopicPartitionList) -> anyhow::Result<TopicPartitionList> {
        let action = "delete records";
        let answer = self.wait(action, self.client.delete_records(before, &self.options))?;
        for partition in answer.elements() {
            partition.error().map_err(|error| {
                let reason = error.rdkafka_error_code().map_or_else(|| error.to_string(), in_words);
                anyhow!("cannot {action} of {}:{}: {reason}", partition.topic(), partition.partition())
            })?;
        }
        Ok(answer)
    }

    pub(crate) fn delete_group(&self, group: &str) -> anyhow::Result<()> {
        let action = format!("delete group '{group}'");
        let answers = self.wait(&action, self.client.delete_groups(&[group], &self.options))?;
        self.one(&action, answers.into_iter().next())
    }

    fn wait<T>(&self, action: &str, asked: impl Future<Output = KafkaResult<T>>) -> anyhow::Result<T> {
        let failed = |error: KafkaError| self.connection.failed(action, &error, &self.heard);
        self.runtime.block_on(asked).map_err(failed)
    }

    fn one(&self, action: &str, answer: Option<Answer>) -> anyhow::Result<()> {
        match answer {
            Some(Err((_, code))) => Err(anyhow!("cannot {action}: {}", in_words(code))),
            _ => Ok(()),
        }
    }
}
