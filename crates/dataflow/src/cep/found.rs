//! What has been matched: events, by the step that took them.

use super::run::{Held, Link, NONE};
use crate::time::Timestamp;

/// The events of a match, or of what has been matched so far.
pub struct PatternMatch<'a, T> {
    pub(super) links: &'a [Link],
    pub(super) events: &'a [Held<T>],
    pub(super) names: &'a [String],
    /// The last of them.
    pub(super) last: u32,
}

impl<'a, T> PatternMatch<'a, T> {
    /// From the last to the first.
    pub(super) fn backwards(&self) -> impl Iterator<Item = (&'a str, &'a Held<T>)> + use<'a, T> {
        let (links, events, names, mut at) = (self.links, self.events, self.names, self.last);
        std::iter::from_fn(move || {
            let link = links.get(at as usize).filter(|_| at != NONE)?;
            at = link.previous;
            Some((names[usize::from(link.step)].as_str(), &events[link.event as usize]))
        })
    }

    /// All events, in their order, with the names of the steps that took them.
    pub fn events(&self) -> Vec<(&'a str, &'a T)> {
        let mut events: Vec<_> = self.backwards().map(|(name, held)| (name, &held.value)).collect();
        events.reverse();
        events
    }

    /// The events that a step took, in their order.
    pub fn get(&self, step: &str) -> Vec<&'a T> {
        let mut events: Vec<_> =
            self.backwards().filter(|(name, _)| *name == step).map(|(_, held)| &held.value).collect();
        events.reverse();
        events
    }

    /// The first event that a step took; the only one of most.
    pub fn first(&self, step: &str) -> Option<&'a T> {
        self.backwards().filter(|(name, _)| *name == step).last().map(|(_, held)| &held.value)
    }

    /// The last event that a step took.
    pub fn last(&self, step: &str) -> Option<&'a T> {
        self.backwards().find(|(name, _)| *name == step).map(|(_, held)| &held.value)
    }

    /// The time of the first event (milliseconds).
    pub fn start(&self) -> Option<Timestamp> {
        self.backwards().last().map(|(_, held)| held.time)
    }

    /// The time of the last event (milliseconds).
    pub fn end(&self) -> Option<Timestamp> {
        self.backwards().next().map(|(_, held)| held.time)
    }
}
