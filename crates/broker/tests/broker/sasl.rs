//! Clients prove who they are: each mechanism with librdkafka, and what is refused on the wire.

use std::io::{Read, Write};
use std::time::Duration;

use crate::common::certificates::Authority;
use crate::common::wire::{Wire, api_versions};
use crate::common::{PATIENCE, config, consumer, poll_values, producer, send};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use kafka_protocol::messages::describe_user_scram_credentials_request::UserName;
use kafka_protocol::messages::{
    AlterUserScramCredentialsRequest, DescribeUserScramCredentialsRequest, MetadataRequest,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use thalweg_broker::{Broker, BrokerConfig, Listener, Mechanism, Sasl, Scram, ScramUser, Storage, Tls};

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

/// Lets in alice by every mechanism, and bob by PLAIN.
fn sasl() -> Sasl {
    let users = ["alice", "bob"].map(|name| (name.to_owned(), format!("{name}'s secret")));
    Sasl { plain_users: users.into(), ..Sasl::new(Mechanism::ALL) }
}

fn alice(scram: Scram) -> ScramUser {
    ScramUser::new("alice", scram, "alice's secret")
}

fn broker(listener: Listener) -> Broker {
    let scram_users = vec![alice(Scram::Sha256), alice(Scram::Sha512)];
    let listeners = vec![listener, Listener::new("PLAINTEXT", "127.0.0.1:0")];
    Broker::start(BrokerConfig { listeners, scram_users, ..BrokerConfig::default() }).unwrap()
}

fn proving(sasl: Sasl) -> Broker {
    broker(Listener { sasl: Some(sasl), ..Listener::new("SASL", "127.0.0.1:0") })
}

fn as_alice(config: &mut ClientConfig, mechanism: &str) {
    config.set("security.protocol", "sasl_plaintext").set("sasl.mechanism", mechanism);
    config.set("sasl.username", "alice").set("sasl.password", "alice's secret");
}

#[test]
fn records_go_in_and_out_by_every_mechanism() {
    let broker = proving(sasl());
    for (n, mechanism) in Mechanism::ALL.into_iter().enumerate() {
        let topic = format!("t{n}");
        broker.create_topic(&topic, 1).unwrap();
        let values = vec![mechanism.name().to_owned()];
        send(&producer(&broker, |config| as_alice(config, mechanism.name())), &topic, &values);
        let consumer = consumer(&broker, "g", &[&topic], |config| as_alice(config, mechanism.name()));
        assert_eq!(poll_values(&consumer, 1), values);
    }
}

#[test]
fn who_proves_it_may_also_be_encrypted_and_who_does_not_is_kept_out() {
    let authority = Authority::new("authority");
    let certified = authority.certify("broker");
    let tls = Some(Tls::new(certified.certificate, certified.key));
    let broker = broker(Listener { sasl: Some(sasl()), tls, ..Listener::new("SASL_SSL", "127.0.0.1:0") });
    let connects = |patience, set: &dyn Fn(&mut ClientConfig)| {
        let mut config = config(&broker);
        as_alice(&mut config, "SCRAM-SHA-512");
        config.set("security.protocol", "sasl_ssl").set("ssl.ca.pem", &authority.pem);
        set(&mut config);
        let client: BaseConsumer = config.create().unwrap();
        client.fetch_metadata(None, patience).is_ok()
    };
    assert!(connects(PATIENCE, &|_| {}));
    let wrong: [(&str, &str); 4] = [
        ("sasl.password", "bob's secret"),
        ("sasl.username", "nobody"),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("security.protocol", "ssl"),
    ];
    for (name, value) in wrong {
        assert!(
            !connects(Duration::from_millis(500), &|config| {
                config.set(name, value);
            }),
            "{name}"
        );
    }
}

fn handshake(client: &mut Wire, version: i16, mechanism: &str) -> i16 {
    let request = SaslHandshakeRequest::default().with_mechanism(text(mechanism));
    let response = client.call(version, &request);
    assert_eq!(response.mechanisms, Mechanism::ALL.map(|mechanism| text(mechanism.name())));
    response.error_code
}

fn authenticate(client: &mut Wire, message: &'static str) -> SaslAuthenticateResponse {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(message.as_bytes()));
    client.call(2, &request)
}

#[test]
fn nothing_is_answered_before() {
    let broker = proving(sasl());
    let mut client = Wire::connect(&broker);
    assert_eq!(client.call(3, &api_versions()).error_code, 0);
    client.send(9, &MetadataRequest::default());
    assert!(client.is_closed());
    let mut client = Wire::connect(&broker);
    assert_eq!(handshake(&mut client, 1, "PLAIN"), 0);
    client.send(9, &MetadataRequest::default());
    assert!(client.is_closed());
    // Nor are long requests read.
    let mut client = Wire::connect(&broker);
    client.stream.write_all(&(600 * 1024i32).to_be_bytes()).unwrap();
    assert!(client.is_closed());
}

#[test]
fn failures_are_told_in_kafkas_words() {
    let broker = proving(sasl());
    let mut client = Wire::connect(&broker);
    assert_eq!(handshake(&mut client, 1, "GSSAPI"), ResponseError::UnsupportedSaslMechanism.code());
    assert!(client.is_closed());
    let failed = ResponseError::SaslAuthenticationFailed.code();
    for (mechanism, message, reason) in [
        ("PLAIN", "\0alice\0bob's secret", "Authentication failed: Invalid username or password"),
        (
            "PLAIN",
            "\0carol\0",
            "Authentication failed during authentication due to invalid credentials with SASL mechanism PLAIN",
        ),
        (
            "SCRAM-SHA-256",
            "p=x",
            "Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256",
        ),
    ] {
        let mut client = Wire::connect(&broker);
        assert_eq!(handshake(&mut client, 1, mechanism), 0);
        let response = authenticate(&mut client, message);
        assert_eq!((response.error_code, response.error_message), (failed, Some(text(reason))));
        assert!(client.is_closed());
    }
    let mut client = Wire::connect(&broker);
    assert_eq!(authenticate(&mut client, "\0alice\0x").error_code, ResponseError::IllegalSaslState.code());
    assert!(client.is_closed());
}

#[test]
fn where_nobody_has_to_prove_anything_nobody_can() {
    let broker = proving(sasl());
    let mut plain = Wire::connect_to(broker.address_of("PLAINTEXT").unwrap());
    let illegal = ResponseError::IllegalSaslState.code();
    let request = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    assert_eq!(plain.call(1, &request).error_code, illegal);
    assert_eq!(authenticate(&mut plain, "\0alice\0alice's secret").error_code, illegal);
    assert_eq!(plain.call(9, &MetadataRequest::default()).brokers.len(), 1);
}

#[test]
fn old_clients_prove_it_without_requests() {
    let broker = proving(sasl());
    let mut client = Wire::connect(&broker);
    assert_eq!(handshake(&mut client, 0, "PLAIN"), 0);
    client.stream.write_all(b"\0\0\0\x15\0alice\0alice's secret").unwrap();
    let mut answer = [1; 4];
    client.stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0; 4]);
    assert_eq!(client.call(9, &MetadataRequest::default()).brokers.len(), 1);
    let mut client = Wire::connect(&broker);
    assert_eq!(handshake(&mut client, 0, "PLAIN"), 0);
    client.stream.write_all(b"\0\0\0\x05\0a\0b\0").unwrap();
    assert!(client.is_closed());
}

