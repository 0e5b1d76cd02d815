//! Patterns of events, as Flink's CEP finds them: the first letter of a key is the key, conditions ask for the second.

use thalweg::prelude::*;

use super::flink::{Event, Input};

const TIMED_OUT: OutputTag<String> = OutputTag::new("timed-out");

pub(super) fn letter(event: &Event) -> char {
    event.key.chars().nth(1).unwrap()
}

fn is(wanted: char) -> impl Fn(&Event) -> bool + Send + Sync + 'static {
    move |event| letter(event) == wanted
}

fn text(found: &PatternMatch<'_, Event>) -> String {
    let mut steps: Vec<(String, String)> = Vec::new();
    for (step, event) in found.events() {
        let event = format!(" {}{}", letter(event), event.value);
        match steps.iter_mut().find(|(name, _)| *name == step) {
            Some((_, events)) => events.push_str(&event),
            None => steps.push((step.to_owned(), event)),
        }
    }
    steps.sort();
    let steps: Vec<String> = steps.into_iter().map(|(name, events)| format!("{name}:{events}")).collect();
    steps.join("; ")
}

pub(super) fn found(input: &Input, pattern: &Pattern<Event>) -> DataStream<String> {
    let keyed = input.stream().key_by(|event| event.key.chars().next().unwrap());
    let matches = Cep::pattern(&keyed, pattern);
    let matches = matches.select_with_timeout(&TIMED_OUT, |begun| format!("timed out {}", text(begun)), text);
    matches.union(&matches.get_side_output(&TIMED_OUT))
}

fn a() -> Pattern<Event> {
    Pattern::begin("a").where_(is('a'))
}

fn as_then_b(skip: AfterMatchSkipStrategy) -> Pattern<Event> {
    Pattern::begin_with("a", skip).where_(is('a')).one_or_more().followed_by("b").where_(is('b'))
}

type Build = fn(&Input) -> DataStream<String>;

pub(super) fn pipelines() -> Vec<(&'static str, Build)> {
    vec![
        ("cep_next", |i| found(i, &a().next("b").where_(is('b')))),
        ("cep_followed_by", |i| found(i, &a().followed_by("b").where_(is('b')))),
        ("cep_followed_by_any", |i| found(i, &a().followed_by_any("b").where_(is('b')))),
        ("cep_times", |i| found(i, &a().times(2).followed_by("b").where_(is('b')))),
        ("cep_times_range", |i| {
            found(i, &a().times_between(1, 2).allow_combinations().next("b").where_(is('b')))
        }),
        ("cep_one_or_more", |i| found(i, &as_then_b(AfterMatchSkipStrategy::NoSkip))),
        ("cep_greedy", |i| {
            found(i, &a().one_or_more().greedy().next("b").where_(|event| letter(event) != 'x'))
        }),
        ("cep_consecutive", |i| {
            let pattern = Pattern::begin("c").where_(is('c')).followed_by("a").where_(is('a'));
            found(i, &pattern.one_or_more().consecutive().followed_by("b").where_(is('b')))
        }),
        ("cep_optional", |i| {
            let pattern = Pattern::begin("c").where_(is('c')).next("a").where_(is('a')).optional();
            found(i, &pattern.next("b").where_(is('b')))
        }),
        ("cep_until", |i| found(i, &a().one_or_more().until(is('c')).followed_by("b").where_(is('b')))),
        ("cep_not_next", |i| found(i, &a().not_next("c").where_(is('c')).followed_by("b").where_(is('b')))),
        ("cep_not_followed_by", |i| {
            found(i, &a().not_followed_by("c").where_(is('c')).followed_by("b").where_(is('b')))
        }),
        ("cep_absence", |i| {
            found(i, &a().not_followed_by("b").where_(is('b')).within(Duration::from_millis(5)))
        }),
        ("cep_within", |i| found(i, &a().followed_by("b").where_(is('b')).within(Duration::from_millis(5)))),
        ("cep_skip_past_last", |i| found(i, &as_then_b(AfterMatchSkipStrategy::SkipPastLastEvent))),
        ("cep_skip_to_next", |i| found(i, &as_then_b(AfterMatchSkipStrategy::SkipToNext))),
        ("cep_group", |i| {
            let pair = a().followed_by("b").where_(is('b'));
            found(i, &Pattern::begin_group(pair).times(2).next("c").where_(is('c')))
        }),
        ("cep_group_or_more", |i| {
            let pair = Pattern::begin("b").where_(is('b')).optional().followed_by("d").where_(is('c'));
            found(i, &a().followed_by_group(pair).one_or_more().followed_by("x").where_(is('x')))
        }),
        ("cep_group_optional", |i| {
            let pair = Pattern::begin("b").where_(is('b')).next("d").where_(is('a'));
            found(i, &a().next_group(pair).optional().next("c").where_(is('c')))
        }),
        ("cep_skip_to_last", |i| found(i, &as_then_b(AfterMatchSkipStrategy::SkipToLast("a".to_owned())))),
    ]
}
