//! Fetch sessions: what a client wants is remembered, so that its fetches name only what has changed, and the answers
//! hold only what is new. Whoever polls a thousand idle partitions says and hears next to nothing.
//!
//! A client opens a session by a fetch of epoch 0, and counts its further fetches. Sessions are bounded in number and in
//! size; a client whose session was thrown out for another is told so, and opens a new one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use uuid::Uuid;

/// Milliseconds after which a session that is not used gives way to any, and one that is used to a larger one.
const STALE_MS: i64 = 120_000;
/// Partitions of all sessions together.
const MAX_PARTITIONS: usize = 200_000;

/// A fetch says so that wants to open a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// A fetch says so that wants no session, or no more.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// A partition by the name or the id of its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) topic: TopicName,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
}

/// What a client wants of a partition.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) place: Place,
    pub(crate) offset: i64,
    pub(crate) max_bytes: usize,
    pub(crate) current_leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

impl Wanted {
    /// Everything that a request names.
    pub(crate) fn all(topics: Vec<FetchTopic>) -> impl Iterator<Item = Self> {
        topics.into_iter().flat_map(|topic| {
            let (name, id) = (topic.topic, topic.topic_id);
            topic.partitions.into_iter().map(move |partition| Self::new(name.clone(), id, &partition))
        })
    }

    fn new(topic: TopicName, topic_id: Uuid, wanted: &FetchPartition) -> Self {
        Self {
            place: Place { topic, topic_id, partition: wanted.partition },
            offset: wanted.fetch_offset,
            max_bytes: usize::try_from(wanted.partition_max_bytes).unwrap_or(0),
            current_leader_epoch: wanted.current_leader_epoch,
            last_fetched_epoch: wanted.last_fetched_epoch,
        }
    }
}

/// A partition of a session: what is wanted, and what the client has been told.
#[derive(Debug)]
struct Followed {
    wanted: Wanted,
    high_watermark: i64,
    start_offset: i64,
}

/// What one client follows. Partitions take turns: one that had records goes to the end, so that with small answers none
/// is forgotten.
#[derive(Debug)]
pub(crate) struct Session {
    /// Which fetch is the next.
    epoch: i32,
    /// Whether topics are named by their ids.
    by_id: bool,
    followed: BTreeMap<u64, Followed>,
    turns: HashMap<Place, u64>,
    next_turn: u64,
}

impl Session {
    /// A session after its first fetch.
    pub(crate) fn new(by_id: bool) -> Self {
        Self { epoch: 1, by_id, followed: BTreeMap::new(), turns: HashMap::new(), next_turn: 0 }
    }

    /// What to look at, in order.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        self.followed.values().map(|followed| &followed.wanted)
    }

    /// Takes partitions up, or takes note of what is wanted of them now.
    pub(crate) fn follow(&mut self, all: impl Iterator<Item = Wanted>) {
        for wanted in all {
            match self.turns.get(&wanted.place).and_then(|turn| self.followed.get_mut(turn)) {
                Some(followed) => followed.wanted = wanted,
                None => self.push(Followed { wanted, high_watermark: -1, start_offset: -1 }),
            }
        }
    }

    fn forget(&mut self, topics: &[ForgottenTopic]) {
        for topic in topics {
            for partition in &topic.partitions {
                let place =
                    Place { topic: topic.topic.clone(), topic_id: topic.topic_id, partition: *partition };
                if let Some(turn) = self.turns.remove(&place) {
                    self.followed.remove(&turn);
                }
            }
        }
    }

    fn push(&mut self, followed: Followed) {
        self.turns.insert(followed.wanted.place.clone(), self.next_turn);
        self.followed.insert(self.next_turn, followed);
        self.next_turn += 1;
    }

    /// Whether the client has to be told of this answer, with or without records. It is taken to be told.
    pub(crate) fn is_news(&mut self, place: &Place, found: &PartitionData, records: bool) -> bool {
        let Some(turn) = self.turns.get(place).copied() else { return true };
        let Some(followed) = self.followed.get_mut(&turn) else { return true };
        let failed = found.error_code != 0;
        let news = records
            || failed
            || found.diverging_epoch.end_offset >= 0
            || followed.high_watermark != found.high_watermark
            || followed.start_offset != found.log_start_offset;
        // When the error is gone, that is news.
        followed.high_watermark = if failed { -1 } else { found.high_watermark };
        followed.start_offset = found.log_start_offset;
        if records && let Some(followed) = self.followed.remove(&turn) {
            self.push(followed);
        }
        news
    }

    /// Whether no other fetch of this session has come since the one of that epoch.
    pub(crate) fn is_at(&self, epoch: i32) -> bool {
        self.epoch == next_epoch(epoch)
    }

    fn len(&self) -> usize {
        self.followed.len()
    }
}

