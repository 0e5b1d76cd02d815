//! Watches that the topics a source reads are still the same: librdkafka follows a topic's name, and would read on in a topic
//! that was made anew under it as if nothing had happened. On a thread of its own, as a broker's answer may take long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use thalweg_dataflow::source::SourceContext;
use thalweg_dataflow::time::Timestamp;

use super::context::SourceConsumer;
use crate::error::KafkaError;
use crate::topic_ids::{Described, describe};

/// How often, in milliseconds.
const INTERVAL: i64 = 1_000;

/// How soon to ask again about a topic that seems to be gone: one broker may have heard of it later than others.
const AGAIN: i64 = 100;

/// How often in a row a topic must be said to be gone.
const GONE: u32 = 3;

type Answer = Result<BTreeMap<String, Described>, KafkaError>;

/// The watch of one subtask, over the topics of its partitions.
pub(super) struct TopicWatch {
    bootstrap: String,
    timeout: Duration,
    next_at: Timestamp,
    /// Of the question that is under way.
    answer: Option<Receiver<Answer>>,
    /// How often in a row a topic was not there.
    absent: BTreeMap<String, u32>,
}

impl TopicWatch {
    pub(super) fn new(bootstrap: &str, timeout: Duration, now: Timestamp) -> Self {
        let bootstrap = bootstrap.to_owned();
        Self { bootstrap, timeout, next_at: now + INTERVAL, answer: None, absent: BTreeMap::new() }
    }

    /// What has been heard since this was last asked, of topics that are there or are gone for good. Asks anew when it is time.
    pub(super) fn poll(
        &mut self,
        consumer: &Arc<SourceConsumer>,
        context: &SourceContext,
        topics: impl Fn() -> BTreeSet<String>,
    ) -> BTreeMap<String, Described> {
        let now = context.clock.now();
        let Some(answer) = &self.answer else {
            if now >= self.next_at {
                self.begin(consumer, context, topics());
            }
            return BTreeMap::new();
        };
        let answer = match answer.try_recv() {
            Err(TryRecvError::Empty) => return BTreeMap::new(),
            Err(TryRecvError::Disconnected) => Ok(BTreeMap::new()),
            Ok(answer) => answer,
        };
        self.answer = None;
        self.next_at = now + INTERVAL;
        let mut described = answer.unwrap_or_else(|error| {
            // A cluster that is away says nothing about its topics.
            tracing::debug!(%error, "topics could not be looked at");
            BTreeMap::new()
        });
        self.absent.retain(|topic, _| described.get(topic) == Some(&Described::Absent));
        described.retain(|topic, described| {
            if *described != Described::Absent {
                return true;
            }
            let times = self.absent.entry(topic.clone()).or_default();
            *times += 1;
            if *times < GONE {
                self.next_at = now + AGAIN;
            }
            *times >= GONE
        });
        described
    }

    /// When to poll again at the latest. A question that is under way wakes the source itself.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.answer.is_none().then_some(self.next_at)
    }

    /// Asks soon: something hints at a change.
    pub(super) fn hasten(&mut self, now: Timestamp) {
        self.next_at = self.next_at.min(now + AGAIN);
    }

    fn begin(&mut self, consumer: &Arc<SourceConsumer>, context: &SourceContext, topics: BTreeSet<String>) {
        self.next_at = context.clock.now() + INTERVAL;
        if topics.is_empty() {
            return;
        }
        let (sender, receiver) = channel();
        let (bootstrap, timeout) = (self.bootstrap.clone(), self.timeout);
        let (consumer, waker) = (consumer.clone(), context.waker.clone());
        let ask = move || {
            let answer = describe(consumer.client(), &bootstrap, &topics, timeout);
            drop(consumer);
            // A reader that is gone wants no answer.
            let _ = sender.send(answer);
            waker.wake();
        };
        match std::thread::Builder::new().name("kafka-topics".to_owned()).spawn(ask) {
            Ok(_) => self.answer = Some(receiver),
            Err(error) => tracing::warn!(%error, "topics cannot be watched"),
        }
    }
}
