//! The `range` assignor: each topic is cut into as many runs of neighbouring partitions as it has subscribers.
//!
//! Subscribers line up in the same order for every topic, so that topics with as many partitions as each other
//! have the same partition at the same member, and can be joined there.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::Subscriber;
use crate::group::consumer::Partitions;

pub(super) fn assign(members: &[Subscriber<'_>], topics: &BTreeMap<Uuid, i32>) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    // Static members first, by the name that they keep over a restart.
    order.sort_by_key(|&n| (members[n].instance_id.is_none(), members[n].instance_id, members[n].member_id));
    let mut shares = vec![Partitions::new(); members.len()];
    for (topic, count) in topics {
        let subscribers: Vec<usize> =
            order.iter().copied().filter(|&n| members[n].topics.contains(topic)).collect();
        let Ok(total) = i32::try_from(subscribers.len()) else { continue };
        if total == 0 {
            continue;
        }
        let (quota, longer) = (count / total, count % total);
        let mut next = 0;
        for (place, n) in (0..total).zip(subscribers) {
            let end = next + quota + i32::from(place < longer);
            if next < end {
                shares[n].insert(*topic, (next..end).collect());
            }
            next = end;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn neighbours_stay_together_and_topics_are_cut_alike() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (both, only_b): (BTreeSet<Uuid>, BTreeSet<Uuid>) = ([a, b].into(), [b].into());
        let none = Partitions::new();
        let member =
            |member_id, instance_id, topics| Subscriber { member_id, instance_id, topics, previous: &none };
        let members =
            [member("z", None, &both), member("y", Some("static"), &both), member("x", None, &only_b)];
        let shares = assign(&members, &[(a, 3), (b, 7)].into());
        let share = |of_a: &[i32], of_b: &[i32]| -> Partitions {
            let topics =
                [(a, of_a.iter().copied().collect()), (b, of_b.iter().copied().collect::<BTreeSet<i32>>())];
            topics.into_iter().filter(|(_, partitions)| !partitions.is_empty()).collect()
        };
        assert_eq!(shares, [share(&[2], &[5, 6]), share(&[0, 1], &[0, 1, 2]), share(&[], &[3, 4])]);
    }
}
