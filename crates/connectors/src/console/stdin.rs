//! Lines of stdin.

use std::io::{self, BufRead};

use thalweg_dataflow::error::BoxError;
use thalweg_dataflow::source::{Receiver, ReceiverSource, Store};

use crate::contract::{Guarantee, Promise};

/// Lines of stdin, without their end, until it ends; then the stream ends. What is not UTF-8 is replaced by U+FFFD.
///
/// It is best effort: what was read before a failure of the job is not there any more. A job that is stopped is over when the next line comes, or stdin ends, as
/// nobody can be called back from reading it.
///
/// ```
/// use thalweg_connectors::console::StdinReceiver;
/// use thalweg_dataflow::graph::StreamGraph;
/// use thalweg_dataflow::watermark::WatermarkStrategy;
///
/// let graph = StreamGraph::new();
/// let lines = graph.source("stdin", StdinReceiver.into_source(), WatermarkStrategy::no_watermarks());
/// # let _ = lines;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StdinReceiver;

impl StdinReceiver {
    /// A source of it.
    pub fn into_source(self) -> ReceiverSource<Self> {
        ReceiverSource::of(self).described("stdin")
    }
}

impl Receiver for StdinReceiver {
    type Item = String;

    fn receive(&mut self, store: &Store<String>) -> Result<(), BoxError> {
        receive(io::stdin().lock(), store)
    }
}

fn receive(mut from: impl BufRead, store: &Store<String>) -> Result<(), BoxError> {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        store.store(String::from_utf8_lossy(text).into_owned())?;
        line.clear();
    }
    Ok(())
}

impl Promise for StdinReceiver {
    fn place(&self) -> String {
        "stdin".to_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::BestEffort
    }

    fn because(&self) -> String {
        "what was read from stdin cannot be read again".to_owned()
    }
}
