//! Which operator of a job claims which state of a checkpoint.
//!
//! - An operator claims what was written under its uid.
//! - One whose uid is derived, and is not there, claims what hung below the same sources in the same way, if the only difference is the
//!   uid that a source was given, and only one operator of either side is so.
//! - Checkpoints of the time when ids went by the order of operators: an operator without a uid claims the state of the only
//!   one of its name, if it is itself the only one of its name that keeps state. Where there are more, nobody can say which is
//!   whose; that is refused.
//!
//! State that nobody claims is dropped only if the user said so.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::OperatorEntry;

/// An operator of the job.
#[derive(Clone, Debug)]
pub(crate) struct Claimant {
    pub(crate) name: String,
    pub(crate) uid: Arc<str>,
    /// Its identity but for the uids of sources.
    pub(crate) structure: Arc<str>,
    /// Whether the user gave it its uid.
    pub(crate) explicit: bool,
    pub(crate) is_source: bool,
    /// The names of its state; `None` if they are not known.
    pub(crate) states: Option<Vec<&'static str>>,
    /// What it is and where it hangs, for people.
    pub(crate) path: String,
}

/// A piece of state of the checkpoint that is not empty: of the operator with this uid, under this name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holding {
    pub(crate) uid: String,
    pub(crate) state: String,
}

/// Who claims what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// Of the operators of the job that find something: the uid that it has in the checkpoint.
    pub(crate) of: HashMap<Arc<str>, String>,
    pub(crate) report: RestoreReport,
}

/// What became of the state of a checkpoint when a job was restored from it, told once, when the job starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RestoreReport {
    /// The operators that go on with the state that they had.
    pub(crate) kept: Vec<String>,
    /// The operators that keep state and find none.
    pub(crate) new: Vec<String>,
    /// The state that no operator claims.
    pub(crate) dropped: Vec<String>,
    /// For each of the latter: what its uid was, and how it can be found again.
    pub(crate) way_out: Vec<(String, String)>,
}

impl RestoreReport {
    /// Whether everything was kept, and nothing is new.
    pub(crate) fn is_plain(&self) -> bool {
        self.new.is_empty() && self.dropped.is_empty()
    }
}

impl fmt::Display for RestoreReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("kept   ", &self.kept, ""),
            ("new    ", &self.new, " (without state: begins empty)"),
            ("dropped", &self.dropped, " (no operator of the job claims it)"),
        ];
        let shown = lines.into_iter().filter(|(_, pieces, _)| !pieces.is_empty());
        for (index, (title, pieces, meaning)) in shown.enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}  {title}  {}{meaning}", pieces.join(", "))?;
        }
        Ok(())
    }
}

/// Finds out who claims what.
///
/// # Errors
/// Why nobody can say whose a piece of state is.
pub(crate) fn claim(
    operators: &[OperatorEntry],
    holdings: &[Holding],
    job: &[Claimant],
) -> Result<Claims, String> {
    let mut claims = Claims::default();
    let mut claimed: HashSet<&str> = HashSet::new();
    let known: HashMap<&str, &OperatorEntry> =
        operators.iter().map(|operator| (operator.uid.as_str(), operator)).collect();
    for claimant in job.iter().filter(|claimant| known.contains_key(&*claimant.uid)) {
        // An old uid that goes by the order of operators is not one that says what it is.
        if claimant.explicit || known[&*claimant.uid].identity.is_some() {
            claimed.insert(known[&*claimant.uid].uid.as_str());
            claims.of.insert(claimant.uid.clone(), claimant.uid.to_string());
        }
    }
    for claimant in job.iter().filter(|claimant| !claimant.explicit && !claimant.is_source) {
        let alike = job.iter().filter(|other| other.structure == claimant.structure).count();
        let mut there = operators.iter().filter(|operator| {
            operator.identity.as_ref().is_some_and(|identity| identity.structure == *claimant.structure)
        });
        if let (1, Some(operator), None) = (alike, there.next(), there.next())
            && !claims.of.contains_key(&claimant.uid)
            && claimed.insert(&operator.uid)
        {
            claims.of.insert(claimant.uid.clone(), operator.uid.clone());
        }
    }
    claim_by_name(operators, holdings, job, &mut claims, &mut claimed)?;
    report(&known, holdings, job, &mut claims);
    Ok(claims)
}

