//! One member of a classic group, and what it is waiting for.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use crate::group::classic::Join;

/// What a member is told at the end of a join.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocol: StrBytes,
    pub(crate) leader: StrBytes,
    pub(crate) member_id: StrBytes,
    /// For the leader only: id, instance and metadata of everyone.
    pub(crate) members: Vec<(StrBytes, Option<StrBytes>, Bytes)>,
    /// The leader is back with the same subscription: everyone keeps what it has.
    pub(crate) skip_assignment: bool,
}

/// Why a join failed; the member id is the one to come back with.
#[derive(Debug, Clone)]
pub(crate) struct JoinRefused {
    pub(crate) error: ResponseError,
    pub(crate) member_id: StrBytes,
}

/// What a member is told at the end of a sync.
#[derive(Debug, Clone)]
pub(crate) struct Synced {
    pub(crate) protocol_type: StrBytes,
    pub(crate) protocol: StrBytes,
    pub(crate) assignment: Bytes,
}

pub(crate) type JoinReply = Result<Joined, JoinRefused>;
pub(crate) type SyncReply = Result<Synced, ResponseError>;

/// An answer that is there, or one to wait for.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

impl<T> Answer<T> {
    /// Waits for it; `None` if the group has gone meanwhile.
    pub(crate) async fn get(self) -> Option<T> {
        match self {
            Self::Now(answer) => Some(answer),
            Self::Later(answer) => answer.await.ok(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: StrBytes,
    /// Of a static member, which keeps its place while it is away.
    pub(crate) instance_id: Option<StrBytes>,
    pub(crate) client_id: StrBytes,
    pub(crate) client_host: StrBytes,
    pub(crate) session_timeout_ms: i64,
    pub(crate) rebalance_timeout_ms: i64,
    /// Names and metadata, the preferred one first.
    pub(crate) protocols: Vec<(StrBytes, Bytes)>,
    pub(crate) assignment: Bytes,
    /// When its session ends, unless it is heard of.
    pub(crate) expires_ms: i64,
    /// It has not been told its id yet, so it cannot beat.
    pub(crate) is_new: bool,
    /// Whether it has asked for its share in this generation.
    pub(crate) has_synced: bool,
    pub(crate) joining: Option<oneshot::Sender<JoinReply>>,
    pub(crate) syncing: Option<oneshot::Sender<SyncReply>>,
}

impl Member {
    /// The member was heard of.
    pub(crate) fn touch(&mut self, now_ms: i64) {
        self.expires_ms = now_ms + self.session_timeout_ms;
    }

    /// Takes over what it says when it joins again.
    pub(crate) fn update(&mut self, join: Join, now_ms: i64) {
        self.protocols = join.protocols;
        self.session_timeout_ms = join.session_timeout_ms;
        self.rebalance_timeout_ms = join.rebalance_timeout_ms;
        self.touch(now_ms);
    }

    /// From now on it waits for the others to join.
    pub(crate) fn wait(&mut self) -> Answer<JoinReply> {
        let (sender, receiver) = oneshot::channel();
        self.joining = Some(sender);
        Answer::Later(receiver)
    }

    /// When its session ends; while it waits for the others, its silence means nothing.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (self.is_new || !waits).then_some(self.expires_ms)
    }

    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name.as_str() == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(crate) fn answer_join(&mut self, reply: JoinReply) {
        if let Some(joining) = self.joining.take() {
            // The connection may have gone; the member's session will then end by itself.
            let _ = joining.send(reply);
        }
    }

    pub(crate) fn answer_sync(&mut self, reply: SyncReply) {
        if let Some(syncing) = self.syncing.take() {
            let _ = syncing.send(reply);
        }
    }
}
