//! ListTransactions: which transactional ids there are, by state, producer id, age and name.

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
};

use crate::api::Call;
use crate::group::consumer::subscription::Pattern;
use crate::protocol::text;
use crate::txn::transaction::Transaction;

/// The states that Kafka knows, of which the last two cannot be seen here.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub(super) fn handle(call: &Call<'_>, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let response = ListTransactionsResponse::default();
    let pattern = match request.transactional_id_pattern.as_deref().filter(|pattern| !pattern.is_empty()) {
        Some(pattern) => match Pattern::new(pattern) {
            Ok(pattern) => Some(pattern),
            Err(_) => return response.with_error_code(ResponseError::InvalidRegularExpression.code()),
        },
        None => None,
    };
    let wanted = Wanted {
        states: request.state_filters.iter().map(|state| state.as_str()).collect(),
        producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
        duration_ms: request.duration_filter,
        pattern,
        now_ms: call.state.clock.now_ms(),
    };
    let states = call.state.transactions.list(|transaction| wanted.has(transaction)).into_iter();
    let states = states.map(|transaction| {
        TransactionState::default()
            .with_transactional_id(TransactionalId(text(&transaction.id)))
            .with_producer_id(ProducerId(transaction.producer_id))
            .with_transaction_state(text(transaction.phase.name()))
    });
    let states = states.collect();
    let unknown = wanted.states.iter().filter(|state| !STATES.contains(state)).map(|state| text(state));
    response.with_transaction_states(states).with_unknown_state_filters(unknown.collect())
}

struct Wanted<'a> {
    /// Any if there is none; likewise the producer ids.
    states: BTreeSet<&'a str>,
    producer_ids: BTreeSet<i64>,
    /// Only those that were begun longer ago; not looked at if negative.
    duration_ms: i64,
    pattern: Option<Pattern>,
    now_ms: i64,
}

impl Wanted<'_> {
    fn has(&self, transaction: &Transaction) -> bool {
        (self.states.is_empty() || self.states.contains(transaction.phase.name()))
            && (self.producer_ids.is_empty() || self.producer_ids.contains(&transaction.producer_id))
            && (self.duration_ms < 0 || self.now_ms.saturating_sub(transaction.started_ms) > self.duration_ms)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&transaction.id))
    }
}
