//! How listeners are secured, as Kafka's settings have it. A setting that is given for one listener counts more
//! than the same one given for all.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::BrokerError;
use crate::security::jaas::Entry;
use crate::security::mechanism::Mechanism;
use crate::security::sasl::Sasl;
use crate::security::tls::{ClientAuth, Tls, TlsVersion};
use crate::server::endpoint::Listener;
use crate::server::properties::Protocol;
use crate::settings::definition::list;

/// The settings of one listener.
struct OfListener<'a> {
    properties: &'a BTreeMap<String, String>,
    prefix: String,
}

impl<'a> OfListener<'a> {
    /// What was given, and under which name.
    fn get(&self, setting: &str) -> Option<(String, &'a str)> {
        let own = format!("{}{setting}", self.prefix);
        match self.properties.get(&own) {
            Some(value) => Some((own, value.trim())),
            None => self.properties.get(setting).map(|value| (setting.to_owned(), value.trim())),
        }
    }
}

/// Adds to a listener what its security protocol asks for.
pub(crate) fn secure(
    listener: Listener,
    protocol: Protocol,
    properties: &BTreeMap<String, String>,
) -> Result<Listener, BrokerError> {
    let prefix = format!("listener.name.{}.", listener.name.to_ascii_lowercase());
    let settings = OfListener { properties, prefix };
    let tls = match protocol {
        Protocol::Ssl | Protocol::SaslSsl => Some(tls(&settings, &listener.name)?),
        Protocol::Plaintext | Protocol::SaslPlaintext => None,
    };
    let sasl = match protocol {
        Protocol::SaslPlaintext | Protocol::SaslSsl => Some(sasl(&settings, &listener.name)?),
        Protocol::Plaintext | Protocol::Ssl => None,
    };
    let own = settings.properties.get(&format!("{}max.connections", settings.prefix));
    // It has been checked, or will be, by the table of settings.
    let max_connections = own.and_then(|value| value.trim().parse().ok());
    Ok(Listener { tls, sasl, max_connections, ..listener })
}

fn sasl(settings: &OfListener<'_>, listener: &str) -> Result<Sasl, BrokerError> {
    const MECHANISMS: &str = "sasl.enabled.mechanisms";
    const LOGIN: &str = "sasl.jaas.config";
    if settings.properties.contains_key(LOGIN) {
        let reason = format!("it must be of one mechanism, as in {}plain.{LOGIN}", settings.prefix);
        return Err(BrokerError::property(LOGIN, reason));
    }
    let given = settings.get(MECHANISMS).map_or("", |(_, given)| given);
    let mut sasl = Sasl::new(list(given).filter_map(Mechanism::named));
    if sasl.mechanisms.is_empty() {
        let known = Mechanism::ALL.map(Mechanism::name).join(", ");
        let reason = format!("the listener {listener} needs at least one of {known}");
        return Err(BrokerError::property(MECHANISMS, reason));
    }
    for mechanism in &sasl.mechanisms {
        let module = match mechanism {
            Mechanism::Plain => "org.apache.kafka.common.security.plain.PlainLoginModule",
            Mechanism::Scram(_) => "org.apache.kafka.common.security.scram.ScramLoginModule",
        };
        let setting = format!("{}.{LOGIN}", mechanism.name().to_ascii_lowercase());
        let Some((name, entry)) = settings.get(&setting) else { continue };
        let entry = Entry::parse(entry).map_err(|reason| BrokerError::property(name.as_str(), reason))?;
        if entry.module != module {
            return Err(BrokerError::property(name, format!("the login module must be {module}")));
        }
        if *mechanism == Mechanism::Plain {
            sasl.plain_users = entry.users();
        }
    }
    if let Some((_, milliseconds)) = settings.get("connections.max.reauth.ms") {
        sasl.reauthenticate = Duration::from_millis(milliseconds.parse().unwrap_or(0));
    }
    Ok(sasl)
}

fn tls(settings: &OfListener<'_>, listener: &str) -> Result<Tls, BrokerError> {
    let stores = [
        ("ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password"),
        ("ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password"),
    ];
    for (format, location, password) in stores {
        check_format(settings, format, location, password)?;
    }
    if let Some((name, _)) = settings.get("ssl.key.password") {
        return Err(BrokerError::property(
            name,
            "encrypted keys are not supported; decrypt it with 'openssl pkey -in KEY -out DECRYPTED', keep it \
             where only the broker can read it, and leave this setting out",
        ));
    }
    let (certificates, key) = match settings.get("ssl.keystore.location") {
        Some((name, path)) => {
            let pem = read(name, path)?;
            (pem.clone(), pem)
        }
        None => {
            let inline = |setting: &str| match settings.get(setting) {
                Some((_, pem)) => Ok(pem.to_owned()),
                None => Err(BrokerError::property(
                    setting,
                    format!("the listener {listener} needs it, or an ssl.keystore.location"),
                )),
            };
            (inline("ssl.keystore.certificate.chain")?, inline("ssl.keystore.key")?)
        }
    };
    let trusted = match settings.get("ssl.truststore.location") {
        Some((name, path)) => read(name, path)?,
        None => {
            settings.get("ssl.truststore.certificates").map(|(_, pem)| pem.to_owned()).unwrap_or_default()
        }
    };
    let client_auth = match settings.get("ssl.client.auth").map(|(_, word)| word) {
        Some("requested") => ClientAuth::Requested,
        Some("required") => ClientAuth::Required,
        _ => ClientAuth::None,
    };
    let mut tls = Tls { trusted, client_auth, ..Tls::new(certificates, key) };
    if let Some((_, versions)) = settings.get("ssl.enabled.protocols") {
        let is_enabled = |version: &TlsVersion| list(versions).any(|name| name == version.name());
        tls.versions.retain(is_enabled);
    }
    Ok(tls)
}

