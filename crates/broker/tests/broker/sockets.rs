//! What the broker does with clients that misbehave, or are many, or are still there when it stops.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::wire::{
    NO_PRODUCER, Wire, api_versions, batch, frame, name, patient_fetch, produce_request,
};
use crate::common::{PATIENCE, memory};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    FetchRequest, GroupId, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    ListGroupsRequest, MetadataRequest, ProduceRequest, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_broker::{ApiKey, Asked, Broker, BrokerConfig, Fault, Listener, Lost, Mechanism, Sasl};

fn with(properties: &[(&str, &str)]) -> Broker {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Broker::start(BrokerConfig { properties: properties.collect(), ..BrokerConfig::default() }).unwrap()
}

fn metadata(topic: &str) -> MetadataRequest {
    MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]))
}

/// Pseudo-random numbers, the same in every run.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some((state >> 32) as u8)
    })
}

#[test]
fn nonsense_closes_its_own_connection_and_no_other() {
    let broker = memory();
    let mut bystander = Wire::connect(&broker);
    let mut array = frame(1, 1, &metadata("t"));
    let at = array.len() - 7;
    (&mut array[at..at + 4]).put_i32(i32::MAX);
    let mut compact = frame(9, 1, &metadata("t"));
    let at = compact.len() - 8;
    compact.truncate(at);
    compact.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0]);
    let len = compact.len() as i32 - 4;
    (&mut compact[..4]).put_i32(len);
    let nonsense: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &i32::MAX.to_be_bytes(),
        &(-1i32).to_be_bytes(),
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 0, 0, 0],
        &[0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 8, 0, 0, 0, 99, 0, 0, 0, 1],
        &array,
        &compact,
    ];
    for bytes in nonsense {
        let mut client = Wire::connect(&broker);
        client.stream.write_all(bytes).unwrap();
        assert!(client.is_closed(), "{bytes:?}");
        assert_eq!(bystander.call(3, &api_versions()).error_code, 0);
    }
}

/// Requests of every kind with noise for a body, and real requests with a byte changed: whatever happens to
/// their connection, the broker lives.
#[test]
fn noise_behind_a_proper_header_does_no_harm() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut bystander = Wire::connect(&broker);
    let versions = bystander.call(3, &api_versions()).api_keys;
    for (seed, api) in versions.iter().cycle().take(600).enumerate() {
        let mut random = noise(seed as u64 + 1);
        let version =
            api.min_version + i16::from(random.next().unwrap()) % (api.max_version - api.min_version + 1);
        let len = usize::from(random.next().unwrap());
        let mut bytes = BytesMut::new();
        bytes.put_i32(10 + len as i32);
        bytes.put_i16(api.api_key);
        bytes.put_i16(version);
        bytes.put_i32(1);
        bytes.put_i16(-1);
        bytes.extend((&mut random).take(len));
        Wire::connect(&broker).stream.write_all(&bytes).unwrap();
    }
    let whole = frame(9, 1, &metadata("t"));
    for at in 4..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            Wire::connect(&broker).stream.write_all(&bytes).unwrap();
        }
    }
    let produced = bystander.produce("t", batch(&["a"], NO_PRODUCER, false), None);
    assert_eq!((produced.error_code, produced.base_offset), (0, 0));
}

#[test]
fn what_was_done_before_the_nonsense_is_answered() {
    let broker = memory();
    let mut client = Wire::connect(&broker);
    client.send(2, &ListGroupsRequest::default());
    client.stream.write_all(&(-1i32).to_be_bytes()).unwrap();
    assert_eq!(client.receive::<ListGroupsRequest>(2).error_code, 0);
    assert!(client.is_closed());
}

#[test]
fn connections_beyond_the_limit_are_closed_until_another_goes() {
    let broker = Broker::start(BrokerConfig { max_connections: 1, ..BrokerConfig::default() }).unwrap();
    let mut first = Wire::connect(&broker);
    first.call(3, &api_versions());
    assert!(Wire::connect(&broker).is_closed());
    first.call(3, &api_versions());
    drop(first);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut next = Wire::connect(&broker);
        if !is_refused(&mut next) {
            break;
        }
        assert!(Instant::now() < deadline);
    }
}

/// Whether the broker closes the connection instead of answering.
fn is_refused(client: &mut Wire) -> bool {
    let request = frame(3, 1, &api_versions());
    client.stream.write_all(&request).is_err() || !matches!(client.stream.peek(&mut [0]), Ok(1))
}

