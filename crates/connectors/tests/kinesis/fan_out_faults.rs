//! Enhanced fan-out from a service that does what Amazon's may do, and no server for tests does: it ends subscriptions, refuses them, cuts them, and sends what is wrong.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use thalweg_connectors::contract::Secret;
use thalweg_connectors::kinesis::ConsumerLifecycle;

use super::*;

const ARN: &str = "arn:aws:kinesis:eu-central-1:123456789012:stream/words";

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(&bytes);
    bytes.extend(sum.sum().to_be_bytes());
    bytes
}

fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut of_headers = Vec::new();
    for (name, value) in headers {
        of_headers.push(name.len() as u8);
        of_headers.extend_from_slice(name.as_bytes());
        of_headers.push(7);
        of_headers.extend((value.len() as u16).to_be_bytes());
        of_headers.extend_from_slice(value.as_bytes());
    }
    let total = (16 + of_headers.len() + payload.len()) as u32;
    let lengths = [total.to_be_bytes(), (of_headers.len() as u32).to_be_bytes()].concat();
    sealed([sealed(lengths), of_headers, payload.to_vec()].concat())
}

/// Of three digits, so that nothing has to be filled up.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits = text.bytes().fold(0, |bits, byte| bits << 8 | usize::from(byte));
    [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63])).iter().collect()
}

/// The records `from..to` of as many as there are.
fn event(from: u64, to: u64, count: u64, data: impl Fn(u64) -> String) -> Vec<u8> {
    let record = |n: u64| json!({ "PartitionKey": "k", "Data": data(n), "SequenceNumber": (n + 1).to_string(), "ApproximateArrivalTimestamp": 1.5 });
    let children = if to == count { json!([{ "ShardId": "shardId-000000000001" }]) } else { json!([]) };
    let next = if to == count { Value::Null } else { to.to_string().into() };
    let records: Vec<Value> = (from..to).map(record).collect();
    let event = json!({ "Records": records, "ContinuationSequenceNumber": next, "MillisBehindLatest": 0, "ChildShards": children });
    let headers = [(":message-type", "event"), (":event-type", "SubscribeToShardEvent")];
    frame(&headers, event.to_string().as_bytes())
}

/// Where the answer to a subscription goes, in pieces.
struct Answer<'a>(&'a mut TcpStream, usize);

impl Answer<'_> {
    fn begin(&mut self) -> std::io::Result<()> {
        self.0.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        self.send(&frame(&[(":message-type", "event"), (":event-type", "initial-response")], b""))
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(self.1) {
            self.0.write_all(&[format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())?;
        }
        Ok(())
    }
}

type Subscribed = dyn Fn(u64, &mut TcpStream) -> std::io::Result<bool> + Send + Sync;

/// A service with one shard, and its client. `subscribed` answers a subscription from that number on, and says whether the connection stays.
fn service(
    subscribed: impl Fn(u64, &mut TcpStream) -> std::io::Result<bool> + Send + Sync + 'static,
) -> KinesisClient {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let subscribed: Arc<Subscribed> = Arc::new(subscribed);
    let serve = move |mut stream: TcpStream, subscribed: Arc<Subscribed>| -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some((action, body)) = request(&mut reader)? {
            let answer = match action.as_str() {
                "ListShards" => json!({ "Shards": [{ "ShardId": "shardId-000000000000", "HashKeyRange": {},
                    "SequenceNumberRange": { "StartingSequenceNumber": "1" } }] }),
                "DescribeStreamConsumer" => {
                    json!({ "ConsumerDescription": { "ConsumerStatus": "ACTIVE", "ConsumerARN": format!("{ARN}/consumer/counts:1") } })
                }
                _ => {
                    let position = &body["StartingPosition"];
                    let of = position["Type"].as_str().unwrap();
                    assert!(["TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER"].contains(&of), "{body}");
                    let after = position["SequenceNumber"].as_str().map_or(0, |after| after.parse().unwrap());
                    match subscribed(after, &mut stream)? {
                        true => continue,
                        false => return stream.shutdown(std::net::Shutdown::Both),
                    }
                }
            };
            let answer = answer.to_string();
            stream.write_all(
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).as_bytes(),
            )?;
        }
        Ok(())
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let subscribed = subscribed.clone();
            std::thread::spawn(move || serve(stream, subscribed));
        }
    });
    let client = KinesisClient::builder().endpoint(&address).region("eu-central-1");
    client.credentials("key", Secret::new("secret")).build().unwrap()
}

/// Nothing but what comes wakes it.
fn source(client: KinesisClient) -> KinesisSource {
    let source = KinesisSource::new(ARN).client(client).fan_out("counts", ConsumerLifecycle::SelfManaged);
    let pause = Duration::from_millis(1);
    let retry = Retry::new().attempts(3).first_pause(pause);
    source.retry(retry).poll_every(pause).discover_every(Duration::from_secs(3600))
}

