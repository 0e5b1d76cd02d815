//! EndTxn: commits or aborts a transaction. When it is answered, every reader can see that.

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use crate::api::Call;
use crate::api::init_producer_id::for_version;
use crate::log::batch::Marker;
use crate::txn::transaction::{ProducerKey, Version};

pub(super) fn handle(call: &Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let producer = ProducerKey { id: request.producer_id.0, epoch: request.producer_epoch };
    let marker = if request.committed { Marker::Commit } else { Marker::Abort };
    let version = if call.version >= 5 { Version::Two } else { Version::One };
    let (state, id) = (call.state, &request.transactional_id);
    let response = EndTxnResponse::default();
    match state.transactions.end(state, id, producer, marker, version) {
        // Only clients of the second version are told, and need to be.
        Ok(next) => response.with_producer_id(ProducerId(next.id)).with_producer_epoch(next.epoch),
        Err(error) => response
            .with_error_code(for_version(error, call.version >= 2).code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    }
}
