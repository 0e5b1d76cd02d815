//! Groups at times of the tests' choosing.

use kafka_protocol::ResponseError::{
    CoordinatorNotAvailable, FencedInstanceId, GroupMaxSizeReached, IllegalGeneration,
    InconsistentGroupProtocol, RebalanceInProgress, UnknownMemberId,
};

use super::member::*;
use super::*;
use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

const SESSION_MS: i64 = 1_000;
const REBALANCE_MS: i64 = 5_000;

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn rules() -> Rules {
    Rules { session_ms: 10..=60_000, max_size: 10, initial_delay_ms: 0 }
}

fn join(member_id: &StrBytes, instance: Option<&str>) -> Join {
    Join {
        member_id: member_id.clone(),
        instance_id: instance.map(text),
        client_id: text("client"),
        client_host: text("/127.0.0.1"),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: text("consumer"),
        protocols: vec![(text("range"), Bytes::new())],
        two_steps: false,
        may_skip_assignment: false,
    }
}

fn now<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer {
        Answer::Now(answer) => answer,
        Answer::Later(mut later) => later.try_recv().unwrap(),
    }
}

fn waits<T>(answer: &mut Answer<T>) -> bool {
    match answer {
        Answer::Now(_) => false,
        Answer::Later(later) => later.try_recv().is_err(),
    }
}

fn who(joined: &Joined, instance: Option<&str>) -> Identity {
    Identity {
        member_id: joined.member_id.clone(),
        instance_id: instance.map(text),
        generation: joined.generation,
    }
}

