//! Blocks of bytes from a socket (Spark's `rawSocketStream`): each is a length of four bytes, big-endian, and so many bytes.

use std::io::{BufReader, ErrorKind, Read};

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Receiver, Store};

use super::Peer;
use super::text::stopped;

/// No block may be longer, so that a server that speaks another protocol is noticed.
const LONGEST: u32 = 256 << 20;

/// Receives blocks, as they are: what is in them is for a `map` to find out.
#[derive(Clone, Debug)]
pub struct RawSocketReceiver {
    peer: Peer,
}

impl RawSocketReceiver {
    /// Connects to a server, again whenever the connection ends or cannot be made.
    pub fn new(host: &str, port: u16) -> Self {
        Self { peer: Peer::new(host, port) }
    }

    /// Where it connects to.
    pub fn address(&self) -> String {
        self.peer.address()
    }
}

impl Receiver for RawSocketReceiver {
    type Item = Vec<u8>;

    fn receive(&mut self, store: &Store<Vec<u8>>) -> Result<(), BoxError> {
        let address = self.address();
        self.peer.read_all(store, |connection| {
            let mut reader = BufReader::with_capacity(64 << 10, connection);
            loop {
                let mut length = [0; 4];
                // Between two blocks a connection may end.
                if reader.read(&mut length[..1]).map_err(stopped)? == 0 {
                    return Ok(());
                }
                reader.read_exact(&mut length[1..]).map_err(stopped)?;
                let length = u32::from_be_bytes(length);
                if length > LONGEST {
                    return Err(format!(
                        "{address} announces a block of {length} bytes; it seems to speak another protocol"
                    )
                    .into());
                }
                let mut block = Vec::new();
                let read =
                    reader.by_ref().take(u64::from(length)).read_to_end(&mut block).map_err(stopped)?;
                if read < length as usize {
                    return Err(std::io::Error::from(ErrorKind::UnexpectedEof).into());
                }
                store.store(block)?;
            }
        })
    }
}
