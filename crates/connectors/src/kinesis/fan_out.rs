//! Enhanced fan-out: a registered consumer, to which the service sends a shard's records by itself.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::background::Answers;
use super::client::{content, of_stream, refused};
use super::event_stream::{Decoder, Message};
use super::records::Answer;
use super::shard::{Fetched, begin, unpack};
use super::source::ShardPosition;
use super::{KinesisClient, KinesisError};
use crate::contract::Retry;

/// So often it is looked whether a consumer can be used yet.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Who registers the consumer of enhanced fan-out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsumerLifecycle {
    /// The job, at its start, if it is not there. It stays, for the next run: whoever does not want it any more deregisters it.
    #[default]
    JobManaged,
    /// Somebody else: without it the job fails.
    SelfManaged,
}

/// How a source reads by enhanced fan-out.
#[derive(Clone, Debug)]
pub(super) struct FanOut {
    pub(super) consumer: String,
    pub(super) lifecycle: ConsumerLifecycle,
}

/// The ARN of the consumer, when it can be used: registers it if need be.
pub(super) async fn consumer(
    client: &KinesisClient,
    stream: &str,
    fan_out: &FanOut,
    retry: &Retry,
) -> Result<Arc<str>, KinesisError> {
    let mut pauses = retry.pauses();
    loop {
        let pause = match look(client, stream, fan_out).await {
            Ok(Some(arn)) => return Ok(arn),
            // A consumer that is being made is there in a moment.
            Ok(None) => LOOK_EVERY,
            Err(error) => match pauses.next().filter(|_| error.passes()) {
                Some(pause) => pause,
                None => return Err(error),
            },
        };
        tokio::time::sleep(pause).await;
    }
}

/// `None`: it is there, but cannot be used yet.
async fn look(
    client: &KinesisClient,
    stream: &str,
    fan_out: &FanOut,
) -> Result<Option<Arc<str>>, KinesisError> {
    let arn = match stream.starts_with("arn:") {
        true => stream.to_owned(),
        false => {
            let answer = client.request("DescribeStreamSummary", &of_stream(stream)).await?;
            text(&answer["StreamDescriptionSummary"]["StreamARN"])?.to_owned()
        }
    };
    let request = json!({ "StreamARN": arn, "ConsumerName": fan_out.consumer });
    let answer = client.request("DescribeStreamConsumer", &request).await;
    match (answer, fan_out.lifecycle) {
        (Ok(answer), _) => {
            let consumer = &answer["ConsumerDescription"];
            let is_active = consumer["ConsumerStatus"] == "ACTIVE";
            is_active.then(|| text(&consumer["ConsumerARN"]).map(Arc::from)).transpose()
        }
        (Err(error), ConsumerLifecycle::JobManaged) if error.kind() == "ResourceNotFoundException" => {
            match client.request("RegisterStreamConsumer", &request).await {
                // Another subtask was faster.
                Err(error) if error.kind() != "ResourceInUseException" => Err(error),
                _ => Ok(None),
            }
        }
        (Err(KinesisError::Refused { status, kind, message }), ConsumerLifecycle::SelfManaged)
            if kind == "ResourceNotFoundException" =>
        {
            let message = format!(
                "{message} It is to be registered by somebody else, as the source says (SELF_MANAGED)"
            );
            Err(KinesisError::Refused { status, kind, message })
        }
        (Err(error), _) => Err(error),
    }
}

fn text(value: &Value) -> Result<&str, KinesisError> {
    value.as_str().ok_or_else(|| KinesisError::NoAnswer("an ARN is missing in it".into()))
}

/// A shard, of which a subscription is to be had.
pub(super) struct Subscription {
    pub(super) client: KinesisClient,
    pub(super) stream: String,
    pub(super) consumer: Arc<str>,
    pub(super) shard: Arc<str>,
    pub(super) hash_keys: RangeInclusive<u128>,
    /// What the last subscription has come to, if there was one.
    pub(super) after: Option<String>,
    pub(super) position: ShardPosition,
}

impl Subscription {
    /// Reads until it is over: after five minutes, at the end of the shard, or when something is wrong. Of the answer no more is read than is taken.
    pub(super) async fn run(self, answers: Answers<Fetched>) {
        if let Err(error) = self.read(&answers).await {
            answers.give(Err(error)).await;
        }
    }

    async fn read(&self, answers: &Answers<Fetched>) -> Result<(), KinesisError> {
        let position = match &self.after {
            Some(after) => json!({ "Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after }),
            None => {
                let (of, at) = begin(&self.position);
                let mut position = json!({ "Type": of });
                at.into_iter().for_each(|(name, value)| position[name] = value);
                position
            }
        };
        let request =
            json!({ "ConsumerARN": &*self.consumer, "ShardId": &*self.shard, "StartingPosition": position });
        let mut answer = self.client.subscribe(&request).await?;
        let mut decoder = Decoder::default();
        loop {
            while let Some(message) = decoder.next().map_err(no_answer)? {
                let Some(fetched) = self.event(&message)? else { continue };
                let is_last = fetched.next.is_none();
                if !answers.give(Ok(fetched)).await || is_last {
                    return Ok(());
                }
            }
            match answer.chunk().await.map_err(|error| no_answer(error.without_url()))? {
                Some(bytes) => decoder.push(&bytes),
                None if decoder.is_within() => {
                    return Err(no_answer("a subscription was cut within a frame"));
                }
                None => return Ok(()),
            }
        }
    }

    /// `None`: it has nothing in it.
    fn event(&self, message: &Message) -> Result<Option<Fetched>, KinesisError> {
        match message.header(":message-type") {
            "event" if message.header(":event-type") == "SubscribeToShardEvent" => {}
            // The first one, and whatever else will be thought of.
            "event" => return Ok(None),
            "exception" => {
                let kind = message.header(":exception-type");
                let status = if kind.starts_with("Internal") { 500 } else { 400 };
                return Err(refused(status, kind, &content(&message.payload).unwrap_or(Value::Null)));
            }
            // What is not in the service's description, such as an error within it.
            _ => {
                let (kind, says) = (message.header(":error-code"), message.header(":error-message"));
                return Err(refused(500, kind, &json!({ "message": says })));
            }
        }
        let event: Answer = content(&message.payload).map_err(no_answer)?;
        let position = &self.position;
        let mut records = unpack(event.records, &self.stream, (&self.shard, &self.hash_keys), position);
        // At the end there are children, and nothing to go on from. A server for tests gives both, and the children as soon as there are any, which may be before the last records.
        let has_children = event.child_shards.is_some_and(|children| !children.is_empty());
        let next = event.continuation_sequence_number;
        let next = next.filter(|_| !(has_children && records.is_empty()));
        // That server begins where it likes.
        records.retain(|record| record.is_left_after(position));
        Ok(Some(Fetched { records, next, behind: event.millis_behind_latest.unwrap_or(0.0) }))
    }
}

fn no_answer(error: impl Into<thalweg_dataflow::error::BoxError>) -> KinesisError {
    KinesisError::NoAnswer(error.into())
}