#[test]
fn subscriptions_that_end_or_are_refused_or_cut_or_wrong_are_made_anew_from_where_they_were() {
    const COUNT: u64 = 300;
    let (subscriptions, number) = (Arc::new(AtomicU64::new(0)), |n: u64| base64(&format!("{n:03}")));
    let counted = subscriptions.clone();
    let client = service(move |mut at, stream| {
        let refused = json!({ "__type": "ResourceInUseException", "message": "too soon" }).to_string();
        let kind = counted.fetch_add(1, Ordering::Relaxed) % 8;
        if kind == 1 {
            let answer =
                format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{refused}", refused.len());
            return stream.write_all(answer.as_bytes()).map(|()| true);
        }
        let mut answer = Answer(stream, 7);
        answer.begin()?;
        for count in [3, 0, 4] {
            let to = (at + count).min(COUNT);
            answer.send(&event(at, to, COUNT, number))?;
            at = to;
        }
        let next = event(at, (at + 5).min(COUNT), COUNT, number);
        match kind {
            // Its five minutes are over.
            0 | 7 => {}
            2 => {
                let headers = [(":message-type", "exception"), (":exception-type", "ResourceInUseException")];
                answer.send(&frame(&headers, b"{\"message\":\"another one has subscribed\"}"))?;
            }
            3 => answer.send(&next[..next.len() / 2])?,
            4 => {
                answer.send(&next[..next.len() / 2])?;
                return Ok(false);
            }
            5 => {
                let mut wrong = next;
                *wrong.last_mut().unwrap() ^= 1;
                answer.send(&wrong)?;
            }
            _ => answer.send(&sealed([u32::MAX.to_be_bytes(), [0; 4]].concat()))?,
        }
        answer.0.write_all(b"0\r\n\r\n").map(|()| true)
    });
    let (job, records) = collect(source(client), 1, None);
    exactly(&records, 0..COUNT);
    in_order(&records);
    stop(job);
    let count = subscriptions.load(Ordering::Relaxed);
    assert!(count > 40, "{count} subscriptions");
}

#[test]
fn a_subscription_that_is_refused_for_good_fails_the_job_at_once_and_others_after_as_many_attempts() {
    for (kind, said, times) in [
        ("ResourceNotFoundException", "trying again cannot help", 1),
        ("LimitExceededException", "3 attempts", 3),
    ] {
        let asked = Arc::new(AtomicU64::new(0));
        let counted = asked.clone();
        let client = service(move |_, stream| {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut answer = Answer(stream, 1_000);
            answer.begin()?;
            answer.send(&frame(
                &[(":message-type", "exception"), (":exception-type", kind)],
                b"{\"message\":\"no\"}",
            ))?;
            answer.0.write_all(b"0\r\n\r\n").map(|()| true)
        });
        let error = collect(source(client), 1, None).0.wait().unwrap_err().to_string();
        assert!(
            error.contains(kind) && error.contains(said) && error.contains("read shard shardId-000000000000"),
            "{error}"
        );
        assert_eq!(asked.load(Ordering::Relaxed), times, "{error}");
    }
}

#[test]
fn no_more_is_read_than_the_job_takes() {
    const COUNT: u64 = 1_000;
    const SIZE: usize = 64 << 10;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let client = service(move |mut at, stream| {
        let mut answer = Answer(stream, 1 << 20);
        answer.begin()?;
        while at < COUNT {
            answer.send(&event(at, at + 1, COUNT, |_| "AAAA".repeat(SIZE / 4)))?;
            at += 1;
            counted.store(at, Ordering::Relaxed);
        }
        answer.0.write_all(b"0\r\n\r\n").map(|()| true)
    });
    let (graph, is_open, seen) =
        (StreamGraph::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (gate, counted) = (is_open.clone(), seen.clone());
    let stream = graph.source("kinesis", source(client), WatermarkStrategy::no_watermarks());
    let _ = stream.map("gate", move |_| {
        while !gate.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let restart = Some(RestartStrategy::None);
    let job = start(&graph, JobConfig { parallelism: 1, restart, ..JobConfig::new("gate") }).unwrap();
    // Until no more goes out.
    let (mut before, until) = (0, Instant::now() + Duration::from_secs(60));
    loop {
        std::thread::sleep(Duration::from_millis(700));
        let now = sent.load(Ordering::Relaxed);
        if now > 0 && now == before {
            break;
        }
        assert!(Instant::now() < until, "{now}");
        before = now;
    }
    // What the network holds is some MiB.
    assert!(before * (SIZE as u64) < 32 << 20, "{before} records of 64 KiB are on their way, of {COUNT}");
    is_open.store(true, Ordering::Relaxed);
    while seen.load(Ordering::Relaxed) < COUNT {
        assert!(Instant::now() < until, "{seen:?} of {COUNT}");
        std::thread::sleep(Duration::from_millis(10));
    }
    stop(job);
}
