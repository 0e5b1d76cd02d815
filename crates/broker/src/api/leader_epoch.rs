//! The epoch of the leader, as clients know it: a client that has heard of another is behind or ahead of us.

use kafka_protocol::ResponseError;

/// The only leader's.
pub(super) const EPOCH: i32 = 0;
/// What a client says that does not care.
pub(super) const NONE: i32 = -1;

/// Checks the epoch that a client believes the leader to have.
pub(super) fn check(current: i32) -> Result<(), ResponseError> {
    match current {
        NONE | EPOCH => Ok(()),
        later if later > EPOCH => Err(ResponseError::UnknownLeaderEpoch),
        _ => Err(ResponseError::FencedLeaderEpoch),
    }
}
