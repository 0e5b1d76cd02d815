mod calendar;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::harness::{self, Harness};

/// An event: its name, such as `b2`.
type Event = (char, u32);

fn tell(found: &PatternMatch<'_, Event>, context: &mut ProcessContext<'_, String>) -> Result<(), BoxError> {
    context.collect(words(found));
    Ok(())
}

fn words(found: &PatternMatch<'_, Event>) -> String {
    let words: Vec<String> =
        found.events().into_iter().map(|(_, (letter, n))| format!("{letter}{n}")).collect();
    words.join(" ").replace('0', "")
}

fn is(letter: char) -> impl Fn(&Event) -> bool + Send + Sync + 'static {
    move |event| event.0 == letter
}

/// Events such as `a b1 b2`, one a millisecond from 1 on.
fn events(text: &str) -> Vec<Event> {
    let event = |word: &str| {
        let mut letters = word.chars();
        (letters.next().unwrap(), letters.as_str().parse().unwrap_or(0))
    };
    text.split(' ').map(event).collect()
}

fn found(pattern: &Pattern<Event>, text: &str) -> Vec<String> {
    assert_eq!(pattern.error(), None);
    let mut harness = Harness::new(Cep::new(pattern, tell));
    for (event, time) in events(text).into_iter().zip(1..) {
        harness.push(Keyed::new((), event), time);
    }
    // Not to the end of time, when all is timed out.
    harness.watermark(1_000_000);
    harness.values()
}

/// The examples of Flink's documentation: what follows what.
#[test]
fn steps_follow_each_other_strictly_relaxed_or_in_any_way() {
    let a = || Pattern::begin("a").where_(is('a'));
    let b = |pattern: Pattern<Event>| found(&pattern.where_(is('b')), "a c b1 b2");
    assert_eq!(b(a().next("b")), Vec::<String>::new());
    assert_eq!(b(a().followed_by("b")), ["a b1"]);
    assert_eq!(b(a().followed_by_any("b")), ["a b1", "a b2"]);
    // A step that is not to be.
    let not = |pattern: Pattern<Event>, text| found(&pattern, text);
    let next = || a().not_next("b").where_(is('b')).followed_by("c").where_(is('c'));
    assert_eq!(not(next(), "a b c"), Vec::<String>::new());
    assert_eq!(not(next(), "a d b c"), ["a c"]);
    let follow = || a().not_followed_by("b").where_(is('b')).followed_by("c").where_(is('c'));
    assert_eq!(not(follow(), "a d b c"), Vec::<String>::new());
    assert_eq!(not(follow(), "a d c b"), ["a c"]);
}

#[test]
fn events_of_one_step_follow_each_other_in_three_ways_too() {
    let many = |how: fn(Pattern<Event>) -> Pattern<Event>| {
        let a = Pattern::begin("c").where_(is('c')).followed_by("a").where_(is('a')).one_or_more();
        found(&how(a).followed_by("b").where_(is('b')), "c d a1 a2 a3 d a4 b")
    };
    assert_eq!(many(Pattern::consecutive).sorted(), ["c a1 a2 a3 b", "c a1 a2 b", "c a1 b"]);
    assert_eq!(many(|pattern| pattern).sorted(), ["c a1 a2 a3 a4 b", "c a1 a2 a3 b", "c a1 a2 b", "c a1 b"]);
    assert_eq!(
        many(Pattern::allow_combinations).sorted(),
        [
            "c a1 a2 a3 a4 b",
            "c a1 a2 a3 b",
            "c a1 a2 a4 b",
            "c a1 a2 b",
            "c a1 a3 a4 b",
            "c a1 a3 b",
            "c a1 a4 b",
            "c a1 b"
        ]
    );
    let greedy = Pattern::begin("a").where_(is('a')).followed_by("b").where_(is('b')).one_or_more().greedy();
    assert_eq!(found(&greedy.clone().followed_by("c").where_(is('c')), "a b1 b2 c"), ["a b1 b2 c"]);
    let until = Pattern::begin("a").where_(is('a')).one_or_more().until(is('d'));
    assert_eq!(
        found(&until.followed_by("b").where_(is('b')), "a1 a2 d a3 b").sorted(),
        ["a1 a2 b", "a1 b", "a2 b", "a3 b"]
    );
    let times = Pattern::begin("a").where_(is('a')).times_between(2, 3).next("b").where_(is('b'));
    assert_eq!(found(&times, "a1 a2 a3 b").sorted(), ["a1 a2 a3 b", "a2 a3 b"]);
    let optional = Pattern::begin("a")
        .where_(is('a'))
        .followed_by("b")
        .where_(is('b'))
        .optional()
        .next("c")
        .where_(is('c'));
    assert_eq!(found(&optional, "a b c"), ["a b c"]);
    assert_eq!(found(&optional, "a c"), ["a c"]);
}

