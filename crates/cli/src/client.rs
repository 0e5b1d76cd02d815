//! The way to a cluster, for every command that asks one: its address, the properties of the client, and errors
//! that say which address it was and what to do.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::properties;
use crate::usage::Usage;

/// How long a question to the cluster may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the cluster is, and how to talk to it.
#[derive(Clone, clap::Args)]
pub(crate) struct Connection {
    /// Address of the cluster; several are separated by commas.
    #[arg(
        short,
        long,
        value_name = "HOST:PORT",
        env = "THALWEG_KAFKA",
        default_value = "127.0.0.1:9092",
        help_heading = "Connection"
    )]
    bootstrap: String,
    /// A property of librdkafka, such as `security.protocol=SASL_SSL`; may be given again.
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE", value_parser = KeyValue, help_heading = "Connection")]
    properties: Vec<(String, String)>,
    /// Properties of the client in a file, as Kafka's own tools take them; -X counts more.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    command_config: Option<PathBuf>,
}

impl Connection {
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// What every client is made with: `defaults` for what the user has not set.
    pub(crate) fn config(&self, defaults: &[(&str, &str)]) -> anyhow::Result<ClientConfig> {
        let mut given: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in COMMON.iter().chain(defaults) {
            given.insert((*name).to_owned(), (*value).to_owned());
        }
        if let Some(file) = &self.command_config {
            given.extend(properties::for_librdkafka(file)?);
        }
        given.extend(self.properties.iter().cloned());
        given.entry("bootstrap.servers".to_owned()).or_insert_with(|| self.bootstrap.clone());
        let mut config = ClientConfig::new();
        let debugs = given.contains_key("debug");
        config.extend(given);
        config.set_log_level(if debugs { Level::Debug } else { Level::Info });
        Ok(config)
    }

    /// An error of librdkafka, with what was to be done, the address, and what to do about it.
    pub(crate) fn failed(&self, action: &str, error: &KafkaError, heard: &Heard) -> anyhow::Error {
        if let KafkaError::ClientConfig(_, reason, property, value) = error {
            // It may be a password under a name that is almost right; librdkafka repeats some values as well.
            let reason =
                if value.is_empty() { reason.clone() } else { reason.replace(value.as_str(), "…") };
            return Usage(format!("property '{property}': {reason}")).into();
        }
        let Some(code) = error.rdkafka_error_code() else {
            return anyhow!("cannot {action}: {error}");
        };
        let at = &self.bootstrap;
        let last = heard.last().map(|last| format!(" (last: {last})")).unwrap_or_default();
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::TimedOutQueue => anyhow!(
                "cannot {action}: no answer from Kafka at {at} within {} s{last}; is the address right, and does it run? \
                 Another is given with --bootstrap or THALWEG_KAFKA",
                TIMEOUT.as_secs()
            ),
            Code::Authentication | Code::SSL | Code::SaslAuthenticationFailed => anyhow!(
                "cannot {action}: Kafka at {at} refuses the connection{last}; check the properties security.*, \
                 sasl.* and ssl.* (-X, --command-config)"
            ),
            code => anyhow!("cannot {action}: {}", in_words(code)),
        }
    }
}

/// What the cluster has refused, and what helps.
pub(crate) fn in_words(code: Code) -> String {
    let text = match code {
        Code::TopicAlreadyExists => "it exists already",
        Code::UnknownTopicOrPartition | Code::UnknownTopic => "the cluster has no such topic or partition",
        Code::UnknownPartition => "the topic has no such partition",
        Code::InvalidTopic => "a topic's name has 1 to 249 letters, digits, '.', '_' and '-'",
        Code::InvalidPartitions => "the number of partitions can only grow, and is at least 1",
        Code::InvalidReplicationFactor => "there are not as many brokers as replicas are asked for",
        Code::NonEmptyGroup | Code::UnknownMemberId => "the group has members; stop its consumers first",
        Code::GroupIdNotFound => "the cluster has no such group",
        Code::OffsetOutOfRange => "the partition does not reach to that offset",
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => "this user may not; ask for the access rights",
        code => {
            // `NameOfIt (Broker: What it means)`.
            let text = code.to_string();
            let words = text.split_once(" (").map_or(text.as_str(), |(_, words)| words.trim_end_matches(')'));
            return words.trim_start_matches("Broker: ").trim_start_matches("Local: ").to_owned();
        }
    };
    text.to_owned()
}

const COMMON: &[(&str, &str)] = &[("client.id", "thalweg"), ("reconnect.backoff.ms", "20")];

/// Parses `key=value` of a command line. A value may be a password, so what is wrong is not shown again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyValue;

impl TypedValueParser for KeyValue {
    type Value = (String, String);

    fn parse_ref(
        &self,
        command: &clap::Command,
        option: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        match value.to_str().and_then(|text| text.split_once('=')) {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => {
                let option = option.map(ToString::to_string).unwrap_or_default();
                let message = format!("{option}: what is given is not of that form\n");
                Err(clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command))
            }
        }
    }
}

/// The last trouble that librdkafka had by itself: the reason behind a timeout.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Option<String>>>);

impl Heard {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes a line of librdkafka's log on to ours, and keeps the trouble among them.
    pub(crate) fn log(&self, level: Level, facility: &str, message: &str) {
        match level {
            // Said of every property of a producer that a consumer is given, and the other way round.
            _ if facility == "CONFWARN" => tracing::debug!("librdkafka: {message}"),
            Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
                tracing::warn!("librdkafka: {facility}: {message}");
            }
            Level::Notice | Level::Info => tracing::info!("librdkafka: {facility}: {message}"),
            Level::Debug => tracing::debug!("librdkafka: {facility}: {message}"),
        }
    }

    pub(crate) fn error(&self, error: &KafkaError, reason: &str) {
        tracing::warn!("librdkafka: {error}: {reason}");
        // That all brokers are down follows from the errors before it, which say why.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ClientContext for Heard {
    fn log(&self, level: Level, facility: &str, message: &str) {
        Heard::log(self, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Heard::error(self, &error, reason);
    }
}

impl ConsumerContext for Heard {}
