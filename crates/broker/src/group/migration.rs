//! Groups with members that change from the classic protocol to the new one (KIP-848), or back.
//!
//! A classic group of consumers becomes a consumer group when the first member of the new protocol joins; the others
//! go on in it as they are ([`consumer::classic`](super::consumer)) and can be replaced one by one. When the last
//! member of the new protocol has gone, it becomes a classic group again.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::group::Denied;
use crate::group::classic;
use crate::group::classic::Classic;
use crate::group::consumer::Consumer;
use crate::group::consumer::embedded::{self, CONSUMER};
use crate::group::consumer::member::{Classic as Spoken, Due, Member};
use crate::group::consumer::subscription::{Catalog, Pattern, Subscription};
use crate::settings::broker::BrokerSettings;

/// What the settings allow, `group.consumer.migration.policy` first: how many members a group may have to become
/// one of the other kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) upgrade: Option<usize>,
    pub(crate) downgrade: Option<usize>,
}

impl Policy {
    pub(crate) fn of(settings: &BrokerSettings) -> Self {
        Self {
            upgrade: settings.may_upgrade_groups.then_some(settings.consumer_group_max_size),
            downgrade: settings.may_downgrade_groups.then_some(settings.group_max_size),
        }
    }
}

/// The consumer group that a classic group with members becomes.
pub(super) fn upgrade(
    id: &str,
    group: &Classic,
    policy: Policy,
    catalog: &impl Catalog,
    now_ms: i64,
) -> Result<Consumer, Denied> {
    let refuse = |why: &str| {
        let message = format!("Cannot upgrade classic group {id} to consumer group because {why}.");
        Denied::new(ResponseError::GroupIdNotFound, message)
    };
    let Some(max_size) = policy.upgrade else {
        return Err(refuse("online upgrade is disabled"));
    };
    if group.protocol_type.as_str() != CONSUMER {
        return Err(refuse("the group does not use the consumer embedded protocol"));
    }
    if group.members.len() > max_size {
        return Err(refuse("the group size exceeds the consumer group maximum size"));
    }
    let member = |member: &classic::member::Member| upgrade_member(group, member, catalog, now_ms);
    let members: Result<Vec<Member>, &str> = group.members.iter().map(member).collect();
    let members = members.map_err(refuse)?;
    // What a rebalance that was under way, or a topic that has grown, has left over is assigned with the next epoch.
    let seen = is_complete(&members).then(|| catalog.version());
    Ok(Consumer::converted(group.generation, members, seen))
}

/// Whether the members have everything that they want.
fn is_complete(members: &[Member]) -> bool {
    let assigned: HashSet<(Uuid, i32)> = members.iter().flat_map(Member::held).collect();
    members
        .iter()
        .flat_map(|member| &member.topics)
        .all(|(topic, count)| (0..*count).all(|partition| assigned.contains(&(*topic, partition))))
}

fn upgrade_member(
    group: &Classic,
    member: &classic::member::Member,
    catalog: &impl Catalog,
    now_ms: i64,
) -> Result<Member, &'static str> {
    const MALFORMED: &str = "the embedded consumer protocol is malformed";
    let (assigned, more) = embedded::assignment(&member.assignment, catalog).ok_or(MALFORMED)?;
    if more {
        return Err(
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a \
                    default assignor before re-attempting the upgrade",
        );
    }
    // Whoever has joined the first rebalance of a group has not agreed upon a protocol yet.
    let agreed = member.protocols.iter().find(|(name, _)| *name == group.protocol);
    let (_, metadata) = agreed.or(member.protocols.first()).ok_or(MALFORMED)?;
    let subscribed = embedded::subscription(metadata, catalog).ok_or(MALFORMED)?;
    let subscription = Subscription { names: subscribed.topics, pattern: Pattern::default() };
    let protocols = member.protocols.iter();
    let session_timeout_ms = member.session_timeout_ms;
    let mut upgraded = Member {
        instance_id: member.instance_id.as_ref().map(ToString::to_string),
        rack_id: subscribed.rack_id,
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        rebalance_timeout_ms: i32::try_from(member.rebalance_timeout_ms).unwrap_or(i32::MAX),
        topics: subscription.resolve(catalog),
        subscription,
        epoch: group.generation,
        previous_epoch: group.generation,
        target: assigned.clone(),
        assigned,
        classic: Some(Spoken {
            session_timeout_ms,
            protocols: protocols
                .map(|(name, metadata)| (name.to_string(), classic::record::Blob(metadata.clone())))
                .collect(),
        }),
        due: Due { heard_ms: now_ms + session_timeout_ms, ..Due::default() },
        ..Member::new(member.id.to_string())
    };
    upgraded.has_since(group.generation);
    Ok(upgraded)
}

/// The classic group that a consumer group becomes in which everyone speaks the classic protocol.
pub(super) fn downgrade(group: &Consumer, rebalance: bool, catalog: &impl Catalog, now_ms: i64) -> Classic {
    let members = group.members().filter_map(|member| {
        let classic = member.classic.as_ref()?;
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let protocol = |(name, metadata): &(String, classic::record::Blob)| (text(name), metadata.0.clone());
        Some(classic::member::Member {
            id: text(&member.id),
            instance_id: member.instance_id.as_deref().map(text),
            client_id: text(&member.client_id),
            client_host: text(&member.client_host),
            session_timeout_ms: classic.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms.into(),
            protocols: classic.protocols.iter().map(protocol).collect(),
            assignment: embedded::encode_assignment(&member.target, &classic.metadata(), catalog),
            expires_ms: 0,
            is_new: false,
            has_synced: true,
            joining: None,
            syncing: None,
        })
    });
    Classic::converted(group.epoch, CONSUMER, members.collect(), rebalance, now_ms)
}