trait Sorted {
    fn sorted(self) -> Self;
}

impl Sorted for Vec<String> {
    fn sorted(mut self) -> Self {
        self.sort();
        self
    }
}

/// The examples of Flink's documentation: how it goes on after a match.
#[test]
fn matches_that_have_begun_are_given_up_after_a_match() {
    use AfterMatchSkipStrategy::*;
    let bs = |skip| {
        let pattern = Pattern::begin_with("b", skip)
            .where_(is('b'))
            .one_or_more()
            .consecutive()
            .next("c")
            .where_(is('c'));
        found(&pattern, "b1 b2 b3 c")
    };
    assert_eq!(bs(NoSkip), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(bs(SkipToNext), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(bs(SkipPastLastEvent), ["b1 b2 b3 c"]);
    assert_eq!(bs(SkipToFirst("b".to_owned())), ["b1 b2 b3 c", "b2 b3 c", "b3 c"]);
    assert_eq!(bs(SkipToLast("b".to_owned())), ["b1 b2 b3 c", "b3 c"]);
    let begins = |skip| {
        let pattern = Pattern::begin_with("a", skip).where_(is('a')).next("b").where_(is('b')).one_or_more();
        found(&pattern, "a b1 b2 b3").sorted()
    };
    assert_eq!(begins(NoSkip), ["a b1", "a b1 b2", "a b1 b2 b3"]);
    assert_eq!(begins(SkipToNext), ["a b1"]);
    let several = |skip| {
        let pattern = Pattern::begin_with("abc", skip).where_(|event: &Event| event.0 < 'd');
        let pattern = pattern.next("bc").where_(|event| event.0 == 'b' || event.0 == 'c');
        let pattern = pattern.next("c").where_(is('c')).one_or_more().greedy().next("d").where_(is('d'));
        found(&pattern, "a b c1 c2 c3 d")
    };
    assert_eq!(several(NoSkip), ["a b c1 c2 c3 d", "b c1 c2 c3 d", "c1 c2 c3 d"]);
    assert_eq!(several(SkipToFirst("c".to_owned())), ["a b c1 c2 c3 d", "c1 c2 c3 d"]);
    // What would be found again for ever fails.
    let pattern = Pattern::begin_with("a", SkipToFirstOrFail("a".to_owned())).where_(is('a'));
    let mut harness = Harness::new(Cep::new(&pattern, tell).in_processing_time());
    let failure = harness.try_push(Keyed::new((), ('a', 0)), 0).unwrap_err().to_string();
    assert!(failure.contains("cannot skip to `a`"), "{failure}");
}

/// Tells of what was through and of what was not.
#[derive(Clone)]
struct Both;

const TIMED_OUT: OutputTag<String> = OutputTag::new("timed-out");

impl PatternProcessFunction for Both {
    type In = Event;
    type Out = String;

    fn process_match(
        &mut self,
        found: &PatternMatch<'_, Event>,
        context: &mut ProcessContext<'_, String>,
    ) -> Result<(), BoxError> {
        tell(found, context)
    }

    fn process_timed_out_match(
        &mut self,
        begun: &PatternMatch<'_, Event>,
        context: &mut ProcessContext<'_, String>,
    ) -> Result<(), BoxError> {
        context.output(&TIMED_OUT, format!("{} at {}", words(begun), context.timestamp()));
        Ok(())
    }
}

#[test]
fn what_is_not_through_in_time_goes_aside() {
    let pattern = Pattern::begin("a")
        .where_(is('a'))
        .followed_by("b")
        .where_(is('b'))
        .within(Duration::from_millis(10));
    let (mut harness, timed_out) = Harness::with_side(Cep::with_function(&pattern, Both), &TIMED_OUT);
    for (event, time) in [(('a', 1), 100), (('a', 2), 105), (('b', 1), 110), (('a', 3), 200)] {
        harness.push(Keyed::new((), event), time);
    }
    harness.watermark(209);
    assert_eq!(
        (harness.values(), timed_out.values()),
        (vec!["a2 b1".to_owned()], vec!["a1 at 110".to_owned()])
    );
    harness.watermark(210);
    assert_eq!(timed_out.values(), ["a3 at 210"]);
    // A step at the end that is not to be is none when its time is over.
    let alone = Pattern::begin("a")
        .where_(is('a'))
        .not_followed_by("b")
        .where_(is('b'))
        .within(Duration::from_millis(10));
    let mut harness = Harness::new(Cep::new(&alone, tell));
    for (event, time) in [(('a', 1), 100), (('b', 1), 105), (('a', 2), 200), (('c', 1), 205)] {
        harness.push(Keyed::new((), event), time);
    }
    harness.watermark(209);
    assert_eq!(harness.values(), Vec::<String>::new());
    harness.watermark(210);
    assert_eq!(harness.values(), ["a2"]);
}

#[test]
fn what_must_not_be_before_a_step_may_be_between_its_events() {
    let not = || Pattern::begin("first").where_(is('c')).not_followed_by("not").where_(is('c'));
    let once_or_twice = not().followed_by("b").where_(is('b')).times_between(1, 2);
    assert_eq!(found(&once_or_twice, "c1 b2 c3 b4").sorted(), ["c1 b2", "c1 b2 b4", "c3 b4"]);
    let twice = not().followed_by("b").where_(is('b')).times(2);
    assert_eq!(found(&twice, "c1 b2 c3 b4").sorted(), ["c1 b2 b4"]);
    assert_eq!(found(&once_or_twice, "c1 c2 b3").sorted(), ["c2 b3"]);
}

#[test]
fn a_condition_sees_what_was_matched_before() {
    let rising = Pattern::begin("up").where_(|event: &Event| event.0 == 'a').one_or_more().consecutive();
    let rising = rising.where_with(|event, so_far| so_far.last("up").is_none_or(|last| event.1 > last.1));
    let pattern = rising
        .next("down")
        .where_with(|event, so_far| so_far.last("up").is_some_and(|last| event.1 < last.1));
    assert_eq!(found(&pattern, "a1 a3 a5 a2").sorted(), ["a1 a3 a5 a2", "a3 a5 a2", "a5 a2"]);
}

#[test]
fn what_does_not_go_together_is_refused() {
    let a = || Pattern::begin("a").where_(is('a'));
    for (pattern, reason) in [
        (a().next("a"), "two steps `a`"),
        (a().greedy(), "cannot be greedy"),
        (a().until(is('b')), "ends by itself"),
        (a().consecutive(), "takes one event"),
        (a().optional().not_next("b"), "must not come after `a`"),
        (a().not_followed_by("b"), "for ever"),
        (a().not_next("b").one_or_more().next("c"), "not to be, so it cannot be said how many"),
        (Pattern::begin_with("a", AfterMatchSkipStrategy::SkipToLast("z".to_owned())), "none of its steps"),
        (a().times_between(3, 2), "is to take 3 to 2"),
    ] {
        let error = pattern.error().unwrap_or_default();
        assert!(error.contains(reason), "{error}");
    }
}

/// A step of the naive search.
#[derive(Clone, Debug)]
struct Plain {
    /// 0 next, 1 followed by, 2 followed by any.
    how: u8,
    inner: u8,
    letter: char,
    from: usize,
    to: Option<usize>,
    optional: bool,
    not_before: Option<char>,
}

fn plain(first: bool) -> impl Strategy<Value = Plain> {
    let times = prop_oneof![3 => Just((1, Some(1))), 1 => Just((1, None)), 1 => Just((2, Some(2))), 1 => Just((1, Some(2))), 1 => Just((2, None))];
    let letter = || prop_oneof![Just('a'), Just('b'), Just('c')];
    let not = if first {
        Just(None).boxed()
    } else {
        prop_oneof![3 => Just(None), 1 => letter().prop_map(Some)].boxed()
    };
    (0_u8..3, 0_u8..3, letter(), times, prop::bool::weighted(0.2), not).prop_map(
        move |(how, inner, letter, (from, to), optional, not_before)| Plain {
            how: if first { 0 } else { how },
            inner,
            letter,
            from,
            to,
            // What is optional must not come before a step that is not to be; nor be all that there is.
            optional: optional && !first && not_before.is_none(),
            not_before,
        },
    )
}

fn pattern_of(steps: &[Plain]) -> Pattern<Event> {
    let mut pattern: Option<Pattern<Event>> = None;
    for (index, step) in steps.iter().enumerate() {
        let name = index.to_string();
        let mut next = match pattern {
            None => Pattern::begin(&name),
            Some(mut before) => {
                if let Some(not) = step.not_before {
                    before = before.not_followed_by(&format!("not {name}")).where_(is(not));
                }
                match step.how {
                    0 => before.next(&name),
                    1 => before.followed_by(&name),
                    _ => before.followed_by_any(&name),
                }
            }
        };
        next = next.where_(is(step.letter));
        next = match (step.from, step.to) {
            (1, Some(1)) => next,
            (from, None) => next.times_or_more(from as u32),
            (from, Some(to)) => next.times_between(from as u32, to as u32),
        };
        if (step.from, step.to) != (1, Some(1)) {
            next = match step.inner {
                0 => next.consecutive(),
                1 => next,
                _ => next.allow_combinations(),
            };
        }
        pattern = Some(if step.optional { next.optional() } else { next });
    }
    pattern.unwrap()
}

/// Every match, by trying everything: what happens to each event, given what happened to those before.
struct Search<'a> {
    steps: &'a [Plain],
    letters: &'a [char],
    found: Vec<String>,
}

impl Search<'_> {
    /// Whether what is left of the pattern after `taken` events of `step` may be empty.
    fn may_end(&self, step: usize, taken: usize) -> bool {
        taken >= self.steps[step].from && self.steps[step + 1..].iter().all(|step| step.optional)
    }

    /// The event at `at`; `step` has taken so many. If it has to take one more, as an event was passed over for its sake, `must`.
    fn go(&mut self, at: usize, step: usize, taken: usize, must: bool, so_far: &mut Vec<usize>) {
        if at == self.letters.len() {
            return;
        }
        // Every step that may be next, with what it has taken: none after it if that one cannot be left.
        let mut options = vec![(step, taken, must)];
        loop {
            let (of, had, must) = options[options.len() - 1];
            let Plain { from, optional, .. } = self.steps[of];
            let leaves = !must && (had >= from || had == 0 && optional);
            if !leaves || of + 1 == self.steps.len() {
                break;
            }
            options.push((of + 1, 0, false));
        }
        let letter = self.letters[at];
        // What is not to be before one of them ends all; and what is not to be after a step is not to be between its events either.
        let forbidden = options.iter().any(|(of, had, must)| {
            let Plain { to, not_before, .. } = &self.steps[*of];
            let within = *had > 0 && to.is_none_or(|to| *had < to) && (!must || to.is_none());
            let after = self.steps.get(of + 1).and_then(|next| next.not_before);
            *had == 0 && *not_before == Some(letter) || within && after == Some(letter)
        });
        for (of, had, must) in options {
            let Plain { how, inner, letter: wanted, from, to, optional, .. } = self.steps[of].clone();
            let matches = letter == wanted;
            if matches && to.is_none_or(|to| had < to) {
                so_far.push(at);
                if self.may_end(of, had + 1) {
                    self.found.push(
                        so_far
                            .iter()
                            .map(|at| format!("{}{at}", self.letters[*at]))
                            .collect::<Vec<_>>()
                            .join(" "),
                    );
                }
                if !forbidden {
                    self.go(at + 1, of, had + 1, false, so_far);
                }
                so_far.pop();
            }
            let passes = match if had == 0 { how } else { inner } {
                0 => false,
                1 => !matches,
                _ => true,
            };
            let more = to.is_none_or(|to| had < to);
            if passes && more && !so_far.is_empty() && !forbidden {
                let could_leave = had >= from || had == 0 && optional;
                self.go(at + 1, of, had, must || could_leave, so_far);
            }
        }
    }
}