#[test]
fn a_request_longer_than_the_limit_is_not_read() {
    let broker = Broker::start(BrokerConfig { max_request_bytes: 1_000, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 1).unwrap();
    let mut client = Wire::connect(&broker);
    client.stream.write_all(&1_001i32.to_be_bytes()).unwrap();
    assert!(client.is_closed());
    let mut client = Wire::connect(&broker);
    assert_eq!(client.produce("t", batch(&[&"x".repeat(800)], NO_PRODUCER, false), None).error_code, 0);
}

#[test]
fn stopping_answers_what_can_be_answered_and_does_not_wait_for_clients() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut idle = Wire::connect(&broker);
    idle.call(3, &api_versions());
    let mut half = Wire::connect(&broker);
    half.stream.write_all(&[0, 0, 0, 100, 0, 3]).unwrap();
    let mut fetching = Wire::connect(&broker);
    fetching.send(11, &patient_fetch("t", 0, false));
    let mut joining = Wire::connect(&broker);
    let join = JoinGroupRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(StrBytes::from_static_str("consumer"));
    joining.send(5, &join);
    assert!(fetching.is_silent());
    let address = broker.address();
    let start = Instant::now();
    broker.stop();
    let took = start.elapsed();
    // A broker that waited for its clients would wait for ever.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let fetched = fetching.receive::<FetchRequest>(11).responses.remove(0).partitions.remove(0);
    assert_eq!((fetched.error_code, fetched.high_watermark), (0, 0));
    assert!(idle.is_closed() && half.is_closed() && fetching.is_closed() && joining.is_closed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_idle_connection_is_closed_also_in_the_middle_of_a_request_or_an_answer() {
    let broker = with(&[("connections.max.idle.ms", "200")]);
    broker.create_topic("t", 1).unwrap();
    let mut idle = Wire::connect(&broker);
    idle.call(3, &api_versions());
    let mut half = Wire::connect(&broker);
    half.stream.write_all(&[0, 0, 0, 100, 0, 3]).unwrap();
    // Waiting for records is not idling.
    let mut fetching = Wire::connect(&broker);
    fetching.send(11, &patient_fetch("t", 0, false));
    let mut deaf = Wire::connect(&broker);
    let produced = deaf.produce("t", batch(&[&"x".repeat(900_000)], NO_PRODUCER, false), None);
    assert_eq!(produced.error_code, 0);
    assert_eq!(fetching.receive::<FetchRequest>(11).responses.len(), 1);
    assert!(idle.is_closed() && half.is_closed());
    // More than the sockets hold, and none of it is read until the broker has lost patience.
    let fetch = frame(11, 1, &patient_fetch("t", 0, false));
    while deaf.stream.write_all(&fetch).is_ok() {
        std::thread::yield_now();
    }
    let mut next = Wire::connect(&broker);
    assert_eq!(next.call(3, &api_versions()).error_code, 0);
}

#[test]
fn an_address_has_only_so_many_connections() {
    let broker = with(&[("max.connections.per.ip", "1")]);
    let mut first = Wire::connect(&broker);
    first.call(3, &api_versions());
    assert!(Wire::connect(&broker).is_closed());
    first.call(3, &api_versions());
}

/// A produce request for `t` of about that many bytes, without an answer yet.
fn long_produce(broker: &Broker, len: usize) -> Wire {
    let mut wire = Wire::connect(broker);
    wire.send(9, &produce_request("t", batch(&[&"x".repeat(len)], NO_PRODUCER, false), None));
    wire
}

fn produced(wire: &mut Wire) -> i16 {
    wire.receive::<ProduceRequest>(9).responses.remove(0).partition_responses.remove(0).error_code
}

/// A connection that has announced a request of `len` bytes and sent `sent` of them.
fn half_sent(broker: &Broker, len: i32, sent: usize) -> Wire {
    let mut wire = Wire::connect(broker);
    let mut bytes = BytesMut::new();
    bytes.put_i32(len);
    bytes.put_bytes(0, sent);
    wire.stream.write_all(&bytes).unwrap();
    wire
}

#[test]
fn what_is_only_announced_takes_no_memory_from_others() {
    let broker = with(&[("queued.max.request.bytes", "1000000"), ("socket.request.max.bytes", "1000000")]);
    broker.create_topic("t", 1).unwrap();
    let _announced: Vec<Wire> = (0..50).map(|_| half_sent(&broker, 1_000_000, 1_000)).collect();
    let mut long = long_produce(&broker, 900_000);
    assert_eq!(produced(&mut long), 0);
}

/// A request that is being read holds what has come of it, and others wait for that if they must.
#[test]
fn long_requests_share_the_memory_there_is_for_them() {
    let broker = with(&[("queued.max.request.bytes", "1000000"), ("socket.request.max.bytes", "1000000")]);
    broker.create_topic("t", 1).unwrap();
    // One may go beyond the limit, so that of many there is always one that comes to its end.
    let halves: Vec<Wire> = (0..3).map(|_| half_sent(&broker, 1_000_000, 900_000)).collect();
    let mut waiting: Vec<Wire> = (0..4).map(|_| long_produce(&broker, 800_000)).collect();
    let mut small = Wire::connect(&broker);
    assert_eq!(small.produce("t", batch(&["a"], NO_PRODUCER, false), None).error_code, 0);
    // They do not move, and others wait: they lose their places.
    for wire in &mut waiting {
        assert_eq!(produced(wire), 0);
    }
    drop(halves);
}

#[test]
fn those_who_have_not_proved_who_they_are_take_no_memory_from_others() {
    let sasl =
        Sasl { plain_users: [("a".to_owned(), "b".to_owned())].into(), ..Sasl::new([Mechanism::Plain]) };
    let listeners = vec![
        Listener::new("PLAINTEXT", "127.0.0.1:0"),
        Listener { sasl: Some(sasl), ..Listener::new("SASL", "127.0.0.1:0") },
    ];
    let properties = [("queued.max.request.bytes", "1000000"), ("socket.request.max.bytes", "1000000")];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let broker = Broker::start(BrokerConfig { listeners, properties, ..BrokerConfig::default() }).unwrap();
    broker.create_topic("t", 1).unwrap();
    let unknown = |_| {
        let mut wire = Wire::connect_to(broker.address_of("SASL").unwrap());
        let mut bytes = BytesMut::new();
        bytes.put_i32(500_000);
        bytes.put_bytes(0, 400_000);
        // It may be closed before all of it is sent.
        wire.stream.set_nonblocking(true).unwrap();
        let _ = wire.stream.write(&bytes);
        wire
    };
    let _unknown: Vec<Wire> = (0..20).map(unknown).collect();
    let begun = Instant::now();
    let mut long = long_produce(&broker, 800_000);
    assert_eq!(produced(&mut long), 0);
    // Nobody had to lose a place for that.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_listener_has_only_so_many_connections() {
    let properties = [
        ("listeners", "INSIDE://127.0.0.1:0,OUTSIDE://127.0.0.1:0"),
        ("listener.security.protocol.map", "INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT"),
        ("listener.name.outside.max.connections", "1"),
    ];
    let broker = with(&properties);
    let connect = |name| Wire::connect_to(broker.address_of(name).unwrap());
    let mut first = connect("OUTSIDE");
    first.call(3, &api_versions());
    assert!(connect("OUTSIDE").is_closed());
    let inside: Vec<Wire> = (0..3).map(|_| connect("INSIDE")).collect();
    for mut wire in inside {
        wire.call(3, &api_versions());
    }
    first.call(3, &api_versions());
}

#[test]
fn nobody_can_lock_everybody_out() {
    let broker = memory();
    let mut wire = Wire::connect(&broker);
    for name in ["max.connections", "max.connections.per.ip"] {
        let config = AlterableConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_static_str("0")));
        let resource = AlterConfigsResource::default()
            .with_resource_type(4)
            .with_resource_name(StrBytes::from_static_str(""))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = wire.call(1, &request).responses.remove(0);
        assert_ne!(answer.error_code, 0, "{name}");
        assert!(Wire::connect(&broker).call(3, &api_versions()).error_code == 0);
    }
}

