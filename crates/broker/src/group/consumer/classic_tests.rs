//! Members of the classic protocol in a consumer group, at times of the tests' choosing.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError::{
    FencedInstanceId, GroupMaxSizeReached, IllegalGeneration, InconsistentGroupProtocol, MemberIdRequired,
    RebalanceInProgress, StaleMemberEpoch, UnknownMemberId,
};
use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition;
use kafka_protocol::messages::{ConsumerProtocolSubscription, TopicName};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::embedded;
use super::tests::{Test, beat, join, share};
use super::*;
use crate::group::classic::Join;
use crate::group::classic::member::Joined;

const SESSION_MS: i64 = 10_000;
const REBALANCE_MS: i64 = 5_000;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What a consumer says that wants these topics, and reads these partitions now.
fn metadata(topics: &[&str], owned: &[(&str, &BTreeSet<i32>)]) -> Bytes {
    let owned = owned.iter().map(|(topic, partitions)| {
        let partitions = partitions.iter().copied().collect();
        TopicPartition::default().with_topic(TopicName(text(topic))).with_partitions(partitions)
    });
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(topics.iter().copied().map(text).collect())
        .with_owned_partitions(owned.collect());
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    subscription.encode(&mut bytes, 1).unwrap();
    bytes.freeze()
}

pub(super) fn joins(id: &str, topics: &[&str], owned: &[(&str, &BTreeSet<i32>)]) -> Join {
    let metadata = metadata(topics, owned);
    Join {
        member_id: text(id),
        instance_id: None,
        client_id: text("client"),
        client_host: text("/127.0.0.1"),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: text("consumer"),
        protocols: vec![(text("range"), metadata.clone()), (text("roundrobin"), metadata)],
        two_steps: false,
        may_skip_assignment: false,
    }
}

/// One that wants "t", and reads these partitions of it now.
fn reads(id: &str, owned: &[i32]) -> Join {
    let owned: BTreeSet<i32> = owned.iter().copied().collect();
    joins(id, &["t"], &[("t", &owned)])
}

pub(super) fn who(id: &str, generation: i32) -> Identity {
    Identity { member_id: text(id), instance_id: None, generation }
}

impl Test {
    fn joins(&mut self, join: Join) -> Result<Joined, ResponseError> {
        let joined = self.group.join_classic(join, &self.shelf, 100, Some(100), self.now_ms);
        joined.map_err(|refused| refused.error)
    }

    /// What a member is told that asks for its share.
    fn syncs(&mut self, id: &str, generation: i32) -> Result<Partitions, ResponseError> {
        let synced = self.group.sync_classic(&who(id, generation), (None, None), &self.shelf, self.now_ms)?;
        Ok(embedded::assignment(&synced.assignment, &self.shelf).unwrap().0)
    }

    fn beats(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.beat_classic(&who(id, generation), self.now_ms)
    }

    /// "new" of the new protocol has all four partitions in epoch 2; then "old" of the classic protocol joins.
    fn mixed() -> (Self, Joined) {
        let mut test = Self::new();
        test.say(&join("new", &["t"])).unwrap();
        let joined = test.joins(reads("old", &[])).unwrap();
        (test, joined)
    }
}

#[test]
fn a_member_of_the_classic_protocol_gets_what_others_give_back() {
    let (mut test, joined) = Test::mixed();
    assert_eq!((joined.generation, joined.protocol.as_str(), joined.leader.as_str()), (3, "range", ""));
    assert_eq!(joined.members, [], "it never leads");
    assert_eq!(test.syncs("old", 3), Ok(Partitions::new()));
    assert_eq!(test.beats("old", 3), Ok(()), "it waits for the other");
    let kept = share(1, &[0, 1]);
    assert_eq!(test.say(&beat("new", 2, None)), Ok((2, Some(kept.clone()))));
    assert_eq!(test.beats("old", 3), Ok(()));
    assert_eq!(test.say(&beat("new", 2, Some(kept))), Ok((3, None)));
    assert_eq!(test.beats("old", 3), Err(RebalanceInProgress), "there is something for it");
    assert_eq!(test.joins(reads("old", &[])).unwrap().generation, 3);
    assert_eq!(test.syncs("old", 3), Ok(share(1, &[2, 3])));
    assert_eq!(test.beats("old", 3), Ok(()));
    assert_eq!(test.group.state(), "Stable");
}

