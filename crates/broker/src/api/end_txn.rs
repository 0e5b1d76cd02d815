//! EndTxn: commits or aborts a transaction. When it is answered, every reader can see that.

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};

use crate::api::init_producer_id::for_version;
use crate::api::{Call, code};
use crate::log::batch::Marker;
use crate::txn::transaction::ProducerKey;

pub(super) fn handle(call: &Call<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let producer = ProducerKey { id: request.producer_id.0, epoch: request.producer_epoch };
    let marker = if request.committed { Marker::Commit } else { Marker::Abort };
    let ended = call
        .state
        .transactions
        .end(call.state, &request.transactional_id, producer, marker)
        .map_err(|error| for_version(error, call.version >= 2));
    EndTxnResponse::default().with_error_code(code(&ended))
}