/// Of checkpoints whose ids go by the order of operators.
fn claim_by_name<'a>(
    operators: &'a [OperatorEntry],
    holdings: &[Holding],
    job: &[Claimant],
    claims: &mut Claims,
    claimed: &mut HashSet<&'a str>,
) -> Result<(), String> {
    for claimant in job {
        let waits = |other: &&Claimant| {
            other.name == claimant.name
                && !other.explicit
                && !claims.of.contains_key(&other.uid)
                && other.states.as_ref().is_none_or(|states| !states.is_empty())
        };
        let rivals: Vec<&Claimant> = job.iter().filter(waits).collect();
        if !rivals.iter().any(|rival| rival.uid == claimant.uid) {
            continue;
        }
        let is_numbered = |operator: &OperatorEntry| match operator.uid.strip_prefix(operator.name.as_str()) {
            Some("") => true,
            Some(number) => number.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok()),
            None => false,
        };
        let free = |operator: &&OperatorEntry| {
            operator.identity.is_none()
                && operator.name == claimant.name
                && is_numbered(operator)
                && !claimed.contains(operator.uid.as_str())
                && holdings.iter().any(|holding| holding.uid == operator.uid)
        };
        let found: Vec<&OperatorEntry> = operators.iter().filter(free).collect();
        match (found.as_slice(), rivals.len()) {
            ([], _) => {}
            ([operator], 1) => {
                claimed.insert(operator.uid.as_str());
                claims.of.insert(claimant.uid.clone(), operator.uid.clone());
            }
            (found, rivals) => {
                let uids: Vec<String> = found.iter().map(|operator| format!("`{}`", operator.uid)).collect();
                return Err(format!(
                    "it was written when operators were told apart by their order, which may have changed since: its state of {} \
                     could be that of {rivals} operators of the job that are named `{}`. Say which is whose, once, with .uid(…) on each \
                     of them; the first of that name in the program that wrote it was {}",
                    uids.join(", "),
                    claimant.name,
                    uids[0],
                ));
            }
        }
    }
    Ok(())
}

fn report(
    known: &HashMap<&str, &OperatorEntry>,
    holdings: &[Holding],
    job: &[Claimant],
    claims: &mut Claims,
) {
    let Claims { of, report } = claims;
    let claimants: HashMap<&str, &Claimant> =
        job.iter().filter_map(|claimant| of.get(&claimant.uid).map(|uid| (uid.as_str(), claimant))).collect();
    let mut kept = HashSet::new();
    for Holding { uid, state } in holdings {
        let name = known.get(uid.as_str()).map_or(uid.as_str(), |operator| operator.name.as_str());
        match claimants.get(uid.as_str()) {
            Some(claimant)
                if claimant.states.as_ref().is_none_or(|states| states.iter().any(|name| name == state)) =>
            {
                kept.insert(claimant.uid.clone());
            }
            Some(claimant) => {
                report.dropped.push(format!("state `{state}` of {}", shown(&claimant.name, &claimant.uid)));
                report.way_out.push((uid.clone(), format!("name it `{state}` again in its `states()`")));
            }
            None => {
                let piece = shown(name, uid);
                if !report.dropped.contains(&piece) {
                    report.dropped.push(piece);
                    report.way_out.push((uid.clone(), again(name, uid, job, of)));
                }
            }
        }
    }
    for claimant in job {
        let keeps_state = claimant.states.as_ref().is_some_and(|states| !states.is_empty());
        if kept.contains(&claimant.uid) {
            report.kept.push(shown(&claimant.name, &claimant.uid));
        } else if keeps_state && !of.contains_key(&claimant.uid) {
            report.new.push(shown(&claimant.name, &claimant.uid));
        }
    }
}

/// How the job would find state again that nobody claims.
fn again(name: &str, uid: &str, job: &[Claimant], of: &HashMap<Arc<str>, String>) -> String {
    let empty = job.iter().filter(|claimant| {
        claimant.name == name
            && !of.contains_key(&claimant.uid)
            && claimant.states.as_ref().is_none_or(|states| !states.is_empty())
    });
    let empty: Vec<&Claimant> = empty.collect();
    match empty.as_slice() {
        [] => format!("set .uid(\"{uid}\") on the operator that is to have it"),
        [one] if one.is_source => format!(
            "if {} is what it was, set .uid(\"{uid}\") on it; what hangs below it is then found, too",
            one.path
        ),
        [one] => format!("if {} is what it was, set .uid(\"{uid}\") on it", one.path),
        more => format!("set .uid(\"{uid}\") on one of the {} operators named `{name}`", more.len()),
    }
}