#[test]
fn a_member_of_the_classic_protocol_gives_back_in_joining_again() {
    let mut test = Test::new();
    test.joins(reads("old", &[])).unwrap();
    test.group.take_fallen_back();
    assert_eq!(test.syncs("old", 2), Ok(share(1, &[0, 1, 2, 3])));
    assert_eq!(test.say(&join("new", &["t"])), Ok((3, Some(Partitions::new()))));
    assert_eq!(test.beats("old", 2), Err(RebalanceInProgress));
    assert_eq!(test.syncs("old", 2), Err(RebalanceInProgress), "it has to join first");
    let joined = test.joins(reads("old", &[0, 1, 2, 3])).unwrap();
    assert_eq!(joined.generation, 2, "it reads too much yet");
    assert_eq!(test.syncs("old", 2), Ok(share(1, &[0, 1])), "what it may keep");
    assert_eq!(test.beats("old", 2), Err(RebalanceInProgress), "it has to say that it has given back");
    assert_eq!(test.say(&beat("new", 3, None)), Ok((3, None)));
    assert_eq!(test.joins(reads("old", &[0, 1])).unwrap().generation, 3);
    assert_eq!(test.syncs("old", 3), Ok(share(1, &[0, 1])));
    assert_eq!(test.say(&beat("new", 3, None)), Ok((3, Some(share(1, &[2, 3])))));
}

#[test]
fn an_eager_member_gives_everything_back_at_once() {
    let mut test = Test::new();
    test.joins(reads("old", &[])).unwrap();
    test.say(&join("new", &["t"])).unwrap();
    assert_eq!(test.joins(reads("old", &[])).unwrap().generation, 3, "it reads nothing when it joins");
    assert_eq!(test.syncs("old", 3), Ok(share(1, &[0, 1])));
    assert_eq!(test.say(&beat("new", 3, None)), Ok((3, Some(share(1, &[2, 3])))));
}

#[test]
fn requests_of_members_that_are_not_what_they_say_are_refused() {
    let (mut test, _) = Test::mixed();
    assert_eq!(test.beats("stranger", 3), Err(UnknownMemberId));
    assert_eq!(test.beats("new", 2), Err(UnknownMemberId), "it does not speak the classic protocol");
    assert_eq!(test.syncs("new", 2), Err(UnknownMemberId));
    assert_eq!(test.beats("old", 2), Err(IllegalGeneration));
    assert_eq!(test.syncs("old", 4), Err(IllegalGeneration));
    let other = (Some(text("consumer")), Some(text("roundrobin")));
    let synced = test.group.sync_classic(&who("old", 3), other, &test.shelf, 0);
    assert_eq!(synced.unwrap_err(), InconsistentGroupProtocol, "it was told range");
    let stranger = |protocol: &str| Join {
        protocols: vec![(text(protocol), metadata(&["t"], &[]))],
        ..reads("stranger", &[])
    };
    assert_eq!(test.joins(stranger("sticky")).unwrap_err(), InconsistentGroupProtocol);
    let connect = Join { protocol_type: text("connect"), ..reads("stranger", &[]) };
    assert_eq!(test.joins(connect).unwrap_err(), InconsistentGroupProtocol);
    assert_eq!(test.joins(stranger("roundrobin")).unwrap().protocol.as_str(), "roundrobin");
    let full = test.group.join_classic(reads("one more", &[]), &test.shelf, 3, None, 0);
    assert_eq!(full.unwrap_err().error, GroupMaxSizeReached);
}

#[test]
fn a_new_member_is_given_an_id_first() {
    let (mut test, _) = Test::mixed();
    let first = Join { two_steps: true, ..reads("", &[]) };
    let refused = test.group.join_classic(first, &test.shelf, 100, None, 0).unwrap_err();
    assert_eq!(refused.error, MemberIdRequired);
    assert_eq!(test.group.members().count(), 2);
    let second = Join { two_steps: true, ..reads(&refused.member_id, &[]) };
    assert_eq!(test.joins(second).unwrap().member_id, refused.member_id);
}