/// Real requests of many kinds with a few bytes changed, several on a connection.
#[test]
fn requests_with_changed_bytes_harm_at_most_their_connection() {
    let broker = memory();
    broker.create_topic("t", 1).unwrap();
    let mut bystander = Wire::connect(&broker);
    let join = JoinGroupRequest::default().with_group_id(GroupId(StrBytes::from_static_str("g")));
    let records = batch(&["a", "b"], NO_PRODUCER, false);
    let fetch = patient_fetch("t", 0, true).with_max_wait_ms(0);
    let originals = [
        frame(9, 1, &metadata("t")),
        frame(9, 1, &produce_request("t", records.clone(), None)),
        frame(3, 1, &produce_request("t", records, Some("x"))),
        frame(11, 1, &fetch),
        frame(12, 1, &fetch),
        frame(5, 1, &join),
        frame(9, 1, &join),
        frame(1, 1, &SaslHandshakeRequest::default()),
        frame(2, 1, &SaslAuthenticateRequest::default()),
        frame(4, 1, &InitProducerIdRequest::default()),
        frame(4, 1, &api_versions()),
    ];
    for seed in 0..400 {
        let mut random = noise(seed);
        let mut bytes = BytesMut::new();
        for _ in 0..10 {
            let mut changed = originals[usize::from(random.next().unwrap()) % originals.len()].clone();
            for _ in 0..=random.next().unwrap() % 4 {
                let at = 4 + usize::from(random.next().unwrap()) % (changed.len() - 4);
                changed[at] = random.next().unwrap();
            }
            bytes.extend_from_slice(&changed);
        }
        let mut client = Wire::connect(&broker);
        // The broker may have closed it already.
        let _ = client.stream.write_all(&bytes);
    }
    assert_eq!(bystander.produce("t", batch(&["c"], NO_PRODUCER, false), None).error_code, 0);
}

#[test]
fn a_bug_in_one_request_closes_its_connection_and_no_other() {
    let broker = memory();
    let mut bystander = Wire::connect(&broker);
    let bug = |_: &Asked| panic!("a bug, on purpose");
    let _injected = broker.faults().on(ApiKey::Metadata, bug, Fault::Disconnect(Lost::Request), 1).unwrap();
    let mut client = Wire::connect(&broker);
    client.send(9, &metadata("t"));
    assert!(client.is_closed());
    assert_eq!(bystander.call(3, &api_versions()).error_code, 0);
}
