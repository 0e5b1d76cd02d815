//! Writes records into a stream.

use std::fmt;

use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Cancelled, Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Data};

use super::client::of_stream;
use super::records::{Put, PutRecords, Taken};
use super::{KinesisClient, KinesisError};
use crate::contract::{ConnectorMetrics, Failure, Guarantee, Place, Promise, Retry, wait_unless};
use crate::store::runtime;

/// A request has no more records, nor bytes.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;

/// Sends what its format makes of a record: a partition key, and the data. See the [module](super).
///
/// ```no_run
/// use thalweg_connectors::kinesis::KinesisSink;
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::source::CollectionSource;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let words = CollectionSource::new(vec!["deep".to_owned(), "fast".to_owned()]);
/// let words = graph.source("words", words, WatermarkStrategy::no_watermarks());
/// words.apply("kinesis", KinesisSink::new("words", |word: &String| (word.clone(), word.clone().into_bytes())));
/// ```
pub struct KinesisSink<T, F> {
    stream: String,
    format: F,
    retry: Retry,
    client: Option<KinesisClient>,
    opened: Option<(KinesisClient, ConnectorMetrics, Cancelled)>,
    records: std::marker::PhantomData<fn(T)>,
}

impl<T, F> KinesisSink<T, F> {
    /// Into the stream of this name, or of this ARN.
    pub fn new(stream: &str, format: F) -> Self {
        let records = std::marker::PhantomData;
        Self {
            stream: stream.to_owned(),
            format,
            retry: Retry::new().attempts(10),
            client: None,
            opened: None,
            records,
        }
    }

    /// How records that were refused are tried again. Default: ten attempts.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// With a client of one's own, instead of one of the environment's.
    #[must_use]
    pub fn client(mut self, client: KinesisClient) -> Self {
        self.client = Some(client);
        self
    }

    /// Sends records until all are taken. Those that are refused are sent again, alone, in their order.
    fn send(&self, mut records: Vec<Put>) -> Result<(), BoxError> {
        let (client, metrics, cancelled) = self.opened.as_ref().ok_or("the sink has not been opened")?;
        let runtime = runtime::handle()?;
        let (place, what) = (client.place(&self.stream), format!("put {} records", records.len()));
        let attempt = |_| {
            let request = PutRecords { stream: of_stream(&self.stream), records: &records };
            let answer = runtime.block_on(client.ask::<Taken>("PutRecords", &request));
            let outcomes = answer.map_err(KinesisError::failure)?.records.unwrap_or_default();
            let refused = |at: usize| outcomes.get(at)?.error_code.as_deref();
            let Some(at) = (0..records.len()).find(|at| refused(*at).is_some()) else { return Ok(()) };
            let message = outcomes[at].error_message.as_deref().unwrap_or_default();
            let said = format!("{}: {message}", refused(at).unwrap_or_default());
            let mut at = 0;
            records.retain(|_| {
                at += 1;
                refused(at - 1).is_some()
            });
            Err(Failure::passing(format!("{} were refused, the first with {said}", records.len())))
        };
        let sent = self.retry.run_unless(&place, &what, Some(metrics), wait_unless(cancelled), attempt);
        sent.map_err(|error| error.boxed())
    }
}

impl<T, F: Clone> Clone for KinesisSink<T, F> {
    fn clone(&self) -> Self {
        let (retry, client) = (self.retry.clone(), self.client.clone());
        Self { retry, client, ..Self::new(&self.stream, self.format.clone()) }
    }
}

impl<T, F> fmt::Debug for KinesisSink<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisSink").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl<T, F> Promise for KinesisSink<T, F> {
    fn place(&self) -> String {
        Place::new("the Kinesis stream", &self.stream).to_string()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn because(&self) -> String {
        "Kinesis has no transactions, and takes a record that is sent again for another one".to_owned()
    }
}

impl<T, F> Operator for KinesisSink<T, F>
where
    T: Data,
    F: FnMut(&T) -> (String, Vec<u8>) + Send + 'static,
{
    type In = T;
    type Out = ();

    fn identity(&self) -> String {
        self.stream.clone()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let client = self.client.clone().map_or_else(KinesisClient::from_env, Ok)?;
        self.opened = Some((client, ConnectorMetrics::of(&context.metrics), context.cancelled.clone()));
        Ok(())
    }

    // All of a batch is taken before the next: so nothing is left to be done at a barrier.
    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for record in batch.records.drain(..) {
            let (key, data) = (self.format)(&record.value);
            if let Some((_, metrics, _)) = &self.opened {
                metrics.bytes(data.len() as u64);
            }
            bytes += key.len() + data.len();
            if records.len() == RECORDS || (bytes > BYTES && !records.is_empty()) {
                self.send(std::mem::take(&mut records))?;
                bytes = key.len() + data.len();
            }
            records.push(Put::new(key, &data));
        }
        if records.is_empty() { Ok(()) } else { self.send(records) }
    }
}