#[test]
fn commits_and_fetches_are_checked_in_the_words_of_the_protocol() {
    let (test, _) = Test::mixed();
    let may = |id: &str, generation, how| {
        test.group.may_commit(&who(id, generation), how, &Commits::new(), &test.shelf)
    };
    assert_eq!(may("old", 3, Commit::Old), Ok(()), "it need not know of epochs");
    assert_eq!(may("old", 4, Commit::Old), Err(IllegalGeneration));
    assert_eq!(may("new", 4, Commit::Plain), Err(StaleMemberEpoch));
    assert_eq!(may("new", 2, Commit::Old), Err(ResponseError::UnsupportedVersion));
    assert_eq!(test.group.may_fetch("old", 2), Err(IllegalGeneration));
    assert_eq!(test.group.may_fetch("new", 3), Err(StaleMemberEpoch));
}

#[test]
fn members_that_are_late_are_removed_by_their_own_timeouts() {
    let (mut test, _) = Test::mixed();
    assert_eq!(test.group.tick(0, None), Some(REBALANCE_MS), "until when it must ask for its share");
    test.syncs("old", 3).unwrap();
    assert_eq!(test.group.tick(0, None), Some(SESSION_MS), "until when it must be heard of");
    test.now_ms = 1_000;
    test.say(&join("third", &["t"])).unwrap();
    assert_eq!(test.beats("old", 3), Err(RebalanceInProgress));
    test.now_ms = 2_000;
    assert_eq!(test.beats("old", 3), Err(RebalanceInProgress));
    assert_eq!(test.group.tick(0, None), Some(1_000 + REBALANCE_MS), "from when it was first told to join");
    test.group.tick(1_000 + REBALANCE_MS, None);
    assert_eq!(test.beats("old", 3), Err(UnknownMemberId));
}

#[test]
fn the_group_falls_back_when_the_last_member_of_the_new_protocol_goes() {
    let (mut test, _) = Test::mixed();
    test.group.leave("new", None, -1, None).unwrap();
    assert_eq!((test.group.take_fallen_back(), test.group.epoch), (None, 4), "that may not be allowed");
    let (mut test, _) = Test::mixed();
    test.group.leave("new", None, -1, Some(0)).unwrap();
    assert_eq!(test.group.take_fallen_back(), None, "it would have too many members");
    let (mut test, _) = Test::mixed();
    test.group.leave("new", None, -1, Some(1)).unwrap();
    let rebalance = Some(FallBack { rebalance: true });
    assert_eq!((test.group.take_fallen_back(), test.group.epoch), (rebalance, 3));
    let (mut test, _) = Test::mixed();
    test.syncs("old", 3).unwrap();
    test.beats("old", 3).unwrap();
    test.group.tick(45_000, Some(1));
    assert_eq!(test.group.take_fallen_back(), None, "the other has gone as well");
    assert!(test.group.is_empty());
}

#[test]
fn a_static_member_may_be_replaced_by_one_of_the_other_protocol_while_it_is_there() {
    let mut test = Test::new();
    let named = |beat: Heartbeat| Heartbeat { instance_id: Some("i".to_owned()), ..beat };
    let classic = |id: &str| Join { instance_id: Some(text("i")), ..reads(id, &[]) };
    let first = test.joins(classic("")).unwrap();
    let all = share(1, &[0, 1, 2, 3]);
    assert_eq!(test.say(&named(join("new", &["t"]))), Ok((2, Some(all.clone()))), "the same share");
    assert_eq!(test.beats(&first.member_id, 2), Err(UnknownMemberId));
    test.say(&join("other", &["t"])).unwrap();
    let second = test.joins(classic("")).unwrap();
    assert_eq!(test.group.take_fallen_back(), None, "there is another one of the new protocol");
    assert_eq!(test.say(&named(beat("new", 2, None))), Err(FencedInstanceId));
    assert_eq!(test.group.member(&second.member_id).unwrap().assigned, share(1, &[0, 1]));
    test.group.leave("other", None, -1, None).unwrap();
    test.say(&named(join("newer", &["t"]))).unwrap();
    let third = test.joins(classic("")).unwrap();
    assert_eq!(test.group.take_fallen_back(), Some(FallBack { rebalance: false }));
    assert_eq!(test.group.member(&third.member_id).unwrap().assigned, all);
}
