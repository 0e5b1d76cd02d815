//! The settings of listeners. They are read where listeners are made; here is what there is.
//!
//! Each but the first three may be given for one listener, as `listener.name.<name>.<setting>`, and
//! `sasl.jaas.config` for one mechanism of one listener only, as `listener.name.<name>.<mechanism>.<setting>`.

use crate::settings::definition::{Definition, Kind, int, long, other, unset};

const PROTOCOLS: &str = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT";
const CLIENT_AUTH: Kind = Kind::OneOf(&["required", "requested", "none"]);

const MECHANISMS: Kind = Kind::List(&["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);

/// Of all listeners together.
#[rustfmt::skip]
pub(super) const OF_ALL: &[Definition] = &[
    unset("listeners", Kind::Text, "Where clients connect, such as PLAINTEXT://127.0.0.1:9092."),
    unset("advertised.listeners", Kind::Text, "Where clients of each listener are told to connect; by default where they are."),
    other("listener.security.protocol.map", Kind::Text, PROTOCOLS, "How the connections of each listener are secured."),
];

/// Of one listener, or of those that do not say.
#[rustfmt::skip]
pub(super) const OF_ONE: &[Definition] = &[
    long("connections.max.reauth.ms", "0", 0, "After how long clients have to prove again who they are; not if it is 0."),
    unset("sasl.enabled.mechanisms", MECHANISMS, "How clients may prove who they are."),
    unset("sasl.jaas.config", Kind::Password, "The users of PLAIN. Only for one mechanism of one listener."),
    other("ssl.client.auth", CLIENT_AUTH, "none", "Whether clients must have a certificate."),
    other("ssl.enabled.protocols", Kind::List(&["TLSv1.2", "TLSv1.3"]), "TLSv1.2,TLSv1.3", "Versions of TLS that are spoken."),
    unset("ssl.key.password", Kind::Password, "Of an encrypted key. Not supported."),
    unset("ssl.keystore.certificate.chain", Kind::Password, "The certificate and those up to its authority, in PEM."),
    unset("ssl.keystore.key", Kind::Password, "The private key, in PEM."),
    unset("ssl.keystore.location", Kind::Text, "A file in PEM with the private key, the certificate and those up to its authority."),
    unset("ssl.keystore.password", Kind::Password, "Of a key store that is not PEM. Not supported."),
    other("ssl.keystore.type", Kind::Text, "PEM", "The format of the key store."),
    unset("ssl.truststore.certificates", Kind::Password, "Authorities that certificates of clients may be from, in PEM."),
    unset("ssl.truststore.location", Kind::Text, "A file in PEM with these authorities."),
    unset("ssl.truststore.password", Kind::Password, "Of a trust store that is not PEM. Not supported."),
    other("ssl.truststore.type", Kind::Text, "PEM", "The format of the trust store."),
];

/// Of one listener, beside the setting of the same name of the whole broker.
const BESIDE: &[Definition] = &[int(
    "max.connections",
    "2147483647",
    1,
    "Connections of the listener; further ones are closed at once.",
)];

/// The setting that is given for one listener, or for one mechanism of it, under this name.
pub(super) fn prefixed(name: &str) -> Option<&'static Definition> {
    let (_listener, setting) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let setting = match setting.split_once('.') {
        Some(("plain" | "scram-sha-256" | "scram-sha-512", of_mechanism @ "sasl.jaas.config")) => {
            of_mechanism
        }
        _ => setting,
    };
    OF_ONE.iter().chain(BESIDE).find(|definition| definition.name == setting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_one_listener_are_known_by_their_prefix() {
        let found = |name: &str| prefixed(name).map(|definition| definition.name);
        assert_eq!(found("listener.name.outside.ssl.keystore.key"), Some("ssl.keystore.key"));
        assert_eq!(found("listener.name.outside.plain.sasl.jaas.config"), Some("sasl.jaas.config"));
        assert_eq!(found("listener.name.outside.plain.ssl.keystore.key"), None);
        assert_eq!(found("listener.name.outside.listeners"), None);
        assert_eq!(found("listener.name.ssl.keystore.key"), None);
        assert_eq!(found("ssl.keystore.key"), None);
    }
}
