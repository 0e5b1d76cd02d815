//! Looks for partitions that were added while the source runs, on a thread of its own: a broker's answer may take long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use thalweg_dataflow::source::SourceContext;
use thalweg_dataflow::time::{Timestamp, millis};

use super::context::SourceConsumer;
use crate::error::KafkaError;
use crate::offsets::OffsetsInitializer;
use crate::subscription::{Subscription, TopicPartition};
use crate::topic_ids::{Described, describe};

/// What a search has found.
#[derive(Default)]
pub(super) struct Found {
    /// Partitions and where to begin in them.
    pub(super) starts: BTreeMap<TopicPartition, i64>,
    /// What is known of their topics.
    pub(super) topics: BTreeMap<String, Described>,
}

/// The search of one subtask, for partitions that are its own.
pub(super) struct Discovery {
    subscription: Subscription,
    bootstrap: String,
    timeout: Duration,
    interval: Duration,
    next_at: Timestamp,
    /// Of the search that is under way.
    answer: Option<Receiver<Result<Found, KafkaError>>>,
}

impl Discovery {
    /// Looks every `interval` from `now` on.
    pub(super) fn new(
        subscription: &Subscription,
        bootstrap: &str,
        timeout: Duration,
        interval: Duration,
        now: Timestamp,
    ) -> Self {
        let (subscription, bootstrap) = (subscription.clone(), bootstrap.to_owned());
        Self { subscription, bootstrap, timeout, interval, next_at: now + millis(interval), answer: None }
    }

    /// What has been found since this was last asked. Begins a search when one is due.
    pub(super) fn poll(
        &mut self,
        consumer: &Arc<SourceConsumer>,
        context: &SourceContext,
        known: impl Fn() -> BTreeSet<TopicPartition>,
    ) -> Found {
        let now = context.clock.now();
        if let Some(answer) = &self.answer {
            let found = match answer.try_recv() {
                Err(TryRecvError::Empty) => return Found::default(),
                Ok(result) => result,
                Err(TryRecvError::Disconnected) => Ok(Found::default()),
            };
            self.answer = None;
            self.next_at = now + millis(self.interval);
            return found.unwrap_or_else(|error| {
                // Also a topic that is gone: whoever reads it says so with its place.
                tracing::warn!(%error, "no new partitions could be looked for; the next look is in {:?}", self.interval);
                Found::default()
            });
        }
        if now >= self.next_at {
            self.begin(consumer, context, known());
        }
        Found::default()
    }

    /// When to poll again at the latest. A search that is under way wakes the source itself.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.answer.is_none().then_some(self.next_at)
    }

    fn begin(
        &mut self,
        consumer: &Arc<SourceConsumer>,
        context: &SourceContext,
        known: BTreeSet<TopicPartition>,
    ) {
        let (sender, receiver) = channel();
        let (subscription, bootstrap, timeout) =
            (self.subscription.clone(), self.bootstrap.clone(), self.timeout);
        // For the case that the search cannot begin; it is set anew when it ends.
        self.next_at = context.clock.now() + millis(self.interval);
        let (consumer, context) = (consumer.clone(), context.clone());
        let search = move || {
            let found = subscription.resolve(&consumer, &bootstrap, timeout).and_then(|mut partitions| {
                partitions.retain(|partition| is_own(&context, partition) && !known.contains(partition));
                let topics = partitions.iter().map(|partition| partition.topic.clone()).collect();
                let topics = describe(consumer.client(), &bootstrap, &topics, timeout)?;
                // Whatever was written before it was found is read as well.
                let starts =
                    OffsetsInitializer::Earliest.resolve(&consumer, "", &bootstrap, &partitions, timeout)?;
                Ok(Found { starts, topics })
            });
            drop(consumer);
            // A reader that is gone wants no answer.
            let _ = sender.send(found);
            context.waker.wake();
        };
        let name = "kafka-discovery".to_owned();
        match std::thread::Builder::new().name(name).spawn(search) {
            Ok(_) => self.answer = Some(receiver),
            Err(error) => tracing::warn!(%error, "new partitions cannot be looked for"),
        }
    }
}

/// Whether a partition is read by this subtask.
pub(super) fn is_own(context: &SourceContext, partition: &TopicPartition) -> bool {
    context.owns_part(&partition.topic, usize::try_from(partition.partition).unwrap_or(0))
}
