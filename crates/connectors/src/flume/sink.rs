//! Sends events to an agent of Flume's: to its thrift source, with its default `protocol = compact`.
//!
//! Each subtask has a connection of its own, and sends the records of a batch (a thousand, or what has come within some milliseconds) in one request, whose answer it waits for: then they are in the
//! agent's channel.
//!
//! - **Guarantee**: at least once: a request whose answer was lost is sent again, and so are, after a failure of the job, the records since its checkpoint.
//! - **Failure**: an agent that is away, or whose channel is full, is asked again as [`Retry`] says; then the job fails, and its restart strategy decides.
//! - **Memory**: one batch.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Cancelled, Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Data};

use super::{FlumeEvent, thrift};
use crate::contract::{ConnectorMetrics, Failure, Guarantee, Place, Promise, Retry, wait_unless};
use crate::socket::{Peer, TICK};

/// So long an agent may take for an answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Sends what its format makes of a record. See the [module](self).
///
/// ```no_run
/// use thalweg_connectors::flume::{FlumeEvent, FlumeSink};
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::source::CollectionSource;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let words = CollectionSource::new(vec!["deep".to_owned(), "fast".to_owned()]);
/// let words = graph.source("words", words, WatermarkStrategy::no_watermarks());
/// let event = |word: &String| FlumeEvent { body: word.clone().into_bytes(), ..FlumeEvent::default() };
/// words.apply("flume", FlumeSink::new("agent.example.org", 41414, event));
/// ```
pub struct FlumeSink<T, F> {
    host: String,
    port: u16,
    format: F,
    retry: Retry,
    sequence: u64,
    connection: Option<TcpStream>,
    opened: Option<(ConnectorMetrics, Cancelled)>,
    records: std::marker::PhantomData<fn(T)>,
}

impl<T, F> FlumeSink<T, F> {
    /// To the thrift source at this address.
    pub fn new(host: &str, port: u16, format: F) -> Self {
        Self {
            host: host.to_owned(),
            port,
            format,
            retry: Retry::new(),
            sequence: 0,
            connection: None,
            opened: None,
            records: std::marker::PhantomData,
        }
    }

    /// How a batch is tried again. Default: [`Retry::new`].
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    fn address(&self) -> Place {
        Place::new("Flume's agent at", &format!("{}:{}", self.host, self.port))
    }

    fn send(&mut self, events: &[FlumeEvent]) -> Result<(), BoxError> {
        let place = self.address();
        let (metrics, cancelled) = self.opened.as_ref().ok_or("the sink has not been opened")?;
        self.sequence = (self.sequence + 1) % (1 << 31);
        let call = thrift::append_batch(self.sequence, events);
        let attempt = |_| {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => {
                    let made = Peer::new(&self.host, self.port).connect().map_err(Failure::passing)?;
                    made.set_write_timeout(Some(ANSWER)).map_err(Failure::passing)?;
                    none.insert(made)
                }
            };
            let until = Instant::now() + ANSWER;
            let sent = connection.write_all(&call);
            let answered = sent
                .and_then(|()| thrift::answered(self.sequence, &mut Answer { connection, cancelled, until }));
            answered.map_err(|error| {
                self.connection = None;
                match error.kind() {
                    ErrorKind::InvalidData => Failure::lasting(error),
                    _ => Failure::passing(error),
                }
            })
        };
        let what = format!("send {} events", events.len());
        let sent = self.retry.run_unless(&place, &what, Some(metrics), wait_unless(cancelled), attempt);
        sent.map_err(|error| error.boxed())?;
        metrics.bytes(call.len() as u64);
        Ok(())
    }
}

/// An answer that is waited for, but not by a job that is over.
struct Answer<'a> {
    connection: &'a mut TcpStream,
    cancelled: &'a Cancelled,
    until: Instant,
}

impl Read for Answer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.set_read_timeout(Some(TICK))?;
        loop {
            match self.connection.read(buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.cancelled.is_set() || Instant::now() > self.until {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl<T, F: Clone> Clone for FlumeSink<T, F> {
    fn clone(&self) -> Self {
        Self { retry: self.retry.clone(), ..Self::new(&self.host, self.port, self.format.clone()) }
    }
}

impl<T, F> fmt::Debug for FlumeSink<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlumeSink")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl<T, F> Promise for FlumeSink<T, F> {
    fn place(&self) -> String {
        self.address().to_string()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn because(&self) -> String {
        "an agent does not tell a batch that is sent again from another one".to_owned()
    }
}

impl<T, F> Operator for FlumeSink<T, F>
where
    T: Data,
    F: FnMut(&T) -> FlumeEvent + Send + 'static,
{
    type In = T;
    type Out = ();

    fn identity(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.opened = Some((ConnectorMetrics::of(&context.metrics), context.cancelled.clone()));
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        let events: Vec<FlumeEvent> =
            batch.records.drain(..).map(|record| (self.format)(&record.value)).collect();
        self.send(&events)
    }
}
