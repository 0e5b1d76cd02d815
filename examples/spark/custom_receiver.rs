//! A receiver of one's own, which reads lines from a server (Spark's `CustomReceiver`).
//!
//! In one terminal `nc -lk 9999`, in another `cargo run --release -p thalweg --example custom_receiver -- localhost 9999`.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::TcpStream;

use thalweg::prelude::*;

#[derive(Clone)]
struct Lines {
    address: String,
}

impl Receiver for Lines {
    type Item = String;

    /// Called on a thread of its own; when it fails it is called again after two seconds.
    fn receive(&mut self, store: &Store<String>) -> Result<(), BoxError> {
        let socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (mut reader, mut line) = (BufReader::new(socket), String::new());
        while !store.is_stopped() {
            match reader.read_line(&mut line) {
                Ok(0) => return Err("the connection has ended".into()),
                Ok(_) => store.store(std::mem::take(&mut line).trim_end().to_owned())?,
                // What there is of a line stays.
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, port]: [String; 2] = arguments.try_into().map_err(|_| "usage: custom_receiver HOST PORT")?;
    let ssc = StreamingContext::new("CustomReceiver", Duration::from_secs(1));
    let lines = ssc.receiver_stream(Lines { address: format!("{host}:{port}") });
    let words = lines.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.map(|word| (word, 1)).reduce_by_key(|a, b| a + b).print();
    ssc.start()?;
    ssc.await_termination()?;
    Ok(())
}
