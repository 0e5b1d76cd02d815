//! Kafka's protocol, spoken by ourselves: for the few questions that librdkafka's safe interface has no words for,
//! over connections that are not secured.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    FindCoordinatorRequest, MetadataRequest, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes};

use crate::client::{Connection, TIMEOUT};

/// Bytes of the longest answer that is taken.
const LONGEST: usize = 64 << 20;

/// How long to wait before asking for a coordinator that is on its way once more.
const BACKOFF: Duration = Duration::from_millis(50);

/// A connection to one broker.
pub(crate) struct Wire {
    stream: TcpStream,
    asked: i32,
}

impl Wire {
    /// Connects to the broker that looks after a group.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or one that wants TLS or a login.
    pub(crate) fn to_coordinator(connection: &Connection, group: &str) -> anyhow::Result<Self> {
        let mut any = Self::to_any(connection)?;
        let began = Instant::now();
        let request = FindCoordinatorRequest::default().with_key(StrBytes::from_string(group.to_owned()));
        loop {
            let found = any.call(3, &request)?;
            match ResponseError::try_from_code(found.error_code) {
                None => return Self::connect(&format!("{}:{}", found.host.as_str(), found.port)),
                Some(error) if error.is_retriable() && began.elapsed() < TIMEOUT => {
                    std::thread::sleep(BACKOFF)
                }
                Some(error) => return Err(anyhow!("the group has no coordinator: {error}")),
            }
        }
    }

    /// Connects to the broker that a partition is read from.
    ///
    /// # Errors
    /// A cluster that cannot be reached, or one that wants TLS or a login.
    pub(crate) fn to_leader(connection: &Connection, topic: &str, partition: i32) -> anyhow::Result<Self> {
        let mut any = Self::to_any(connection)?;
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let topic = MetadataRequestTopic::default().with_name(Some(name));
        let request =
            MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        let answer = any.call(4, &request)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let leader = partitions.find(|known| known.partition_index == partition).map(|known| known.leader_id);
        let leader = leader.and_then(|leader| answer.brokers.iter().find(|broker| broker.node_id == leader));
        let leader = leader.context("the partition has no leader")?;
        Self::connect(&format!("{}:{}", leader.host.as_str(), leader.port))
    }

    /// Connects to any broker of the cluster.
    fn to_any(connection: &Connection) -> anyhow::Result<Self> {
        let config = connection.config(&[])?;
        let security = config.get("security.protocol").unwrap_or("plaintext");
        if !security.eq_ignore_ascii_case("plaintext") {
            bail!("this needs a connection without TLS and login, not {security}");
        }
        Self::connect(config.get("bootstrap.servers").unwrap_or_default())
    }

    /// Connects to the first of some addresses, separated by commas, that answers.
    fn connect(addresses: &str) -> anyhow::Result<Self> {
        let mut last = anyhow!("no address");
        for address in addresses.split(',').map(str::trim) {
            // As librdkafka has it.
            let address = address.rsplit("://").next().unwrap_or(address);
            let with_port =
                if address.contains(':') { address.to_owned() } else { format!("{address}:9092") };
            let resolved = with_port.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            for socket in resolved.with_context(|| format!("cannot resolve {with_port}"))? {
                match TcpStream::connect_timeout(&socket, TIMEOUT) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        stream.set_read_timeout(Some(TIMEOUT))?;
                        stream.set_write_timeout(Some(TIMEOUT))?;
                        return Ok(Self { stream, asked: 0 });
                    }
                    Err(error) => last = anyhow!("cannot connect to {with_port}: {error}"),
                }
            }
        }
        Err(last)
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call<Q: Request>(&mut self, version: i16, request: &Q) -> anyhow::Result<Q::Response> {
        self.asked += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.asked)
            .with_client_id(Some(StrBytes::from_static_str("thalweg")));
        header.encode(&mut frame, Q::header_version(version))?;
        request.encode(&mut frame, version)?;
        let length = i32::try_from(frame.len() - 4)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame)?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).ok().filter(|length| *length <= LONGEST);
        let mut answer = vec![0; length.context("the broker's answer has no sensible length")?];
        self.stream.read_exact(&mut answer)?;
        let mut answer = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut answer, Q::Response::header_version(version))?;
        if header.correlation_id != self.asked {
            bail!("the broker has answered another question");
        }
        Q::Response::decode(&mut answer, version)
    }
}
