//! The pattern: which events are looked for, and in what order.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::found::PatternMatch;
use super::skip::AfterMatchSkipStrategy;
use crate::time::at_least_millis;

/// Says of an event, and of what has been matched before it, whether it is one.
pub(super) type Test<T> = Arc<dyn Fn(&T, &PatternMatch<'_, T>) -> bool + Send + Sync>;

/// A condition, and whether it looks at what has been matched before.
pub(super) struct Condition<T> {
    pub(super) test: Test<T>,
    pub(super) iterative: bool,
}

impl<T> Clone for Condition<T> {
    fn clone(&self) -> Self {
        Self { test: self.test.clone(), iterative: self.iterative }
    }
}

/// How the events of a step follow those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consume {
    /// The very next event.
    Strict,
    /// The next that matches.
    SkipTillNext,
    /// Any later that matches.
    SkipTillAny,
    /// The next event must not match.
    NotNext,
    /// No event may match before the next step does.
    NotFollow,
}

impl Consume {
    pub(super) fn is_not(self) -> bool {
        matches!(self, Consume::NotNext | Consume::NotFollow)
    }
}

/// One step of a pattern.
#[derive(Clone)]
pub(super) struct Step<T> {
    pub(super) name: String,
    pub(super) condition: Option<Condition<T>>,
    pub(super) until: Option<Condition<T>>,
    pub(super) consume: Consume,
    /// How the events of the step follow each other.
    pub(super) inner: Consume,
    pub(super) from: u32,
    /// `None`: as many as there are.
    pub(super) to: Option<u32>,
    pub(super) optional: bool,
    pub(super) greedy: bool,
    /// The steps of a group; none of a single step.
    pub(super) group: Vec<Step<T>>,
}

impl<T> Step<T> {
    fn new(name: &str, consume: Consume) -> Self {
        Self {
            name: name.to_owned(),
            condition: None,
            until: None,
            consume,
            inner: Consume::SkipTillNext,
            from: 1,
            to: Some(1),
            optional: false,
            greedy: false,
            group: Vec::new(),
        }
    }

    /// The names of the step and of those in it.
    fn names(&self) -> Vec<&str> {
        let within = self.group.iter().flat_map(Step::names);
        std::iter::once(self.name.as_str()).chain(within).collect()
    }

    /// What tells it from others.
    fn describe(&self, text: &mut String) {
        let Self { name, consume, inner, from, to, optional, greedy, condition, until, group } = self;
        let (condition, until) = (condition.is_some(), until.is_some());
        // Writing to a string does not fail.
        let _ = write!(
            text,
            " {consume:?} {name} {from}-{to:?} {inner:?} {optional} {greedy} {condition} {until}"
        );
        if !group.is_empty() {
            text.push_str(" (");
            group.iter().for_each(|step| step.describe(text));
            text.push(')');
        }
    }

    pub(super) fn is_single(&self) -> bool {
        self.to == Some(1)
    }
}

/// A pattern of events of type `T` (Flink's `Pattern`): steps with names, each with a condition, how often it has to be met, and how it follows the
/// one before. See the [module](super). What does not go together is refused when the job starts.
#[derive(Clone)]
pub struct Pattern<T> {
    pub(super) steps: Vec<Step<T>>,
    pub(super) skip: AfterMatchSkipStrategy,
    /// Milliseconds.
    pub(super) within: Option<i64>,
    /// The first thing that is wrong with it.
    error: Option<String>,
}

