//! Serves page views at random, to whoever connects, for `page_view_stream` (Spark's `PageViewGenerator`).
//!
//! `cargo run --release -p thalweg --example page_view_generator -- PORT VIEWS_PER_SECOND`

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const PAGES: [(&str, u64); 3] =
    [("http://foo.com/", 70), ("http://foo.com/news", 20), ("http://foo.com/contact", 10)];

/// Numbers that look as if they were drawn.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn view(&mut self) -> String {
        let mut page = self.below(100);
        let (url, _) = PAGES
            .iter()
            .find(|(_, share)| {
                let here = page < *share;
                page = page.saturating_sub(*share);
                here
            })
            .unwrap_or(&PAGES[0]);
        // A zip code is the worse for errors, the higher it is.
        let zip = if self.below(100) < 50 { 94_709 } else { 94_117 };
        let status = if self.below(100) < if zip == 94_709 { 2 } else { 20 } { 404 } else { 200 };
        format!("{url}\t{status}\t{zip}\t{}\n", 1 + self.below(100))
    }
}

fn serve(mut client: TcpStream, rate: u64) -> std::io::Result<()> {
    let mut dice = Dice(7);
    loop {
        let views: String = (0..rate.div_ceil(10)).map(|_| dice.view()).collect();
        client.write_all(views.as_bytes())?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, rate]: [String; 2] =
        arguments.try_into().map_err(|_| "usage: page_view_generator PORT VIEWS_PER_SECOND")?;
    let (listener, rate) = (TcpListener::bind(("localhost", port.parse()?))?, rate.parse()?);
    println!("Listening on port: {}", listener.local_addr()?.port());
    for client in listener.incoming() {
        let client = client?;
        // One that goes away is no reason to stop.
        std::thread::spawn(move || serve(client, rate));
    }
    Ok(())
}