#[test]
fn a_session_ends_unless_it_is_renewed() {
    let broker = proving(Sasl { reauthenticate: Duration::from_secs(60), ..sasl() });
    let mut client = Wire::connect(&broker);
    assert_eq!(handshake(&mut client, 1, "PLAIN"), 0);
    let response = authenticate(&mut client, "\0bob\0bob's secret");
    assert_eq!((response.error_code, response.session_lifetime_ms), (0, 60_000));
    broker.faults().advance_clock(Duration::from_secs(61));
    assert_eq!(handshake(&mut client, 1, "PLAIN"), 0);
    assert_eq!(authenticate(&mut client, "\0bob\0bob's secret").error_code, 0);
    assert_eq!(client.call(9, &MetadataRequest::default()).brokers.len(), 1);
    broker.faults().advance_clock(Duration::from_secs(61));
    client.send(9, &MetadataRequest::default());
    assert!(client.is_closed());
    // As somebody else it is not renewed.
    let mut client = Wire::connect(&broker);
    assert_eq!(handshake(&mut client, 1, "PLAIN"), 0);
    assert_eq!(authenticate(&mut client, "\0bob\0bob's secret").error_code, 0);
    assert_eq!(handshake(&mut client, 1, "PLAIN"), 0);
    let response = authenticate(&mut client, "\0alice\0alice's secret");
    assert_eq!(response.error_code, ResponseError::SaslAuthenticationFailed.code());
    assert!(client.is_closed());
}

