//! A group as the cluster describes it, whichever protocol its members speak.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, GroupId};
use kafka_protocol::protocol::StrBytes;
use rdkafka::consumer::Consumer as _;
use rdkafka::groups::GroupInfo;

use super::assignment;
use crate::client::{Connection, TIMEOUT};
use crate::cluster::{Cluster, TopicPartition};
use crate::wire::Wire;

/// What librdkafka says of a group that does not speak the classic protocol, which is the only one that it describes,
/// and of one that is not there.
const UNKNOWN: &str = "Dead";

/// See the module.
pub(super) struct Group {
    pub(super) name: String,
    /// Kafka's type of group: `classic`, `consumer` (KIP-848), or `-` if it is another one.
    pub(super) kind: &'static str,
    pub(super) state: String,
    /// How partitions are divided.
    pub(super) assignor: String,
    pub(super) members: Vec<Member>,
}

pub(super) struct Member {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) host: String,
    pub(super) partitions: Vec<TopicPartition>,
}

/// All groups of the cluster, by name.
pub(super) fn list(connection: &Connection, cluster: &Cluster<'_>) -> anyhow::Result<Vec<Group>> {
    let asked = cluster.consumer().fetch_group_list(None, TIMEOUT);
    let list = asked.map_err(|error| cluster.failed("list the groups", &error))?;
    let described =
        list.groups().iter().map(|group| classic(group).unwrap_or_else(|| other(connection, group.name())));
    let mut groups: Vec<_> = described.collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// One group. One that is not there has the state `-`.
pub(super) fn describe(connection: &Connection, cluster: &Cluster<'_>, name: &str) -> anyhow::Result<Group> {
    let asked = cluster.consumer().fetch_group_list(Some(name), TIMEOUT);
    let list = asked.map_err(|error| cluster.failed(&format!("describe group '{name}'"), &error))?;
    let found = list.groups().iter().find(|group| group.name() == name);
    Ok(found.and_then(classic).unwrap_or_else(|| other(connection, name)))
}

fn classic(group: &GroupInfo) -> Option<Group> {
    if matches!(group.state(), "" | UNKNOWN) {
        return None;
    }
    let members = group.members().iter().map(|member| Member {
        id: member.id().to_owned(),
        client: member.client_id().to_owned(),
        host: member.client_host().to_owned(),
        partitions: assignment::partitions(member.assignment().unwrap_or_default()),
    });
    Some(Group {
        name: group.name().to_owned(),
        kind: "classic",
        state: group.state().to_owned(),
        assignor: group.protocol().to_owned(),
        members: members.collect(),
    })
}

/// A group that does not speak the classic protocol, as far as it can be described.
fn other(connection: &Connection, name: &str) -> Group {
    match new(connection, name) {
        Ok(Some(group)) => return group,
        Ok(None) => {}
        // An old cluster, or a connection that only librdkafka can make: its offsets are known all the same.
        Err(error) => tracing::warn!(group = name, %error, "the members of the group cannot be asked for"),
    }
    let nothing = || "-".to_owned();
    Group { name: name.to_owned(), kind: "-", state: nothing(), assignor: nothing(), members: Vec::new() }
}

/// A group of the new protocol (KIP-848), if it is one.
fn new(connection: &Connection, name: &str) -> anyhow::Result<Option<Group>> {
    let id = GroupId(StrBytes::from_string(name.to_owned()));
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id]);
    let answer = Wire::to_coordinator(connection, name)?.call(0, &request)?;
    let Some(group) = answer.groups.into_iter().next() else { return Ok(None) };
    match ResponseError::try_from_code(group.error_code) {
        None => {}
        Some(ResponseError::GroupIdNotFound) => return Ok(None),
        Some(error) => return Err(error.into()),
    }
    let members = group.members.into_iter().map(|member| Member {
        id: member.member_id.to_string(),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        partitions: (member.assignment.topic_partitions.iter())
            .flat_map(|topic| {
                topic.partitions.iter().map(|partition| (topic.topic_name.to_string(), *partition))
            })
            .collect(),
    });
    Ok(Some(Group {
        name: name.to_owned(),
        kind: "consumer",
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        members: members.collect(),
    }))
}