fn next_epoch(epoch: i32) -> i32 {
    // 0 and -1 mean something else.
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

/// The sessions of all clients.
#[derive(Debug, Default)]
pub(crate) struct FetchSessions {
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    by_id: HashMap<i32, Cached>,
    /// Of all sessions.
    partitions: usize,
}

#[derive(Debug)]
struct Cached {
    session: Arc<Mutex<Session>>,
    /// Partitions, as they are counted in the cache.
    len: usize,
    created_ms: i64,
    used_ms: i64,
}

/// A fetch that belongs to a session.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) id: i32,
    pub(crate) epoch: i32,
    session: Arc<Mutex<Session>>,
}

impl Turn {
    /// The session, which must not be kept locked while waiting.
    pub(crate) fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changes that a fetch of a session begins with.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    pub(crate) wanted: Vec<FetchTopic>,
    pub(crate) forgotten: &'a [ForgottenTopic],
    /// Whether topics are named by their ids.
    pub(crate) by_id: bool,
}

impl FetchSessions {
    /// Goes on with a session.
    pub(crate) fn resume(
        &self,
        (id, epoch): (i32, i32),
        changes: Changes<'_>,
        now_ms: i64,
    ) -> Result<Turn, ResponseError> {
        let shared = {
            let mut cache = self.cache();
            let cached = cache.by_id.get_mut(&id).ok_or(ResponseError::FetchSessionIdNotFound)?;
            cached.used_ms = now_ms;
            Arc::clone(&cached.session)
        };
        // Not under the lock of the cache: another fetch of this session may be reading just now.
        let mut session = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if session.epoch != epoch {
            return Err(ResponseError::InvalidFetchSessionEpoch);
        }
        if session.by_id != changes.by_id {
            return Err(ResponseError::FetchSessionTopicIdError);
        }
        session.follow(Wanted::all(changes.wanted));
        session.forget(changes.forgotten);
        session.epoch = next_epoch(epoch);
        let len = session.len();
        drop(session);
        if !self.cache().resize(id, len) {
            return Err(ResponseError::FetchSessionIdNotFound);
        }
        // One that follows nothing is over; the client knows it when it is told no id.
        Ok(Turn { id: if len == 0 { 0 } else { id }, epoch, session: shared })
    }

    /// Ends a session, if there is one.
    pub(crate) fn close(&self, id: i32) {
        self.cache().remove(id);
    }

    /// Remembers a session. Returns its id, or 0 if there is no room.
    pub(crate) fn open(&self, session: Session, slots: usize, now_ms: i64) -> i32 {
        let len = session.len();
        let mut cache = self.cache();
        if !cache.make_room(len, slots, now_ms) {
            return 0;
        }
        let id = loop {
            let id = (Uuid::new_v4().as_u128() as i32) & i32::MAX;
            if id != 0 && !cache.by_id.contains_key(&id) {
                break id;
            }
        };
        let session = Arc::new(Mutex::new(session));
        cache.by_id.insert(id, Cached { session, len, created_ms: now_ms, used_ms: now_ms });
        cache.partitions += len;
        id
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(removed) = self.by_id.remove(&id) {
            self.partitions -= removed.len;
        }
    }

    /// Notes how much a session follows now. Returns whether there is room for that much.
    fn resize(&mut self, id: i32, len: usize) -> bool {
        let Some(cached) = self.by_id.get_mut(&id) else { return true };
        self.partitions = self.partitions - cached.len + len;
        cached.len = len;
        let fits = self.partitions <= MAX_PARTITIONS;
        if !fits || len == 0 {
            self.remove(id);
        }
        fits
    }