fn upsertion(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion::default()
        .with_name(text(name))
        .with_mechanism(mechanism)
        .with_iterations(iterations)
        .with_salt(Bytes::from_static(b"salt"))
        .with_salted_password(Bytes::from_static(b"salted"))
}

/// Name, error and mechanisms with their iterations.
type Described = (String, i16, Vec<(i8, i32)>);

fn described(client: &mut Wire, users: Option<&[&str]>) -> Vec<Described> {
    let named = |users: &[&str]| users.iter().map(|name| UserName::default().with_name(text(name))).collect();
    let request = DescribeUserScramCredentialsRequest::default().with_users(users.map(named));
    let results = client.call(0, &request).results.into_iter().map(|result| {
        let infos = result.credential_infos.iter().map(|info| (info.mechanism, info.iterations));
        (result.user.to_string(), result.error_code, infos.collect())
    });
    results.collect()
}

#[test]
fn users_of_scram_are_made_and_unmade_and_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(folder.path().to_owned());
    let config = BrokerConfig { storage, ..BrokerConfig::default() };
    let broker = Broker::start(config.clone()).unwrap();
    let mut client = Wire::connect(&broker);
    let deletion =
        |name, mechanism| ScramCredentialDeletion::default().with_name(text(name)).with_mechanism(mechanism);
    let mut alter = |deletions, upsertions| {
        let request =
            AlterUserScramCredentialsRequest::default().with_deletions(deletions).with_upsertions(upsertions);
        let results = client.call(0, &request).results;
        results.iter().map(|result| (result.user.to_string(), result.error_code)).collect::<Vec<_>>()
    };
    let unacceptable = ResponseError::UnacceptableCredential.code();
    let results = alter(
        vec![deletion("nobody", 1)],
        vec![
            upsertion("alice", 1, 8192),
            upsertion("bob", 1, 4096),
            upsertion("few", 1, 4095),
            upsertion("many", 1, 16_385),
            upsertion("odd", 3, 4096),
            upsertion("twice", 1, 4096),
            upsertion("twice", 2, 4096),
            upsertion("", 1, 4096),
        ],
    );
    let expected = [
        ("", unacceptable),
        ("alice", 0),
        ("bob", 0),
        ("few", unacceptable),
        ("many", unacceptable),
        ("nobody", ResponseError::ResourceNotFound.code()),
        ("odd", ResponseError::UnsupportedSaslMechanism.code()),
        ("twice", ResponseError::DuplicateResource.code()),
    ];
    assert_eq!(results, expected.map(|(name, code)| (name.to_owned(), code)));
    for alteration in
        [(Vec::new(), vec![upsertion("bob", 2, 16_384)]), (vec![deletion("bob", 1)], Vec::new())]
    {
        assert_eq!(alter(alteration.0, alteration.1), [("bob".to_owned(), 0)]);
    }
    broker.stop();
    let broker = Broker::start(config).unwrap();
    let mut client = Wire::connect(&broker);
    let alice = ("alice".to_owned(), 0, vec![(1, 8192)]);
    assert_eq!(described(&mut client, None), [alice.clone(), ("bob".to_owned(), 0, vec![(2, 16_384)])]);
    let duplicate = ("bob".to_owned(), ResponseError::DuplicateResource.code(), Vec::new());
    let unknown = ("carol".to_owned(), ResponseError::ResourceNotFound.code(), Vec::new());
    let found = described(&mut client, Some(&["alice", "bob", "bob", "carol"]));
    assert_eq!(found, [alice, duplicate, unknown]);
}
