//! Regular expressions, which are Java's as far as there is no looking around and no referring back in them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, StringArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use datafusion_common::{Result, exec_err};
use regex::{NoExpand, Regex};

use super::builtin::{Builtin, Call, Row, flag, flags, int, ints, pure, text, texts};

/// The patterns of a thread, each compiled once.
#[derive(Default)]
struct Patterns {
    known: HashMap<String, Option<Rc<Regex>>>,
    /// The one that was asked for last: the pattern is the same in most rows.
    last: Option<(String, Option<Rc<Regex>>)>,
}

impl Patterns {
    fn get(&mut self, text: &str) -> Option<Rc<Regex>> {
        if let Some((last, pattern)) = &self.last
            && last == text
        {
            return pattern.clone();
        }
        let pattern = match self.known.get(text) {
            Some(pattern) => pattern.clone(),
            None => {
                // Patterns that come out of columns are not kept for ever.
                if self.known.len() > 256 {
                    self.known.clear();
                }
                let pattern = Regex::new(text).ok().map(Rc::new);
                self.known.insert(text.to_owned(), pattern.clone());
                pattern
            }
        };
        self.last = Some((text.to_owned(), pattern.clone()));
        pattern
    }
}

/// A pattern, compiled once. A thread has its own: what a pattern keeps for its work is made anew for each copy, and waited for by those
/// that share one.
fn pattern(text: &str) -> Option<Rc<Regex>> {
    thread_local! {
        static PATTERNS: RefCell<Patterns> = RefCell::default();
    }
    PATTERNS.with_borrow_mut(|patterns| patterns.get(text))
}

/// The texts of a group in all matches.
fn all(row: &Row<'_>) -> Option<Vec<String>> {
    let group = if row.len() > 2 { usize::try_from(row.int(2)?).ok()? } else { 1 };
    let pattern = pattern(row.text(1)?)?;
    if group >= pattern.captures_len() {
        return None;
    }
    let matches = pattern.captures_iter(row.text(0)?);
    Some(matches.map(|found| found.get(group).map_or("", |part| part.as_str()).to_owned()).collect())
}

fn extract_all(call: &Call<'_>) -> Result<ArrayRef> {
    let DataType::List(field) = call.result else { return exec_err!("{} is no array", call.result) };
    let rows: Vec<Option<Vec<String>>> =
        (0..call.rows).map(|row| all(&Row { arguments: call.arguments, row })).collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let valid: NullBuffer = rows.iter().map(Option::is_some).collect();
    let values: StringArray = rows.into_iter().flatten().flatten().map(Some).collect();
    Ok(Arc::new(ListArray::try_new(field.clone(), offsets, Arc::new(values), Some(valid))?))
}

/// `LIKE` as a regular expression: `%` is anything, `_` any letter, and what follows the letter `escape` is itself.
fn like(pattern: &str, escape: Option<char>) -> Option<String> {
    let (mut out, mut letters) = ("(?s)^".to_owned(), pattern.chars());
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == escape => match letters.next()? {
                next if next == '%' || next == '_' || Some(next) == escape => {
                    out.push_str(&regex::escape(&next.to_string()));
                }
                _ => return None,
            },
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    Some(out + "$")
}

/// `SIMILAR TO` as a regular expression: as `LIKE`, with `| * + ? {} () []`.
fn similar(pattern: &str, escape: Option<char>) -> Option<String> {
    let (mut out, mut letters, mut inside) = ("(?s)^(?:".to_owned(), pattern.chars(), false);
    while let Some(letter) = letters.next() {
        match letter {
            letter if Some(letter) == escape => out.push_str(&regex::escape(&letters.next()?.to_string())),
            '[' | ']' => {
                inside = letter == '[';
                out.push(letter);
            }
            '%' if !inside => out.push_str(".*"),
            '_' if !inside => out.push('.'),
            letter if "|*+?{}()-^,:".contains(letter) || inside => out.push(letter),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    Some(out + ")$")
}

fn matches(call: &Call<'_>, translate: fn(&str, Option<char>) -> Option<String>) -> Result<ArrayRef> {
    let wrong = std::cell::Cell::new(false);
    // The pattern is the same in most rows.
    let last = RefCell::new((String::new(), None::<Rc<Regex>>));
    let values = flags(call, |row| {
        let (text, with) = (row.text(0)?, row.text(1)?);
        let escape = if row.len() > 2 { row.text(2)?.chars().next() } else { None };
        let mut last = last.borrow_mut();
        if last.1.is_none() || last.0 != with {
            *last = (with.to_owned(), translate(with, escape).and_then(|regex| pattern(&regex)));
        }
        if last.1.is_none() {
            wrong.set(true);
        }
        Some(last.1.as_ref()?.is_match(text))
    })?;
    match wrong.get() {
        true => exec_err!("a pattern of LIKE or SIMILAR TO is none: {}", last.into_inner().0),
        false => Ok(values),
    }
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    pure("$like", "ss?s", flag, |call| matches(call, like)),
    pure("$similar", "ss?s", flag, |call| matches(call, similar)),
    pure("REGEXP", "ss", flag, |call| {
        flags(call, |row| {
            let (text, with) = (row.text(0)?, row.text(1)?);
            // Nothing is like no pattern, in Flink.
            Some(!with.is_empty() && pattern(with)?.is_match(text))
        })
    }),
    pure("REGEXP_REPLACE", "sss", text, |call| {
        texts(call, |row| {
            let pattern = pattern(row.text(1)?)?;
            // What takes the place is text: Flink has no groups in it.
            Some(pattern.replace_all(row.text(0)?, NoExpand(row.text(2)?)).into_owned())
        })
    }),
    pure("REGEXP_EXTRACT", "ss?i", text, |call| {
        texts(call, |row| {
            let group = if row.len() > 2 { usize::try_from(row.int(2)?).ok()? } else { 0 };
            Some(pattern(row.text(1)?)?.captures(row.text(0)?)?.get(group)?.as_str())
        })
    }),
    pure(
        "REGEXP_EXTRACT_ALL",
        "ss?i",
        |_| Ok(DataType::List(Field::new("item", DataType::Utf8, true).into())),
        extract_all,
    ),
    pure("REGEXP_COUNT", "ss", int, |call| {
        ints(call, |row| Some(pattern(row.text(1)?)?.find_iter(row.text(0)?).count() as i32))
    }),
    pure("REGEXP_INSTR", "ss", int, |call| {
        ints(call, |row| {
            let text = row.text(0)?;
            let found = pattern(row.text(1)?)?.find(text);
            Some(found.map_or(0, |found| text[..found.start()].chars().count() as i32 + 1))
        })
    }),
    pure("REGEXP_SUBSTR", "ss", text, |call| {
        texts(call, |row| Some(pattern(row.text(1)?)?.find(row.text(0)?)?.as_str()))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_regular_expressions() {
        assert_eq!(like("a!%_%", Some('!')).as_deref(), Some("(?s)^a%..*$"));
        assert_eq!(like("a!b", Some('!')), None);
        assert_eq!(similar("a(b|c)+%", None).as_deref(), Some("(?s)^(?:a(b|c)+.*)$"));
    }
}
