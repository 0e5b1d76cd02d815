//! Kafka's requests: one file each, and here the table of those that are answered.
//!
//! A handler gets the decoded request and returns the response. Only fetch, join and sync wait.

mod acls;
mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_user_scram_credentials;
mod api_versions;
mod assignments;
mod client_quotas;
mod config_resource;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod faulty;
mod fetch;
mod fetch_answer;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leader_epoch;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod newest;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod proportion;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
mod sync_group;
mod txn_offset_commit;
mod write_txn_markers;

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use crate::blocking::blocking;
use crate::metrics::outcome::Outcome;
use crate::protocol::SUPPORTED;
use crate::protocol::lengths::Wary;
use crate::server::endpoint::Endpoint;
use crate::server::output::Output;
use crate::state::State;

/// Who asks, and how.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) client_id: StrBytes,
    pub(crate) peer: IpAddr,
    /// Where the client has reached us.
    pub(crate) local: SocketAddr,
    /// The listener it has come by.
    pub(crate) listener: &'a Endpoint,
}

impl Call<'_> {
    /// Host and port that clients shall connect to.
    pub(crate) fn endpoint(&self) -> (StrBytes, i32) {
        match &self.listener.advertised {
            Some(advertised) => (advertised.host.clone(), i32::from(advertised.port)),
            None => (
                StrBytes::from_string(self.local.ip().to_canonical().to_string()),
                i32::from(self.local.port()),
            ),
        }
    }
}

/// The client does not speak the protocol, or not as we said; the connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request cannot be decoded: {0}")]
    Malformed(String),
    #[error("the response cannot be encoded: {0}")]
    Unanswerable(String),
    #[error("API {api_key} version {version} is not supported")]
    Unsupported { api_key: i16, version: i16 },
    #[error("a produce request that wants no answer has failed: {0}")]
    Unacknowledged(ResponseError),
    #[error("a client asks for something before it has proved who it is")]
    Unauthenticated,
    #[error("a client has not proved in time again who it is")]
    Expired,
    #[error("a test wants the connection closed")]
    Disconnected,
    #[error("a test wants silence on the connection")]
    Silenced,
}

/// A request whose header is read.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: StrBytes,
    pub(crate) body: Bytes,
}

impl Frame {
    /// Reads the header of a request.
    pub(crate) fn parse(mut bytes: Bytes) -> Result<Self, Refused> {
        if bytes.len() < 8 {
            return Err(Refused::Malformed("the header is incomplete".to_owned()));
        }
        let (api_key, version) = ((&bytes[0..]).get_i16(), (&bytes[2..]).get_i16());
        let unsupported = || Refused::Unsupported { api_key, version };
        let key = ApiKey::try_from(api_key).map_err(|()| unsupported())?;
        let &(_, min, max) = SUPPORTED.iter().find(|(known, ..)| *known == key).ok_or_else(unsupported)?;
        if !(min..=max).contains(&version) {
            if key == ApiKey::ApiVersions {
                // A client from the future. It is told what there is, in the oldest version, and its header may
                // be anything.
                let correlation_id = (&bytes[4..]).get_i32();
                return Ok(Self {
                    key,
                    version,
                    correlation_id,
                    client_id: StrBytes::new(),
                    body: Bytes::new(),
                });
            }
            return Err(unsupported());
        }
        let header =
            RequestHeader::decode(&mut bytes, key.request_header_version(version)).map_err(malformed)?;
        let client_id = header.client_id.unwrap_or_default();
        Ok(Self { key, version, correlation_id: header.correlation_id, client_id, body: bytes })
    }

    /// Whether carrying it out may take long: what is written to disk, and whatever says very much. Batches of records see
    /// for themselves.
    fn is_heavy(&self) -> bool {
        const MUCH: usize = 64 * 1024;
        match self.key {
            ApiKey::Produce => false,
            ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::DeleteRecords
            | ApiKey::DescribeConfigs
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::DescribeLogDirs
            | ApiKey::DescribeProducers
            | ApiKey::WriteTxnMarkers
            | ApiKey::DeleteGroups
            | ApiKey::OffsetDelete
            | ApiKey::AlterUserScramCredentials => true,
            _ => self.body.len() > MUCH,
        }
    }

    /// Whether the answer may take long, so that earlier answers should not wait for it.
    pub(crate) fn may_wait(&self) -> bool {
        matches!(self.key, ApiKey::Fetch | ApiKey::JoinGroup | ApiKey::SyncGroup)
    }
}

/// Carries a request out and appends the answer, if there is one, to `out`. Faults that tests have set come first.
pub(crate) async fn answer(call: &Call<'_>, frame: Frame, out: &mut Output) -> Result<(), Refused> {
    let _in_flight = call.state.metrics.requests_in_flight.one_more();
    let begun = Instant::now();
    let answered = if call.state.faults.any() {
        answer_or_meet_fault(call, frame, out).await
    } else {
        carry_out(call, frame, out).await
    };
    call.state.metrics.answered(call.key, begun.elapsed());
    answered
}

