//! Asks agents for their events: those that have Spark's sink, `org.apache.spark.streaming.flume.sink.SparkSink` (Spark's `FlumeUtils.createPollingStream`).
//!
//! The sink is a server of Avro's RPC over Netty, with frames as in `avro.rs`:
//!
//! ```text
//! getEventBatch(int)  → errorMsg, sequenceNumber, events: a transaction of the agent's begins
//! ack(string)         → null: it is committed, and the events go from the channel
//! nack(string)        → null: it is rolled back, and the events are given out again
//! ```

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Receiver, ReceiverSource, Stopped, Store};
use thalweg_dataflow::tell;

use super::FlumeEvent;
use super::avro::{blocks, bytes, event, long, map};
use super::server::{LONGEST, malformed, read_bytes, read_number, take, text};
use crate::contract::{Guarantee, Place, Promise};
use crate::socket::Peer;

/// What we speak: an agent reads our calls by it.
const PROTOCOL: &str = r#"{"protocol":"SparkFlumeProtocol","namespace":"org.apache.spark.flume","types":[{"type":"record","name":"SparkSinkEvent","fields":[{"name":"headers","type":{"type":"map","values":"string"}},{"name":"body","type":"bytes"}]},{"type":"record","name":"EventBatch","fields":[{"name":"errorMsg","type":"string","default":""},{"name":"sequenceNumber","type":"string"},{"name":"events","type":{"type":"array","items":"SparkSinkEvent"}}]}],"messages":{"getEventBatch":{"request":[{"name":"n","type":"int"}],"response":"EventBatch"},"ack":{"request":[{"name":"sequenceNumber","type":"string"}],"response":"null"},"nack":{"request":[{"name":"sequenceNumber","type":"string"}],"response":"null"}}}"#;

/// Our name of it: agents want sixteen bytes that are always the same for the same protocol.
const HASH: &[u8; 16] = b"thalweg, polling";

/// So long an agent may take for an answer. One that has no events says so after some seconds.
const ANSWER: Duration = Duration::from_secs(60);

/// After an error, an agent is asked again when so much time has passed.
const PAUSE: Duration = Duration::from_secs(2);

/// Asks agents for their events. See [`flume`](super) for what holds of both receivers.
///
/// - **Guarantee**: at least once. A batch is acknowledged when the checkpoint that holds it is committed; until then it is in the agent's channel, and after a crash of ours it is given out
///   again, when the agent's `timeout` is over.
/// - **Settings of the agent**: the sink's `timeout` (60 s unless it is set) must be longer than the time between two checkpoints, and its `threads` (10) as many as there are connections.
/// - **Rate**: each connection has one batch under way for each checkpoint.
/// - **Failure**: an agent that is away, or says what it should not, is told of once for each reason, and asked again every two seconds.
///
/// ```
/// use thalweg_connectors::flume::FlumePollingReceiver;
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let agents = FlumePollingReceiver::new([("agent-1.example.org", 41414), ("agent-2.example.org", 41414)]);
/// let graph = StreamGraph::new();
/// let events = graph.source("flume", agents.max_batch_size(5_000).into_source(), WatermarkStrategy::no_watermarks());
/// let lines = events.map("text", |event| event.text());
/// # let _ = lines;
/// ```
#[derive(Clone, Debug)]
pub struct FlumePollingReceiver {
    agents: Vec<(String, u16)>,
    batch: u32,
    connections: usize,
}

impl FlumePollingReceiver {
    /// Of agents whose sinks listen there.
    pub fn new<'a>(agents: impl IntoIterator<Item = (&'a str, u16)>) -> Self {
        let agents = agents.into_iter().map(|(host, port)| (host.to_owned(), port)).collect();
        Self { agents, batch: 1_000, connections: 5 }
    }

    /// So many events at most are asked for at once. Default: 1000. The agent's channel has to have that much in a transaction (`transactionCapacity`).
    #[must_use]
    pub fn max_batch_size(mut self, events: u32) -> Self {
        self.batch = events.clamp(1, i32::MAX as u32);
        self
    }

    /// So many connections are made to each agent. Default: 5.
    #[must_use]
    pub fn parallelism(mut self, connections: usize) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The agents, with commas between them.
    pub fn address(&self) -> String {
        let agents: Vec<String> = self.agents.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        agents.join(",")
    }

    /// A source of it, that is known by its addresses.
    pub fn into_source(self) -> ReceiverSource<Self> {
        let address = self.address();
        ReceiverSource::of(self).described(address)
    }
}

impl Promise for FlumePollingReceiver {
    fn place(&self) -> String {
        format!("Flume's agents at {}", self.address())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn because(&self) -> String {
        "an agent gives a batch out again whose acknowledgement it has not seen".to_owned()
    }
}

impl Receiver for FlumePollingReceiver {
    type Item = FlumeEvent;

