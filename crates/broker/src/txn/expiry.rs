//! Transactional ids that nobody has used in a long time are forgotten (`transactional.id.expiration.ms`). Whoever comes
//! back with one gets another producer id.

use crate::state::State;
use crate::txn::coordinator::{Transactions, lock};
use crate::txn::transaction::Transaction;

impl Transactions {
    /// Forgets what is old enough if it is time to look; returns when to look again.
    pub(super) fn forget_unused(&self, state: &State, now_ms: i64) -> Option<i64> {
        let settings = state.settings.broker();
        let (is_due, next_ms) = self.expiry.check(now_ms, settings.transactional_id_check_interval_ms);
        if !is_due {
            return Some(next_ms);
        }
        for entry in self.entries() {
            let mut transaction = lock(&entry);
            if !transaction.is_unused(now_ms, settings.transactional_id_expiration_ms) {
                continue;
            }
            if self.steps().forget(&transaction.id).is_err() {
                // It has been said why. Next time, then.
                break;
            }
            tracing::info!(id = transaction.id, "a transactional id that nobody uses is forgotten");
            self.by_id().remove(&transaction.id);
            // Whoever has found it before sees that it has no producer.
            *transaction = Transaction::new(&transaction.id, now_ms);
        }
        Some(next_ms)
    }
}

impl Transaction {
    /// Whether nothing is under way and has not been for so long.
    fn is_unused(&self, now_ms: i64, expiration_ms: i64) -> bool {
        let at_rest = self.deadline_ms().is_none() && self.undelivered().is_none();
        let updated_ms = self.updated_ms.unwrap_or(now_ms);
        at_rest && now_ms.saturating_sub(updated_ms) >= expiration_ms
    }
}
