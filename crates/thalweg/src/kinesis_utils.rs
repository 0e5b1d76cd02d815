//! Kinesis in Spark's words: `KinesisUtils.createStream`, `KinesisInputDStream.builder`.

use std::time::Duration;

use thalweg_connectors::contract::Secret;
use thalweg_connectors::kinesis::{
    KinesisClient, KinesisClientBuilder, KinesisRecord, KinesisSource, StartAt,
};
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::watermark::WatermarkStrategy;
use thalweg_dstream::{DStream, StreamingContext};

/// A shard without records for so long does not hold event time back.
const IDLENESS: Duration = Duration::from_secs(10);

/// Makes streams of batches out of Kinesis (Spark's `KinesisUtils`).
#[derive(Clone, Copy, Debug)]
pub struct KinesisUtils;

impl KinesisUtils {
    /// The data of the records of a stream: each batch is what has come since the last one. [`KinesisInputDStream::builder`] can say more.
    ///
    /// How far it is, is in the checkpoints of the job, so there is no name of an application for a table of Amazon's, nor an interval of its own. Without a
    /// checkpoint it begins at `initial_position`. Credentials are the environment's.
    ///
    /// ```no_run
    /// use thalweg::KinesisUtils;
    /// use thalweg::connectors::kinesis::StartAt;
    /// use thalweg::prelude::*;
    ///
    /// let ssc = StreamingContext::new("lines", Duration::from_secs(1));
    /// let endpoint = "https://kinesis.eu-central-1.amazonaws.com";
    /// let data = KinesisUtils::create_stream(&ssc, "lines", endpoint, "eu-central-1", StartAt::Latest)?;
    /// data.map(|data| String::from_utf8_lossy(&data).into_owned()).print();
    /// # Ok::<(), thalweg::prelude::BoxError>(())
    /// ```
    ///
    /// # Errors
    /// When there are no credentials in the environment.
    pub fn create_stream(
        ssc: &StreamingContext,
        stream_name: &str,
        endpoint_url: &str,
        region_name: &str,
        initial_position: StartAt,
    ) -> Result<DStream<Vec<u8>>, BoxError> {
        KinesisInputDStream::builder()
            .streaming_context(ssc)
            .stream_name(stream_name)
            .endpoint_url(endpoint_url)
            .region_name(region_name)
            .initial_position(initial_position)
            .build()
    }

    /// The records of any source, such as one that polls more often. Event time, which counts on the far side of the bridge, is when Kinesis got a record, taken to rise
    /// within a shard; a shard without records for 10 s is idle.
    pub fn stream_of(ssc: &StreamingContext, source: KinesisSource) -> DStream<KinesisRecord> {
        let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(IDLENESS);
        ssc.from_source(source, strategy, "kinesis")
    }
}

/// A stream of batches out of Kinesis (Spark's `KinesisInputDStream`); it is a [`DStream`] as others are, once it is built.
#[derive(Clone, Copy, Debug)]
pub struct KinesisInputDStream;

impl KinesisInputDStream {
    /// Says what is read, and from where on.
    ///
    /// ```no_run
    /// use thalweg::KinesisInputDStream;
    /// use thalweg::connectors::kinesis::StartAt;
    /// use thalweg::prelude::*;
    ///
    /// let ssc = StreamingContext::new("clicks", Duration::from_secs(1));
    /// let clicks = KinesisInputDStream::builder()
    ///     .streaming_context(&ssc)
    ///     .stream_name("clicks")
    ///     .region_name("eu-central-1")
    ///     .initial_position(StartAt::TrimHorizon)
    ///     .build_with_message_handler(|record| (record.partition_key, record.data.len()))?;
    /// clicks.reduce_by_key(|a, b| a + b).print();
    /// # Ok::<(), thalweg::prelude::BoxError>(())
    /// ```
    pub fn builder() -> KinesisInputDStreamBuilder {
        KinesisInputDStreamBuilder {
            ssc: None,
            stream_name: None,
            client: KinesisClient::builder(),
            initial_position: StartAt::Latest,
        }
    }
}

/// Makes a stream out of Kinesis; see [`KinesisInputDStream::builder`].
#[derive(Clone)]
#[must_use]
pub struct KinesisInputDStreamBuilder {
    ssc: Option<StreamingContext>,
    stream_name: Option<String>,
    client: KinesisClientBuilder,
    initial_position: StartAt,
}

impl KinesisInputDStreamBuilder {
    /// Whose stream it is. Must be set.
    pub fn streaming_context(mut self, ssc: &StreamingContext) -> Self {
        self.ssc = Some(ssc.clone());
        self
    }

    /// What it is called in Kinesis. Must be set.
    pub fn stream_name(mut self, name: &str) -> Self {
        self.stream_name = Some(name.to_owned());
        self
    }

    /// Where the service is. Default: as the environment says (`AWS_ENDPOINT_URL_KINESIS`, `AWS_ENDPOINT_URL`), or Amazon's in the region.
    pub fn endpoint_url(mut self, url: &str) -> Self {
        self.client = self.client.endpoint(url);
        self
    }

    /// The region. Default: `AWS_REGION`.
    pub fn region_name(mut self, region: &str) -> Self {
        self.client = self.client.region(region);
        self
    }

    /// Who reads. Default: as the environment says.
    pub fn kinesis_credentials(mut self, access_key_id: &str, secret_access_key: Secret) -> Self {
        self.client = self.client.credentials(access_key_id, secret_access_key);
        self
    }

    /// Where it begins if there is no checkpoint. Default: [`StartAt::Latest`].
    pub fn initial_position(mut self, position: StartAt) -> Self {
        self.initial_position = position;
        self
    }

    /// The data of the records.
    ///
    /// # Errors
    /// As [`build_with_message_handler`](Self::build_with_message_handler).
    pub fn build(self) -> Result<DStream<Vec<u8>>, BoxError> {
        self.build_with_message_handler(|record| record.data)
    }

    /// What `handler` makes of each record. Records that the Kinesis Producer Library has put together come one by one.
    ///
    /// # Errors
    /// When something is not set, or there are no credentials.
    pub fn build_with_message_handler<T: Data>(
        self,
        handler: impl Fn(KinesisRecord) -> T + Clone + Send + Sync + 'static,
    ) -> Result<DStream<T>, BoxError> {
        let missing = |what: &str| format!("KinesisInputDStream: {what} must be set");
        let ssc = self.ssc.ok_or_else(|| missing("streaming_context"))?;
        let stream_name = self.stream_name.ok_or_else(|| missing("stream_name"))?;
        let source = KinesisSource::new(&stream_name).start_at(self.initial_position);
        let records = KinesisUtils::stream_of(&ssc, source.client(self.client.build()?));
        Ok(records.map(handler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let error = KinesisInputDStream::builder().stream_name("x").build().err().unwrap().to_string();
        assert_eq!(error, "KinesisInputDStream: streaming_context must be set");
        let ssc = StreamingContext::new("x", Duration::from_secs(1));
        let error = KinesisInputDStream::builder().streaming_context(&ssc).build().err().unwrap().to_string();
        assert_eq!(error, "KinesisInputDStream: stream_name must be set");
    }
}
