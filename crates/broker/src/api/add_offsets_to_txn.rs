//! AddOffsetsToTxn: a transaction is going to commit offsets of a group.

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::api::Call;
use crate::api::init_producer_id::for_version;
use crate::api::proportion::check_group;
use crate::protocol::code;
use crate::txn::transaction::{Part, ProducerKey};

pub(super) fn handle(call: &Call<'_>, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let producer = ProducerKey { id: request.producer_id.0, epoch: request.producer_epoch };
    let (state, id, group) = (call.state, &request.transactional_id, &request.group_id);
    let added = check_group(group)
        .and_then(|()| state.transactions.add(state, id, producer, [Part::Group(group)]))
        .map_err(|error| for_version(error, call.version >= 2));
    AddOffsetsToTxnResponse::default().with_error_code(code(&added))
}
