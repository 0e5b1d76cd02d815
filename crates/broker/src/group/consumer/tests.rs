//! Consumer groups at times of the tests' choosing.

use std::cell::Cell;

use kafka_protocol::ResponseError::{
    FencedInstanceId, FencedMemberEpoch, GroupMaxSizeReached, StaleMemberEpoch, UnknownMemberId,
    UnreleasedInstanceId,
};

use super::*;

/// Topics that a test changes as it likes.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) topics: BTreeMap<String, (Uuid, i32)>,
    version: u64,
    looked: Cell<usize>,
}

impl Shelf {
    pub(super) fn put(&mut self, name: &str, id: u128, partitions: i32) {
        self.topics.insert(name.to_owned(), (Uuid::from_u128(id), partitions));
        self.version += 1;
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.topics.remove(name);
        self.version += 1;
    }
}

impl Catalog for Shelf {
    fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &str) -> Option<(Uuid, i32)> {
        self.looked.set(self.looked.get() + 1);
        self.topics.get(name).copied()
    }

    fn matching(&self, pattern: &Pattern) -> Vec<(Uuid, i32)> {
        self.topics.iter().filter(|(name, _)| pattern.matches(name)).map(|(_, facts)| *facts).collect()
    }
}

pub(super) fn join(id: &str, names: &[&str]) -> Heartbeat {
    Heartbeat {
        member_id: id.to_owned(),
        rebalance_timeout_ms: Some(5_000),
        names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        owned: Some(Partitions::new()),
        ..Heartbeat::default()
    }
}

pub(super) fn beat(id: &str, epoch: i32, owned: Option<Partitions>) -> Heartbeat {
    Heartbeat { member_id: id.to_owned(), member_epoch: epoch, owned, ..Heartbeat::default() }
}

fn share(topic: u128, partitions: &[i32]) -> Partitions {
    let partitions: BTreeSet<i32> = partitions.iter().copied().collect();
    if partitions.is_empty() { Partitions::new() } else { [(Uuid::from_u128(topic), partitions)].into() }
}

pub(super) const LIMITS: Limits = Limits { session_ms: 45_000, max_size: 100 };

struct Test {
    group: Consumer,
    shelf: Shelf,
    limits: Limits,
    now_ms: i64,
}

impl Test {
    fn new() -> Self {
        let mut shelf = Shelf::default();
        shelf.put("t", 1, 4);
        Self { group: Consumer::default(), shelf, limits: LIMITS, now_ms: 0 }
    }

    fn say(&mut self, beat: &Heartbeat) -> Result<(i32, Option<Partitions>), ResponseError> {
        let answer = self.group.heartbeat(beat, &self.shelf, self.limits, self.now_ms);
        answer.map(|beaten| (beaten.member_epoch, beaten.assignment)).map_err(|denied| denied.error)
    }

    /// Two members with two partitions each, in epoch 3.
    fn pair() -> Self {
        let mut test = Self::new();
        assert_eq!(test.say(&join("a", &["t"])), Ok((2, Some(share(1, &[0, 1, 2, 3])))));
        assert_eq!(test.say(&join("b", &["t"])), Ok((3, Some(Partitions::new()))));
        let kept = share(1, &[0, 1]);
        assert_eq!(test.say(&beat("a", 2, None)), Ok((2, Some(kept.clone()))));
        assert_eq!(test.say(&beat("a", 2, Some(kept))), Ok((3, None)));
        assert_eq!(test.say(&beat("b", 3, None)), Ok((3, Some(share(1, &[2, 3])))));
        test
    }
}

