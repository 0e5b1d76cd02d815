//! What is known of one key: events that wait for the watermark, and matches that have begun.

use std::mem::take;

use serde::{Deserialize, Serialize};

use super::automaton::{Action, Automaton, Kind, When};
use super::found::PatternMatch;
use super::skip::AfterMatchSkipStrategy;
use crate::error::BoxError;
use crate::time::Timestamp;

/// No link, no event.
pub(super) const NONE: u32 = u32::MAX;

/// A match that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Partial {
    state: u16,
    /// The number of its first event, by which matches are ordered.
    first: u64,
    /// And the time of that.
    start: Timestamp,
    last: u32,
}

/// That a step took an event, and what was before that. Matches share what they have in common.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) step: u16,
    pub(super) event: u32,
    pub(super) previous: u32,
}

/// An event that is part of what has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held<T> {
    pub(super) value: T,
    pub(super) time: Timestamp,
    id: u64,
}

/// See the [module](self).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Matching<T> {
    pub(super) waiting: Vec<(Timestamp, T)>,
    partials: Vec<Partial>,
    /// Through, and waiting for those that began before.
    completed: Vec<Partial>,
    links: Vec<Link>,
    events: Vec<Held<T>>,
    next_event: u64,
    /// So many links there were when those that nobody needs were last taken out.
    tidied: u32,
    /// When the first event that waits is to be looked at, at the latest; the end of time if none does.
    pub(super) due: Timestamp,
    /// When the key is to be looked at because of what has begun: not later than the first of that is over. The end of time if it is not
    /// in the calendar for that. What is read from a checkpoint is not.
    #[serde(skip, default = "never")]
    pub(super) over: Timestamp,
}

fn never() -> Timestamp {
    Timestamp::MAX
}

/// Room for so many of anything is worth to be kept.
const ROOM: usize = 16;

impl<T> Default for Matching<T> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            partials: Vec::new(),
            completed: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            next_event: 0,
            tidied: 0,
            due: Timestamp::MAX,
            over: Timestamp::MAX,
        }
    }
}

/// What is found.
pub(super) enum Found<'a, T> {
    Match(PatternMatch<'a, T>),
    TimedOut(PatternMatch<'a, T>),
}

/// Who takes what is found, and its time.
pub(super) type Emit<'e, T> = dyn FnMut(Found<'_, T>, Timestamp) -> Result<(), BoxError> + 'e;

/// Room that is used again for each event.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    next: Vec<Partial>,
    through: Vec<Partial>,
    stack: Vec<usize>,
    edges: Vec<(Action, usize, usize)>,
    /// Of each condition whether it holds for the event, if that is known.
    known: Vec<Option<bool>>,
}

