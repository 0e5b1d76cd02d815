//! A source over an iterator: whatever can be iterated over anew at each start.
//!
//! One subtask reads it, in order. The position is the number of items read; after a restore as many are passed over, so it has to
//! yield the same items each time.

use super::{Source, SourceContext, SourceOutput, SourceReader, SourceStatus, SplitId};
use crate::error::BoxError;
use crate::record::Data;
use crate::time::NO_TIMESTAMP;

/// Reads what is iterated over, then ends; an iterator without an end goes on for ever.
///
/// ```
/// use thalweg_dataflow::source::IteratorSource;
///
/// let squares = IteratorSource::new((1_u64..).map(|n| n * n));
/// # let _ = squares;
/// ```
#[derive(Clone, Debug)]
pub struct IteratorSource<I>(I);

impl<I: IntoIterator + Clone> IteratorSource<I> {
    /// Reads `items`, which are cloned for each start of the job.
    pub fn new(items: I) -> Self {
        Self(items)
    }
}

impl<I> Source for IteratorSource<I>
where
    I: IntoIterator + Clone + Send + Sync + 'static,
    I::Item: Data,
    I::IntoIter: Send + 'static,
{
    type Item = I::Item;
    type Reader = IteratorReader<I>;

    fn identity(&self) -> String {
        super::items::<I::Item>()
    }

    fn reader(&self, context: &SourceContext) -> Result<Self::Reader, BoxError> {
        let items = context.owns(0).then(|| self.0.clone().into_iter());
        Ok(IteratorReader { items, read: 0, split: None })
    }
}

/// Reads all of it, or nothing.
pub struct IteratorReader<I: IntoIterator> {
    /// `None` where another subtask reads it.
    items: Option<I::IntoIter>,
    read: u64,
    split: Option<SplitId>,
}

impl<I> SourceReader for IteratorReader<I>
where
    I: IntoIterator + 'static,
    I::Item: Data,
    I::IntoIter: Send + 'static,
{
    type Item = I::Item;
    type Position = u64;

    fn open(&mut self, restored: Option<Vec<(String, u64)>>) -> Result<(), BoxError> {
        let Some(items) = &mut self.items else { return Ok(()) };
        self.read = restored.unwrap_or_default().first().map_or(0, |(_, read)| *read);
        if let Some(last) = self.read.checked_sub(1)
            && items.nth(usize::try_from(last)?).is_none()
        {
            return Err(format!(
                "the checkpoint was taken after {} items, and the iterator has fewer now; it must yield the same ones at each start",
                self.read
            )
            .into());
        }
        Ok(())
    }

    fn poll(&mut self, output: &mut SourceOutput<I::Item>) -> Result<SourceStatus, BoxError> {
        let Some(items) = &mut self.items else { return Ok(SourceStatus::End) };
        let split = *self.split.get_or_insert_with(|| output.add_split("items"));
        let first = self.read;
        for item in items.by_ref().take(output.room()) {
            output.push(item, NO_TIMESTAMP);
            self.read += 1;
        }
        if self.read == first {
            output.finish_split(split);
            return Ok(SourceStatus::End);
        }
        output.origin(split, first, self.read - 1);
        Ok(SourceStatus::Ready)
    }

    fn positions(&mut self) -> Vec<(String, u64)> {
        if self.items.is_some() { vec![("items".to_owned(), self.read)] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::{context, drain};

    #[test]
    fn it_is_read_in_order_by_one_subtask_and_goes_on_where_it_was() {
        let source = IteratorSource::new(0..3_000);
        let mut reader = source.reader(&context(0, 2)).unwrap();
        reader.open(None).unwrap();
        let mut all = drain(&mut reader, 2);
        let positions = reader.positions();
        let mut reader = source.reader(&context(0, 3)).unwrap();
        reader.open(Some(positions.clone())).unwrap();
        all.extend(drain(&mut reader, usize::MAX));
        assert_eq!(all, (0..3_000).collect::<Vec<_>>());
        let mut other = source.reader(&context(1, 2)).unwrap();
        other.open(Some(positions.clone())).unwrap();
        assert!(drain(&mut other, usize::MAX).is_empty());
        let mut shorter = IteratorSource::new(0..3).reader(&context(0, 1)).unwrap();
        assert!(shorter.open(Some(positions)).unwrap_err().to_string().contains("after 2048 items"));
    }
}