impl<T: 'static> Pattern<T> {
    /// A pattern whose first step has this name.
    pub fn begin(name: &str) -> Self {
        Self::begin_with(name, AfterMatchSkipStrategy::NoSkip)
    }

    /// A pattern that goes on in a certain way after each match.
    pub fn begin_with(name: &str, skip: AfterMatchSkipStrategy) -> Self {
        Self { steps: vec![Step::new(name, Consume::Strict)], skip, within: None, error: None }
    }

    /// A pattern that begins with a whole pattern as its first step (Flink's `GroupPattern`): [`times`](Self::times),
    /// [`one_or_more`](Self::one_or_more), [`until`](Self::until) and [`optional`](Self::optional) are then said of all of it.
    ///
    /// ```
    /// use thalweg_dataflow::cep::{Cep, Pattern, PatternMatch};
    /// use thalweg_dataflow::harness::Harness;
    /// use thalweg_dataflow::operators::ProcessContext;
    /// use thalweg_dataflow::record::Keyed;
    ///
    /// let there_and_back = Pattern::begin("there").where_(|c: &char| *c == 't').next("back").where_(|c| *c == 'b');
    /// let twice = Pattern::begin_group(there_and_back).times(2).consecutive().next("end").where_(|c| *c == 'e');
    /// let tell = |found: &PatternMatch<'_, char>, context: &mut ProcessContext<'_, usize>| {
    ///     context.collect(found.get("there").len());
    ///     Ok(())
    /// };
    /// let mut harness = Harness::new(Cep::new(&twice, tell));
    /// for (time, c) in (1..).zip("tbtbe".chars()) {
    ///     harness.push(Keyed::new((), c), time);
    /// }
    /// harness.end();
    /// assert_eq!(harness.values(), [2]);
    /// ```
    pub fn begin_group(group: Pattern<T>) -> Self {
        Self::begin_group_with(group, AfterMatchSkipStrategy::NoSkip)
    }

    /// The same, and it goes on in a certain way after each match.
    pub fn begin_group_with(group: Pattern<T>, skip: AfterMatchSkipStrategy) -> Self {
        let mut pattern = Self { steps: Vec::new(), skip, within: None, error: None };
        pattern.push_group(group, Consume::Strict);
        pattern
    }

    /// A whole pattern as the next step, which begins with the next event.
    #[must_use]
    pub fn next_group(mut self, group: Pattern<T>) -> Self {
        self.push_group(group, Consume::Strict);
        self
    }

    /// A whole pattern as the next step, which begins later; events between that do not begin it are passed over.
    #[must_use]
    pub fn followed_by_group(mut self, group: Pattern<T>) -> Self {
        self.push_group(group, Consume::SkipTillNext);
        self
    }

    /// A whole pattern as the next step, which begins later, with any event that can begin it.
    #[must_use]
    pub fn followed_by_any_group(mut self, group: Pattern<T>) -> Self {
        self.push_group(group, Consume::SkipTillAny);
        self
    }

    fn push_group(&mut self, group: Pattern<T>, consume: Consume) {
        let names: Vec<&str> = group.steps.iter().map(|step| step.name.as_str()).collect();
        let name = format!("({})", names.join(" "));
        if let Some(error) = &group.error {
            self.refuse(error.clone());
        }
        if group.within.is_some() || group.skip != AfterMatchSkipStrategy::NoSkip {
            self.refuse(format!("what is said of the group {name} is to be said of the whole pattern: `within`, and how to go on after a match"));
        }
        if group.last().consume.is_not() {
            self.refuse(format!("the group {name} ends with a step that is not to be; what comes after it belongs to the group"));
        }
        let known = self.names();
        let twice = group.names().into_iter().find(|name| known.contains(name)).map(str::to_owned);
        if let Some(twice) = twice {
            self.refuse(format!("it has two steps `{twice}`: give each a name of its own"));
        }
        self.steps.push(Step { group: group.steps, ..Step::new(&name, consume) });
    }

    /// The names of all steps.
    fn names(&self) -> Vec<&str> {
        self.steps.iter().flat_map(Step::names).collect()
    }

    fn then(mut self, name: &str, consume: Consume) -> Self {
        if self.names().contains(&name) {
            self.refuse(format!("it has two steps `{name}`: give each a name of its own"));
        }
        if consume.is_not() && self.last().optional {
            let reason = format!(
                "`{name}` must not come after `{}`, which is optional: that is two patterns, one with and one without it",
                self.last().name
            );
            self.refuse(reason);
        }
        if self.last().consume == Consume::NotFollow && consume == Consume::NotFollow {
            // Both hold until the next step.
        } else if self.last().consume.is_not() && consume.is_not() {
            self.refuse(format!("`{name}` must not come right after another step that is not to be"));
        }
        self.steps.push(Step::new(name, consume));
        self
    }

    /// The next event matches.
    #[must_use]
    pub fn next(self, name: &str) -> Self {
        self.then(name, Consume::Strict)
    }

    /// A later event matches; events between that do not are passed over.
    #[must_use]
    pub fn followed_by(self, name: &str) -> Self {
        self.then(name, Consume::SkipTillNext)
    }

    /// A later event matches; all events between may be passed over, also those that match: each is a match of its own.
    #[must_use]
    pub fn followed_by_any(self, name: &str) -> Self {
        self.then(name, Consume::SkipTillAny)
    }

    /// The next event does not match.
    #[must_use]
    pub fn not_next(self, name: &str) -> Self {
        self.then(name, Consume::NotNext)
    }

    /// No event matches before the step after this one does; at the end of a pattern, none [`within`](Self::within) its time.
    #[must_use]
    pub fn not_followed_by(self, name: &str) -> Self {
        self.then(name, Consume::NotFollow)
    }

    /// The condition of the last step; one more is to hold as well.
    #[must_use]
    pub fn where_(self, test: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.and(Arc::new(move |event, _| test(event)), false)
    }

    /// A condition that also looks at what has been matched so far (Flink's `IterativeCondition`). It costs more than one that does not.
    #[must_use]
    pub fn where_with(self, test: impl Fn(&T, &PatternMatch<'_, T>) -> bool + Send + Sync + 'static) -> Self {
        self.and(Arc::new(test), true)
    }

    fn and(mut self, test: Test<T>, iterative: bool) -> Self {
        self.conditions_are_of_steps();
        let step = self.last_mut();
        step.condition = Some(match step.condition.take() {
            None => Condition { test, iterative },
            Some(Condition { test: first, iterative: before }) => Condition {
                test: Arc::new(move |event, so_far| first(event, so_far) && test(event, so_far)),
                iterative: iterative || before,
            },
        });
        self
    }

    /// Another condition of the last step: it is enough if one holds.
    #[must_use]
    pub fn or_(mut self, test: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.conditions_are_of_steps();
        let step = self.last_mut();
        step.condition = Some(match step.condition.take() {
            None => Condition { test: Arc::new(move |event, _| test(event)), iterative: false },
            Some(Condition { test: first, iterative }) => {
                let either =
                    move |event: &T, so_far: &PatternMatch<'_, T>| first(event, so_far) || test(event);
                Condition { test: Arc::new(either), iterative }
            }
        });
        self
    }

    /// The last step takes one event or more. They follow each other as by [`followed_by`](Self::followed_by) unless something else is said.
    #[must_use]
    pub fn one_or_more(self) -> Self {
        self.times_or_more(1)
    }

    /// The last step takes exactly `times` events.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        self.times_between(times, times)
    }

    /// The last step takes from `from` to `to` events; 0 makes it optional.
    #[must_use]
    pub fn times_between(mut self, from: u32, to: u32) -> Self {
        if to == 0 || from > to {
            let reason = format!("`{}` is to take {from} to {to} events", self.last().name);
            self.refuse(reason);
        }
        let step = self.last_mut();
        step.optional |= from == 0;
        (step.from, step.to) = (from.max(1), Some(to.max(1)));
        self.quantified("how many")
    }

    /// The last step takes `times` events or more.
    #[must_use]
    pub fn times_or_more(mut self, times: u32) -> Self {
        let step = self.last_mut();
        step.optional |= times == 0;
        (step.from, step.to) = (times.max(1), None);
        self.quantified("how many")
    }

    fn conditions_are_of_steps(&mut self) {
        if !self.last().group.is_empty() {
            let reason =
                format!("a condition of the group {}: they are said of the steps in it", self.last().name);
            self.refuse(reason);
        }
    }

    fn quantified(mut self, what: &str) -> Self {
        if self.last().consume.is_not() {
            let reason = format!("`{}` is not to be, so it cannot be said {what} of it", self.last().name);
            self.refuse(reason);
        }
        self
    }

    /// The last step may be left out.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.last_mut().optional = true;
        self.quantified("that it is optional")
    }

    /// The last step, which takes several events, takes as many as it can before the next step is looked for.
    #[must_use]
    pub fn greedy(mut self) -> Self {
        self.last_mut().greedy = true;
        if !self.last().group.is_empty() {
            let reason = format!("the group {} cannot be greedy", self.last().name);
            self.refuse(reason);
        }
        if self.last().is_single() {
            let reason = format!("`{}` takes one event, and so cannot be greedy", self.last().name);
            self.refuse(reason);
        }
        self
    }

    /// The last step takes events until this condition holds for one.
    #[must_use]
    pub fn until(mut self, test: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        if self.last().to.is_some() {
            let reason = format!("`{}` ends by itself: `until` is for `one_or_more`", self.last().name);
            self.refuse(reason);
        }
        self.last_mut().until =
            Some(Condition { test: Arc::new(move |event, _| test(event)), iterative: false });
        self
    }

    /// The events of the last step come right after each other.
    #[must_use]
    pub fn consecutive(self) -> Self {
        self.inner(Consume::Strict)
    }

    /// The events of the last step may be any of those that match.
    #[must_use]
    pub fn allow_combinations(self) -> Self {
        self.inner(Consume::SkipTillAny)
    }

    fn inner(mut self, inner: Consume) -> Self {
        if self.last().is_single() {
            let reason =
                format!("`{}` takes one event: it has none that follow each other", self.last().name);
            self.refuse(reason);
        }
        self.last_mut().inner = inner;
        self
    }

    /// From the first event to the last less than `time` passes. What has not come to its end by then is timed out.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(at_least_millis(time).max(1));
        self
    }

    fn refuse(&mut self, reason: String) {
        self.error.get_or_insert(reason);
    }

    fn last(&self) -> &Step<T> {
        // There is always the first.
        &self.steps[self.steps.len() - 1]
    }

    fn last_mut(&mut self) -> &mut Step<T> {
        let last = self.steps.len() - 1;
        &mut self.steps[last]
    }

    /// What is wrong with it, if anything is.
    pub fn error(&self) -> Option<String> {
        let last = self.last();
        let endless = (last.consume == Consume::NotFollow && self.within.is_none()).then(|| {
            format!(
                "its last step, `{}`, is not to be, for ever: say `within` which time, or what comes after it",
                last.name
            )
        });
        let unknown = self.skip.step().filter(|name| !self.names().contains(&name.as_str()));
        let unknown = unknown
            .map(|name| format!("it is to skip to `{name}` after a match, which is none of its steps"));
        let reason = self.error.clone().or(endless).or(unknown)?;
        Some(format!("a pattern cannot be looked for: {reason}"))
    }

    /// What tells it from others: state of the one must not be given to another. Conditions have no name.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("{:?}", self.skip);
        self.steps.iter().for_each(|step| step.describe(&mut text));
        let _ = write!(text, " within {:?}", self.within);
        text
    }
}
