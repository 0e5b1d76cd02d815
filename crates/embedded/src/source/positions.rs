//! What a checkpoint holds of a source's partitions, and whether it still fits the log.
//!
//! A position is kept under the name `topic-partition@id`, with the topic's id: the same name may stand for another topic
//! after a restart. Checkpoints of before ids were kept leave it out.

use std::collections::BTreeMap;

use super::offsets::{LogRange, OffsetResetStrategy};
use crate::error::EmbeddedError;

/// The next offset, and where a bounded source ends.
pub(super) type Position = (i64, Option<i64>);

/// Topic and partition.
pub(super) type Place = (String, i32);

/// What is known of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: Option<u128>,
    pub(super) next: i64,
    pub(super) end: Option<i64>,
}

/// The name that people know a partition by.
pub(super) fn name((topic, partition): &Place) -> String {
    format!("{topic}-{partition}")
}

/// The name that its position is kept under.
pub(super) fn identity(place: &Place, id: Option<u128>) -> String {
    id.map_or_else(|| name(place), |id| format!("{}@{id:032x}", name(place)))
}

/// Positions as they were kept. Names that are none of ours are left out.
pub(super) fn known(restored: Vec<(String, Position)>) -> BTreeMap<Place, Known> {
    let mut all = BTreeMap::new();
    for (name, (next, end)) in restored {
        // No topic's name has an `@`.
        let (partition, id) = match name.rsplit_once('@') {
            Some((partition, id)) => (partition, u128::from_str_radix(id, 16).ok()),
            None => (name.as_str(), None),
        };
        let Some((topic, number)) = partition.rsplit_once('-') else { continue };
        let Ok(number) = number.parse() else { continue };
        all.insert((topic.to_owned(), number), Known { id, next, end });
    }
    all
}

/// Where to go on: at the position if it is one of this log, of the topic with the id `present`; else as the user says.
pub(super) fn fit(
    (topic, partition): &Place,
    (next, known): (i64, Option<u128>),
    (range, present): (LogRange, u128),
    strategy: OffsetResetStrategy,
) -> Result<i64, EmbeddedError> {
    let (topic, partition) = (topic.clone(), *partition);
    let error = match known {
        Some(was) if was != present => EmbeddedError::TopicMadeAnew { topic, partition, offset: next },
        _ if (range.start..=range.end).contains(&next) => return Ok(next),
        _ => EmbeddedError::OffsetOutOfRange {
            topic,
            partition,
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
    tracing::warn!(position = next, offset, %error, "goes on at the {place} record, as it was told to");
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_with_and_without_an_id() {
        let place = ("a-b.c".to_owned(), 12);
        for id in [None, Some(7)] {
            let kept = vec![(identity(&place, id), (3, Some(9))), ("nonsense".to_owned(), (0, None))];
            let expected = Known { id, next: 3, end: Some(9) };
            assert_eq!(known(kept), BTreeMap::from([(place.clone(), expected)]));
        }
    }

    #[test]
    fn a_position_goes_on_within_the_log_of_its_topic_or_where_the_user_says() {
        let place = ("t".to_owned(), 0);
        let range = LogRange { start: 5, end: 9 };
        let fit = |next, known, strategy| fit(&place, (next, known), (range, 1), strategy);
        for next in [5, 7, 9] {
            assert_eq!(fit(next, Some(1), OffsetResetStrategy::None).unwrap(), next);
            assert_eq!(fit(next, None, OffsetResetStrategy::None).unwrap(), next, "of before ids were kept");
            let error = fit(next, Some(2), OffsetResetStrategy::None).unwrap_err().to_string();
            assert!(error.contains("made anew"), "{error}");
        }
        for (next, part) in [(4, "begins at 5"), (10, "beyond the end")] {
            let error = fit(next, Some(1), OffsetResetStrategy::None).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("set_offset_reset_strategy"), "{error}");
            assert_eq!(fit(next, Some(1), OffsetResetStrategy::Earliest).unwrap(), 5);
            assert_eq!(fit(next, Some(1), OffsetResetStrategy::Latest).unwrap(), 9);
        }
    }
}
