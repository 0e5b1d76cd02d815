//! A client that says exactly what a test wants said.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, FetchRequest, InitProducerIdRequest, MetadataRequest,
    ProduceRequest, RequestHeader, ResponseHeader, TopicName, TransactionalId,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use thalweg_broker::Broker;
use uuid::Uuid;

use super::PATIENCE;

/// One connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
}

impl Wire {
    pub(crate) fn connect(broker: &Broker) -> Self {
        Self::connect_to(broker.address())
    }

    pub(crate) fn connect_to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, correlation_id: 0 }
    }

    /// Sends a request and reads its response.
    pub(crate) fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response {
        self.send(version, request);
        self.receive::<Q>(version)
    }

    pub(crate) fn send<Q: Request>(&mut self, version: i16, request: &Q) {
        self.correlation_id += 1;
        let frame = frame(version, self.correlation_id, request);
        if let Some(corpus) = std::env::var_os("THALWEG_CORPUS") {
            keep(Path::new(&corpus), Q::KEY, &frame);
        }
        self.stream.write_all(&frame).unwrap();
    }

    /// Sends the bytes of a request that `kafka_protocol` does not know, of a flexible version, and returns those of
    /// its response. Both without their headers.
    pub(crate) fn call_raw(&mut self, key: ApiKey, version: i16, body: &[u8]) -> Bytes {
        self.correlation_id += 1;
        let mut header = BytesMut::new();
        RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("wire")))
            .encode(&mut header, 2)
            .unwrap();
        let len = (header.len() + body.len()) as u32;
        let frame = [&len.to_be_bytes(), &header[..], body].concat();
        if let Some(corpus) = std::env::var_os("THALWEG_CORPUS") {
            keep(Path::new(&corpus), key as i16, &frame);
        }
        self.stream.write_all(&frame).unwrap();
        let mut bytes = self.read_frame();
        let header = ResponseHeader::decode(&mut bytes, 1).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        bytes
    }

    fn read_frame(&mut self) -> Bytes {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).unwrap();
        let mut bytes = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.into()
    }

    /// Reads the next response, which must be the one to the last request and have no byte too many.
    pub(crate) fn receive<Q: Request>(&mut self, version: i16) -> Q::Response {
        let mut bytes = self.read_frame();
        let header = ResponseHeader::decode(&mut bytes, Q::Response::header_version(version)).unwrap();
        assert_eq!(header.correlation_id, self.correlation_id);
        let response = Q::Response::decode(&mut bytes, version).unwrap();
        assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
        response
    }

    /// Waits until the broker closes the connection; the bytes it still sent are dropped.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return false;
                }
                Err(_) => return true,
            }
        }
    }

    /// Whether nothing has come, after a little while.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        let came = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        came.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Appends a batch to partition 0 of a topic.
    pub(crate) fn produce(
        &mut self,
        topic: &str,
        batch: Bytes,
        id: Option<&str>,
    ) -> PartitionProduceResponse {
        let request = produce_request(topic, batch, id);
        self.call(9, &request).responses.remove(0).partition_responses.remove(0)
    }

    /// The id of a topic.
    pub(crate) fn topic_id(&mut self, topic: &str) -> Uuid {
        let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
        self.call(12, &MetadataRequest::default().with_topics(Some(vec![topic]))).topics[0].topic_id
    }

    /// Creates a topic of one partition with these settings.
    pub(crate) fn create(&mut self, topic: &str, settings: &[(&str, &str)]) {
        let config = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_string((*name).to_owned()))
                .with_value(Some(StrBytes::from_string((*value).to_owned())))
        };
        let topic = CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(1)
            .with_replication_factor(1)
            .with_configs(settings.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
        let created = self.call(5, &request).topics.remove(0);
        assert_eq!(created.error_code, 0, "{:?}", created.error_message);
    }

    /// Puts a new producer in charge of a transactional id; returns its id and epoch.
    pub(crate) fn init(&mut self, id: &str) -> (i64, i16) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional_id(id)))
            .with_transaction_timeout_ms(60_000);
        let response = self.call(4, &request);
        assert_eq!(response.error_code, 0);
        (response.producer_id.0, response.producer_epoch)
    }
}

/// Adds a request to what the fuzzer begins with: all of one API make a file.
fn keep(corpus: &Path, key: i16, frame: &[u8]) {
    std::fs::create_dir_all(corpus).unwrap();
    let file = OpenOptions::new().append(true).create(true).open(corpus.join(format!("api-{key}")));
    file.unwrap().write_all(frame).unwrap();
}

/// A whole request as it goes over the wire.
pub(crate) fn frame<Q: Request>(version: i16, correlation_id: i32, request: &Q) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    RequestHeader::default()
        .with_request_api_key(Q::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("wire")))
        .encode(&mut bytes, Q::header_version(version))
        .unwrap();
    request.encode(&mut bytes, version).unwrap();
    let len = (bytes.len() - 4) as i32;
    (&mut bytes[..4]).put_i32(len);
    bytes
}

/// Asks what there is, as every client does first.
pub(crate) fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("wire"))
        .with_client_software_version(StrBytes::from_static_str("1.0"))
}

/// Wants a batch appended to partition 0 of a topic.
pub(crate) fn produce_request(topic: &str, batch: Bytes, id: Option<&str>) -> ProduceRequest {
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(1_000)
        .with_transactional_id(id.map(transactional_id))
        .with_topic_data(vec![topic])
}

/// A fetch of partition 0 that waits a minute for a byte.
pub(crate) fn patient_fetch(topic: &str, offset: i64, committed: bool) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    FetchRequest::default()
        .with_max_wait_ms(60_000)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(committed.into())
        .with_topics(vec![FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition])])
}

/// A batch of records: with `(producer id, epoch, first sequence)`, all -1 without a producer.
pub(crate) fn batch(values: &[&str], producer: (i64, i16, i32), transactional: bool) -> Bytes {
    let record = |(n, value): (usize, &&str)| Record {
        transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: producer.0,
        producer_epoch: producer.1,
        timestamp_type: TimestampType::Creation,
        offset: n as i64,
        // The encoder begins another batch where these do not go up, also without a producer.
        sequence: producer.2 + n as i32,
        timestamp: 1_000 + n as i64,
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Default::default(),
    };
    let records: Vec<Record> = values.iter().enumerate().map(record).collect();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.freeze()
}

pub(crate) const NO_PRODUCER: (i64, i16, i32) = (-1, -1, -1);

pub(crate) fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

pub(crate) fn transactional_id(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}
