//! A broker to try clients against: `cargo run -p thalweg-broker --example serve -- [host:port] [folder]`.
//!
//! It says where it listens, and serves until its standard input ends.

use std::error::Error;
use std::io::Read;

use thalweg_broker::{Broker, BrokerConfig, Storage};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut config = BrokerConfig::default();
    if let Some(listen) = arguments.next() {
        config.listen = listen;
    }
    if let Some(folder) = arguments.next() {
        config.storage = Storage::Directory(folder.into());
    }
    let broker = Broker::start(config)?;
    println!("bootstrap.servers={}", broker.bootstrap());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    broker.stop();
    Ok(())
}
