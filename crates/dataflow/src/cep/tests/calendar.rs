//! When keys are looked at: as soon as something is due, and no calendar that grows.

use super::*;

/// A match as its letters, with `!` if it was not through in time.
#[derive(Clone)]
struct Prompt;

impl PatternProcessFunction for Prompt {
    type In = Event;
    type Out = String;

    fn process_match(
        &mut self,
        found: &PatternMatch<'_, Event>,
        context: &mut ProcessContext<'_, String>,
    ) -> Result<(), BoxError> {
        context.collect(words(found));
        Ok(())
    }

    fn process_timed_out_match(
        &mut self,
        begun: &PatternMatch<'_, Event>,
        context: &mut ProcessContext<'_, String>,
    ) -> Result<(), BoxError> {
        context.collect(format!("{}!", words(begun)));
        Ok(())
    }
}

proptest! {
    /// Whenever a watermark comes, all that is clear by then has been told: matches, and what is over.
    #[test]
    fn what_is_due_is_told_when_it_is_due(
        steps in prop::collection::vec((0_u8..3, 0_usize..4, 0_i64..12, 0_u8..10), 1..60),
        within in 1_u64..40,
    ) {
        let pattern = Pattern::begin("a").where_(is('a')).followed_by("b").where_(is('b'));
        let pattern = pattern.within(Duration::from_millis(within));
        let make = || Cep::<u8, _>::with_function(&pattern, Prompt);
        let (mut once, mut often) = (Harness::new(make()), Harness::new(make()));
        let (mut time, mut told, mut upto) = (0, Vec::new(), Vec::new());
        for (n, (key, letter, later, step)) in steps.into_iter().enumerate() {
            time += later;
            let event = (['a', 'b', 'b', 'c'][letter], n as u32 + 1);
            // Some come before those that were before them.
            let at = time + 1 + later % 3;
            once.push(Keyed::new(key, event), at);
            often.push(Keyed::new(key, event), at);
            if step < 4 {
                often.watermark(time);
                told.extend(often.events().into_iter().filter(|event| matches!(event, harness::Event::Record(..))));
                upto.push((time, told.len()));
            } else if step == 4 {
                often = often.restore(make(), usize::from(key) + 1);
            }
        }
        once.watermark(1_000_000);
        often.watermark(1_000_000);
        told.extend(often.events().into_iter().filter(|event| matches!(event, harness::Event::Record(..))));
        let times: Vec<i64> = once
            .events()
            .into_iter()
            .filter_map(|event| if let harness::Event::Record(_, time) = event { Some(time) } else { None })
            .collect();
        prop_assert_eq!(told.len(), times.len());
        for (watermark, count) in upto {
            prop_assert_eq!(times.iter().filter(|time| **time <= watermark).count(), count);
        }
    }
}

/// An operator outside of a job, after an `a` at 1, which is over at 51.
fn begun() -> (Cep<u8, Prompt>, Output<String>) {
    let pattern = Pattern::begin("a").where_(is('a')).next("b").where_(is('b'));
    let mut cep = Cep::with_function(&pattern.within(Duration::from_millis(50)), Prompt);
    cep.matches = KeyedTable::new(&crate::key_group::KeyGroups::all(128));
    let mut output = Output::new(Box::new(crate::collector::Discard), Vec::new());
    push(&mut cep, 'a', 1, &mut output);
    cep.fire(1, &mut output).unwrap();
    (cep, output)
}

fn push(cep: &mut Cep<u8, Prompt>, letter: char, timestamp: Timestamp, output: &mut Output<String>) {
    let mut batch = Batch::default();
    batch.records.push(Record { value: Keyed::new(1, (letter, 0)), timestamp });
    cep.process(&mut batch, output).unwrap();
}

#[test]
fn the_calendar_forgets_what_is_through_long_before_its_time() {
    let (mut cep, mut output) = begun();
    for time in 2..5_000 {
        push(&mut cep, ['a', 'b'][time as usize % 2], time, &mut output);
        cep.fire(time, &mut output).unwrap();
        assert!(cep.deadlines.len() <= 70, "{} at {time}", cep.deadlines.len());
    }
    // By the clock nothing is looked at before its time comes.
    let mut cep = begun().0.in_processing_time();
    for time in 2..5_000 {
        push(&mut cep, ['a', 'b'][time as usize % 2], NO_TIMESTAMP, &mut output);
        assert!(cep.deadlines.len() <= 70, "{} at {time}", cep.deadlines.len());
    }
}

#[test]
fn a_checkpoint_with_timers_is_taken_up() {
    // As it was when the timer of a match that has begun was in `due`, and `over` was not there.
    let (mut cep, mut output) = begun();
    let hash = key_hash(&1_u8);
    let matching = cep.matches.get_mut(hash, &1).unwrap();
    (matching.due, matching.over) = (51, Timestamp::MAX);
    cep.enter_all();
    let mut later = cep.clone();
    cep.fire(50, &mut output).unwrap();
    assert_eq!(cep.matches.len(), 1);
    cep.fire(51, &mut output).unwrap();
    assert_eq!(cep.matches.len(), 0);
    // One that comes after that, before it is known that it is over.
    push(&mut later, 'a', 55, &mut output);
    later.fire(60, &mut output).unwrap();
    let over = later.matches.get(hash, &1).map(|matching| matching.next_over(Some(50)));
    assert_eq!(over, Some(105));
    later.fire(105, &mut output).unwrap();
    assert_eq!(later.matches.len(), 0);
}
