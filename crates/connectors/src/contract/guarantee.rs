//! What a connector guarantees, and how more than that is refused before the start.

use std::fmt;

use thalweg_dataflow::graph::Stream;
use thalweg_dataflow::record::Data;
use thalweg_dataflow::sink::Sink;

/// How often a record is there after failures: ours, the system's, the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Nothing: what was under way at a failure may be lost, or be there twice (Flink's `NONE`).
    BestEffort,
    /// Once, or more often: what was under way at a failure is read or written again.
    AtLeastOnce,
    /// Once. Of a source: it is read from the position in the checkpoint. Of a sink: it becomes visible with its checkpoint.
    ExactlyOnce,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BestEffort => "best effort",
            Self::AtLeastOnce => "at least once",
            Self::ExactlyOnce => "exactly once",
        })
    }
}

/// What a source or a sink promises. All of it holds in a job with checkpoints; without them a restart begins anew.
pub trait Promise {
    /// The system and its address, as people know it, without credentials: `the socket localhost:9999`.
    fn place(&self) -> String;

    /// What it guarantees, set up as it is.
    fn guarantee(&self) -> Guarantee;

    /// Why it does not guarantee more, or what it rests on, in one sentence without a full stop.
    fn because(&self) -> String;

    /// Asks for a guarantee: a job whose sink promises less is refused before it starts, with the reason.
    ///
    /// ```
    /// use thalweg_connectors::contract::{Guarantee, Promise};
    /// use thalweg_connectors::socket::SocketSink;
    /// use thalweg_dataflow::graph::StreamGraph;
    /// use thalweg_dataflow::runtime::{JobConfig, run};
    /// use thalweg_dataflow::sink::Sink;
    /// use thalweg_dataflow::source::CollectionSource;
    /// use thalweg_dataflow::watermark::WatermarkStrategy;
    ///
    /// let graph = StreamGraph::new();
    /// let words = CollectionSource::new(vec!["deep".to_owned()]);
    /// let words = graph.source("words", words, WatermarkStrategy::no_watermarks());
    /// SocketSink::new("localhost", 9999).delivering(Guarantee::ExactlyOnce).add_to(&words);
    /// let error = run(&graph, JobConfig::new("words")).unwrap_err().to_string();
    /// assert!(error.contains("exactly once was asked of the socket localhost:9999, which is best effort: a socket acknowledges nothing"), "{error}");
    /// ```
    fn delivering(self, asked: Guarantee) -> Delivering<Self>
    where
        Self: Sized,
    {
        Delivering { connector: self, asked }
    }
}

/// A sink of which a guarantee is asked; made by [`Promise::delivering`].
#[derive(Clone, Debug)]
pub struct Delivering<C> {
    connector: C,
    asked: Guarantee,
}

impl<T: Data, C: Sink<T> + Promise> Sink<T> for Delivering<C> {
    fn add_to(self, stream: &Stream<T>) -> Stream<()> {
        let (asked, promised) = (self.asked, self.connector.guarantee());
        if promised < asked {
            let (place, because) = (self.connector.place(), self.connector.because());
            stream.graph().refuse(format!(
                "{asked} was asked of {place}, which is {promised}: {because}. Ask for less, or take a sink that guarantees it"
            ));
        }
        self.connector.add_to(stream)
    }
}