fn sync(
    group: &mut Classic,
    who: &Identity,
    shares: &[(&StrBytes, &'static str)],
    at: i64,
) -> Answer<SyncReply> {
    let shares = shares.iter().map(|(id, share)| ((*id).clone(), Bytes::from_static(share.as_bytes())));
    let answer = group.sync(who, (None, None), shares.collect(), at);
    group.written(Ok(()), at);
    answer
}

/// A group of two, of which the first leads, that is stable at 0 ms.
fn pair(instance: Option<&str>) -> (Classic, Identity, Identity) {
    let mut group = Classic::default();
    let first = now(group.join(join(&text(""), None), &rules(), 0)).unwrap();
    let second = group.join(join(&text(""), instance), &rules(), 0);
    let first = now(group.join(join(&first.member_id, None), &rules(), 0)).unwrap();
    let second = now(second).unwrap();
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!((&first.leader, first.members.len(), second.members.len()), (&first.member_id, 2, 0));
    let (first, second) = (who(&first, None), who(&second, instance));
    let shares = [(&first.member_id, "one"), (&second.member_id, "two")];
    let waiting = sync(&mut group, &second, &[], 0);
    assert_eq!(now(sync(&mut group, &first, &shares, 0)).unwrap().assignment, "one");
    assert_eq!(now(waiting).unwrap().assignment, "two");
    assert_eq!(group.phase, Phase::Stable);
    (group, first, second)
}

#[test]
fn a_silent_member_is_removed_and_the_other_told_to_join_again() {
    let (mut group, first, second) = pair(None);
    group.heartbeat(&first, 900).unwrap();
    assert_eq!(group.tick(999), Some(1_000), "the second was last heard of at 0");
    group.tick(1_000);
    assert_eq!(group.heartbeat(&first, 1_001), Err(RebalanceInProgress));
    assert_eq!(group.heartbeat(&second, 1_001), Err(UnknownMemberId));
    let again = now(group.join(join(&first.member_id, None), &rules(), 1_100)).unwrap();
    assert_eq!((again.generation, again.members.len()), (3, 1));
    assert_eq!(group.heartbeat(&first, 1_200), Err(IllegalGeneration));
}

#[test]
fn a_member_that_only_beats_is_left_behind_when_the_rebalance_times_out() {
    let (mut group, first, second) = pair(None);
    let mut third = group.join(join(&text(""), None), &rules(), 0);
    let mut again = group.join(join(&first.member_id, None), &rules(), 100);
    for at in (500..REBALANCE_MS).step_by(500) {
        assert_eq!(group.heartbeat(&second, at), Err(RebalanceInProgress));
        group.tick(at);
    }
    assert!(waits(&mut third) && waits(&mut again), "members that wait need no heartbeat");
    group.tick(REBALANCE_MS);
    assert_eq!(now(again).unwrap().members.len(), 2);
    assert_eq!(now(third).unwrap().generation, 3);
    assert_eq!(group.heartbeat(&second, REBALANCE_MS), Err(UnknownMemberId));
}

#[test]
fn members_that_never_ask_for_their_share_are_removed() {
    let mut group = Classic::default();
    let joined = now(group.join(join(&text(""), None), &rules(), 0)).unwrap();
    let me = who(&joined, None);
    for at in (500..REBALANCE_MS).step_by(500) {
        group.heartbeat(&me, at).unwrap();
        group.tick(at);
    }
    assert_eq!(group.tick(REBALANCE_MS), None);
    assert_eq!(group.phase, Phase::Empty);
}

#[test]
fn an_id_that_was_given_out_holds_the_others_up_until_it_expires() {
    let (mut group, first, second) = pair(None);
    let two_steps = Join { two_steps: true, ..join(&text(""), None) };
    let refused = now(group.join(two_steps, &rules(), 0)).unwrap_err();
    assert_eq!(group.heartbeat(&first, 0), Ok(()), "it has not joined yet");
    group.leave(&second.member_id, None, 0).unwrap();
    let mut again = group.join(join(&first.member_id, None), &rules(), 100);
    assert!(waits(&mut again));
    group.tick(SESSION_MS);
    assert_eq!(now(again).unwrap().members.len(), 1);
    let late = now(group.join(join(&refused.member_id, None), &rules(), SESSION_MS)).unwrap_err();
    assert_eq!(late.error, UnknownMemberId);
}

#[test]
fn a_static_member_keeps_its_share_over_a_restart_and_its_predecessor_is_fenced() {
    let (mut group, first, second) = pair(Some("b"));
    let back = now(group.join(join(&text(""), Some("b")), &rules(), 500)).unwrap();
    assert_eq!(back.generation, 2, "nobody had to join again");
    assert_ne!(back.member_id, second.member_id);
    let back = who(&back, Some("b"));
    assert_eq!(now(sync(&mut group, &back, &[], 500)).unwrap().assignment, "two");
    assert_eq!(group.heartbeat(&second, 600), Err(FencedInstanceId));
    assert_eq!(group.may_commit(&second, false), Err(FencedInstanceId));
    assert_eq!((group.heartbeat(&back, 600), group.heartbeat(&first, 600)), (Ok(()), Ok(())));
}

#[test]
fn offsets_are_committed_by_members_of_the_present_generation_or_into_an_empty_group() {
    let (mut group, first, second) = pair(None);
    let nobody = Identity { member_id: text(""), instance_id: None, generation: -1 };
    assert_eq!(group.may_commit(&first, false), Ok(()));
    assert_eq!(group.may_commit(&nobody, false), Err(UnknownMemberId));
    let early = Identity { generation: 1, ..first.clone() };
    assert_eq!(group.may_commit(&early, false), Err(IllegalGeneration));
    group.leave(&second.member_id, None, 0).unwrap();
    assert_eq!(group.may_commit(&first, false), Ok(()), "before it joins again it may say how far it came");
    group.leave(&first.member_id, None, 0).unwrap();
    assert_eq!(group.may_commit(&nobody, false), Ok(()));
    assert_eq!(group.may_commit(&first, false), Err(UnknownMemberId));
}

#[test]
fn an_empty_group_waits_for_more_members_as_long_as_they_come() {
    let slow = Rules { initial_delay_ms: 100, ..rules() };
    let mut group = Classic::default();
    let mut first = group.join(join(&text(""), None), &slow, 0);
    assert_eq!(group.tick(0), Some(100));
    let mut second = group.join(join(&text(""), None), &slow, 50);
    assert_eq!(group.tick(100), Some(200), "someone has come");
    assert!(waits(&mut first) && waits(&mut second));
    group.tick(200);
    assert_eq!(now(first).unwrap().members.len() + now(second).unwrap().members.len(), 2);
    assert_eq!((group.generation, group.phase), (1, Phase::CompletingRebalance));
}

#[test]
fn a_follower_that_never_asks_is_removed_though_the_leader_has_divided() {
    let mut group = Classic::default();
    let first = now(group.join(join(&text(""), None), &rules(), 0)).unwrap();
    let second = group.join(join(&text(""), None), &rules(), 0);
    let first = now(group.join(join(&first.member_id, None), &rules(), 0)).unwrap();
    let second = now(second).unwrap();
    let (first, second) = (who(&first, None), who(&second, None));
    now(sync(&mut group, &first, &[], 0)).unwrap();
    assert_eq!(group.phase, Phase::Stable);
    for at in (500..REBALANCE_MS).step_by(500) {
        assert_eq!((group.heartbeat(&first, at), group.heartbeat(&second, at)), (Ok(()), Ok(())));
        group.tick(at);
    }
    group.tick(REBALANCE_MS);
    assert_eq!(group.heartbeat(&first, REBALANCE_MS), Err(RebalanceInProgress));
    assert_eq!(group.heartbeat(&second, REBALANCE_MS), Err(UnknownMemberId));
}

#[test]
fn a_full_group_takes_no_more_and_keeps_those_that_join_again_first() {
    let small = Rules { max_size: 2, ..rules() };
    let (mut group, first, second) = pair(None);
    let refused = now(group.join(join(&text(""), None), &small, 0)).unwrap_err();
    assert_eq!((refused.error, refused.member_id.as_str()), (GroupMaxSizeReached, ""));
    let smaller = Rules { max_size: 1, ..rules() };
    let mut again = group.join(join(&first.member_id, None), &smaller, 0);
    assert!(waits(&mut again));
    let late = now(group.join(join(&second.member_id, None), &smaller, 0)).unwrap_err();
    assert_eq!(late.error, GroupMaxSizeReached);
    group.tick(0);
    assert_eq!(now(again).unwrap().members.len(), 1);
}

#[test]
fn a_new_member_waits_no_longer_than_five_minutes_for_the_others() {
    let (mut group, first, _) = pair(None);
    let patient = Join { rebalance_timeout_ms: 3_600_000, ..join(&first.member_id, None) };
    let mut leader = group.join(patient, &rules(), 0);
    let third = group.join(Join { session_timeout_ms: 60_000, ..join(&text(""), None) }, &rules(), 0);
    group.members.iter_mut().for_each(|member| member.session_timeout_ms = 3_600_000);
    group.members[1].touch(0);
    group.tick(299_999);
    assert!(waits(&mut leader));
    group.tick(300_000);
    assert_eq!(now(third).unwrap_err().error, UnknownMemberId);
    assert!(waits(&mut leader), "the second has not come yet");
}

#[test]
fn a_committing_member_is_alive_and_one_without_its_id_is_fenced() {
    let (mut group, first, second) = pair(Some("b"));
    group.committed(&first, 900);
    group.committed(&second, 900);
    assert_eq!(group.tick(1_000), Some(1_900));
    let nameless = Identity { member_id: text(""), ..second.clone() };
    assert_eq!(group.heartbeat(&nameless, 1_000), Err(FencedInstanceId));
    assert_eq!(group.may_commit(&nameless, false), Err(FencedInstanceId));
    group.leave(&first.member_id, None, 1_000).unwrap();
    assert_eq!(group.may_commit(&second, false), Ok(()));
    assert_eq!(group.members[0].assignment, "two", "until it has joined again, it has what it had");
}

#[test]
fn shares_that_cannot_be_written_down_are_not_given() {
    let (mut group, first, second) = pair(None);
    let again = group.join(join(&first.member_id, None), &rules(), 0);
    let other = now(group.join(join(&second.member_id, None), &rules(), 0)).unwrap();
    let (first, second) = (who(&now(again).unwrap(), None), who(&other, None));
    let waiting = sync(&mut group, &second, &[], 0);
    let brought = [(first.member_id.clone(), Bytes::from_static(b"all"))].into();
    let leader = group.sync(&first, (None, None), brought, 0);
    group.written(Err(CoordinatorNotAvailable), 0);
    assert_eq!(now(leader).unwrap_err(), CoordinatorNotAvailable);
    assert_eq!(now(waiting).unwrap_err(), CoordinatorNotAvailable);
    assert!(group.members.iter().all(|member| member.assignment.is_empty()));
    assert_eq!(group.heartbeat(&first, 0), Err(RebalanceInProgress), "everyone tries again");
}

#[test]
fn a_static_member_whose_successor_cannot_be_written_down_stays() {
    let (mut group, first, second) = pair(Some("i"));
    let third = now(group.join(join(&text(""), Some("i")), &rules(), 0)).unwrap();
    assert_ne!(third.member_id, second.member_id);
    group.written(Err(CoordinatorNotAvailable), 0);
    assert_eq!(group.heartbeat(&who(&third, Some("i")), 0), Err(FencedInstanceId));
    assert_eq!(group.heartbeat(&second, 0), Ok(()));
    assert_eq!(group.heartbeat(&first, 0), Ok(()));
}

#[test]
fn a_member_that_comes_back_with_nothing_of_what_it_had_is_refused() {
    let mut group = Classic::default();
    let joined = now(group.join(join(&text(""), None), &rules(), 0)).unwrap();
    let other = vec![(text("sticky"), Bytes::new())];
    let again = Join { protocols: other.clone(), ..join(&joined.member_id, None) };
    assert_eq!(now(group.join(again, &rules(), 0)).unwrap_err().error, InconsistentGroupProtocol);
    group.leave(&joined.member_id, None, 0).unwrap();
    let first = Join { protocols: other, protocol_type: text("connect"), ..join(&text(""), None) };
    assert_eq!(now(group.join(first, &rules(), 0)).unwrap().protocol.as_str(), "sticky", "nobody is there");
}

#[test]
fn whoever_goes_that_had_but_an_id_makes_the_others_join_again() {
    let (mut group, first, _) = pair(None);
    let asks = Join { two_steps: true, ..join(&text(""), None) };
    let refused = now(group.join(asks, &rules(), 0)).unwrap_err();
    assert_eq!(group.phase, Phase::Stable);
    group.leave(&refused.member_id, None, 0).unwrap();
    assert_eq!(group.heartbeat(&first, 0), Err(RebalanceInProgress));
}
