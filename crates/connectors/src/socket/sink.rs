//! Writes to a socket, a line a record (Flink's `writeToSocket`).
//!
//! Each subtask has a connection of its own. When it breaks, another one is made, as [`Retry`] says, and goes on with the first line that
//! was not handed over whole.
//!
//! - **Guarantee**: [best effort](Guarantee::BestEffort). A socket acknowledges nothing: lines that the connection had taken, and the server not read, are lost when it
//!   breaks; after a restart of the job, lines since its checkpoint are written again.
//! - **Backpressure**: a server that does not read makes the job wait.
//! - **Failure**: when no attempt is left, the job fails; its restart strategy says what then.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use thalweg_dataflow::Output;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::operator::{Cancelled, Operator, OperatorContext};
use thalweg_dataflow::record::{Batch, Data};
use thalweg_dataflow::tell;

use super::{Peer, TICK};
use crate::contract::{ConnectorMetrics, Failure, Guarantee, Place, Promise, Retry, wait_unless};

/// Writes what its format makes of a record, and a line end, to a server. See the [module](self).
///
/// ```
/// use std::io::Read;
///
/// use thalweg_connectors::socket::SocketSink;
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::runtime::{JobConfig, run};
/// use thalweg_dataflow::source::CollectionSource;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let server = std::net::TcpListener::bind("localhost:0")?;
/// let graph = StreamGraph::new();
/// let words = CollectionSource::new(vec!["deep".to_owned(), "fast".to_owned()]);
/// let words = graph.source("words", words, WatermarkStrategy::no_watermarks());
/// words.apply("socket", SocketSink::new("localhost", server.local_addr()?.port()));
/// run(&graph, JobConfig { parallelism: 1, ..JobConfig::new("words") })?;
/// let mut written = String::new();
/// server.accept()?.0.read_to_string(&mut written)?;
/// assert_eq!(written, "deep\nfast\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SocketSink<T, F = fn(&T, &mut Vec<u8>)> {
    peer: Peer,
    format: F,
    retry: Retry,
    buffer: Vec<u8>,
    connection: Option<TcpStream>,
    opened: Option<(ConnectorMetrics, Cancelled)>,
    records: std::marker::PhantomData<fn(T)>,
}

impl SocketSink<String> {
    /// Writes text.
    pub fn new(host: &str, port: u16) -> Self {
        Self::of(host, port, |line: &String, out| out.extend_from_slice(line.as_bytes()))
    }
}

impl<T, F> SocketSink<T, F> {
    /// Writes what `format` makes of a record: it appends the line, without its end.
    pub fn of(host: &str, port: u16, format: F) -> Self {
        Self {
            peer: Peer::new(host, port),
            format,
            retry: Retry::new(),
            buffer: Vec::new(),
            connection: None,
            opened: None,
            records: std::marker::PhantomData,
        }
    }

    /// How a connection is made anew. Default: [`Retry::new`].
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Writes the buffer, over as many connections as it takes.
    fn write(&mut self) -> Result<(), BoxError> {
        let (metrics, cancelled) = self.opened.as_ref().ok_or("the sink has not been opened")?;
        let place = Place::new("the socket", &self.peer.address());
        let (mut written, mut told) = (0, false);
        let attempt = |_| {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => none.insert(connect(&self.peer).map_err(Failure::passing)?),
            };
            let failed = write_all(connection, &self.buffer, &mut written, cancelled).err();
            let Some(error) = failed else { return Ok(()) };
            self.connection = None;
            // The next connection begins with a whole line.
            written = memchr::memrchr(b'\n', &self.buffer[..written]).map_or(0, |end| end + 1);
            if !std::mem::replace(&mut told, true) && !cancelled.is_set() {
                tell::warn(format_args!("{place}: {error}; connecting anew"));
            }
            Err(Failure::passing(error))
        };
        let wait = wait_unless(cancelled);
        self.retry
            .run_unless(&place, "write", Some(metrics), wait, attempt)
            .map_err(|error| error.boxed())?;
        metrics.bytes(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(())
    }
}

fn connect(peer: &Peer) -> std::io::Result<TcpStream> {
    let connection = peer.connect()?;
    connection.set_write_timeout(Some(TICK))?;
    connection.set_nodelay(true)?;
    Ok(connection)
}

/// Writes what is left of `bytes`; a server that does not read is waited for.
fn write_all(
    connection: &mut TcpStream,
    bytes: &[u8],
    written: &mut usize,
    cancelled: &Cancelled,
) -> std::io::Result<()> {
    while *written < bytes.len() {
        match connection.write(&bytes[*written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => *written += more,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if cancelled.is_set() {
                    return Err(error);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl<T, F: Clone> Clone for SocketSink<T, F> {
    fn clone(&self) -> Self {
        let Self { peer, format, retry, .. } = self;
        Self { retry: retry.clone(), ..Self::of(&peer.host, peer.port, format.clone()) }
    }
}

impl<T, F> fmt::Debug for SocketSink<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSink").field("peer", &self.peer).field("retry", &self.retry).finish()
    }
}

impl<T, F> Promise for SocketSink<T, F> {
    fn place(&self) -> String {
        Place::new("the socket", &self.peer.address()).to_string()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::BestEffort
    }

    fn because(&self) -> String {
        "a socket acknowledges nothing".to_owned()
    }
}

impl<T, F> Operator for SocketSink<T, F>
where
    T: Data,
    F: FnMut(&T, &mut Vec<u8>) + Send + 'static,
{
    type In = T;
    type Out = ();

    fn identity(&self) -> String {
        self.peer.address()
    }

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.opened = Some((ConnectorMetrics::of(&context.metrics), context.cancelled.clone()));
        Ok(())
    }

    fn process(&mut self, batch: &mut Batch<T>, _: &mut Output<()>) -> Result<(), BoxError> {
        for record in batch.records.drain(..) {
            (self.format)(&record.value, &mut self.buffer);
            self.buffer.push(b'\n');
        }
        self.write()
    }
}
