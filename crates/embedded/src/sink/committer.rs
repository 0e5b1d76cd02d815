//! Commits epochs, each as one transaction; see [`transactions`](super::transactions).
//!
//! The [`Marker`] says which epoch was committed last, and by whom. It is an offset commit of that transaction, whose metadata it is
//! (`thalweg-epoch=17;generation=3;instance=…`), under the group `<transactional id>-thalweg`, at partition 0 of every topic that the
//! job's exactly-once sinks write to, so that it is found when sinks are added or removed, as long as one stays.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use thalweg_broker::{GroupOffset, LocalError, LocalProducer, ProducerOptions};
use thalweg_dataflow::barrier::Epoch;
use thalweg_dataflow::checkpoint::committer::{Committer, CommitterContext, CommitterFactory, Marker};
use thalweg_dataflow::error::BoxError;

use super::Settings;
use super::transactions::Transactions;
use crate::error::EmbeddedError;
use crate::source::SourceOffsets;

/// For how long something is tried again that may succeed later.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts.
const BACKOFF: Duration = Duration::from_millis(5);

/// Shared by all exactly-once sinks of a job.
pub(super) struct BrokerCommitterFactory {
    settings: Settings,
    topics: Mutex<BTreeSet<String>>,
    /// Of the present attempt, which owns them.
    transactions: Arc<Mutex<Weak<Transactions>>>,
}

impl BrokerCommitterFactory {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { settings: settings.clone(), topics: Mutex::default(), transactions: Arc::default() }
    }

    /// Takes another sink in. `false` if it cannot share the transactions.
    pub(super) fn join(&self, other: &Settings) -> bool {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).insert(other.topic.clone());
        let Settings { client, transactional_id_prefix, transaction_timeout, .. } = &self.settings;
        client.is_of_same_broker(&other.client)
            && *transactional_id_prefix == other.transactional_id_prefix
            && *transaction_timeout == other.transaction_timeout
    }

    /// Those of the present attempt.
    pub(super) fn transactions(&self) -> Option<Arc<Transactions>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

impl BrokerCommitterFactory {
    fn topics(&self) -> Vec<String> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn check_topics(&self) -> Result<(), EmbeddedError> {
        self.topics()
            .into_iter()
            .try_for_each(|topic| Settings { topic, ..self.settings.clone() }.check_topic())
    }
}

impl CommitterFactory for BrokerCommitterFactory {
    fn check(&self, context: &CommitterContext) -> Result<(), BoxError> {
        self.make(context)?;
        self.check_topics().map_err(EmbeddedError::boxed)
    }

    fn make(&self, context: &CommitterContext) -> Result<Box<dyn Committer>, BoxError> {
        let (timeout, interval) = (self.settings.transaction_timeout, context.checkpoint_interval);
        if interval >= timeout {
            return Err(EmbeddedError::TransactionTimeoutTooShort { timeout, interval }.boxed());
        }
        let id = self.settings.transactional_id_prefix.as_deref().unwrap_or(&context.job).to_owned();
        let (topics, context) = (self.topics(), context.clone());
        Ok(Box::new(BrokerCommitter {
            settings: self.settings.clone(),
            id,
            context,
            topics,
            shared: Arc::clone(&self.transactions),
            transactions: None,
            ended: 0,
        }))
    }
}

/// The committer of one attempt.
struct BrokerCommitter {
    settings: Settings,
    id: String,
    context: CommitterContext,
    topics: Vec<String>,
    /// Where the writers find the transactions.
    shared: Arc<Mutex<Weak<Transactions>>>,
    transactions: Option<Arc<Transactions>>,
    /// How many epochs have been committed since the attempt began.
    ended: usize,
}

impl BrokerCommitter {
    fn group(&self) -> String {
        format!("{}-thalweg", self.id)
    }

    fn transactions(&self) -> Result<&Transactions, BoxError> {
        self.transactions.as_deref().ok_or_else(|| "the committer has not recovered".into())
    }

