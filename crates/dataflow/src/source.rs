//! stub
/// r
pub trait SourceReader {
    /// n
    fn note(&self) {}
}