#[test]
fn partitions_are_given_back_before_another_gets_them() {
    let mut test = Test::new();
    test.say(&join("a", &["t"])).unwrap();
    assert_eq!(test.group.state(), "Stable");
    assert_eq!(test.say(&join("b", &["t"])), Ok((3, Some(Partitions::new()))));
    assert_eq!(test.group.state(), "Reconciling");
    assert_eq!(test.say(&beat("a", 2, None)), Ok((2, Some(share(1, &[0, 1])))));
    assert_eq!(test.say(&beat("b", 3, None)), Ok((3, None)), "they are still held");
    assert_eq!(test.say(&beat("a", 2, Some(share(1, &[0, 1, 2])))), Ok((2, None)), "it reads one yet");
    assert_eq!(test.say(&beat("a", 2, Some(share(1, &[0, 1])))), Ok((3, None)));
    assert_eq!(test.say(&beat("b", 3, None)), Ok((3, Some(share(1, &[2, 3])))));
    assert_eq!(test.group.state(), "Stable");
}

#[test]
fn a_quiet_heartbeat_looks_nothing_up_and_changes_nothing() {
    let mut test = Test::pair();
    test.group.take_changed();
    let looked = test.shelf.looked.get();
    assert_eq!(test.say(&beat("a", 3, None)), Ok((3, None)));
    let changed = test.group.take_changed();
    assert_eq!((test.shelf.looked.get(), changed.epochs, changed.members.len()), (looked, false, 0));
}

#[test]
fn new_topics_partitions_and_other_ids_are_noticed_at_the_next_heartbeat() {
    let mut test = Test::pair();
    test.shelf.put("t", 1, 6);
    assert_eq!(test.say(&beat("a", 3, None)), Ok((4, Some(share(1, &[0, 1, 4])))));
    assert_eq!(test.say(&beat("b", 3, None)), Ok((4, Some(share(1, &[2, 3, 5])))));
    test.shelf.put("t", 9, 2);
    assert_eq!(test.say(&beat("a", 4, None)), Ok((4, Some(Partitions::new()))), "the old ones go first");
    assert_eq!(test.say(&beat("a", 4, Some(Partitions::new()))), Ok((5, Some(share(9, &[0])))));
    test.shelf.put("unrelated", 5, 1);
    test.say(&beat("a", 5, None)).unwrap();
    assert_eq!(test.group.epoch, 5, "a topic that nobody reads does not matter");
    test.shelf.remove("t");
    assert_eq!(test.say(&beat("a", 5, None)), Ok((5, Some(Partitions::new()))));
}

#[test]
fn a_pattern_takes_in_topics_that_come_later() {
    let mut test = Test::new();
    let pattern = Some(Pattern::new("t.*").unwrap());
    let joins = Heartbeat { names: None, pattern, ..join("a", &[]) };
    assert_eq!(test.say(&joins), Ok((2, Some(share(1, &[0, 1, 2, 3])))));
    assert!(test.group.is_subscribed("t2") && !test.group.is_subscribed("u"));
    test.shelf.put("t2", 2, 1);
    let (epoch, assignment) = test.say(&beat("a", 2, None)).unwrap();
    assert_eq!((epoch, assignment.unwrap().len()), (3, 2));
    let nothing = Heartbeat { pattern: Some(Pattern::new("").unwrap()), ..beat("a", 3, None) };
    assert_eq!(test.say(&nothing), Ok((3, Some(Partitions::new()))));
}

#[test]
fn members_are_known_by_id_and_epoch() {
    let mut test = Test::pair();
    assert_eq!(test.say(&beat("c", 3, None)), Err(UnknownMemberId));
    assert_eq!(test.say(&beat("a", 4, None)), Err(FencedMemberEpoch));
    assert_eq!(test.say(&beat("a", 2, None)), Err(FencedMemberEpoch), "it does not say what it reads");
    assert_eq!(test.say(&beat("a", 2, Some(share(1, &[2])))), Err(FencedMemberEpoch));
    assert_eq!(test.say(&beat("a", 2, Some(share(1, &[0])))).unwrap().0, 3, "the answer was lost");
    assert_eq!(test.group.may_commit("a", 3), Ok(()));
    assert_eq!(test.group.may_commit("a", 2), Err(StaleMemberEpoch));
    assert_eq!(test.group.may_commit("c", 2), Err(UnknownMemberId));
    assert_eq!(test.group.may_commit("", -1), Err(UnknownMemberId));
    test.limits.max_size = 2;
    assert_eq!(test.say(&join("c", &["t"])), Err(GroupMaxSizeReached));
    assert_eq!(test.say(&beat("a", 3, None)), Ok((3, None)));
}

