//! What files promise.

use thalweg_dataflow::operator::Operator;
use thalweg_dataflow::source::Source;

use super::{BinaryRecordsSource, FileSink, Line, TextFileSource};
use crate::contract::{Guarantee, Promise, without_credentials};

impl<T, F, S> Promise for FileSink<T, F, S>
where
    Self: Operator,
{
    fn place(&self) -> String {
        format!("the folder {}", self.identity())
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "files become visible, by a rename, when their checkpoint is committed".to_owned()
    }
}

impl<L: Line> Promise for TextFileSource<L> {
    fn place(&self) -> String {
        without_credentials(&self.identity()).into_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "files can be read again from any position, as long as they are not changed".to_owned()
    }
}

impl Promise for BinaryRecordsSource {
    fn place(&self) -> String {
        without_credentials(&self.identity()).into_owned()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn because(&self) -> String {
        "files can be read again from any position, as long as they are not changed".to_owned()
    }
}
