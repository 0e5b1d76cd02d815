//! Consumer groups at times of the tests' choosing.

use std::cell::Cell;

use kafka_protocol::ResponseError::{
    FencedInstanceId, FencedMemberEpoch, GroupMaxSizeReached, StaleMemberEpoch, UnknownMemberId,
    UnreleasedInstanceId,
};

use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::group::consumer::member::AWAY;
use crate::group::offsets::Committed;

/// Topics that a test changes as it likes.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) topics: BTreeMap<String, (Uuid, i32)>,
    version: u64,
    looked: Cell<usize>,
}

impl Shelf {
    pub(crate) fn put(&mut self, name: &str, id: u128, partitions: i32) {
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

    fn name(&self, id: Uuid) -> Option<String> {
        self.topics.iter().find(|(_, facts)| facts.0 == id).map(|(name, _)| name.clone())
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

pub(super) fn share(topic: u128, partitions: &[i32]) -> Partitions {
    let partitions: BTreeSet<i32> = partitions.iter().copied().collect();
    if partitions.is_empty() { Partitions::new() } else { [(Uuid::from_u128(topic), partitions)].into() }
}

pub(super) const LIMITS: Limits = Limits { session_ms: 45_000, max_size: 100 };

pub(super) struct Test {
    pub(super) group: Consumer,
    pub(super) shelf: Shelf,
    limits: Limits,
    pub(super) now_ms: i64,
}

impl Test {
    pub(super) fn new() -> Self {
        let mut shelf = Shelf::default();
        shelf.put("t", 1, 4);
        Self { group: Consumer::default(), shelf, limits: LIMITS, now_ms: 0 }
    }

    pub(super) fn say(&mut self, beat: &Heartbeat) -> Result<(i32, Option<Partitions>), ResponseError> {
        let answer = self.group.heartbeat(beat, &self.shelf, self.limits, self.now_ms);
        answer.map(|beaten| (beaten.member_epoch, beaten.assignment)).map_err(|denied| denied.error)
    }

    /// Whether a member in this epoch may commit an offset for each of these partitions of "t".
    fn commits(&self, id: &str, epoch: i32, partitions: &[i32]) -> Result<(), ResponseError> {
        let at = |partition: &i32| ("t".to_owned(), *partition, Committed::new(7, -1, String::new(), 0));
        let offsets = partitions.iter().map(at).collect();
        let member_id = StrBytes::from_string(id.to_owned());
        let who = Identity { member_id, instance_id: None, generation: epoch };
        self.group.may_commit(&who, Commit::Plain, &offsets, &self.shelf)
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
    assert_eq!(test.commits("a", 3, &[0]), Ok(()));
    assert_eq!(test.commits("c", 2, &[0]), Err(UnknownMemberId));
    assert_eq!(test.commits("", -1, &[0]), Err(UnknownMemberId));
    test.limits.max_size = 2;
    assert_eq!(test.say(&join("c", &["t"])), Err(GroupMaxSizeReached));
    assert_eq!(test.say(&beat("a", 3, None)), Ok((3, None)));
}

#[test]
fn silent_members_and_those_that_give_nothing_back_are_removed() {
    let mut test = Test::pair();
    test.now_ms = 44_000;
    test.say(&beat("a", 3, None)).unwrap();
    assert_eq!(test.group.tick(44_999, None), Some(45_000));
    assert_eq!(test.group.tick(45_000, None), Some(89_000));
    assert_eq!(test.say(&beat("b", 3, None)), Err(UnknownMemberId));
    assert_eq!(test.say(&beat("a", 3, None)), Ok((4, Some(share(1, &[0, 1, 2, 3])))));
    test.say(&join("b", &["t"])).unwrap();
    test.say(&beat("a", 4, None)).unwrap();
    assert_eq!(test.group.tick(test.now_ms, None), Some(test.now_ms + 5_000), "its rebalance timeout");
    test.now_ms += 4_000;
    test.say(&beat("a", 4, Some(share(1, &[0, 1, 2, 3])))).unwrap();
    test.group.tick(test.now_ms + 1_000, None);
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
    test.group.leave("s1", Some("i"), AWAY, None).unwrap();
    assert_eq!(test.group.state(), "Reconciling");
    assert_eq!(
        test.say(&named(join("s2", &["t"]))),
        Ok((epoch, Some(had))),
        "the same share, and no rebalance"
    );
    assert_eq!(test.group.epoch, epoch);
    assert_eq!(test.say(&named(beat("s1", epoch, None))), Err(FencedInstanceId));
    assert_eq!(test.group.leave("s1", Some("i"), AWAY, None).unwrap_err().error, FencedInstanceId);
    test.group.leave("s2", Some("i"), -1, None).unwrap();
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
    assert_eq!(test.group.tick(100, None), Some(45_000), "the one that has beaten at 0");
    assert_eq!(test.group.tick(45_100, None), None);
}

#[test]
fn a_member_that_has_not_heard_of_its_epoch_commits_what_it_has_had_since_before() {
    let mut test = Test::pair();
    assert_eq!(test.commits("a", 2, &[0, 1]), Ok(()), "it got them in epoch 2");
    assert_eq!(test.commits("a", 1, &[0, 1]), Err(StaleMemberEpoch), "nobody had them then");
    assert_eq!(test.commits("a", 4, &[0]), Err(StaleMemberEpoch), "there is no such epoch");
    assert_eq!(test.commits("b", 2, &[2]), Err(StaleMemberEpoch), "it was not there then");
    assert_eq!(test.commits("b", 3, &[2]), Ok(()));
    test.say(&join("c", &["t"])).unwrap();
    test.say(&beat("a", 3, None)).unwrap();
    let revoking = test.group.member("a").unwrap().revoking.clone();
    assert_eq!(revoking, share(1, &[1]));
    assert_eq!(test.commits("a", 2, &[1]), Ok(()), "while it gives a partition back it is still its own");
    test.say(&beat("a", 3, Some(share(1, &[0])))).unwrap();
    assert_eq!(test.commits("a", 3, &[0]), Ok(()));
    assert_eq!(test.commits("a", 3, &[1]), Err(StaleMemberEpoch), "now it is not");
    assert_eq!(test.commits("a", 3, &[0, 1]), Err(StaleMemberEpoch), "all or nothing");
}

#[test]
fn what_a_member_has_just_given_back_may_come_back_to_it() {
    let mut test = Test::pair();
    test.say(&join("c", &["t"])).unwrap();
    assert_eq!(test.say(&beat("a", 3, None)), Ok((3, Some(share(1, &[0])))));
    test.group.leave("c", None, -1, None).unwrap();
    let given_back = beat("a", 3, Some(share(1, &[0])));
    assert_eq!(test.say(&given_back), Ok((5, Some(share(1, &[0, 1])))), "at once, since it is still its own");
    assert_eq!(test.group.member("a").unwrap().since[&Uuid::from_u128(1)], [(0, 2), (1, 2)].into());
}

#[test]
fn a_member_that_is_giving_back_gives_up_at_once_what_it_does_not_want_any_more() {
    let mut test = Test::new();
    test.shelf.put("u", 2, 2);
    test.say(&join("a", &["t", "u"])).unwrap();
    test.say(&join("b", &["t", "u"])).unwrap();
    let (_, kept) = test.say(&beat("a", 2, None)).unwrap();
    assert!(kept.unwrap().contains_key(&Uuid::from_u128(2)));
    let names = Some(["t".to_owned()].into());
    let (epoch, kept) = test.say(&Heartbeat { names, ..beat("a", 2, None) }).unwrap();
    assert_eq!((epoch, kept.unwrap().contains_key(&Uuid::from_u128(2))), (2, false));
}

#[test]
fn transactions_commit_offsets_without_being_in_the_group() {
    let test = Test::pair();
    let nobody = Identity { member_id: StrBytes::new(), instance_id: None, generation: -1 };
    let may = |how| test.group.may_commit(&nobody, how, &Commits::new(), &test.shelf);
    assert_eq!(may(Commit::InTransaction), Ok(()));
    assert_eq!(may(Commit::Plain), Err(UnknownMemberId));
}

#[test]
fn those_who_are_removed_together_make_one_new_epoch() {
    let mut test = Test::pair();
    let named = |beat: Heartbeat| Heartbeat { instance_id: Some("i".to_owned()), ..beat };
    test.say(&named(join("s", &["t"]))).unwrap();
    let members = [("a", None), ("stranger", None), ("", Some("i")), ("b", Some("i")), ("a", None)];
    let removed = test.group.remove(&members, None);
    let errors: Vec<_> =
        removed.into_iter().map(|removed| removed.err().map(|denied| denied.error)).collect();
    assert_eq!(errors, [None, Some(UnknownMemberId), None, Some(FencedInstanceId), None]);
    let left: Vec<&str> = test.group.members().map(|member| member.id.as_str()).collect();
    assert_eq!((left, test.group.epoch), (vec!["b"], 5));
    test.group.remove(&[("stranger", None)], None);
    assert_eq!(test.group.epoch, 5);
}
