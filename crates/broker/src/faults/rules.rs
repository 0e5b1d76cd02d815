//! The faults that are set, and what they are counted down by.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::messages::ApiKey;

use crate::faults::{Asked, Fault};

type Predicate = Box<dyn Fn(&Asked) -> bool + Send + Sync>;

/// One fault, and who meets it.
pub(crate) struct Rule {
    api: ApiKey,
    meets: Predicate,
    fault: Fault,
    left: AtomicUsize,
    hits: AtomicUsize,
}

impl Rule {
    pub(crate) fn new(api: ApiKey, meets: Predicate, fault: Fault, times: usize) -> Self {
        Self { api, meets, fault, left: AtomicUsize::new(times), hits: AtomicUsize::new(0) }
    }

    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Acquire)
    }

    pub(crate) fn lift(&self) {
        self.left.store(0, Ordering::Release);
    }

    /// Whether the request meets the fault; it is counted then.
    fn take(&self, asked: &Asked) -> bool {
        if self.api != asked.api || !(self.meets)(asked) {
            return false;
        }
        let less = |left: usize| left.checked_sub(1);
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok();
        if taken {
            self.hits.fetch_add(1, Ordering::AcqRel);
        }
        taken
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rule = f.debug_struct("Rule");
        rule.field("api", &self.api).field("fault", &self.fault).field("left", &self.left);
        rule.finish_non_exhaustive()
    }
}

/// Markers that are held back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) transactional_id: String,
    /// All if `None`.
    pub(crate) place: Option<(String, i32)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    any: AtomicBool,
    set: Mutex<Set>,
}

#[derive(Debug, Default)]
struct Set {
    rules: Vec<Arc<Rule>>,
    held: Vec<Held>,
}

impl Rules {
    /// Whether any fault is set at all.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, rule: Arc<Rule>) {
        self.change(|set| set.rules.push(rule));
    }

    pub(crate) fn hold(&self, held: Held) {
        self.change(|set| set.held.push(held));
    }

    pub(crate) fn release(&self, transactional_id: &str) {
        self.change(|set| set.held.retain(|held| held.transactional_id != transactional_id));
    }

    /// The fault that a request meets.
    pub(crate) fn take(&self, asked: &Asked) -> Option<Fault> {
        // A copy, because predicates are foreign code and may set faults themselves.
        let rules = self.lock().rules.clone();
        let met = rules.iter().find(|rule| rule.take(asked)).map(|rule| rule.fault);
        self.change(|set| set.rules.retain(|rule| rule.left.load(Ordering::Acquire) > 0));
        met
    }

    /// Whether a marker is held back: of a partition, or of the groups if `None`.
    pub(crate) fn holds(&self, transactional_id: &str, place: Option<&(String, i32)>) -> bool {
        if !self.any() {
            return false;
        }
        let all = |held: &Held| held.place.is_none() || held.place.as_ref() == place;
        self.lock().held.iter().any(|held| held.transactional_id == transactional_id && all(held))
    }

    fn change(&self, change: impl FnOnce(&mut Set)) {
        let mut set = self.lock();
        change(&mut set);
        self.any.store(!set.rules.is_empty() || !set.held.is_empty(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn asked(api: ApiKey, client_id: &str) -> Asked {
        Asked {
            api,
            version: 0,
            client_id: client_id.to_owned(),
            topics: Vec::new(),
            transactional_id: None,
            group: None,
        }
    }

    #[test]
    fn a_fault_is_met_as_often_as_was_said_and_by_whom() {
        let rules = Rules::default();
        let (first, second) = (Fault::Delay(Duration::from_secs(1)), Fault::Delay(Duration::from_secs(2)));
        let meets = |asked: &Asked| asked.client_id == "a";
        let rule = Arc::new(Rule::new(ApiKey::Fetch, Box::new(meets), first, 2));
        rules.add(Arc::clone(&rule));
        rules.add(Arc::new(Rule::new(ApiKey::Fetch, Box::new(meets), second, 1)));
        assert!(rules.any());
        assert_eq!(rules.take(&asked(ApiKey::Fetch, "b")), None);
        assert_eq!(rules.take(&asked(ApiKey::Produce, "a")), None);
        let taken: Vec<_> = (0..4).map(|_| rules.take(&asked(ApiKey::Fetch, "a"))).collect();
        assert_eq!(taken, [Some(first), Some(first), Some(second), None]);
        assert_eq!((rule.hits(), rules.any()), (2, false));
    }

    #[test]
    fn markers_are_held_by_partition_or_all() {
        let rules = Rules::default();
        let place = ("t".to_owned(), 0);
        assert!(!rules.holds("x", Some(&place)));
        rules.hold(Held { transactional_id: "x".to_owned(), place: Some(place.clone()) });
        assert!(rules.holds("x", Some(&place)) && !rules.holds("x", None) && !rules.holds("y", Some(&place)));
        rules.hold(Held { transactional_id: "x".to_owned(), place: None });
        assert!(rules.holds("x", None) && rules.holds("x", Some(&("u".to_owned(), 3))));
        rules.release("x");
        assert!(!rules.any());
    }
}
