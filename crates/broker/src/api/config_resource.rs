//! What settings are of: topics, the broker, groups. And altering them, which two APIs do in different words.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

use kafka_protocol::ResponseError;

use crate::api::Call;
use crate::api::proportion::check_group;
use crate::error::Refusal;
use crate::protocol::NODE_ID;
use crate::settings::alter::Alteration;
use crate::settings::store::Layer;
use crate::topics::check_name;

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Alters the settings of one resource.
pub(super) fn alter(
    call: &Call<'_>,
    (kind, name): (i8, &str),
    alteration: Alteration,
    validate_only: bool,
) -> Result<(), Refusal> {
    let state = call.state;
    match kind {
        TOPIC => {
            if name.is_empty() {
                return Err(invalid("Default topic resources are not allowed."));
            }
            check_name(name)?;
            let topic = state.topics.get(name).ok_or_else(|| {
                (ResponseError::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
            })?;
            state.topics.alter(&topic, alteration, &state.settings, validate_only)
        }
        BROKER => {
            state.settings.alter_broker(layer(name)?, alteration, validate_only)?;
            state.topics.inherit(&state.settings);
            Ok(())
        }
        GROUP if name.is_empty() => Err(invalid("Default group resources are not allowed.")),
        GROUP => {
            check_group(name).map_err(|error| (error, "The name of the group is too long.".to_owned()))?;
            state.settings.alter_group(name, alteration, validate_only)
        }
        other => Err(invalid(&format!(
            "Unexpected resource type {other}; this broker has topics, brokers and groups."
        ))),
    }
}

/// Which broker is meant: this one, or all.
pub(super) fn layer(name: &str) -> Result<Layer, Refusal> {
    if name.is_empty() {
        return Ok(Layer::Cluster);
    }
    match name.parse::<i32>() {
        Ok(NODE_ID) => Ok(Layer::Broker),
        Ok(_) => Err(invalid(&format!("Unexpected broker id, expected {NODE_ID}, but received {name}"))),
        Err(_) => Err(invalid(&format!("Node id must be an integer, but it is: {name}"))),
    }
}

/// Those of several that are named twice; a client that does so cannot mean both.
pub(super) fn named_twice<T: Ord + Hash>(names: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut once = HashSet::new();
    let mut twice = BTreeSet::new();
    for name in names {
        if let Some(name) = once.replace(name) {
            twice.insert(name);
        }
    }
    twice
}

pub(super) fn invalid(message: &str) -> Refusal {
    (ResponseError::InvalidRequest, message.to_owned())
}
