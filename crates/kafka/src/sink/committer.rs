//! Commits epochs, each as one Kafka transaction; see [`commit_protocol`](super::commit_protocol).

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use rdkafka::error::KafkaError as ClientError;
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::checkpoint::committer::{Committer, CommitterContext, CommitterFactory, Marker};
use thalweg_dataflow::error::BoxError;

use super::marker::MarkerKeeper;
use super::transactions::Transactions;
use crate::config::{Confirmation, KafkaProperties};
use crate::error::KafkaError;
use crate::offsets::partition_list;
use crate::producer::{Producer, milliseconds};
use crate::source::SourceOffsets;

/// Shared by all exactly-once sinks of a job.
pub(super) struct KafkaCommitterFactory {
    properties: KafkaProperties,
    prefix: Option<String>,
    topics: Mutex<BTreeSet<String>>,
    /// Of the present attempt, which owns them.
    transactions: Mutex<Weak<Transactions>>,
}

impl KafkaCommitterFactory {
    pub(super) fn new(properties: &KafkaProperties, prefix: Option<&str>) -> Self {
        let (properties, prefix) = (properties.clone(), prefix.map(str::to_owned));
        Self { properties, prefix, topics: Mutex::default(), transactions: Mutex::default() }
    }

    /// Takes another sink in. `false` if it cannot share the producer.
    pub(super) fn join(&self, properties: &KafkaProperties, prefix: Option<&str>, topic: &str) -> bool {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        self.properties == *properties && self.prefix.as_deref() == prefix
    }

    /// Those of the present attempt.
    pub(super) fn transactions(&self) -> Option<Arc<Transactions>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn make(&self, context: &CommitterContext) -> Result<KafkaCommitter, KafkaError> {
        let timeout = self.properties.transaction_timeout()?;
        if context.checkpoint_interval >= timeout {
            return Err(KafkaError::TransactionTimeoutTooShort {
                timeout_ms: milliseconds(timeout),
                interval: context.checkpoint_interval,
            });
        }
        let id = self.prefix.as_deref().unwrap_or(&context.job);
        let topics: Vec<String> =
            self.topics.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        let marker = MarkerKeeper::new(&self.properties, id, topics.clone())?;
        let properties = self.properties.holding(context.queued_bytes);
        let producer = Producer::create(&properties, Confirmation::Transactional(id))?;
        let transactions = Arc::new(Transactions::new(producer));
        *self.transactions.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&transactions);
        let (context, bootstrap) = (context.clone(), self.properties.bootstrap().to_owned());
        Ok(KafkaCommitter { transactions, marker, context, topics, bootstrap })
    }
}

impl CommitterFactory for KafkaCommitterFactory {
    /// Asks for the topics. A producer that does not begin with transactions fences nobody.
    fn check(&self, context: &CommitterContext) -> Result<(), BoxError> {
        self.make(context).and_then(|committer| committer.check_topics()).map_err(KafkaError::boxed)
    }

    fn make(&self, context: &CommitterContext) -> Result<Box<dyn Committer>, BoxError> {
        Ok(Box::new(self.make(context).map_err(KafkaError::boxed)?))
    }
}

/// The committer of one attempt.
struct KafkaCommitter {
    transactions: Arc<Transactions>,
    marker: MarkerKeeper,
    context: CommitterContext,
    topics: Vec<String>,
    bootstrap: String,
}

impl KafkaCommitter {
    fn producer(&self) -> &Producer {
        self.transactions.producer()
    }

    fn check_topics(&self) -> Result<(), KafkaError> {
        self.topics.iter().try_for_each(|topic| self.producer().check_topic(topic).map(drop))
    }

    fn fence_and_look(&self) -> Result<Option<Marker>, KafkaError> {
        self.check_topics()?;
        self.producer().init_transactions()?;
        self.marker.read()
    }

    /// Adds the marker, and the positions of sources that read from the same cluster.
    fn add_offsets(&self, epoch: Epoch, notes: Vec<Box<dyn Any + Send>>) -> Result<(), KafkaError> {
        let client = |error| KafkaError::Client { action: "mark an epoch".to_owned(), source: error };
        let group = self.marker.group().ok_or_else(|| client(ClientError::Canceled))?;
        self.producer()
            .send_offsets(&self.marker.of(&self.context.marker(epoch)).map_err(client)?, &group)?;
        let mut groups: BTreeMap<String, Vec<SourceOffsets>> = BTreeMap::new();
        for note in notes.into_iter().filter_map(|note| note.downcast::<SourceOffsets>().ok()) {
            if *note.bootstrap == *self.bootstrap && !note.offsets.is_empty() {
                groups.entry(note.group_id.clone()).or_default().push(*note);
            }
        }
        for notes in groups.into_values() {
            let offsets = notes.iter().flat_map(|note| note.offsets.iter().cloned());
            let list = partition_list(offsets).map_err(client)?;
            // The same group, as each of its subtasks sees it.
            let Some(SourceOffsets { group, .. }) = notes.first() else { continue };
            self.producer().send_offsets(&list, group)?;
            notes.iter().for_each(|note| note.carried.store(true, Ordering::Release));
        }
        Ok(())
    }

    fn end_transaction(&self) -> Result<(), KafkaError> {
        let started = Instant::now();
        self.producer().commit_transaction()?;
        tracing::debug!(took = ?started.elapsed(), "committed a transaction");
        self.producer().begin_transaction()
    }
}

impl Committer for KafkaCommitter {
    fn recover(&mut self) -> Result<Option<Marker>, BoxError> {
        self.fence_and_look().map_err(KafkaError::boxed)
    }

    fn place(&self) -> String {
        self.marker.place()
    }

    fn start(&mut self, _: Epoch) -> Result<(), BoxError> {
        self.producer().begin_transaction().map_err(KafkaError::boxed)?;
        self.transactions.begun();
        Ok(())
    }

    fn flush(&mut self, epoch: Epoch, notes: Vec<Box<dyn Any + Send>>) -> Result<(), BoxError> {
        self.transactions.check_complete(epoch)?;
        // Deliveries end by themselves, if by a timeout.
        let flushed = self.producer().flush(&|| false).and_then(|()| self.add_offsets(epoch, notes));
        flushed.map_err(|error| {
            self.transactions.fail();
            error.boxed()
        })
    }

    fn skip(&mut self, epoch: Epoch) -> Result<bool, BoxError> {
        Ok(self.transactions.skip(epoch)?)
    }

    fn commit(&mut self, epoch: Epoch) -> Result<(), BoxError> {
        self.transactions.commit(epoch)?;
        match self.end_transaction() {
            Ok(()) => {
                self.transactions.begun();
                Ok(())
            }
            Err(error) => {
                self.transactions.fail();
                Err(error.boxed())
            }
        }
    }
}

impl Drop for KafkaCommitter {
    /// The tasks are over. What they have written since the last commit would hold up readers until the
    /// transaction times out.
    fn drop(&mut self) {
        if self.transactions.is_open() {
            self.producer().abort_transaction();
        }
    }
}
