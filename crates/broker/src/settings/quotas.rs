//! Quotas of users, clients and addresses, as Kafka has them. They are kept and described, and not enforced.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::error::Refusal;

/// Whom a quota is for: by kind, the name of one, or none for all that have no quota of their own.
pub(crate) type Entity = BTreeMap<String, Option<String>>;

/// The quota of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quota {
    pub(crate) entity: Entity,
    pub(crate) values: BTreeMap<String, f64>,
}

/// All quotas; a list, because JSON has no keys but strings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Quotas(Vec<Quota>);

/// Which quotas somebody asks for.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) components: Vec<(String, Match)>,
    /// Whether an entity may have no other kinds.
    pub(crate) strict: bool,
}

/// What is asked for of one kind.
#[derive(Debug)]
pub(crate) enum Match {
    Name(String),
    Default,
    Any,
}

impl Quotas {
    /// What quotas can be for.
    pub(crate) const KINDS: [&'static str; 3] = ["user", "client-id", "ip"];

    /// The quotas that were asked for.
    pub(crate) fn matching(&self, filter: &Filter) -> impl Iterator<Item = &Quota> {
        self.0.iter().filter(|quota| {
            let fits = |(kind, wanted): &(String, Match)| match (quota.entity.get(kind), wanted) {
                (Some(name), Match::Name(wanted)) => name.as_ref() == Some(wanted),
                (Some(name), Match::Default) => name.is_none(),
                (Some(_), Match::Any) => true,
                (None, _) => false,
            };
            filter.components.iter().all(fits)
                && (!filter.strict || quota.entity.len() == filter.components.len())
        })
    }

    /// Sets and removes values of one entity. What is wrong is said in Kafka's words.
    pub(super) fn alter(
        &mut self,
        entity: Entity,
        changes: Vec<(String, Option<f64>)>,
    ) -> Result<(), Refusal> {
        let keys = keys(&entity)?;
        let at = self.0.iter().position(|quota| quota.entity == entity);
        let mut values = at.map(|at| self.0[at].values.clone()).unwrap_or_default();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    check(keys, &key, value)?;
                    values.insert(key, value);
                }
                None => drop(values.remove(&key)),
            }
        }
        match at {
            Some(at) if values.is_empty() => drop(self.0.remove(at)),
            Some(at) => self.0[at].values = values,
            None if values.is_empty() => {}
            None => self.0.push(Quota { entity, values }),
        }
        Ok(())
    }
}

/// What can be set for an entity, and whether it has to be whole.
fn keys(entity: &Entity) -> Result<&'static [(&'static str, bool)], Refusal> {
    const OF_CLIENTS: &[(&str, bool)] = &[
        ("consumer_byte_rate", true),
        ("controller_mutation_rate", false),
        ("producer_byte_rate", true),
        ("request_percentage", false),
    ];
    const OF_ADDRESSES: &[(&str, bool)] = &[("connection_creation_rate", true)];
    for (kind, name) in entity {
        if !Quotas::KINDS.contains(&kind.as_str()) {
            return Err(invalid(format!("Unhandled client quota entity type: {kind}")));
        }
        if name.as_deref() == Some("") {
            return Err(invalid(format!("Empty {kind} not supported")));
        }
    }
    match (entity.get("ip"), entity.len()) {
        (None, 1 | 2) => Ok(OF_CLIENTS),
        (Some(Some(ip)), 1) if ip.parse::<std::net::IpAddr>().is_err() => {
            Err(invalid(format!("{ip} is not a valid IP or resolvable host.")))
        }
        (Some(_), 1) => Ok(OF_ADDRESSES),
        _ => Err(invalid("Invalid empty client quota entity".to_owned())),
    }
}

fn check(keys: &[(&str, bool)], key: &str, value: f64) -> Result<(), Refusal> {
    let Some((_, whole)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(invalid(format!("Invalid configuration key {key}")));
    };
    if !value.is_finite() || value <= 0.0 {
        return Err(invalid(format!("Quota {key} must be greater than 0")));
    }
    if *whole && (value - value.round()).abs() > 1e-6 {
        return Err(invalid(format!("Configuration {key} must be a Long value")));
    }
    Ok(())
}

fn invalid(message: String) -> Refusal {
    (ResponseError::InvalidRequest, message)
}
