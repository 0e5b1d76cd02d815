//! Listeners as Kafka's settings have them: `listeners`, `advertised.listeners` and `listener.security.protocol.map`.

use std::collections::BTreeMap;

use crate::error::BrokerError;
use crate::server::endpoint::{Address, Listener};

/// The setting that says all of them.
pub(crate) const LISTENERS: &str = "listeners";
const ADVERTISED: &str = "advertised.listeners";
const PROTOCOLS: &str = "listener.security.protocol.map";

/// How the connections of a listener are secured, in Kafka's four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const ALL: [(&'static str, Self); 4] = [
        ("PLAINTEXT", Self::Plaintext),
        ("SSL", Self::Ssl),
        ("SASL_PLAINTEXT", Self::SaslPlaintext),
        ("SASL_SSL", Self::SaslSsl),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, protocol)| *protocol)
    }
}

/// The listeners that the settings name, without what secures them; `default` is the one there is without them.
pub(crate) fn listeners(
    properties: &BTreeMap<String, String>,
    default: Listener,
) -> Result<Vec<(Listener, Protocol)>, BrokerError> {
    let mut listeners = match properties.get(LISTENERS) {
        None => vec![default],
        Some(given) => entries(LISTENERS, given, "://")?
            .into_iter()
            .map(|(name, address)| address_of(LISTENERS, address).map(|()| Listener::new(name, address)))
            .collect::<Result<Vec<_>, _>>()?,
    };
    if listeners.is_empty() {
        return Err(BrokerError::property(
            LISTENERS,
            "there must be one, such as PLAINTEXT://127.0.0.1:9092",
        ));
    }
    if let Some(given) = properties.get(ADVERTISED) {
        for (name, address) in entries(ADVERTISED, given, "://")? {
            address_of(ADVERTISED, address)?;
            if address.starts_with(':') || address.starts_with("0.0.0.0:") || address.starts_with("[::]:") {
                let reason = format!("clients of {name} cannot connect to {address:?}; name a host");
                return Err(BrokerError::property(ADVERTISED, reason));
            }
            let listener = listeners.iter_mut().find(|listener| listener.name == name);
            let listener = listener.ok_or_else(|| {
                BrokerError::property(ADVERTISED, format!("{name} is not among the listeners"))
            })?;
            listener.advertised = Some(address.to_owned());
        }
    }
    let map = properties.get(PROTOCOLS).map(|given| protocols(given)).transpose()?;
    let protocol_of = |name: &str| match &map {
        Some(map) => map.iter().find(|(known, _)| known == name).map(|(_, protocol)| *protocol),
        None => Protocol::named(name),
    };
    let secured = listeners.into_iter().map(|listener| match protocol_of(&listener.name) {
        Some(protocol) => Ok((listener, protocol)),
        None => {
            let reason = format!("there is no security protocol for the listener {}", listener.name);
            Err(BrokerError::property(PROTOCOLS, reason))
        }
    });
    secured.collect()
}

/// Names are told apart without their case, and written in capitals.
fn protocols(given: &str) -> Result<Vec<(String, Protocol)>, BrokerError> {
    let parse = |(name, protocol): (String, &str)| match Protocol::named(protocol) {
        Some(protocol) => Ok((name, protocol)),
        None => {
            let known = Protocol::ALL.map(|(name, _)| name).join(", ");
            Err(BrokerError::property(PROTOCOLS, format!("{protocol:?} is not one of {known}")))
        }
    };
    entries(PROTOCOLS, given, ":")?.into_iter().map(parse).collect()
}

/// The entries of a comma-separated list, each a name of its own and what stands behind the separator.
fn entries<'a>(
    property: &str,
    given: &'a str,
    separator: &str,
) -> Result<Vec<(String, &'a str)>, BrokerError> {
    let mut found: Vec<(String, &str)> = Vec::new();
    for entry in given.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let Some((name, rest)) = entry.split_once(separator).filter(|(name, _)| !name.trim().is_empty())
        else {
            let reason = format!("{entry:?} is not of the form NAME{separator}…");
            return Err(BrokerError::property(property, reason));
        };
        let name = name.trim().to_ascii_uppercase();
        if found.iter().any(|(other, _)| *other == name) {
            return Err(BrokerError::property(property, format!("{name} is there twice")));
        }
        found.push((name, rest.trim()));
    }
    Ok(found)
}

fn address_of(property: &str, address: &str) -> Result<(), BrokerError> {
    let parsed = Address::parse(address).map(drop);
    parsed.ok_or_else(|| BrokerError::property(property, format!("{address:?} is not of the form host:port")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[(&str, &str)]) -> Result<Vec<(Listener, Protocol)>, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        listeners(&given, Listener::new("PLAINTEXT", "127.0.0.1:0")).map_err(|error| error.to_string())
    }

    #[test]
    fn listeners_are_advertised_and_secured_by_name() {
        let parsed = parse(&[
            ("listeners", "plaintext://127.0.0.1:9092, Outside://:0"),
            ("advertised.listeners", "OUTSIDE://example.org:9094"),
            ("listener.security.protocol.map", "OUTSIDE:SASL_SSL,PLAINTEXT:PLAINTEXT"),
        ]);
        let outside =
            Listener { advertised: Some("example.org:9094".to_owned()), ..Listener::new("OUTSIDE", ":0") };
        let inside = Listener::new("PLAINTEXT", "127.0.0.1:9092");
        assert_eq!(parsed.unwrap(), [(inside, Protocol::Plaintext), (outside, Protocol::SaslSsl)]);
    }

    #[test]
    fn without_listeners_there_is_the_simple_one() {
        let parsed = parse(&[("advertised.listeners", "PLAINTEXT://[::1]:1")]).unwrap();
        assert_eq!(parsed[0].0.advertised.as_deref(), Some("[::1]:1"));
        assert_eq!(parse(&[("listeners", "SASL_PLAINTEXT://:0")]).unwrap()[0].1, Protocol::SaslPlaintext);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_setting() {
        let wrong: [&[(&str, &str)]; 9] = [
            &[("listeners", " ")],
            &[("listeners", "127.0.0.1:9092")],
            &[("listeners", "PLAINTEXT://127.0.0.1")],
            &[("listeners", "SSL://:1,ssl://:2")],
            &[("listener.security.protocol.map", "SSL:SSL")],
            &[("listener.security.protocol.map", "PLAINTEXT:TLS")],
            &[("advertised.listeners", "OTHER://a:1")],
            &[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")],
            &[("advertised.listeners", "PLAINTEXT://:1")],
        ];
        for given in wrong {
            let error = parse(given).unwrap_err();
            assert!(error.contains(given[0].0), "{error}");
        }
        assert!(
            parse(&[("listeners", "OTHER://:1")]).unwrap_err().contains("listener.security.protocol.map")
        );
    }
}