/// Refuses the formats of Java, and says how to convert them.
fn check_format(
    settings: &OfListener<'_>,
    format: &str,
    location: &str,
    password: &str,
) -> Result<(), BrokerError> {
    const HOW: &str = "only PEM is; convert it with 'keytool -importkeystore -srckeystore STORE -destkeystore \
                       STORE.p12 -deststoretype PKCS12' if it is JKS, and with 'openssl pkcs12 -in STORE.p12 -nodes \
                       -out STORE.pem' then";
    if let Some((name, given)) = settings.get(format)
        && !given.eq_ignore_ascii_case("PEM")
    {
        return Err(BrokerError::property(name, format!("{given} is not supported, {HOW}")));
    }
    if let Some((name, path)) = settings.get(location)
        && [".jks", ".p12", ".pfx", ".keystore", ".truststore"].iter().any(|end| path.ends_with(end))
    {
        return Err(BrokerError::property(name, format!("the format of {path:?} is not supported, {HOW}")));
    }
    match settings.get(password) {
        Some((name, _)) => Err(BrokerError::property(name, "PEM has no password; leave this setting out")),
        None => Ok(()),
    }
}

fn read(name: String, path: &str) -> Result<String, BrokerError> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => BrokerError::property(name, format!("{path:?} is not PEM")),
        _ => BrokerError::property(name, format!("{path:?} cannot be read: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secured(protocol: Protocol, given: &[(&str, &str)]) -> Result<Listener, String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        secure(Listener::new("OUT", ":0"), protocol, &given).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_said_of_one_listener_counts_more() {
        let tls = secured(
            Protocol::Ssl,
            &[
                ("ssl.keystore.key", "common key"),
                ("listener.name.out.ssl.keystore.key", "key"),
                ("listener.name.other.ssl.keystore.key", "other key"),
                ("ssl.keystore.certificate.chain", "chain"),
                ("ssl.client.auth", "required"),
                ("ssl.truststore.certificates", "trusted"),
                ("listener.name.out.ssl.enabled.protocols", "TLSv1.3"),
            ],
        );
        let expected = Tls {
            client_auth: ClientAuth::Required,
            trusted: "trusted".to_owned(),
            versions: vec![TlsVersion::V1_3],
            ..Tls::new("chain", "key")
        };
        assert_eq!(tls.unwrap().tls, Some(expected));
        assert_eq!(secured(Protocol::Plaintext, &[]).unwrap().tls, None);
    }

    #[test]
    fn users_of_plain_are_those_of_the_login_module() {
        let login = "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"secret\";";
        let listener = secured(
            Protocol::SaslPlaintext,
            &[
                ("sasl.enabled.mechanisms", "PLAIN,SCRAM-SHA-512"),
                ("listener.name.out.plain.sasl.jaas.config", login),
                ("connections.max.reauth.ms", "1000"),
            ],
        );
        let expected = Sasl {
            plain_users: [("alice".to_owned(), "secret".to_owned())].into(),
            reauthenticate: Duration::from_secs(1),
            ..Sasl::new([Mechanism::Plain, Mechanism::named("SCRAM-SHA-512").unwrap()])
        };
        let listener = listener.unwrap();
        assert!(!format!("{listener:?}").contains("secret"));
        assert_eq!(listener.sasl, Some(expected));
        let plain = ("sasl.enabled.mechanisms", "PLAIN");
        for (name, value, hint) in [
            ("sasl.enabled.mechanisms", "", "at least one of"),
            ("sasl.jaas.config", login, "listener.name.out.plain.sasl.jaas.config"),
            ("listener.name.out.plain.sasl.jaas.config", "secret", "required"),
            ("listener.name.out.plain.sasl.jaas.config", "Secret required;", "PlainLoginModule"),
        ] {
            let error = secured(Protocol::SaslPlaintext, &[plain, (name, value)]).unwrap_err();
            assert!(error.starts_with(name) && error.contains(hint), "{error}");
            assert!(!error.to_ascii_lowercase().contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_name_and_with_what_to_do() {
        for (name, value, hint) in [
            ("ssl.keystore.certificate.chain", None, "needs it"),
            ("ssl.keystore.type", Some("JKS"), "keytool"),
            ("ssl.keystore.location", Some("/no/store.jks"), "openssl pkcs12"),
            ("ssl.keystore.location", Some("/no/such.pem"), "cannot be read"),
            ("ssl.keystore.password", Some("x"), "leave this setting out"),
            ("ssl.key.password", Some("x"), "openssl pkey"),
            ("listener.name.out.ssl.truststore.type", Some("PKCS12"), "openssl pkcs12"),
        ] {
            let given: Vec<_> = value.map(|value| (name, value)).into_iter().collect();
            let error = secured(Protocol::SaslSsl, &given).unwrap_err();
            assert!(error.starts_with(name) && error.contains(hint), "{error}");
        }
    }
}