    fn fence_and_look(&mut self) -> Result<Option<Marker>, EmbeddedError> {
        for topic in &self.topics {
            Settings { topic: topic.clone(), ..self.settings.clone() }.check_topic()?;
        }
        let producers = [self.take_over(0)?, self.take_over(1)?];
        let transactions =
            Arc::new(Transactions::new(&self.id, self.settings.transaction_timeout, producers));
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&transactions);
        self.transactions = Some(transactions);
        let mut newest = None;
        for topic in &self.topics {
            let marker = patiently(|| self.settings.client.committed(&self.group(), topic, 0));
            let marker = marker.map_err(EmbeddedError::broker("read the last committed epoch"))?;
            newest = Marker::newer(newest, marker.and_then(|marker| Marker::parse(&marker.metadata)));
        }
        Ok(newest)
    }

    fn take_over(&self, side: usize) -> Result<LocalProducer, EmbeddedError> {
        let options = || ProducerOptions {
            transactional_id: Some(format!("{}-{side}", self.id)),
            transaction_timeout: self.settings.transaction_timeout,
            ..ProducerOptions::default()
        };
        let producer = patiently(|| self.settings.client.producer(options()));
        producer.map_err(EmbeddedError::transaction("take over a transactional id", &self.id))
    }

    /// The marker, and the positions of sources that read from the same broker.
    fn offsets(&self, epoch: Epoch, notes: Vec<Box<dyn Any + Send>>) -> BTreeMap<String, Vec<GroupOffset>> {
        let marker = |topic: &String| GroupOffset {
            topic: topic.clone(),
            partition: 0,
            offset: i64::try_from(epoch).unwrap_or(i64::MAX),
            metadata: self.context.marker(epoch).to_string(),
        };
        let mut offsets: BTreeMap<String, Vec<GroupOffset>> = BTreeMap::new();
        offsets.insert(self.group(), self.topics.iter().map(marker).collect());
        for note in notes.into_iter().filter_map(|note| note.downcast::<SourceOffsets>().ok()) {
            if note.client.is_of_same_broker(&self.settings.client) {
                note.carried.store(true, Ordering::Release);
                offsets.entry(note.group).or_default().extend(note.offsets);
            }
        }
        offsets
    }
}

impl Committer for BrokerCommitter {
    fn recover(&mut self) -> Result<Option<Marker>, BoxError> {
        self.fence_and_look().map_err(EmbeddedError::boxed)
    }

    fn place(&self) -> String {
        format!("group '{}', topics {}, of the embedded broker", self.group(), self.topics.join(", "))
    }

    fn start(&mut self, _: Epoch) -> Result<(), BoxError> {
        Ok(())
    }

    fn flush(&mut self, epoch: Epoch, notes: Vec<Box<dyn Any + Send>>) -> Result<(), BoxError> {
        let offsets = self.offsets(epoch, notes);
        let added = self.transactions()?.within(self.ended, |producer| {
            producer.flush().map_err(EmbeddedError::broker("write"))?;
            for (group, offsets) in &offsets {
                patiently(|| producer.send_offsets(group, offsets))
                    .map_err(EmbeddedError::broker("add offsets to a transaction"))?;
            }
            Ok(())
        });
        added.map_err(EmbeddedError::boxed)
    }

    fn skip(&mut self, _: Epoch) -> Result<bool, BoxError> {
        let skipped = !self.transactions()?.is_begun(self.ended);
        self.ended += usize::from(skipped);
        Ok(skipped)
    }

    fn commit(&mut self, _: Epoch) -> Result<(), BoxError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.transactions()?.commit(self.ended) {
                Ok(()) => {
                    self.ended += 1;
                    return Ok(());
                }
                Err(error) if error.is_retriable() && Instant::now() < until => std::thread::sleep(BACKOFF),
                Err(error) => return Err(error.boxed()),
            }
        }
    }
}

impl Drop for BrokerCommitter {
    /// The tasks are over. What they have written since the last commit would hold up readers until the transaction
    /// times out.
    fn drop(&mut self) {
        if let Some(transactions) = &self.transactions {
            transactions.abort();
        }
    }
}

impl Settings {
    pub(super) fn check_topic(&self) -> Result<(), EmbeddedError> {
        let count =
            self.client.partition_count(&self.topic).map_err(EmbeddedError::broker("look up a topic"))?;
        count.map(drop).ok_or_else(|| EmbeddedError::UnknownTopic(self.topic.clone()))
    }
}

/// Tries something until it works, or fails for good, or patience is at an end.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, LocalError>) -> Result<T, LocalError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(error) if error.is_retriable() && Instant::now() < until => std::thread::sleep(BACKOFF),
            result => return result,
        }
    }
}
