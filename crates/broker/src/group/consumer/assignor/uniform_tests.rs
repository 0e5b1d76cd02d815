//! The `uniform` assignor against what it promises, for groups of all kinds.

use proptest::prelude::*;

use super::*;

fn topic(n: usize) -> Uuid {
    Uuid::from_u128(n as u128 + 1)
}

fn load(share: &Partitions) -> usize {
    share.values().map(BTreeSet::len).sum()
}

fn pairs(share: &Partitions) -> BTreeSet<(Uuid, i32)> {
    share.iter().flat_map(|(topic, partitions)| partitions.iter().map(|one| (*topic, *one))).collect()
}

/// Assigns to members with these subscriptions, who were to have `previous`.
fn run(
    subscriptions: &[BTreeSet<Uuid>],
    previous: &[Partitions],
    topics: &BTreeMap<Uuid, i32>,
) -> Vec<Partitions> {
    let ids: Vec<String> = (0..subscriptions.len()).map(|n| format!("m{n:03}")).collect();
    let member = |n: usize| Subscriber {
        member_id: &ids[n],
        instance_id: None,
        topics: &subscriptions[n],
        previous: &previous[n],
    };
    let members: Vec<Subscriber<'_>> = (0..subscriptions.len()).map(member).collect();
    Assignor::Uniform.assign(&members, topics)
}

/// Every partition that someone subscribes to belongs to exactly one member, who subscribes to it.
fn check(shares: &[Partitions], subscriptions: &[BTreeSet<Uuid>], topics: &BTreeMap<Uuid, i32>) {
    let mut owned = BTreeSet::new();
    for (share, subscription) in shares.iter().zip(subscriptions) {
        for pair in pairs(share) {
            assert!(subscription.contains(&pair.0), "{pair:?} was not asked for");
            assert!(owned.insert(pair), "{pair:?} has two owners");
        }
    }
    let wanted = topics.iter().filter(|(topic, _)| subscriptions.iter().any(|wants| wants.contains(topic)));
    let wanted: BTreeSet<(Uuid, i32)> =
        wanted.flat_map(|(topic, count)| (0..*count).map(|partition| (*topic, partition))).collect();
    assert_eq!(owned, wanted);
}

fn topics_strategy() -> impl Strategy<Value = BTreeMap<Uuid, i32>> {
    prop::collection::vec(0..8, 1..6)
        .prop_map(|counts| counts.into_iter().enumerate().map(|(n, count)| (topic(n), count)).collect())
}

/// Shares that may overlap, may be of topics that are no more, and of partitions that never were.
fn previous_strategy(members: usize) -> impl Strategy<Value = Vec<Partitions>> {
    let share = prop::collection::btree_set((0..7usize, 0..10), 0..12).prop_map(|pairs| {
        let mut share = Partitions::new();
        for (n, partition) in pairs {
            share.entry(topic(n)).or_default().insert(partition);
        }
        share
    });
    prop::collection::vec(share, members)
}

proptest! {
    #[test]
    fn equal_subscriptions_get_equal_shares_and_nothing_moves_without_need(
        topics in topics_strategy(),
        previous in (1..7usize).prop_flat_map(previous_strategy),
    ) {
        let subscriptions = vec![topics.keys().copied().collect::<BTreeSet<Uuid>>(); previous.len()];
        let shares = run(&subscriptions, &previous, &topics);
        check(&shares, &subscriptions, &topics);
        let loads: Vec<usize> = shares.iter().map(load).collect();
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{loads:?}");
        // From a valid start, as many stay as equal shares allow.
        let again = run(&subscriptions, &shares, &topics);
        prop_assert_eq!(&again, &shares);
        let mut grown = shares.clone();
        grown.push(Partitions::new());
        let wider = vec![subscriptions[0].clone(); grown.len()];
        let after = run(&wider, &grown, &topics);
        check(&after, &wider, &topics);
        let moved: usize = grown.iter().zip(&after).map(|(a, b)| pairs(a).difference(&pairs(b)).count()).sum();
        prop_assert_eq!(moved, loads.iter().sum::<usize>() / grown.len());
    }

    #[test]
    fn different_subscriptions_get_shares_that_no_move_makes_more_equal(
        topics in topics_strategy(),
        (subscriptions, previous) in (1..6usize).prop_flat_map(|members| (
            prop::collection::vec(prop::collection::btree_set((0..7usize).prop_map(topic), 0..5), members),
            previous_strategy(members),
        )),
    ) {
        let shares = run(&subscriptions, &previous, &topics);
        check(&shares, &subscriptions, &topics);
        for (giver, share) in shares.iter().enumerate() {
            for (taker, wants) in subscriptions.iter().enumerate() {
                let could = share.keys().any(|topic| wants.contains(topic));
                prop_assert!(
                    !could || load(&shares[taker]) + 2 > load(share),
                    "{giver} could give to {taker}: {shares:?}"
                );
            }
        }
        prop_assert_eq!(run(&subscriptions, &shares, &topics), shares);
    }
}

#[test]
fn a_partition_goes_over_a_member_in_between() {
    let topics = [(topic(0), 3), (topic(1), 3)].into();
    let subscriptions =
        [[topic(0)].into(), [topic(0), topic(1)].into(), [topic(1)].into()] as [BTreeSet<Uuid>; 3];
    let previous = [
        [(topic(0), [0, 1, 2].into())].into(),
        [(topic(1), [0, 1].into())].into(),
        [(topic(1), [2].into())].into(),
    ];
    let shares = run(&subscriptions, &previous, &topics);
    assert_eq!(shares.iter().map(load).collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn of_more_members_than_partitions_some_have_nothing() {
    let topics = [(topic(0), 2)].into();
    let subscriptions = vec![BTreeSet::from([topic(0)]); 5];
    let shares = run(&subscriptions, &vec![Partitions::new(); 5], &topics);
    let mut loads: Vec<usize> = shares.iter().map(load).collect();
    loads.sort_unstable();
    assert_eq!(loads, [0, 0, 0, 1, 1]);
}
