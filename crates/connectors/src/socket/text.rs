//! Text from a socket, line by line (Spark's and Flink's `socketTextStream`).

use std::io::{BufRead, BufReader};
use std::time::Duration;

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Receiver, Store};

use super::Peer;

/// Lines without their end. What is not UTF-8 is replaced by U+FFFD, as Spark does it.
///
/// ```
/// use thalweg_connectors::socket::SocketTextReceiver;
/// use thalweg_dataflow::source::ReceiverSource;
///
/// let lines = ReceiverSource::of(SocketTextReceiver::new("localhost", 9999));
/// # let _ = lines;
/// ```
#[derive(Clone, Debug)]
pub struct SocketTextReceiver {
    peer: Peer,
    delimiter: String,
}

impl SocketTextReceiver {
    /// Connects to a server, again whenever the connection ends or cannot be made, two seconds later.
    pub fn new(host: &str, port: u16) -> Self {
        Self { peer: Peer::new(host, port), delimiter: "\n".to_owned() }
    }

    /// Where it connects to.
    pub fn address(&self) -> String {
        self.peer.address()
    }

    /// What ends a line. Default: `\n`, before which a `\r` is dropped.
    ///
    /// # Panics
    /// When it is empty.
    #[must_use]
    pub fn delimiter(mut self, delimiter: &str) -> Self {
        assert!(!delimiter.is_empty(), "a delimiter has at least one character");
        delimiter.clone_into(&mut self.delimiter);
        self
    }

    /// The stream ends with the connection, as Flink's does.
    #[must_use]
    pub fn ends_with_the_connection(mut self) -> Self {
        self.peer.ends = true;
        self
    }

    /// The receiver fails when so many attempts to connect in a row have failed after the first. Default: it goes on trying.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.peer.retries = Some(retries);
        self
    }

    /// How long to wait between two attempts.
    #[must_use]
    pub fn retry_every(mut self, pause: Duration) -> Self {
        self.peer.pause = pause;
        self
    }
}

impl Receiver for SocketTextReceiver {
    type Item = String;

    fn receive(&mut self, store: &Store<String>) -> Result<(), BoxError> {
        let delimiter = self.delimiter.as_bytes();
        // A delimiter is looked for by its last byte.
        let last = delimiter[delimiter.len() - 1];
        self.peer.read_all(store, |connection| {
            let (mut reader, mut line) = (BufReader::with_capacity(64 << 10, connection), Vec::new());
            loop {
                let read = reader.read_until(last, &mut line).map_err(stopped)?;
                if read > 0 && !line.ends_with(delimiter) && line.ends_with(&[last]) {
                    continue;
                }
                let text = line.strip_suffix(delimiter).unwrap_or(&line);
                let text = if delimiter == b"\n" { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
                // The end of the connection ends the last line, if there is one.
                if read > 0 || !line.is_empty() {
                    store.store(String::from_utf8_lossy(text).into_owned())?;
                }
                if read == 0 {
                    return Ok(());
                }
                line.clear();
            }
        })
    }
}

/// That the job is over is no error of the socket.
pub(super) fn stopped(error: std::io::Error) -> BoxError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<thalweg_dataflow::source::Stopped>()) {
        Some(stopped) => Box::new(*stopped),
        None => error.into(),
    }
}
