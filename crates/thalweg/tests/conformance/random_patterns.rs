//! Patterns made up by `RandomPatterns.java`, and what Flink found: a pattern a line in `random_patterns.txt`, in words of which a step is
//! `begin NAME LETTERS`, or `begin ( … )`, and what is said of how often it comes.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use thalweg::prelude::*;

use super::flink::{Event, Input};
use super::patterns::{found, letter};

type Words<'a> = VecDeque<&'a str>;

fn is(letters: &str) -> impl Fn(&Event) -> bool + Send + Sync + 'static {
    let letters = letters.to_owned();
    move |event| letters.contains(letter(event))
}

fn skip(word: &str) -> AfterMatchSkipStrategy {
    let (strategy, step) = word.split_once(':').unwrap_or((word, ""));
    match strategy {
        "noSkip" => AfterMatchSkipStrategy::NoSkip,
        "skipToNext" => AfterMatchSkipStrategy::SkipToNext,
        "skipPastLastEvent" => AfterMatchSkipStrategy::SkipPastLastEvent,
        "skipToFirst" => AfterMatchSkipStrategy::SkipToFirst(step.to_owned()),
        "skipToLast" => AfterMatchSkipStrategy::SkipToLast(step.to_owned()),
        _ => panic!("what is {word}?"),
    }
}

/// The pattern without its last step, if it has one; how that follows, and what it is.
fn step(
    before: Option<Pattern<Event>>,
    words: &mut Words<'_>,
    skip: AfterMatchSkipStrategy,
) -> Pattern<Event> {
    let how = words.pop_front().unwrap();
    if words.front() == Some(&"(") {
        words.pop_front();
        let group = steps(words, AfterMatchSkipStrategy::NoSkip);
        words.pop_front();
        return match (how, before) {
            ("begin", None) => Pattern::begin_group_with(group, skip),
            ("next", Some(before)) => before.next_group(group),
            ("followedBy", Some(before)) => before.followed_by_group(group),
            ("followedByAny", Some(before)) => before.followed_by_any_group(group),
            _ => panic!("what is {how}?"),
        };
    }
    let name = words.pop_front().unwrap();
    let pattern = match (how, before) {
        ("begin", None) => Pattern::begin_with(name, skip),
        ("next", Some(before)) => before.next(name),
        ("followedBy", Some(before)) => before.followed_by(name),
        ("followedByAny", Some(before)) => before.followed_by_any(name),
        ("notNext", Some(before)) => before.not_next(name),
        ("notFollowedBy", Some(before)) => before.not_followed_by(name),
        _ => panic!("what is {how}?"),
    };
    pattern.where_(is(words.pop_front().unwrap()))
}

fn steps(words: &mut Words<'_>, skip: AfterMatchSkipStrategy) -> Pattern<Event> {
    let mut pattern = step(None, words, skip);
    while let Some(word) = words.front().copied().filter(|word| *word != ")") {
        let (what, said) = word.split_once(':').unwrap_or((word, ""));
        let number = |text: &str| text.parse::<u32>().unwrap();
        pattern = match what {
            "oneOrMore" => pattern.one_or_more(),
            "timesOrMore" => pattern.times_or_more(number(said)),
            "times" => match said.split_once('-') {
                None => pattern.times(number(said)),
                Some((from, to)) => pattern.times_between(number(from), number(to)),
            },
            "optional" => pattern.optional(),
            "greedy" => pattern.greedy(),
            "consecutive" => pattern.consecutive(),
            "allowCombinations" => pattern.allow_combinations(),
            "until" => pattern.until(is(said)),
            _ => {
                pattern = step(Some(pattern), words, AfterMatchSkipStrategy::NoSkip);
                continue;
            }
        };
        words.pop_front();
    }
    pattern
}

fn pattern(line: &str) -> Pattern<Event> {
    let mut words: Words<'_> = line.split(' ').collect();
    let skip = skip(words.pop_front().unwrap());
    let within =
        words.front().and_then(|word| word.strip_prefix("within:")).map(|millis| millis.parse().unwrap());
    if within.is_some() {
        words.pop_front();
    }
    let pattern = steps(&mut words, skip);
    match within {
        None => pattern,
        Some(millis) => pattern.within(Duration::from_millis(millis)),
    }
}

#[test]
fn random_patterns_find_what_they_find_in_flink() {
    let folder = std::env::var_os("THALWEG_RANDOM_PATTERNS").map(PathBuf::from);
    let read = |ending: &str| match &folder {
        None => super::read(&format!("random_patterns.{ending}")),
        Some(folder) => std::fs::read_to_string(folder.join(format!("random_patterns.{ending}"))).unwrap(),
    };
    let mut answers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for line in read("out").lines() {
        let (number, text) = line.split_once(' ').unwrap();
        answers.entry(number.parse().unwrap()).or_default().push(text.to_owned());
    }
    let (events, patterns, mut wrong, mut asked) = (read("in"), read("txt"), Vec::new(), 0);
    for (index, line) in patterns.lines().enumerate() {
        let expected = answers.remove(&(index + 1)).unwrap_or_default();
        let refused = expected.iter().find(|text| text.starts_with("refused") || text.starts_with("fails"));
        let pattern = pattern(line);
        match (refused, pattern.error()) {
            (Some(_), _) => continue,
            (None, Some(error)) => {
                wrong.push(format!("{} {line}\n  refused here alone: {error}", index + 1));
                continue;
            }
            (None, None) => {}
        }
        asked += 1;
        let mut found = found(&Input::new(&events), &pattern).execute_and_collect("patterns").unwrap();
        found.sort();
        if found != expected {
            let only = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|line| !b.contains(line)).take(4).cloned().collect()
            };
            wrong.push(format!(
                "{} {line}\n  {} lines, Flink has {}\n  only here: {:?}\n  only there: {:?}",
                index + 1,
                found.len(),
                expected.len(),
                only(&found, &expected),
                only(&expected, &found)
            ));
        }
    }
    assert!(asked >= 30, "{asked}");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}