proptest! {
    #[test]
    fn it_finds_what_trying_everything_finds(
        first in plain(true),
        rest in prop::collection::vec(plain(false), 0..3),
        letters in prop::collection::vec(prop_oneof![Just('a'), Just('b'), Just('c')], 0..9),
    ) {
        let steps: Vec<Plain> = std::iter::once(first).chain(rest).collect();
        // A step that is not to be must not come after one that is optional.
        prop_assume!(steps.windows(2).all(|pair| !pair[0].optional || pair[1].not_before.is_none()));
        let mut search = Search { steps: &steps, letters: &letters, found: Vec::new() };
        for (begin, letter) in letters.iter().enumerate() {
            if *letter == steps[0].letter {
                let mut so_far = vec![begin];
                if search.may_end(0, 1) {
                    search.found.push(format!("{letter}{begin}"));
                }
                search.go(begin + 1, 0, 1, false, &mut so_far);
            }
        }
        let name = |found: &PatternMatch<'_, Event>, context: &mut ProcessContext<'_, String>| {
            context.collect(found.events().iter().map(|(_, (letter, n))| format!("{letter}{n}")).collect::<Vec<_>>().join(" "));
            Ok(())
        };
        let mut harness = Harness::new(Cep::new(&pattern_of(&steps), name));
        for (at, letter) in letters.iter().enumerate() {
            harness.push(Keyed::new((), (*letter, at as u32)), at as i64);
        }
        harness.watermark(1_000);
        prop_assert_eq!(harness.values().sorted(), search.found.sorted());
    }

    /// Disorder within the watermark, late records and a restore at any parallelism do not matter.
    #[test]
    fn order_comes_of_the_times_and_nothing_is_lost_by_a_restore(
        events in prop::collection::vec((0_u8..3, prop_oneof![Just('a'), Just('b'), Just('c')], 0_i64..12), 1..60),
        cuts in prop::collection::vec((0_usize..60, 1_usize..5), 0..3),
        skip in prop_oneof![Just(AfterMatchSkipStrategy::NoSkip), Just(AfterMatchSkipStrategy::SkipPastLastEvent), Just(AfterMatchSkipStrategy::SkipToNext)],
    ) {
        let pattern = Pattern::begin_with("a", skip).where_(is('a')).followed_by("b").where_(is('b')).one_or_more();
        let pattern = pattern.followed_by("c").where_(is('c')).within(Duration::from_millis(40));
        // Every event has a time of its own, at most 12 after that of its place.
        let timed: Vec<(u8, Event, i64)> = events.iter().zip(0_i64..).map(|((key, letter, late), at)| (*key, (*letter, at as u32), (3 * at + late) * 100 + at)).collect();
        let pattern = pattern.within(Duration::from_millis(4_000));
        let run = |events: &[(u8, Event, i64)], cuts: &[(usize, usize)], watermarks: bool| {
            let mut harness = Harness::new(Cep::new(&pattern, tell));
            for (index, (key, event, time)) in events.iter().enumerate() {
                for (_, parallelism) in cuts.iter().filter(|(cut, _)| *cut == index) {
                    harness = harness.restore(Cep::new(&pattern, tell), *parallelism);
                }
                harness.push(Keyed::new(*key, *event), *time);
                if watermarks {
                    harness.watermark((3 * index as i64 + 3) * 100 - 1);
                }
            }
            harness.watermark(1_000_000);
            harness.values().sorted()
        };
        let mut sorted = timed.clone();
        sorted.sort_by_key(|(_, _, time)| *time);
        prop_assert_eq!(run(&timed, &cuts, true), run(&sorted, &[], false));
    }
}

#[test]
fn nothing_is_kept_for_ever() {
    let pattern = Pattern::begin("a")
        .where_(is('a'))
        .followed_by("b")
        .where_(is('b'))
        .one_or_more()
        .followed_by("c")
        .where_(is('c'));
    let mut harness = Harness::new(Cep::new(&pattern.within(Duration::from_millis(50)), tell));
    for time in 0..5_000 {
        let letter = ['a', 'b', 'b', 'd'][time as usize % 4];
        harness.push(Keyed::new((), (letter, 0)), time);
        harness.watermark(time);
    }
    harness.watermark(10_000);
    assert_eq!(harness.values(), Vec::<String>::new());
}