#[test]
fn silent_members_and_those_that_give_nothing_back_are_removed() {
    let mut test = Test::pair();
    test.now_ms = 44_000;
    test.say(&beat("a", 3, None)).unwrap();
    assert_eq!(test.group.tick(44_999), Some(45_000));
    assert_eq!(test.group.tick(45_000), Some(89_000));
    assert_eq!(test.say(&beat("b", 3, None)), Err(UnknownMemberId));
    assert_eq!(test.say(&beat("a", 3, None)), Ok((4, Some(share(1, &[0, 1, 2, 3])))));
    test.say(&join("b", &["t"])).unwrap();
    test.say(&beat("a", 4, None)).unwrap();
    assert_eq!(test.group.tick(test.now_ms), Some(test.now_ms + 5_000), "its rebalance timeout");
    test.now_ms += 4_000;
    test.say(&beat("a", 4, Some(share(1, &[0, 1, 2, 3])))).unwrap();
    test.group.tick(test.now_ms + 1_000);
    assert_eq!(test.say(&beat("a", 4, None)), Err(UnknownMemberId));
    assert_eq!(test.say(&beat("b", 5, None)), Ok((6, Some(share(1, &[0, 1, 2, 3])))));
}

#[test]
fn a_static_member_takes_over_from_its_predecessor_once_that_has_left() {
    let mut test = Test::pair();
    let named = |beat: Heartbeat| Heartbeat { instance_id: Some("i".to_owned()), ..beat };
    let mut third = test.say(&named(join("s1", &["t"]))).unwrap();
    while third.1.as_ref().is_none_or(Partitions::is_empty) {
        for id in ["a", "b"] {
            let owned = test.group.member(id).unwrap().assigned.clone();
            let epoch = test.group.member(id).unwrap().epoch;
            test.say(&beat(id, epoch, Some(owned))).unwrap();
        }
        third = test.say(&named(beat("s1", third.0, None))).unwrap();
    }
    let (epoch, had) = (test.group.epoch, third.1.unwrap());
    assert_eq!(test.say(&named(join("s2", &["t"]))), Err(UnreleasedInstanceId));
    test.group.leave("s1", Some("i"), AWAY).unwrap();
    assert_eq!(test.group.state(), "Reconciling");
    assert_eq!(
        test.say(&named(join("s2", &["t"]))),
        Ok((epoch, Some(had))),
        "the same share, and no rebalance"
    );
    assert_eq!(test.group.epoch, epoch);
    assert_eq!(test.say(&named(beat("s1", epoch, None))), Err(FencedInstanceId));
    assert_eq!(test.group.leave("s1", Some("i"), AWAY).unwrap_err().error, FencedInstanceId);
    test.group.leave("s2", Some("i"), -1).unwrap();
    assert_eq!((test.group.epoch, test.group.members().count()), (epoch + 1, 2));
}

#[test]
fn a_group_goes_on_after_a_restart_as_if_there_had_been_none() {
    let mut test = Test::pair();
    let json = |member: &Member| serde_json::to_string(member).unwrap();
    let lines: Vec<String> = test.group.members().map(json).collect();
    let (epoch, assignment_epoch) = (test.group.epoch, test.group.assignment_epoch);
    test.group = Consumer { epoch, assignment_epoch, ..Consumer::default() };
    for line in lines {
        test.group.restore(serde_json::from_str(&line).unwrap());
    }
    test.group.go_on(100, LIMITS.session_ms);
    assert_eq!(test.say(&beat("a", 3, None)), Ok((3, None)));
    assert_eq!(test.group.tick(100), Some(45_000), "the one that has beaten at 0");
    assert_eq!(test.group.tick(45_100), None);
}