async fn answer_or_meet_fault(call: &Call<'_>, frame: Frame, out: &mut Output) -> Result<(), Refused> {
    let before = out.mark();
    match faulty::meet(call, &frame, out).await? {
        faulty::Met::Nothing => carry_out(call, frame, out).await,
        faulty::Met::Refused => Ok(()),
        faulty::Met::LostAnswer(refused) => {
            carry_out(call, frame, out).await?;
            out.cut(before);
            Err(refused)
        }
    }
}

async fn carry_out(call: &Call<'_>, frame: Frame, out: &mut Output) -> Result<(), Refused> {
    if !frame.may_wait() {
        return if frame.is_heavy() {
            blocking(|| carry_out_at_once(call, frame, out))
        } else {
            carry_out_at_once(call, frame, out)
        };
    }
    let Frame { key, correlation_id: id, body, .. } = frame;
    match key {
        ApiKey::Fetch => {
            let answer = fetch::handle(call, decode(call, body)?).await;
            answer.codes().for_each(|code| count(call, code));
            answer.write(id, call.version, out)
        }
        ApiKey::JoinGroup => reply(call, id, out, &join_group::handle(call, decode(call, body)?).await),
        ApiKey::SyncGroup => reply(call, id, out, &sync_group::handle(call, decode(call, body)?).await),
        _ => Err(Refused::Unsupported { api_key: key as i16, version: call.version }),
    }
}

/// Carries out what need not wait for others.
fn carry_out_at_once(call: &Call<'_>, frame: Frame, out: &mut Output) -> Result<(), Refused> {
    let Frame { key, correlation_id: id, body, .. } = frame;
    match key {
        ApiKey::Produce => match produce::handle(call, decode(call, body)?)? {
            Some(response) => reply(call, id, out, &response),
            None => Ok(()),
        },
        ApiKey::ListOffsets => reply(call, id, out, &list_offsets::handle(call, decode(call, body)?)),
        ApiKey::Metadata => reply(call, id, out, &metadata::handle(call, decode(call, body)?)),
        ApiKey::OffsetCommit => reply(call, id, out, &offset_commit::handle(call, decode(call, body)?)),
        ApiKey::OffsetFetch => reply(call, id, out, &offset_fetch::handle(call, decode(call, body)?)),
        ApiKey::FindCoordinator => reply(call, id, out, &find_coordinator::handle(call, decode(call, body)?)),
        ApiKey::Heartbeat => reply(call, id, out, &heartbeat::handle(call, decode(call, body)?)),
        ApiKey::LeaveGroup => reply(call, id, out, &leave_group::handle(call, decode(call, body)?)),
        ApiKey::DescribeGroups => reply(call, id, out, &describe_groups::handle(call, decode(call, body)?)),
        ApiKey::ListGroups => reply(call, id, out, &list_groups::handle(call, decode(call, body)?)),
        ApiKey::ApiVersions => {
            let (version, response) = api_versions::handle(call, body)?;
            encode(id, out, version, &response)
        }
        ApiKey::CreateTopics => reply(call, id, out, &create_topics::handle(call, decode(call, body)?)),
        ApiKey::DeleteTopics => reply(call, id, out, &delete_topics::handle(call, decode(call, body)?)),
        ApiKey::DeleteRecords => reply(call, id, out, &delete_records::handle(call, decode(call, body)?)),
        ApiKey::InitProducerId => reply(call, id, out, &init_producer_id::handle(call, decode(call, body)?)),
        ApiKey::AddPartitionsToTxn => {
            reply(call, id, out, &add_partitions_to_txn::handle(call, decode(call, body)?))
        }
        ApiKey::AddOffsetsToTxn => {
            reply(call, id, out, &add_offsets_to_txn::handle(call, decode(call, body)?))
        }
        ApiKey::EndTxn => reply(call, id, out, &end_txn::handle(call, decode(call, body)?)),
        ApiKey::TxnOffsetCommit => {
            reply(call, id, out, &txn_offset_commit::handle(call, decode(call, body)?))
        }
        ApiKey::WriteTxnMarkers => {
            reply(call, id, out, &write_txn_markers::handle(call, decode(call, body)?))
        }
        ApiKey::DescribeProducers => {
            reply(call, id, out, &describe_producers::handle(call, decode(call, body)?))
        }
        ApiKey::DescribeTransactions => {
            reply(call, id, out, &describe_transactions::handle(call, decode(call, body)?))
        }
        ApiKey::ListTransactions => {
            reply(call, id, out, &list_transactions::handle(call, decode(call, body)?))
        }
        ApiKey::DescribeConfigs => reply(call, id, out, &describe_configs::handle(call, decode(call, body)?)),
        ApiKey::AlterConfigs => reply(call, id, out, &alter_configs::handle(call, decode(call, body)?)),
        ApiKey::CreatePartitions => {
            reply(call, id, out, &create_partitions::handle(call, decode(call, body)?))
        }
        ApiKey::DeleteGroups => reply(call, id, out, &delete_groups::handle(call, decode(call, body)?)),
        ApiKey::IncrementalAlterConfigs => {
            reply(call, id, out, &incremental_alter_configs::handle(call, decode(call, body)?))
        }
        ApiKey::OffsetDelete => reply(call, id, out, &offset_delete::handle(call, decode(call, body)?)),
        ApiKey::DescribeCluster => reply(call, id, out, &describe_cluster::handle(call, decode(call, body)?)),
        ApiKey::ConsumerGroupHeartbeat => {
            reply(call, id, out, &consumer_group_heartbeat::handle(call, decode(call, body)?))
        }
        ApiKey::ConsumerGroupDescribe => {
            reply(call, id, out, &consumer_group_describe::handle(call, decode(call, body)?))
        }
        ApiKey::ListConfigResources => {
            reply(call, id, out, &list_config_resources::handle(call, decode(call, body)?))
        }
        ApiKey::OffsetForLeaderEpoch => {
            reply(call, id, out, &offset_for_leader_epoch::handle(call, decode(call, body)?))
        }
        ApiKey::DescribeLogDirs => {
            reply(call, id, out, &describe_log_dirs::handle(call, decode(call, body)?))
        }
        ApiKey::ListPartitionReassignments => {
            reply(call, id, out, &list_partition_reassignments::handle(call, decode(call, body)?))
        }
        ApiKey::DescribeTopicPartitions => {
            reply(call, id, out, &describe_topic_partitions::handle(call, decode(call, body)?))
        }
        ApiKey::SaslHandshake => reply(call, id, out, &sasl_handshake::refuse()),
        ApiKey::SaslAuthenticate => reply(call, id, out, &sasl_authenticate::refuse()),
        ApiKey::DescribeClientQuotas => {
            reply(call, id, out, &client_quotas::describe(call, decode(call, body)?))
        }
        ApiKey::AlterClientQuotas => reply(call, id, out, &client_quotas::alter(call, decode(call, body)?)),
        ApiKey::DescribeAcls => reply(call, id, out, &acls::describe(decode(call, body)?)),
        ApiKey::CreateAcls => reply(call, id, out, &acls::create(decode(call, body)?)),
        ApiKey::DeleteAcls => reply(call, id, out, &acls::delete(decode(call, body)?)),
        ApiKey::ElectLeaders => reply(call, id, out, &elect_leaders::handle(call, decode(call, body)?)),
        ApiKey::AlterPartitionReassignments => {
            reply(call, id, out, &alter_partition_reassignments::handle(call, decode(call, body)?))
        }
        ApiKey::DescribeUserScramCredentials => {
            reply(call, id, out, &describe_user_scram_credentials::handle(call, decode(call, body)?))
        }
        ApiKey::AlterUserScramCredentials => {
            reply(call, id, out, &alter_user_scram_credentials::handle(call, decode(call, body)?))
        }
        // `SUPPORTED` let it through, so this is a line forgotten above.
        _ => Err(Refused::Unsupported { api_key: key as i16, version: call.version }),
    }
}