    /// Throws out sessions that nobody uses, or one that is smaller and has had its time, until one of `len`
    /// partitions fits.
    fn make_room(&mut self, len: usize, slots: usize, now_ms: i64) -> bool {
        if slots == 0 || len > MAX_PARTITIONS {
            return false;
        }
        while self.by_id.len() >= slots || self.partitions + len > MAX_PARTITIONS {
            let longest_unused = self.by_id.iter().min_by_key(|(_, cached)| cached.used_ms);
            let stale = longest_unused.filter(|(_, cached)| now_ms - cached.used_ms > STALE_MS);
            let old = self.by_id.iter().filter(|(_, cached)| now_ms - cached.created_ms > STALE_MS);
            let smallest = old.min_by_key(|(_, cached)| cached.len).filter(|(_, cached)| cached.len <= len);
            let Some((&id, _)) = stale.or(smallest) else { return false };
            self.remove(id);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::text;

    fn topics(partitions: &[i32]) -> Vec<FetchTopic> {
        let partition = |index: &i32| FetchPartition::default().with_partition(*index);
        let partitions = partitions.iter().map(partition).collect();
        vec![FetchTopic::default().with_topic(TopicName(text("t"))).with_partitions(partitions)]
    }

    fn session(partitions: &[i32]) -> Session {
        let mut session = Session::new(false);
        session.follow(Wanted::all(topics(partitions)));
        session
    }

    fn order(session: &Session) -> Vec<i32> {
        session.wanted().map(|wanted| wanted.place.partition).collect()
    }

    fn found(high_watermark: i64) -> PartitionData {
        PartitionData::default().with_high_watermark(high_watermark)
    }

    fn resume(sessions: &FetchSessions, id: i32, epoch: i32) -> Result<Turn, ResponseError> {
        let changes = Changes { wanted: Vec::new(), forgotten: &[], by_id: false };
        sessions.resume((id, epoch), changes, 0)
    }

    #[test]
    fn what_has_been_told_is_no_news_and_records_send_a_partition_to_the_end() {
        let mut session = session(&[0, 1, 2]);
        let place = |partition| Place { topic: TopicName(text("t")), topic_id: Uuid::nil(), partition };
        assert!(session.is_news(&place(0), &found(5), true));
        assert_eq!(order(&session), [1, 2, 0]);
        assert!(session.is_news(&place(1), &found(3), false));
        assert!(!session.is_news(&place(1), &found(3), false));
        assert!(!session.is_news(&place(0), &found(5), false));
        assert_eq!(order(&session), [1, 2, 0]);
        let failed = found(-1).with_error_code(1);
        assert!(session.is_news(&place(1), &failed, false) && session.is_news(&place(1), &failed, false));
        assert!(session.is_news(&place(1), &found(3), false), "the error is gone");
    }

    #[test]
    fn fetches_of_a_session_are_counted_and_name_what_changes() {
        let sessions = FetchSessions::default();
        let id = sessions.open(session(&[0, 1]), 10, 0);
        assert_eq!(resume(&sessions, id, 2).unwrap_err(), ResponseError::InvalidFetchSessionEpoch);
        let forgotten = [ForgottenTopic::default().with_topic(TopicName(text("t"))).with_partitions(vec![0])];
        let changes = Changes { wanted: topics(&[2]), forgotten: &forgotten, by_id: false };
        let turn = sessions.resume((id, 1), changes, 0).unwrap();
        assert_eq!(order(&turn.session()), [1, 2]);
        assert!(turn.session().is_at(1));
        resume(&sessions, id, 2).unwrap();
        assert!(!turn.session().is_at(1), "another fetch has come");
        let by_id = Changes { wanted: Vec::new(), forgotten: &[], by_id: true };
        let refused = sessions.resume((id, 3), by_id, 0).unwrap_err();
        assert_eq!(refused, ResponseError::FetchSessionTopicIdError);
        sessions.close(id);
        assert_eq!(resume(&sessions, id, 3).unwrap_err(), ResponseError::FetchSessionIdNotFound);
        assert_eq!(sessions.cache().partitions, 0);
    }

    #[test]
    fn a_session_that_follows_nothing_is_over() {
        let sessions = FetchSessions::default();
        let id = sessions.open(session(&[0]), 10, 0);
        let forgotten = [ForgottenTopic::default().with_topic(TopicName(text("t"))).with_partitions(vec![0])];
        let changes = Changes { wanted: Vec::new(), forgotten: &forgotten, by_id: false };
        assert_eq!(sessions.resume((id, 1), changes, 0).unwrap().id, 0);
        assert_eq!(resume(&sessions, id, 2).unwrap_err(), ResponseError::FetchSessionIdNotFound);
    }

    #[test]
    fn epochs_begin_again_behind_the_last() {
        assert_eq!((next_epoch(1), next_epoch(i32::MAX)), (2, 1));
    }

    #[test]
    fn there_is_room_for_so_many_and_the_useless_give_way() {
        let sessions = FetchSessions::default();
        let small = sessions.open(session(&[0]), 2, 0);
        let large = sessions.open(session(&[0, 1, 2]), 2, 1);
        assert_eq!(sessions.open(session(&[0, 1]), 2, STALE_MS), 0, "both are in their prime");
        resume(&sessions, small, 1).unwrap();
        let mut cache = sessions.cache();
        for cached in cache.by_id.values_mut() {
            cached.used_ms = STALE_MS;
        }
        drop(cache);
        let other = sessions.open(session(&[0, 1]), 2, STALE_MS + 2);
        assert_ne!(other, 0);
        assert!(resume(&sessions, small, 2).is_err(), "the smallest has had its time");
        assert!(resume(&sessions, large, 1).is_ok());
        assert_ne!(sessions.open(session(&[0]), 2, 2 * STALE_MS + 2), 0, "nobody uses one");
        assert_eq!(sessions.open(session(&[0]), 0, 0), 0);
        assert_eq!(sessions.cache().by_id.len(), 2);
    }
}
