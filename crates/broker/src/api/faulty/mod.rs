//! Requests that meet a fault which a test has set.
//!
//! Only looked at while a fault is set: the request is decoded here once more, to see what it asks for.

mod refusals;

use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, CreateTopicsRequest, EndTxnRequest,
    FetchRequest, FindCoordinatorRequest, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest,
    ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
    SyncGroupRequest, TxnOffsetCommitRequest,
};

use crate::api::faulty::refusals::Refusable;
use crate::api::{Call, Frame, Refused, decode, reply};
use crate::faults::{Asked, Fault, Lost};
use crate::server::output::Output;

/// What is left to do with a request.
pub(super) enum Met {
    /// To carry it out.
    Nothing,
    /// Nothing: the answer is written.
    Refused,
    /// To carry it out, throw the answer away, and treat the connection so.
    LostAnswer(Refused),
}

/// Names the decoded type of every API that can be failed.
macro_rules! refusable {
    ($key:expr, $then:ident, $otherwise:expr) => {
        match $key {
            ApiKey::Produce => $then!(ProduceRequest),
            ApiKey::Fetch => $then!(FetchRequest),
            ApiKey::ListOffsets => $then!(ListOffsetsRequest),
            ApiKey::Metadata => $then!(MetadataRequest),
            ApiKey::OffsetCommit => $then!(OffsetCommitRequest),
            ApiKey::OffsetFetch => $then!(OffsetFetchRequest),
            ApiKey::FindCoordinator => $then!(FindCoordinatorRequest),
            ApiKey::JoinGroup => $then!(JoinGroupRequest),
            ApiKey::Heartbeat => $then!(HeartbeatRequest),
            ApiKey::SyncGroup => $then!(SyncGroupRequest),
            ApiKey::CreateTopics => $then!(CreateTopicsRequest),
            ApiKey::InitProducerId => $then!(InitProducerIdRequest),
            ApiKey::AddPartitionsToTxn => $then!(AddPartitionsToTxnRequest),
            ApiKey::AddOffsetsToTxn => $then!(AddOffsetsToTxnRequest),
            ApiKey::EndTxn => $then!(EndTxnRequest),
            ApiKey::TxnOffsetCommit => $then!(TxnOffsetCommitRequest),
            _ => $otherwise,
        }
    };
}

/// Lets a request meet its fault, if there is one for it.
pub(super) async fn meet(call: &Call<'_>, frame: &Frame, out: &mut Output) -> Result<Met, Refused> {
    macro_rules! decoded {
        ($request:ty) => {
            meet_as::<$request>(call, frame, out).await
        };
    }
    refusable!(frame.key, decoded, {
        match call.state.faults.take(&asked(call, frame)) {
            Some(fault) => lose(fault).await,
            None => Ok(Met::Nothing),
        }
    })
}

async fn meet_as<Q: Refusable>(call: &Call<'_>, frame: &Frame, out: &mut Output) -> Result<Met, Refused> {
    let request: Q = decode(call, frame.body.clone())?;
    let mut asked = asked(call, frame);
    request.describe(call, &mut asked);
    match call.state.faults.take(&asked) {
        None => Ok(Met::Nothing),
        Some(Fault::Fail(error)) if request.wants_answer() => {
            reply(call, frame.correlation_id, out, &request.refusal(call, error.code()))?;
            Ok(Met::Refused)
        }
        Some(Fault::Fail(error)) => Err(Refused::Unacknowledged(error)),
        Some(fault) => lose(fault).await,
    }
}

fn asked(call: &Call<'_>, frame: &Frame) -> Asked {
    Asked {
        api: frame.key,
        version: call.version,
        client_id: call.client_id.to_string(),
        topics: Vec::new(),
        transactional_id: None,
        group: None,
    }
}

/// The faults that need not know what the request is.
async fn lose(fault: Fault) -> Result<Met, Refused> {
    match fault {
        // Cannot be set for an API that has no refusal.
        Fault::Fail(_) => Ok(Met::Nothing),
        Fault::Delay(patience) => {
            tokio::time::sleep(patience).await;
            Ok(Met::Nothing)
        }
        Fault::Drop(Lost::Request) => Err(Refused::Silenced),
        Fault::Drop(Lost::Answer) => Ok(Met::LostAnswer(Refused::Silenced)),
        Fault::Disconnect(Lost::Request) => Err(Refused::Disconnected),
        Fault::Disconnect(Lost::Answer) => Ok(Met::LostAnswer(Refused::Disconnected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::CAN_FAIL;
    use crate::protocol::SUPPORTED;

    #[test]
    fn what_may_be_failed_is_what_has_a_refusal() {
        macro_rules! yes {
            ($request:ty) => {
                true
            };
        }
        for (key, ..) in SUPPORTED {
            assert_eq!(CAN_FAIL.contains(key), refusable!(key, yes, false), "{key:?}");
        }
    }
}