/// Reads the body of a request.
pub(crate) fn decode<Q: Request>(call: &Call<'_>, body: Bytes) -> Result<Q, Refused> {
    let mut body = newest::request(call.key, call.version, body)?;
    let version = newest::known(call.key, call.version);
    Q::decode(&mut Wary::new(body.clone()), version).map_err(malformed)?;
    Q::decode(&mut body, version).map_err(malformed)
}

/// Appends an answer to `out`.
pub(crate) fn reply<R: Encodable + HeaderVersion + Outcome>(
    call: &Call<'_>,
    id: i32,
    out: &mut Output,
    response: &R,
) -> Result<(), Refused> {
    response.codes(|code| count(call, code));
    let (mark, start) = (out.mark(), out.bytes().len());
    let known = newest::known(call.key, call.version);
    encode(id, out, known, response)?;
    if known != call.version {
        // Such a version is a flexible one: length, correlation id, and no tags.
        newest::response(call.key, call.version, out.bytes(), start + 4 + 4 + 1)
            .inspect_err(|_| out.cut(mark))?;
        out.put_length(mark);
    }
    Ok(())
}

fn encode<R: Encodable + HeaderVersion>(
    id: i32,
    out: &mut Output,
    version: i16,
    response: &R,
) -> Result<(), Refused> {
    let mark = out.mark();
    let bytes = out.bytes();
    bytes.put_i32(0);
    let encoded = ResponseHeader::default()
        .with_correlation_id(id)
        .encode(bytes, R::header_version(version))
        .and_then(|()| response.encode(bytes, version));
    if let Err(error) = encoded {
        out.cut(mark);
        return Err(unanswerable(error));
    }
    out.put_length(mark);
    Ok(())
}

/// Counts an error that a client is told of.
fn count(call: &Call<'_>, code: i16) {
    if code != 0 {
        call.state.metrics.failed(call.key, code);
    }
}

fn unanswerable(error: impl std::fmt::Display) -> Refused {
    Refused::Unanswerable(error.to_string())
}

fn malformed(error: impl std::fmt::Display) -> Refused {
    Refused::Malformed(error.to_string())
}
