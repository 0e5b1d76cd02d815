//! What a checkpoint holds of a source's partitions, and whether it still fits the log.
//!
//! A position is kept under the name `topic-partition@id`, with the topic's id: the same name may stand for another topic
//! after a restart. A cluster without topic ids, and checkpoints of before they were kept, leave the id out.

use std::collections::BTreeMap;

use crate::error::KafkaError;
use crate::offsets::{LogRange, OffsetResetStrategy};
use crate::subscription::TopicPartition;
use crate::topic_ids::TopicId;

/// The next offset, and where a bounded source ends.
pub(super) type Position = (i64, Option<i64>);

/// What is known of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: Option<TopicId>,
    pub(super) next: i64,
    pub(super) end: Option<i64>,
}

/// The name that a position is kept under.
pub(super) fn identity(partition: &TopicPartition, id: Option<&TopicId>) -> String {
    match id {
        Some(TopicId(id)) => format!("{partition}@{id}"),
        None => partition.to_string(),
    }
}

/// Positions as they were kept. Names that are none of ours are left out.
pub(super) fn known(restored: Vec<(String, Position)>) -> BTreeMap<TopicPartition, Known> {
    let mut all = BTreeMap::new();
    for (name, (next, end)) in restored {
        // No topic's name has an `@`.
        let (partition, id) = match name.rsplit_once('@') {
            Some((partition, id)) => (partition, Some(TopicId(id.to_owned()))),
            None => (name.as_str(), None),
        };
        let Some((topic, number)) = partition.rsplit_once('-') else { continue };
        let Ok(number) = number.parse() else { continue };
        all.insert(TopicPartition::new(topic, number), Known { id, next, end });
    }
    all
}

/// Why a position does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is of another topic, which had the same name.
    MadeAnew { was: TopicId, is: TopicId },
    /// The log begins behind it.
    Overtaken,
    /// The log ends before it.
    Beyond,
}

/// Whether a position that is known under an id is one of this log.
pub(super) fn misfit(
    next: i64,
    known: Option<&TopicId>,
    present: Option<&TopicId>,
    range: LogRange,
) -> Option<Misfit> {
    match (known, present) {
        (Some(was), Some(is)) if was != is => Some(Misfit::MadeAnew { was: was.clone(), is: is.clone() }),
        _ if next < range.start => Some(Misfit::Overtaken),
        _ if next > range.end => Some(Misfit::Beyond),
        _ => None,
    }
}

impl Misfit {
    /// Where to go on, as the user said for this case.
    ///
    /// # Errors
    /// The misfit, if the user wants to hear of it.
    pub(super) fn resolve(
        self,
        partition: &TopicPartition,
        next: i64,
        range: LogRange,
        strategy: OffsetResetStrategy,
    ) -> Result<i64, KafkaError> {
        let TopicPartition { topic, partition: number } = partition.clone();
        let error = match self {
            Self::MadeAnew { was, is } => {
                KafkaError::TopicMadeAnew { topic, partition: number, offset: next, was: was.0, is: is.0 }
            }
            Self::Overtaken | Self::Beyond => KafkaError::OffsetOutOfRange {
                topic,
                partition: number,
                offset: next,
                start: range.start,
                end: range.end,
            },
        };
        let (offset, place) = match strategy {
            OffsetResetStrategy::None => return Err(error),
            OffsetResetStrategy::Earliest => (range.start, "earliest"),
            OffsetResetStrategy::Latest => (range.end, "latest"),
        };
        tracing::warn!(%partition, position = next, offset, %error, "goes on at the {place} record, as it was told to");
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TopicId {
        TopicId(text.to_owned())
    }

    #[test]
    fn names_come_back_with_and_without_an_id() {
        let partition = TopicPartition::new("a-b.c", 12);
        for id in [None, Some(id("kZ-_xyz"))] {
            let name = identity(&partition, id.as_ref());
            let known = known(vec![(name, (3, Some(9))), ("nonsense".to_owned(), (0, None))]);
            assert_eq!(known, BTreeMap::from([(partition.clone(), Known { id, next: 3, end: Some(9) })]));
        }
    }

    #[test]
    fn a_position_fits_within_the_log_of_its_topic() {
        let (a, b) = (id("a"), id("b"));
        let range = LogRange { start: 5, end: 9 };
        let fits = |next, known, present| misfit(next, known, present, range);
        for next in [5, 7, 9] {
            assert_eq!(fits(next, Some(&a), Some(&a)), None);
            assert_eq!(fits(next, None, Some(&a)), None, "of a checkpoint without ids");
            assert_eq!(fits(next, Some(&a), None), None, "a cluster without ids");
            let anew = Misfit::MadeAnew { was: a.clone(), is: b.clone() };
            assert_eq!(fits(next, Some(&a), Some(&b)), Some(anew));
        }
        assert_eq!(fits(4, None, None), Some(Misfit::Overtaken));
        assert_eq!(fits(10, None, None), Some(Misfit::Beyond));
    }

    #[test]
    fn what_does_not_fit_is_an_error_unless_the_user_says_where_to_go_on() {
        let partition = TopicPartition::new("t", 0);
        let range = LogRange { start: 5, end: 9 };
        let resolve = |strategy| Misfit::Overtaken.resolve(&partition, 4, range, strategy);
        assert_eq!(resolve(OffsetResetStrategy::Earliest).unwrap(), 5);
        assert_eq!(resolve(OffsetResetStrategy::Latest).unwrap(), 9);
        let error = resolve(OffsetResetStrategy::None).unwrap_err().to_string();
        assert!(error.contains("offset 4") && error.contains("begins at 5"), "{error}");
    }
}
