//! What is kept of a classic group over a restart: its members and what each of them has, so that they go on in
//! the same generation and notice nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::group::classic::member::Member;
use crate::group::classic::{Classic, Phase};

/// A classic group in a journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ClassicRecord {
    generation: i32,
    #[serde(rename = "type")]
    protocol_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    protocol: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    leader: String,
    /// Since when nobody is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    empty_since_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    members: Vec<MemberRecord>,
    /// Everyone was about to join again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unsettled: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MemberRecord {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_id: Option<String>,
    client_id: String,
    client_host: String,
    session_timeout_ms: i64,
    rebalance_timeout_ms: i64,
    protocols: Vec<(String, Blob)>,
    assignment: Blob,
}

/// Bytes that only clients understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

impl From<&Classic> for ClassicRecord {
    fn from(classic: &Classic) -> Self {
        Self {
            generation: classic.generation,
            protocol_type: classic.protocol_type.to_string(),
            protocol: classic.protocol.to_string(),
            leader: classic.leader.to_string(),
            empty_since_ms: classic.empty_since_ms,
            members: classic.members.iter().map(MemberRecord::from).collect(),
            unsettled: classic.unsettled,
        }
    }
}

impl From<&Member> for MemberRecord {
    fn from(member: &Member) -> Self {
        let protocol = |(name, metadata): &(StrBytes, Bytes)| (name.to_string(), Blob(metadata.clone()));
        Self {
            id: member.id.to_string(),
            instance_id: member.instance_id.as_ref().map(ToString::to_string),
            client_id: member.client_id.to_string(),
            client_host: member.client_host.to_string(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            protocols: member.protocols.iter().map(protocol).collect(),
            assignment: Blob(member.assignment.clone()),
        }
    }
}

impl From<ClassicRecord> for Classic {
    /// The sessions of its members have ended until [`Classic::go_on`] is called.
    fn from(record: ClassicRecord) -> Self {
        let phase = if record.members.is_empty() { Phase::Empty } else { Phase::Stable };
        Self {
            phase,
            generation: record.generation,
            protocol_type: record.protocol_type.into(),
            protocol: record.protocol.into(),
            leader: record.leader.into(),
            empty_since_ms: record.empty_since_ms,
            members: record.members.into_iter().map(Member::from).collect(),
            unsettled: record.unsettled,
            ..Self::default()
        }
    }
}

impl From<MemberRecord> for Member {
    fn from(record: MemberRecord) -> Self {
        let protocol = |(name, metadata): (String, Blob)| (name.into(), metadata.0);
        Self {
            id: record.id.into(),
            instance_id: record.instance_id.map(StrBytes::from_string),
            client_id: record.client_id.into(),
            client_host: record.client_host.into(),
            session_timeout_ms: record.session_timeout_ms,
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            protocols: record.protocols.into_iter().map(protocol).collect(),
            assignment: record.assignment.0,
            expires_ms: 0,
            is_new: false,
            has_synced: true,
            joining: None,
            syncing: None,
        }
    }
}