    fn receive(&mut self, store: &Store<FlumeEvent>) -> Result<(), BoxError> {
        let (batch, connections) = (self.batch, self.connections);
        std::thread::scope(|scope| {
            for (host, port) in &self.agents {
                for connection in 0..connections {
                    // One of them speaks for all.
                    scope.spawn(move || {
                        ask_again_and_again(&Peer::new(host, *port), batch, store, connection == 0)
                    });
                }
            }
        });
        Ok(())
    }
}

fn ask_again_and_again(agent: &Peer, batch: u32, store: &Store<FlumeEvent>, tells: bool) {
    let mut told = String::new();
    while !store.is_stopped() {
        let asked = agent.connect().and_then(|stream| {
            stream.set_write_timeout(Some(ANSWER))?;
            stream.set_nodelay(true)?;
            let answers = BufReader::with_capacity(
                64 << 10,
                Answers { stream: stream.try_clone()?, store, until: Instant::now() },
            );
            let mut agent = Agent { stream, answers, serial: 0, knows_us: false };
            loop {
                agent.poll(batch, store)?;
                told.clear();
            }
        });
        let asked: io::Result<()> = asked;
        let Err(error) = asked else { return };
        if store.is_stopped() {
            return;
        }
        // Once for as long as it is the same.
        let said = error.to_string();
        if tells && said != told {
            let place = Place::new("Flume's agent at", &agent.address());
            tell::warn(format_args!("{place}: {error}; it is asked again every {PAUSE:?}"));
            told = said;
        }
        store.wait(PAUSE);
    }
}

/// A connection to an agent.
struct Agent<'a> {
    stream: TcpStream,
    answers: BufReader<Answers<'a>>,
    serial: u32,
    knows_us: bool,
}

impl Agent<'_> {
    /// Takes over one batch, if there is one.
    fn poll(&mut self, batch: u32, store: &Store<FlumeEvent>) -> io::Result<()> {
        let mut number = Vec::new();
        put_long(i64::from(batch), &mut number);
        let answer = self.call("getEventBatch", &number)?;
        let from = &mut &answer[..];
        let error = text(bytes(from)?);
        let sequence_number = bytes(from)?.to_vec();
        let mut events = Vec::new();
        blocks(from, |from| {
            events.push(event(from)?);
            Ok(())
        })?;
        // There are none, or its channel has said no. It has waited before it said so.
        if !error.is_empty() {
            store.wait(Duration::from_millis(20));
            return Ok(());
        }
        let mut argument = Vec::new();
        put_bytes(&sequence_number, &mut argument);
        match store.store_reliably(events) {
            Ok(()) => self.call("ack", &argument).map(drop),
            Err(stopped) => {
                // What it is not told, it finds out when its transaction has been open for too long.
                let _ = self.send("nack", &argument);
                Err(io::Error::other(stopped))
            }
        }
    }

    fn send(&mut self, name: &str, argument: &[u8]) -> io::Result<()> {
        let mut call = Vec::new();
        if !self.knows_us {
            call.extend(HASH);
            put_long(1, &mut call);
            put_bytes(PROTOCOL.as_bytes(), &mut call);
            // The same protocol on both sides, as far as we know; no metadata.
            call.extend(HASH);
            call.push(0);
        }
        // No metadata.
        call.push(0);
        put_bytes(name.as_bytes(), &mut call);
        call.extend(argument);
        self.serial += 1;
        let mut frame = self.serial.to_be_bytes().to_vec();
        frame.extend(1_u32.to_be_bytes());
        frame.extend((call.len() as u32).to_be_bytes());
        frame.extend(call);
        self.stream.write_all(&frame)
    }

    /// What is answered.
    fn call(&mut self, name: &str, argument: &[u8]) -> io::Result<Vec<u8>> {
        self.send(name, argument)?;
        self.answers.get_mut().until = Instant::now() + ANSWER;
        let cut = || io::Error::new(ErrorKind::UnexpectedEof, "it has closed the connection");
        let serial = read_number(&mut self.answers)?.ok_or_else(cut)?;
        if serial != self.serial {
            return Err(malformed("it answers what was not asked; it seems to speak another protocol"));
        }
        let parts = read_number(&mut self.answers)?.ok_or_else(cut)?;
        let mut answer = Vec::new();
        for _ in 0..parts {
            let length = read_number(&mut self.answers)?.ok_or_else(cut)? as usize;
            answer.extend(read_bytes(&mut self.answers, length)?);
            if answer.len() > LONGEST {
                return Err(malformed("its answer is too long; it seems to speak another protocol"));
            }
        }
        let from = &mut &answer[..];
        if !std::mem::replace(&mut self.knows_us, true) {
            handshake(from)?;
        }
        map(from, |from| bytes(from).map(drop))?;
        match take(from, 1)? {
            [0] => Ok(from.to_vec()),
            _ => {
                // Of a union of errors, the first of which is a text.
                let said = if long(from)? == 0 { text(bytes(from)?) } else { "an error".to_owned() };
                Err(io::Error::other(format!("it answers `{name}` with {said}")))
            }
        }
    }
}

/// Whether it knows our protocol, its own if it has another text of it, its hash, metadata.
fn handshake(from: &mut &[u8]) -> io::Result<()> {
    let is_known = match long(from)? {
        0 | 1 => true,
        2 => false,
        _ => return Err(malformed("its handshake is none; it seems to speak another protocol")),
    };
    if long(from)? == 1 {
        bytes(from)?;
    }
    if long(from)? == 1 {
        take(from, 16)?;
    }
    if long(from)? == 1 {
        map(from, |from| bytes(from).map(drop))?;
    }
    match is_known {
        true => Ok(()),
        false => Err(malformed("it does not know the protocol of Spark's sink")),
    }
}

fn put_long(number: i64, out: &mut Vec<u8>) {
    let mut folded = (number << 1 ^ number >> 63) as u64;
    while folded >= 0x80 {
        out.push(folded as u8 | 0x80);
        folded >>= 7;
    }
    out.push(folded as u8);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// What an agent answers, for as long as the job goes on, and not for longer than it may take.
struct Answers<'a> {
    stream: TcpStream,
    store: &'a Store<FlumeEvent>,
    until: Instant,
}

impl Read for Answers<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.store.is_stopped() {
                        return Err(io::Error::other(Stopped));
                    }
                    if Instant::now() > self.until {
                        return Err(io::Error::new(
                            ErrorKind::TimedOut,
                            format!("no answer within {ANSWER:?}"),
                        ));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}
