//! A pattern as a non-deterministic automaton: states, and under which conditions an event leads from one to another.
//!
//! The states are made from the last step to the first. There are three kinds of transitions: an event is *taken*, and belongs to the match; it is
//! *ignored*; or the automaton *proceeds* to another state, which is asked about the same event. A step that takes several events is a
//! row of states, the last of which leads to itself if there is no most. A step that is optional proceeds to what comes after it; once an
//! event has been ignored for its sake it does no more, so a second state waits for it.
//!
//! A step that is not to be has no state: what waits for the step after it *proceeds* to a stop state when the event comes, and with
//! that everything that came of it is given up.
//!
//! A *group* of steps is a row of its own, made once for each of its rounds; one without an end leads from its last step back to its first.

use super::pattern::{Condition, Consume, Pattern, Step};
use super::skip::AfterMatchSkipStrategy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Take,
    Ignore,
    Proceed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    /// It is a match.
    Final,
    /// What came of it is given up.
    Stop,
    /// It is a match when its time is over.
    Pending,
}

/// When a transition is open, in terms of the conditions of the pattern.
#[derive(Clone, Debug)]
pub(super) enum When {
    Always,
    Holds(usize),
    Not(Box<When>),
    Both(Box<When>, Box<When>),
}

impl When {
    fn not(self) -> Self {
        When::Not(Box::new(self))
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (When::Always, other) | (other, When::Always) => other,
            (a, b) => When::Both(Box::new(a), Box::new(b)),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Transition {
    pub(super) action: Action,
    pub(super) to: usize,
    pub(super) when: When,
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) step: u16,
    pub(super) kind: Kind,
    pub(super) transitions: Vec<Transition>,
}

/// See the [module](self).
#[derive(Clone)]
pub(super) struct Automaton<T> {
    pub(super) states: Vec<State>,
    pub(super) start: usize,
    pub(super) conditions: Vec<Condition<T>>,
    pub(super) names: Vec<String>,
    pub(super) within: Option<i64>,
    pub(super) skip: AfterMatchSkipStrategy,
}

impl<T: 'static> Automaton<T> {
    pub(super) fn new(pattern: &Pattern<T>) -> Self {
        let mut flat = Flat::default();
        let first = flat.add(&pattern.steps);
        let names = flat.steps.iter().map(|step| step.name.clone()).collect();
        let of_loop = vec![true; flat.steps.len()];
        let mut maker = Maker {
            flat,
            group: None,
            first_of_loop: of_loop,
            states: Vec::new(),
            conditions: Vec::new(),
            takes: Vec::new(),
            untils: Vec::new(),
            before_greedy: None,
        };
        for step in maker.flat.steps.clone() {
            let take = maker.condition(step.condition.as_ref());
            maker.takes.push(take.unwrap_or(When::Always));
            let until = maker.condition(step.until.as_ref());
            maker.untils.push(until);
        }
        let end = maker.state(0, Kind::Final);
        let start = maker.row(&first, end);
        let Maker { states, conditions, .. } = maker;
        Self { states, start, conditions, names, within: pattern.within, skip: pattern.skip.clone() }
    }
}

/// All steps, a group before those in it, by number.
struct Flat<'p, T> {
    steps: Vec<&'p Step<T>>,
    /// Of each what stands before and after it, in its pattern or its group.
    beside: Vec<(Option<usize>, Option<usize>)>,
    /// Of each group its steps.
    children: Vec<Vec<usize>>,
    /// Of each the group that it is a step of.
    group_of: Vec<Option<usize>>,
}

impl<T> Default for Flat<'_, T> {
    fn default() -> Self {
        Self { steps: Vec::new(), beside: Vec::new(), children: Vec::new(), group_of: Vec::new() }
    }
}

impl<'p, T> Flat<'p, T> {
    /// Adds a row of steps; their numbers.
    fn add(&mut self, row: &'p [Step<T>]) -> Vec<usize> {
        let mut numbers: Vec<usize> = Vec::new();
        for step in row {
            let number = self.steps.len();
            let before = numbers.last().copied();
            if let Some(before) = before {
                self.beside[before].1 = Some(number);
            }
            self.steps.push(step);
            self.beside.push((before, None));
            self.children.push(Vec::new());
            self.group_of.push(None);
            self.children[number] = self.add(&step.group);
            for child in self.children[number].clone() {
                self.group_of[child] = Some(number);
            }
            numbers.push(number);
        }
        numbers
    }
}