impl<T> Matching<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.partials.is_empty() && self.completed.is_empty()
    }

    /// When the first of what has begun is over; the end of time if there is no such time.
    pub(super) fn next_over(&self, within: Option<i64>) -> Timestamp {
        let starts = self.partials.iter().map(|partial| partial.start);
        let over = within.and_then(|within| Some(starts.min()?.saturating_add(within)));
        over.unwrap_or(Timestamp::MAX)
    }

    /// When it has to be in the calendar.
    pub(super) fn deadlines(&self, within: Option<i64>) -> impl Iterator<Item = Timestamp> {
        let over = if self.over == Timestamp::MAX { self.next_over(within) } else { self.over };
        [self.due, over].into_iter().filter(|time| *time != Timestamp::MAX)
    }

    /// Of one of which nothing is known: its room, if it is not much.
    pub(super) fn take_room(&mut self) -> Option<Self> {
        let Self { waiting, partials, completed, links, events, .. } = self;
        let least = waiting.capacity().max(partials.capacity()).max(completed.capacity());
        if least.max(links.capacity()).max(events.capacity()) > ROOM {
            return None;
        }
        links.clear();
        events.clear();
        let (waiting, partials, completed) = (take(waiting), take(partials), take(completed));
        Some(Self {
            waiting,
            partials,
            completed,
            links: take(links),
            events: take(events),
            ..Self::default()
        })
    }

    fn found<'a>(&'a self, names: &'a [String], last: u32) -> PatternMatch<'a, T> {
        PatternMatch { links: &self.links, events: &self.events, names, last }
    }

    /// It is `time`: what began too long ago is over.
    pub(super) fn advance(
        &mut self,
        automaton: &Automaton<T>,
        time: Timestamp,
        scratch: &mut Scratch,
        emit: &mut Emit<'_, T>,
    ) -> Result<(), BoxError> {
        let Some(within) = automaton.within else { return Ok(()) };
        let is_over = |partial: &Partial| time.saturating_sub(partial.start) >= within;
        if !self.partials.iter().any(is_over) {
            return Ok(());
        }
        scratch.through.clear();
        let mut over = take(&mut scratch.next);
        over.clear();
        over.extend(self.partials.iter().copied().filter(is_over));
        self.partials.retain(|partial| !is_over(partial));
        over.sort_by_key(|partial| partial.first);
        for partial in over.drain(..) {
            if automaton.states[usize::from(partial.state)].kind == Kind::Pending {
                scratch.through.push(partial);
            } else {
                let found = Found::TimedOut(self.found(&automaton.names, partial.last));
                emit(found, partial.start.saturating_add(within))?;
            }
        }
        scratch.next = over;
        self.hand_on(automaton, time, &mut scratch.through, emit)?;
        self.tidy();
        Ok(())
    }

    /// An event, at its time.
    pub(super) fn process(
        &mut self,
        automaton: &Automaton<T>,
        value: T,
        time: Timestamp,
        scratch: &mut Scratch,
        emit: &mut Emit<'_, T>,
    ) -> Result<(), BoxError> {
        let (links, event) = (self.links.len(), self.events.len() as u32);
        self.events.push(Held { value, time, id: self.next_event });
        self.next_event += 1;
        scratch.next.clear();
        scratch.through.clear();
        scratch.known.clear();
        scratch.known.resize(automaton.conditions.len(), None);
        let partials = take(&mut self.partials);
        for partial in &partials {
            self.step(automaton, *partial, event, false, scratch);
        }
        let start =
            Partial { state: automaton.start as u16, first: self.next_event - 1, start: time, last: NONE };
        self.step(automaton, start, event, true, scratch);
        self.partials = partials;
        // Each keeps its room.
        if scratch.next.is_empty() {
            self.partials.clear();
        } else {
            std::mem::swap(&mut self.partials, &mut scratch.next);
        }
        if self.links.len() == links {
            // Nobody took it.
            self.events.pop();
        }
        if !scratch.through.is_empty() || !self.completed.is_empty() {
            self.hand_on(automaton, time, &mut scratch.through, emit)?;
        }
        self.tidy();
        Ok(())
    }

    /// What becomes of one match that has begun, or of one that begins.
    fn step(
        &mut self,
        automaton: &Automaton<T>,
        partial: Partial,
        event: u32,
        begins: bool,
        scratch: &mut Scratch,
    ) {
        scratch.edges.clear();
        scratch.stack.clear();
        scratch.stack.push(usize::from(partial.state));
        while let Some(state) = scratch.stack.pop() {
            for transition in &automaton.states[state].transitions {
                if self.is_open(automaton, &transition.when, partial.last, event, &mut scratch.known) {
                    match transition.action {
                        Action::Proceed => scratch.stack.push(transition.to),
                        action => scratch.edges.push((action, state, transition.to)),
                    }
                }
            }
        }
        let (kept, mut stopped) = (scratch.next.len(), false);
        for index in 0..scratch.edges.len() {
            let (action, from, to) = scratch.edges[index];
            let kind = automaton.states[to].kind;
            let last = match action {
                _ if kind == Kind::Stop => {
                    stopped = true;
                    continue;
                }
                Action::Take => self.link(automaton, from, event, partial.last),
                // A match begins with an event that is taken.
                _ if begins => continue,
                _ => partial.last,
            };
            let follower = Partial { state: to as u16, last, ..partial };
            if kind == Kind::Final { &mut scratch.through } else { &mut scratch.next }.push(follower);
            if action == Action::Take && self.reaches_end(automaton, to, partial.last, event, scratch) {
                scratch.through.push(follower);
            }
        }
        if stopped {
            // All that came of it is given up; what is through is through.
            scratch.next.truncate(kept);
        }
    }

    fn link(&mut self, automaton: &Automaton<T>, from: usize, event: u32, previous: u32) -> u32 {
        self.links.push(Link { step: automaton.states[from].step, event, previous });
        (self.links.len() - 1) as u32
    }

    fn is_open(
        &self,
        automaton: &Automaton<T>,
        when: &When,
        last: u32,
        event: u32,
        known: &mut [Option<bool>],
    ) -> bool {
        match when {
            When::Always => true,
            When::Not(when) => !self.is_open(automaton, when, last, event, known),
            When::Both(a, b) => {
                self.is_open(automaton, a, last, event, known)
                    && self.is_open(automaton, b, last, event, known)
            }
            When::Holds(index) => {
                let condition = &automaton.conditions[*index];
                let test = || {
                    (condition.test)(&self.events[event as usize].value, &self.found(&automaton.names, last))
                };
                if condition.iterative { test() } else { *known[*index].get_or_insert_with(test) }
            }
        }
    }

    /// Whether a state proceeds to the end, with the event that led to it.
    fn reaches_end(
        &self,
        automaton: &Automaton<T>,
        state: usize,
        last: u32,
        event: u32,
        scratch: &mut Scratch,
    ) -> bool {
        let Scratch { stack, known, .. } = scratch;
        stack.clear();
        stack.push(state);
        while let Some(state) = stack.pop() {
            for transition in &automaton.states[state].transitions {
                if transition.action == Action::Proceed
                    && self.is_open(automaton, &transition.when, last, event, known)
                {
                    if automaton.states[transition.to].kind == Kind::Final {
                        return true;
                    }
                    stack.push(transition.to);
                }
            }
        }
        false
    }

    /// Hands matches on that are through, those that began first before the others, and gives up what the strategy says.
    fn hand_on(
        &mut self,
        automaton: &Automaton<T>,
        time: Timestamp,
        through: &mut Vec<Partial>,
        emit: &mut Emit<'_, T>,
    ) -> Result<(), BoxError> {
        if automaton.skip == AfterMatchSkipStrategy::NoSkip {
            through.sort_by_key(|partial| partial.first);
            for partial in through.drain(..) {
                emit(Found::Match(self.found(&automaton.names, partial.last)), time)?;
            }
            return Ok(());
        }
        self.completed.append(through);
        self.completed.sort_by_key(|partial| partial.first);
        while let Some(partial) = self.completed.first().copied() {
            if self.partials.iter().any(|begun| begun.first < partial.first) {
                break;
            }
            self.completed.remove(0);
            let found = self.found(&automaton.names, partial.last);
            let mut steps: Vec<(u64, &str)> = found.backwards().map(|(name, held)| (held.id, name)).collect();
            steps.reverse();
            let given_up = automaton.skip.given_up(&steps)?;
            emit(Found::Match(found), time)?;
            if let Some(upto) = given_up {
                self.partials.retain(|partial| partial.first > upto);
                self.completed.retain(|partial| partial.first > upto);
            }
        }
        Ok(())
    }

    /// Takes out what no match needs, when it has become as much as is needed.
    fn tidy(&mut self) {
        if self.partials.is_empty() && self.completed.is_empty() {
            self.links.clear();
            self.events.clear();
            self.tidied = 0;
        } else if self.links.len() > 2 * self.tidied as usize + 64 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut links: Vec<u32> = vec![NONE; self.links.len()];
        let mut events: Vec<u32> = vec![NONE; self.events.len()];
        for partial in self.partials.iter().chain(&self.completed) {
            let mut at = partial.last;
            while at != NONE && links[at as usize] == NONE {
                links[at as usize] = 0;
                events[self.links[at as usize].event as usize] = 0;
                at = self.links[at as usize].previous;
            }
        }
        let number = |places: &mut [u32]| {
            let needed = places.iter_mut().filter(|place| **place != NONE);
            needed.zip(0..).for_each(|(place, new)| *place = new);
        };
        number(&mut links);
        number(&mut events);
        let moved = |places: &[u32], at: u32| if at == NONE { NONE } else { places[at as usize] };
        let mut index = 0;
        self.links.retain_mut(|link| {
            index += 1;
            (link.event, link.previous) = (moved(&events, link.event), moved(&links, link.previous));
            links[index - 1] != NONE
        });
        let mut index = 0;
        self.events.retain(|_| {
            index += 1;
            events[index - 1] != NONE
        });
        for partial in self.partials.iter_mut().chain(&mut self.completed) {
            partial.last = moved(&links, partial.last);
        }
        self.tidied = self.links.len() as u32;
    }
}
