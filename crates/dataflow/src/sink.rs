//! The sink: where records leave. A sink is one or more operators at the end of a stream, and perhaps a committer.

use crate::graph::Stream;
use crate::operator::Operator;
use crate::record::Data;

/// What a stream of `T` can be written to (Flink's `Sink`).
pub trait Sink<T: Data> {
    /// Adds the sink to the graph, behind `stream`. Returns the stream of nothing that comes out of it, to name
    /// it and set its uid.
    fn add_to(self, stream: &Stream<T>) -> Stream<()>;
}

/// An operator that hands nothing on is a sink.
impl<T: Data, O: Operator<In = T, Out = ()> + Clone> Sink<T> for O {
    fn add_to(self, stream: &Stream<T>) -> Stream<()> {
        let full = std::any::type_name::<O>();
        let name = full.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(full);
        stream.apply(name, self)
    }
}