struct Maker<'p, T> {
    flat: Flat<'p, T>,
    /// The group whose states are being made.
    group: Option<usize>,
    /// Of each group whether it is its first round that is being made: what comes before is waited for as the group says, else as its rounds follow
    /// each other.
    first_of_loop: Vec<bool>,
    states: Vec<State>,
    conditions: Vec<Condition<T>>,
    takes: Vec<When>,
    untils: Vec<Option<When>>,
    /// Of a greedy step with an end: the state after it, as it was before it had to wait for the step.
    before_greedy: Option<usize>,
}

impl<T> Maker<'_, T> {
    /// The states of a row of steps, before `sink`.
    fn row(&mut self, row: &[usize], mut sink: usize) -> usize {
        for index in row.iter().rev().copied() {
            sink = match self.flat.steps[index].consume {
                Consume::NotFollow if self.states[sink].kind != Kind::Final => sink,
                Consume::NotFollow => self.pending(index),
                Consume::NotNext => self.not_next(index, sink),
                _ => self.step(index, sink),
            };
        }
        sink
    }

    /// The states of all steps of a group, before `sink`; if it is optional, it leads to `after` as well.
    fn group(&mut self, group: usize, sink: usize, after: usize, optional: bool) -> usize {
        let outer = self.group.replace(group);
        let first = self.row(&self.flat.children[group].clone(), sink);
        self.group = outer;
        if optional {
            self.add(first, Action::Proceed, after, When::Always);
        }
        first
    }

    /// One round of a step: a state for one event, or the states of a group.
    fn one(
        &mut self,
        step: usize,
        sink: usize,
        after: usize,
        take: &When,
        ignore: Option<&When>,
        optional: bool,
    ) -> usize {
        if self.flat.children[step].is_empty() {
            self.single(step, sink, after, take.clone(), ignore.cloned(), optional)
        } else {
            self.group(step, sink, after, optional)
        }
    }

    /// The group that a step is the first of.
    fn head_of(&self, step: usize) -> Option<usize> {
        self.group.filter(|_| self.flat.beside[step].0.is_none())
    }

    /// Whether it may be left out, by itself, or as the first step of a group that may.
    fn is_optional(&self, step: usize) -> bool {
        let of_group = |group: usize| self.first_of_loop[group] && self.flat.steps[group].optional;
        self.flat.steps[step].optional || self.head_of(step).is_some_and(of_group)
    }

    /// What holds as long as the group goes on.
    fn going_on(&self, when: When) -> When {
        match self.group.and_then(|group| self.untils[group].clone()) {
            Some(until) => until.not().and(when),
            None => when,
        }
    }

    fn take(&self, step: usize) -> When {
        self.going_on(self.takes[step].clone())
    }

    fn condition(&mut self, condition: Option<&Condition<T>>) -> Option<When> {
        self.conditions.push(condition?.clone());
        Some(When::Holds(self.conditions.len() - 1))
    }

    fn state(&mut self, step: usize, kind: Kind) -> usize {
        self.states.push(State { step: step as u16, kind, transitions: Vec::new() });
        self.states.len() - 1
    }

    fn add(&mut self, from: usize, action: Action, to: usize, when: When) {
        self.states[from].transitions.push(Transition { action, to, when });
    }

    fn stop(&mut self, step: usize) -> usize {
        let stop = self.state(step, Kind::Stop);
        self.add(stop, Action::Take, stop, self.takes[step].clone());
        stop
    }

    /// `from` is given up when an event of a step comes that is not to be.
    fn stop_at(&mut self, from: usize, not: usize) {
        let stop = self.stop(not);
        self.add(from, Action::Proceed, stop, self.takes[not].clone());
    }

    /// A last step that is not to be within the time of the pattern.
    fn pending(&mut self, step: usize) -> usize {
        let pending = self.state(step, Kind::Pending);
        self.stop_at(pending, step);
        self.add(pending, Action::Ignore, pending, self.takes[step].clone().not());
        pending
    }

    fn not_next(&mut self, step: usize, sink: usize) -> usize {
        let state = self.state(step, Kind::Normal);
        // At the end of a pattern it takes an event to know.
        let action = if self.states[sink].kind == Kind::Final { Action::Ignore } else { Action::Proceed };
        self.add(state, action, sink, self.takes[step].clone().not());
        self.stop_at(state, step);
        state
    }

    fn step(&mut self, index: usize, sink: usize) -> usize {
        self.before_greedy = None;
        let step = self.flat.steps[index];
        let (from, to, single) = (step.from, step.to, step.is_single());
        let first = match to {
            None => {
                self.first_of_loop[index] = false;
                let after = self.without_nots(index, sink);
                let looping = self.looping(index, after);
                self.first_of_loop[index] = true;
                self.times(index, looping, sink, (from, from))
            }
            Some(_) if single => {
                let (ignore, take) = (self.ignore(index, step.consume), self.take(index));
                self.one(index, sink, sink, &take, ignore.as_ref(), self.is_optional(index))
            }
            Some(to) => self.times(index, sink, sink, (from, to)),
        };
        for not in self.nots_before(index) {
            self.stop_at(first, not);
        }
        first
    }

    /// When an event is ignored while one of the step is waited for; `None`: never.
    fn ignore(&self, step: usize, consume: Consume) -> Option<When> {
        let consume = match self.head_of(step) {
            Some(group) if self.first_of_loop[group] => self.flat.steps[group].consume,
            Some(group) => self.flat.steps[group].inner,
            None => consume,
        };
        self.ignored(step, consume)
    }

    /// When an event is ignored by a step that is waited for like this.
    fn ignored(&self, step: usize, consume: Consume) -> Option<When> {
        let ignored = match consume {
            Consume::SkipTillNext => Some(self.takes[step].clone().not()),
            Consume::SkipTillAny => Some(When::Always),
            Consume::Strict | Consume::NotNext | Consume::NotFollow => None,
        };
        ignored.map(|ignored| self.going_on(ignored))
    }

    /// The same, between two events of the step; and when one is taken.
    fn inner(&self, step: usize) -> (Option<When>, When) {
        // The first step of a group goes on as the rounds of the group do.
        let of = self.head_of(step).unwrap_or(step);
        let (ignore, take) = (self.ignored(step, self.flat.steps[of].inner), self.take(step));
        match &self.untils[step] {
            None => (ignore, take),
            Some(until) => {
                (ignore.map(|ignore| until.clone().not().and(ignore)), until.clone().not().and(take))
            }
        }
    }

    /// One state for one event, which leads to `sink`; if it is optional, or else to `after`.
    fn single(
        &mut self,
        step: usize,
        sink: usize,
        after: usize,
        take: When,
        ignore: Option<When>,
        optional: bool,
    ) -> usize {
        let state = self.state(step, Kind::Normal);
        // Once the event has been taken, what must not be before it may be.
        let taken = self.without_nots(step, sink);
        self.add(state, Action::Take, taken, take.clone());
        // Of the first step of a group, the group says where it leads if it is left out.
        if optional && (self.head_of(step).is_none() || self.flat.steps[step].optional) {
            self.proceed(step, state, after);
        }
        if let Some(ignore) = ignore {
            let mut waiting = state;
            if optional {
                waiting = self.state(step, Kind::Normal);
                self.add(waiting, Action::Take, taken, take);
                self.add(waiting, Action::Ignore, waiting, ignore.clone());
                // What must not be before the step may be once it has taken an event.
                let nots = if self.first_of_loop[step] { self.nots_before(step) } else { Vec::new() };
                for not in nots {
                    self.stop_at(waiting, not);
                }
            }
            self.add(state, Action::Ignore, waiting, ignore);
        }
        state
    }

    fn proceed(&mut self, step: usize, from: usize, to: usize) {
        match (self.untils[step].clone(), self.before_greedy) {
            (Some(until), Some(before)) if self.flat.steps[step].greedy => {
                self.add(from, Action::Proceed, before, until.clone());
                self.add(from, Action::Proceed, to, until.not());
            }
            _ => self.add(from, Action::Proceed, to, When::Always),
        }
    }

    /// Makes `sink` wait until the greedy step takes no event.
    fn wait_for_greedy(&mut self, step: usize, sink: usize, take: &When) {
        if !self.flat.steps[step].greedy {
            return;
        }
        if self.untils[step].is_some() {
            let (copy, mut state) = (self.states.len(), self.states[sink].clone());
            // What it ignores it waits on as it is, and not as one that waits for the step.
            for transition in state.transitions.iter_mut().filter(|transition| transition.to == sink) {
                transition.to = copy;
            }
            self.states.push(state);
            self.before_greedy = Some(copy);
        }
        for transition in &mut self.states[sink].transitions {
            transition.when = std::mem::replace(&mut transition.when, When::Always).and(take.clone().not());
        }
    }

    /// A state that takes event after event.
    fn looping(&mut self, step: usize, sink: usize) -> usize {
        if let Some(first) = self.flat.children[step].first().copied() {
            // One that leads back to the beginning of the group.
            let again = self.state(first, Kind::Normal);
            let round = self.group(step, again, sink, true);
            self.add(again, Action::Proceed, round, When::Always);
            return round;
        }
        let (ignore, take) = self.inner(step);
        let state = self.state(step, Kind::Normal);
        self.wait_for_greedy(step, sink, &self.takes[step].clone());
        self.proceed(step, state, sink);
        self.add(state, Action::Take, state, take.clone());
        self.stop_after(step, state);
        if let Some(ignore) = ignore {
            let waiting = self.state(step, Kind::Normal);
            self.add(waiting, Action::Take, state, take);
            self.add(waiting, Action::Ignore, waiting, ignore.clone());
            self.add(state, Action::Ignore, waiting, ignore);
            self.stop_after(step, waiting);
        }
        state
    }

    /// A row of states: so many events, and then `sink`; from those that need not be, `after`.
    fn times(&mut self, step: usize, sink: usize, after: usize, (from, to): (u32, u32)) -> usize {
        self.first_of_loop[step] = false;
        let (ignore, take) = self.inner(step);
        if from != to {
            self.wait_for_greedy(step, sink, &take);
        }
        let mut last = sink;
        for _ in from..to {
            last = self.one(step, last, after, &take, ignore.as_ref(), true);
            self.stop_after(step, last);
        }
        for _ in 1..from {
            last = self.one(step, last, after, &take, ignore.as_ref(), false);
            self.stop_after(step, last);
        }
        self.first_of_loop[step] = true;
        let ignore = self.ignore(step, self.flat.steps[step].consume);
        self.one(step, last, after, &take, ignore.as_ref(), self.is_optional(step))
    }

    /// Steps before this one that are not to be until it is: those right before it, and before optional ones.
    fn nots_before(&self, step: usize) -> Vec<usize> {
        let before = std::iter::successors(self.flat.beside[step].0, |before| self.flat.beside[*before].0);
        let before = before.take_while(|before| {
            let Step { consume, optional, .. } = self.flat.steps[*before];
            *optional || *consume == Consume::NotFollow
        });
        before.filter(|before| self.flat.steps[*before].consume == Consume::NotFollow).collect()
    }

    /// If the step after this one is not to be, it is not to be between the events of this one either.
    fn stop_after(&mut self, step: usize, state: usize) {
        // What comes after the last step of a group is what comes after the group.
        let steps = std::iter::successors(Some(step), |step| self.flat.group_of[*step]);
        let next = steps.map(|step| self.flat.beside[step].1).find(Option::is_some).flatten();
        if let Some(next) = next
            && self.flat.steps[next].consume == Consume::NotFollow
        {
            self.stop_at(state, next);
        }
    }

    /// `sink`, for who comes from an optional step that has taken its event: what was not to be before that does not matter any more.
    fn without_nots(&mut self, step: usize, sink: usize) -> usize {
        let nots = self.nots_before(step);
        if nots.is_empty() || !self.flat.steps[step].optional {
            return sink;
        }
        self.copy_without(&nots, sink)
    }

    fn copy_without(&mut self, nots: &[usize], of: usize) -> usize {
        let State { step, kind, transitions } = self.states[of].clone();
        let copy = self.state(usize::from(step), kind);
        for Transition { action, to, when } in transitions {
            if action != Action::Proceed {
                self.add(copy, action, if to == of { copy } else { to }, when);
            } else if self.states[to].kind != Kind::Stop {
                let to = self.copy_without(nots, to);
                self.add(copy, action, to, when);
            } else if !nots.contains(&usize::from(self.states[to].step)) {
                self.add(copy, action, to, when);
            }
        }
        copy
    }
}
