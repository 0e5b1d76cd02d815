//! InitProducerId: an id for an idempotent producer, or charge of a transactional id.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::api::Call;
use crate::api::proportion::check_size;
use crate::txn::transaction::ProducerKey;

pub(super) fn handle(call: &Call<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let transactions = &call.state.transactions;
    let result = match request.transactional_id.as_ref().map(|id| id.as_str()) {
        None => transactions.new_producer_id().map(|id| ProducerKey { id, epoch: 0 }),
        Some("") => Err(ResponseError::InvalidRequest),
        Some(id) => check_size([id.len()]).and_then(|()| known(&request)).and_then(|known| {
            transactions.init(call.state, id, i64::from(request.transaction_timeout_ms), known)
        }),
    };
    match result {
        Ok(key) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(key.id))
            .with_producer_epoch(key.epoch),
        Err(error) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
            .with_error_code(for_version(error, call.version >= 4).code()),
    }
}

/// Who the producer says it was.
fn known(request: &InitProducerIdRequest) -> Result<Option<ProducerKey>, ResponseError> {
    match (request.producer_id.0, request.producer_epoch) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(ResponseError::InvalidRequest),
        (id, epoch) => Ok(Some(ProducerKey { id, epoch })),
    }
}

/// Clients learnt late what "fenced" is; before, they were told of an invalid epoch.
pub(super) fn for_version(error: ResponseError, knows_fenced: bool) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if !knows_fenced => ResponseError::InvalidProducerEpoch,
        other => other,
    }
}
