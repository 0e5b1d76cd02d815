//! Encrypted listeners, with librdkafka as the client: whom it trusts, and whom the broker does.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::common::certificates::{Authority, Certified};
use crate::common::wire::{Wire, api_versions};
use crate::common::{PATIENCE, config, consumer, poll_values, producer, send};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use thalweg_broker::{Broker, BrokerConfig, ClientAuth, Listener, Storage, Tls, TlsVersion};

fn encrypting(tls: Tls) -> Broker {
    encrypting_from(tls, Storage::Memory)
}

fn encrypting_from(tls: Tls, storage: Storage) -> Broker {
    let listener = Listener { tls: Some(tls), ..Listener::new("SSL", "127.0.0.1:0") };
    let plain = Listener::new("PLAINTEXT", "127.0.0.1:0");
    let listeners = vec![listener, plain];
    Broker::start(BrokerConfig { listeners, storage, ..BrokerConfig::default() }).unwrap()
}

fn tls(certified: &Certified) -> Tls {
    Tls::new(certified.certificate.as_str(), certified.key.as_str())
}

fn trusting(config: &mut ClientConfig, authority: &Authority) {
    config.set("security.protocol", "ssl").set("ssl.ca.pem", &authority.pem);
}

fn showing(config: &mut ClientConfig, certified: &Certified) {
    config.set("ssl.certificate.pem", &certified.certificate).set("ssl.key.pem", &certified.key);
}

/// Whether a client can ask for the topics there are.
fn connects(broker: &Broker, patience: Duration, set: impl FnOnce(&mut ClientConfig)) -> bool {
    let mut config = config(broker);
    set(&mut config);
    let client: BaseConsumer = config.create().unwrap();
    client.fetch_metadata(None, patience).is_ok()
}

const REFUSED: Duration = Duration::from_millis(700);

#[test]
fn records_go_in_and_out_encrypted() {
    let authority = Authority::new("authority");
    let folder = tempfile::tempdir().unwrap();
    let disk = Storage::Directory(folder.path().to_owned());
    for (versions, storage) in [(vec![TlsVersion::V1_2], Storage::Memory), (vec![TlsVersion::V1_3], disk)] {
        let broker = encrypting_from(Tls { versions, ..tls(&authority.certify("broker")) }, storage);
        broker.create_topic("t", 1).unwrap();
        // Long ones, so that they do not fit into one record of TLS.
        let values: Vec<String> = (0..20).map(|n| n.to_string().repeat(50_000)).collect();
        send(&producer(&broker, |config| trusting(config, &authority)), "t", &values);
        let consumer = consumer(&broker, "g", &["t"], |config| trusting(config, &authority));
        assert!(poll_values(&consumer, 20) == values);
    }
}

#[test]
fn a_failed_handshake_harms_only_its_connection() {
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    let broker = encrypting(tls(&authority.certify("broker")));
    assert!(!connects(&broker, REFUSED, |config| trusting(config, &other)));
    assert!(!connects(&broker, REFUSED, |_| {}), "without encryption");
    let mut silent = TcpStream::connect(broker.address()).unwrap();
    silent.write_all(&[22, 3, 1, 2]).unwrap();
    let mut plain = Wire::connect_to(broker.address());
    plain.send(3, &api_versions());
    assert!(plain.is_closed());
    assert!(connects(&broker, PATIENCE, |config| trusting(config, &authority)));
    let mut bystander = Wire::connect_to(broker.address_of("PLAINTEXT").unwrap());
    assert_eq!(bystander.call(3, &api_versions()).error_code, 0);
    // And one that is not finished does not keep the broker from stopping.
    broker.stop();
}

#[test]
fn clients_show_certificates_if_they_have_to() {
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    let (own, strange) = (authority.certify("client"), other.certify("stranger"));
    for (client_auth, without) in [(ClientAuth::Required, false), (ClientAuth::Requested, true)] {
        let tls = tls(&authority.certify("broker"));
        let broker = encrypting(Tls { client_auth, trusted: authority.pem.clone(), ..tls });
        let patience = if without { PATIENCE } else { REFUSED };
        assert_eq!(connects(&broker, patience, |config| trusting(config, &authority)), without);
        // librdkafka keeps back a certificate of an authority that the broker has not named.
        let stranger = connects(&broker, patience, |config| {
            trusting(config, &authority);
            showing(config, &strange);
        });
        assert_eq!(stranger, without);
        assert!(connects(&broker, PATIENCE, |config| {
            trusting(config, &authority);
            showing(config, &own);
        }));
    }
}

#[test]
fn listeners_are_encrypted_by_kafkas_settings() {
    let authority = Authority::new("authority");
    let certified = authority.certify("broker");
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.pem");
    std::fs::write(&store, certified.key + &certified.certificate).unwrap();
    let properties = [
        ("listeners", "OUT://127.0.0.1:0, PLAINTEXT://127.0.0.1:0"),
        ("listener.security.protocol.map", "OUT:SSL,PLAINTEXT:PLAINTEXT"),
        ("listener.name.out.ssl.keystore.type", "PEM"),
        ("listener.name.out.ssl.keystore.location", store.to_str().unwrap()),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = BrokerConfig { properties: properties.into(), ..BrokerConfig::default() };
    let broker = Broker::start(config.clone()).unwrap();
    assert!(connects(&broker, PATIENCE, |config| trusting(config, &authority)));
    let mut plain = Wire::connect_to(broker.address_of("PLAINTEXT").unwrap());
    assert_eq!(plain.call(3, &api_versions()).error_code, 0);
    std::fs::write(&store, "no key").unwrap();
    let error = Broker::start(config).unwrap_err().to_string();
    assert!(error.contains("OUT") && error.contains("ssl.keystore"), "{error}");
}
