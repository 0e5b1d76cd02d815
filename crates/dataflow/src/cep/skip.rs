//! How it goes on after a match (Flink's `AfterMatchSkipStrategy`).

/// Which matches that have begun already are given up when one is through. Those that began first come first: while one of them may still be
/// through, later ones wait, unless nothing is ever skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AfterMatchSkipStrategy {
    /// None: every match there is.
    #[default]
    NoSkip,
    /// Those that began with the same event.
    SkipToNext,
    /// Those that began with any event of the match.
    SkipPastLastEvent,
    /// Those that began before the first event of the step with this name. None if it has taken no event.
    SkipToFirst(String),
    /// Those that began before the last event of the step with this name. None if it has taken no event.
    SkipToLast(String),
    /// As `SkipToFirst`; that it has taken no event, or that the match began with it, fails the job.
    SkipToFirstOrFail(String),
    /// As `SkipToLast`; that it has taken no event, or that the match began with it, fails the job.
    SkipToLastOrFail(String),
}

impl AfterMatchSkipStrategy {
    /// The step it is about.
    pub(super) fn step(&self) -> Option<&String> {
        match self {
            Self::NoSkip | Self::SkipToNext | Self::SkipPastLastEvent => None,
            Self::SkipToFirst(step)
            | Self::SkipToLast(step)
            | Self::SkipToFirstOrFail(step)
            | Self::SkipToLastOrFail(step) => Some(step),
        }
    }

    /// Matches that began with events up to this number are given up. `found` are the numbers and steps of the match, in order.
    pub(super) fn given_up(&self, found: &[(u64, &str)]) -> Result<Option<u64>, String> {
        let (first, last) = (found.first().map(|(id, _)| *id), found.last().map(|(id, _)| *id));
        let of = |step: &String, strict: bool, last: bool| {
            let mut ids = found.iter().filter(|(_, name)| name == step).map(|(id, _)| *id);
            let id = if last { ids.next_back() } else { ids.next() };
            match id {
                None if strict => Err(format!("cannot skip to `{step}`, which has no event in the match")),
                Some(_) if strict && id == first => Err(format!(
                    "cannot skip to `{step}`, with which the match begins: it would be found again"
                )),
                // Those that began before it.
                Some(id) => Ok(id.checked_sub(1)),
                None => Ok(None),
            }
        };
        match self {
            Self::NoSkip => Ok(None),
            Self::SkipToNext => Ok(first),
            Self::SkipPastLastEvent => Ok(last),
            Self::SkipToFirst(step) => of(step, false, false),
            Self::SkipToLast(step) => of(step, false, true),
            Self::SkipToFirstOrFail(step) => of(step, true, false),
            Self::SkipToLastOrFail(step) => of(step, true, true),
        }
    }
}