fn shown(name: &str, uid: &str) -> String {
    if name == uid { name.to_owned() } else { format!("{name} (uid {uid})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::OperatorIdentity;

    fn old(name: &str, uid: &str) -> OperatorEntry {
        OperatorEntry { uid: uid.to_owned(), name: name.to_owned(), parallelism: 1, identity: None }
    }

    fn written(name: &str, uid: &str, structure: &str) -> OperatorEntry {
        let identity =
            OperatorIdentity { structure: structure.to_owned(), states: Some(vec!["value".to_owned()]) };
        OperatorEntry { identity: Some(identity), ..old(name, uid) }
    }

    fn held(operators: &[OperatorEntry]) -> Vec<Holding> {
        operators
            .iter()
            .map(|operator| Holding { uid: operator.uid.clone(), state: "value".to_owned() })
            .collect()
    }

    fn claimant(name: &str, uid: &str, structure: &str) -> Claimant {
        Claimant {
            name: name.to_owned(),
            uid: uid.into(),
            structure: structure.into(),
            explicit: false,
            is_source: false,
            states: Some(vec!["value"]),
            path: format!("`{name}` of {structure}"),
        }
    }

    fn given(name: &str, uid: &str) -> Claimant {
        Claimant { explicit: true, ..claimant(name, uid, uid) }
    }

    fn source(claimant: Claimant) -> Claimant {
        Claimant { is_source: true, ..claimant }
    }

    /// Who has whose state, and the report.
    fn claims(
        operators: &[OperatorEntry],
        job: &[Claimant],
    ) -> Result<(Vec<(String, String)>, String), String> {
        let claims = claim(operators, &held(operators), job)?;
        let mut of: Vec<_> = claims.of.iter().map(|(uid, had)| (uid.to_string(), had.clone())).collect();
        of.sort();
        Ok((of, claims.report.to_string()))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(uid, had)| ((*uid).to_owned(), (*had).to_owned())).collect()
    }

    #[test]
    fn an_old_checkpoint_is_claimed_by_name_where_names_are_unique() {
        let operators = [old("orders", "orders"), old("sum", "sum"), old("count", "totals")];
        let job = [
            source(claimant("orders", "orders-1", "")),
            claimant("sum", "sum-1", ""),
            given("count", "totals"),
        ];
        let (of, report) = claims(&operators, &job).unwrap();
        assert_eq!(of, pairs(&[("orders-1", "orders"), ("sum-1", "sum"), ("totals", "totals")]));
        assert_eq!(report, "  kept     orders (uid orders-1), sum (uid sum-1), count (uid totals)");
    }

    #[test]
    fn an_old_checkpoint_with_two_of_a_name_is_not_guessed_at() {
        let operators = [old("sum", "sum"), old("sum", "sum-2")];
        let two = [claimant("sum", "sum-a", "a"), claimant("sum", "sum-b", "b")];
        for job in [&two[..], &two[..1]] {
            let error = claims(&operators, job).unwrap_err();
            for part in [
                "`sum`, `sum-2`",
                "operators of the job that are named `sum`",
                ".uid(",
                "the first of that name",
            ] {
                assert!(error.contains(part), "`{part}` is not in: {error}");
            }
        }
        assert!(claims(&operators[..1], &two).is_err());
        let said = [given("sum", "sum-2"), given("sum", "sum")];
        assert_eq!(claims(&operators, &said).unwrap().0, pairs(&[("sum", "sum"), ("sum-2", "sum-2")]));
        // With one of them said, the other is clear.
        let (of, _) = claims(&operators, &[given("sum", "sum-2"), claimant("sum", "sum-b", "b")]).unwrap();
        assert_eq!(of, pairs(&[("sum-2", "sum-2"), ("sum-b", "sum")]));
        // Stateless ones do not count.
        let map = Claimant { states: Some(vec![]), ..claimant("sum", "sum-c", "c") };
        assert_eq!(claims(&operators[..1], &[two[0].clone(), map]).unwrap().0, pairs(&[("sum-a", "sum")]));
    }

    #[test]
    fn what_nobody_claims_is_dropped_and_the_way_out_is_told() {
        let operators = [written("orders", "orders-1", "o"), written("sum", "sum-1", "s")];
        let job = [
            source(claimant("orders", "orders-1", "o")),
            claimant("sum", "sum-2", "t"),
            claimant("count", "count-1", "c"),
        ];
        let found = claim(&operators, &held(&operators), &job).unwrap();
        let report = "  kept     orders (uid orders-1)\n  new      sum (uid sum-2), count (uid count-1) (without state: begins empty)\n  \
                      dropped  sum (uid sum-1) (no operator of the job claims it)";
        assert_eq!(found.report.to_string(), report);
        let way = "if `sum` of t is what it was, set .uid(\"sum-1\") on it".to_owned();
        assert_eq!(found.report.way_out, [("sum-1".to_owned(), way)]);
    }

    #[test]
    fn a_state_that_is_not_named_any_more_is_dropped() {
        let operators = [written("visits", "visits-1", "v")];
        let mut job = [claimant("visits", "visits-1", "v")];
        job[0].states = Some(vec!["clicks"]);
        let report = claims(&operators, &job).unwrap().1;
        assert!(report.contains("dropped  state `value` of visits (uid visits-1)"), "{report}");
    }

    #[test]
    fn below_a_source_that_begins_anew_state_is_kept() {
        let operators = [written("orders", "first", "o"), written("sum", "sum-1", "s")];
        let job = [source(given("orders", "second")), claimant("sum", "sum-2", "s")];
        let (of, report) = claims(&operators, &job).unwrap();
        assert_eq!(of, pairs(&[("sum-2", "sum-1")]));
        assert!(
            report.contains("kept     sum (uid sum-2)") && report.contains("dropped  orders (uid first)"),
            "{report}"
        );
        // Not where it could be two.
        let twice = [job[0].clone(), job[1].clone(), claimant("sum", "sum-3", "s")];
        assert_eq!(claims(&operators, &twice).unwrap().0, []);
    }
}
