//! Sockets: text, line by line, and blocks of bytes, from a server (`nc -lk 9999`), and lines to one.
//!
//! What comes over a socket cannot be read again, so both receivers are at most once over a failure of the job. They say when they are connected, when they
//! are not, and go on trying. One subtask reads; to spread the work, rebalance the stream.

mod raw;
pub mod sink;
mod text;

use std::io::{ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

pub use raw::RawSocketReceiver;
pub use sink::SocketSink;
pub use text::SocketTextReceiver;
use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::source::{Stopped, Store};
use thalweg_dataflow::tell;

/// How often a reader that has nothing looks whether its job is over.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// For how long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// What is done when the server is away.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    host: String,
    port: u16,
    /// How many attempts in a row may fail; `None`: any number.
    retries: Option<u32>,
    pause: Duration,
    /// Whether the end of a connection is the end of the stream.
    ends: bool,
}

impl Peer {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, retries: None, pause: Duration::from_secs(2), ends: false }
    }

    pub(crate) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = None;
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(TICK))?;
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::new(ErrorKind::NotFound, "the name has no address")))
    }

    /// Connects, and has `read` read to the end of the connection, again and again.
    fn read_all<T: Data>(
        &self,
        store: &Store<T>,
        mut read: impl FnMut(Connection<'_, T>) -> Result<(), BoxError>,
    ) -> Result<(), BoxError> {
        let address = self.address();
        let (mut failed, mut told) = (0, false);
        while !store.is_stopped() {
            let error = match self.connect() {
                Ok(stream) => {
                    tell::info(format_args!("reading from {address}"));
                    (failed, told) = (0, false);
                    match read(Connection { stream, store }) {
                        Ok(()) if self.ends => return Ok(()),
                        Ok(()) => "the server has closed the connection".into(),
                        Err(error) if error.is::<Stopped>() => return Ok(()),
                        Err(error) => error,
                    }
                }
                Err(error) => {
                    failed += 1;
                    error.into()
                }
            };
            if store.is_stopped() {
                break;
            }
            if self.retries.is_some_and(|retries| failed > retries) {
                let attempts =
                    if failed == 1 { "1 attempt".to_owned() } else { format!("{failed} attempts") };
                return Err(format!("{address} cannot be read after {attempts}: {error}").into());
            }
            // Once each time that it goes away.
            if !std::mem::replace(&mut told, true) {
                tell::warn(format_args!("{address}: {error}; trying again every {:?}", self.pause));
            }
            store.wait(self.pause);
        }
        Ok(())
    }
}

/// A connection, which ends when the job does.
pub(crate) struct Connection<'a, T> {
    pub(crate) stream: TcpStream,
    pub(crate) store: &'a Store<T>,
}

impl<T: Data> Read for Connection<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.store.is_stopped() {
                        return Err(std::io::Error::other(Stopped));
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}
