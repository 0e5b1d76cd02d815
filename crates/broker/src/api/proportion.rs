//! What keeps answers and work in proportion to what is asked for.
//!
//! A name takes a few bytes, and what is said of it may take thousands. So what is named again and again is answered once, the
//! bytes that an answer will take are counted before they are there, and what a group or a transaction is called, and what
//! members say of themselves, has a limit: it is kept.

use std::collections::HashSet;
use std::hash::Hash;

use kafka_protocol::ResponseError;

use crate::error::Refusal;

/// Bytes that an answer may take up with what there is: topics, partitions, their settings.
pub(super) const OF_WHAT_IS_THERE: usize = 32 << 20;
/// Bytes that it may take up with what is said of any name, whether there is something of that name or not.
pub(super) const OF_ANY_NAME: usize = 4 << 20;
/// Bytes that an id may have; and what a member says of itself, ids included.
const LONGEST: usize = 1 << 20;
/// Partitions that one request may bring into being, as in Kafka.
pub(super) const MAX_NEW_PARTITIONS: i64 = 10_000;

/// What an answer may still grow by. Who comes when it is full is refused, and so is everybody behind.
#[derive(Debug)]
pub(super) struct Room {
    left: Option<usize>,
}

impl Room {
    pub(super) fn of(bytes: usize) -> Self {
        Self { left: Some(bytes) }
    }

    /// Takes room for something that is about to be said.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
        self.check()
    }

    /// Whether there may be room, before anything is looked up.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let message = "The answer would be too long; ask for fewer at once.";
        self.left.map(drop).ok_or_else(|| (ResponseError::InvalidRequest, message.to_owned()))
    }
}

/// Keeps of several with one key the first.
pub(super) fn once<T, K: Eq + Hash>(items: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = HashSet::with_capacity(items.len());
    items.retain(|item| seen.insert(key(item)));
}

/// The same for what is asked about the parts of several things: of each part the first question is kept, and of things all of
/// whose parts have been asked about, nothing.
pub(super) fn parts_once<T, P, N: Eq + Hash, I: Eq + Hash>(
    items: &mut Vec<T>,
    name: impl Fn(&T) -> N,
    parts: impl Fn(&mut T) -> &mut Vec<P>,
    index: impl Fn(&P) -> I,
) {
    let mut seen: HashSet<(N, Option<I>)> = HashSet::new();
    items.retain_mut(|item| {
        if parts(item).is_empty() {
            return seen.insert((name(item), None));
        }
        let mut kept = std::mem::take(parts(item));
        kept.retain(|part| seen.insert((name(item), Some(index(part)))));
        *parts(item) = kept;
        !parts(item).is_empty()
    });
}

/// Whether a group can be called that: Kafka could not write down one of more than a megabyte either.
pub(super) fn check_group(id: &str) -> Result<(), ResponseError> {
    if id.len() > LONGEST { Err(ResponseError::InvalidGroupId) } else { Ok(()) }
}

/// Whether what somebody says of itself is not too much to be kept.
pub(super) fn check_size(parts: impl IntoIterator<Item = usize>) -> Result<(), ResponseError> {
    let bytes = parts.into_iter().fold(0, usize::saturating_add);
    if bytes > LONGEST { Err(ResponseError::InvalidRequest) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_room_for_one_there_is_none_for_those_behind() {
        let mut room = Room::of(10);
        assert_eq!(room.take(6), Ok(()));
        assert!(room.take(5).is_err());
        assert!(room.take(1).is_err() && room.check().is_err());
    }

    #[test]
    fn the_first_of_several_is_kept() {
        let mut names = vec!["b", "a", "b", "c", "a"];
        once(&mut names, |name| *name);
        assert_eq!(names, ["b", "a", "c"]);
        let mut topics =
            vec![("t", vec![1, 2, 1]), ("u", vec![]), ("t", vec![2, 3]), ("u", vec![]), ("t", vec![1])];
        parts_once(&mut topics, |topic| topic.0, |topic| &mut topic.1, |part| *part);
        assert_eq!(topics, [("t", vec![1, 2]), ("u", vec![]), ("t", vec![3])]);
    }
}
