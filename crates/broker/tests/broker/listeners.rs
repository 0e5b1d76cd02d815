//! Several listeners: each client is told the address of the one it came by.

use crate::common::wire::Wire;
use kafka_protocol::messages::{DescribeClusterRequest, FindCoordinatorRequest, GroupId, MetadataRequest};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{Broker, BrokerConfig, BrokerError, Listener};

fn told(client: &mut Wire) -> Vec<(String, i32)> {
    let metadata = client.call(9, &MetadataRequest::default()).brokers.remove(0);
    let cluster = client.call(0, &DescribeClusterRequest::default()).brokers.remove(0);
    let group = FindCoordinatorRequest::default().with_key(GroupId(StrBytes::from_static_str("g")).0);
    let coordinator = client.call(3, &group);
    vec![
        (metadata.host.to_string(), metadata.port),
        (cluster.host.to_string(), cluster.port),
        (coordinator.host.to_string(), coordinator.port),
    ]
}

#[test]
fn a_client_is_told_the_address_of_the_listener_it_came_by() {
    let outside = Listener {
        advertised: Some("example.org:9094".to_owned()),
        ..Listener::new("OUTSIDE", "127.0.0.1:0")
    };
    let listeners = vec![Listener::new("INSIDE", "127.0.0.1:0"), outside];
    let broker = Broker::start(BrokerConfig { listeners, ..BrokerConfig::default() }).unwrap();
    assert_eq!(broker.address_of("INSIDE"), Some(broker.address()));
    let inside = ("127.0.0.1".to_owned(), i32::from(broker.address().port()));
    assert_eq!(told(&mut Wire::connect(&broker)), [inside.clone(), inside.clone(), inside]);
    let outside = ("example.org".to_owned(), 9094);
    let mut client = Wire::connect_to(broker.address_of("OUTSIDE").unwrap());
    assert_eq!(told(&mut client), [outside.clone(), outside.clone(), outside]);
}

#[test]
fn two_listeners_of_one_name_are_refused() {
    let listeners = vec![Listener::new("A", "127.0.0.1:0"), Listener::new("A", "127.0.0.1:0")];
    let refused = Broker::start(BrokerConfig { listeners, ..BrokerConfig::default() });
    assert!(matches!(refused, Err(BrokerError::ListenerName(name)) if name == "A"));
}
