//! Strings. Letters are Unicode's, and count from one.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion_common::{DFSchema, Result};
use datafusion_expr::Expr;
use datafusion_expr::planner::{ExprPlanner, PlannerResult};
use regex::Regex;

use super::builtin::{Builtin, flag, flags, int, ints, pure, text, texts};

/// Plans the forms that strings have in the grammar.
#[derive(Debug)]
pub(super) struct TextPlanner;

impl ExprPlanner for TextPlanner {
    fn plan_substring(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("SUBSTRING", arguments)
    }

    fn plan_position(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("POSITION", arguments)
    }

    fn plan_overlay(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("OVERLAY", arguments)
    }

    fn plan_extract(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("$extract", arguments)
    }

    fn plan_struct_literal(&self, arguments: Vec<Expr>, _: bool) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Original(arguments))
    }

    fn plan_array_literal(&self, items: Vec<Expr>, _: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        call("$array", items)
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
    Ok(match super::scalar(name) {
        Some(function) => PlannerResult::Planned(function.call(arguments)),
        None => PlannerResult::Original(arguments),
    })
}

/// Letters from number `start` on, which counts from the end if it is negative.
fn substring(text: &str, start: i64, length: Option<i64>) -> String {
    let letters: Vec<char> = text.chars().collect();
    let count = letters.len() as i64;
    let begin = match start {
        0 => 0,
        start if start > 0 => start - 1,
        start => count + start,
    };
    if begin >= count || begin < 0 || length.is_some_and(|length| length <= 0) {
        return String::new();
    }
    let end = length.map_or(count, |length| begin.saturating_add(length).min(count));
    letters[begin as usize..end as usize].iter().collect()
}

/// The number of the first letter of `part` in `text`; 0 if it is not in it.
fn position(part: &str, text: &str) -> i32 {
    text.find(part).map_or(0, |at| text[..at].chars().count() as i32 + 1)
}

fn padded(text: &str, length: i64, with: &str, left: bool) -> Option<String> {
    let length = usize::try_from(length).ok()?;
    let count = text.chars().count();
    if count >= length {
        return Some(text.chars().take(length).collect());
    }
    if with.is_empty() {
        return None;
    }
    let padding: String = with.chars().cycle().take(length - count).collect();
    Some(if left { padding + text } else { text.to_owned() + &padding })
}

/// A pattern, compiled once.
fn pattern(text: &str) -> Option<Regex> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Option<Regex>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pattern) = known.get(text) {
        return pattern.clone();
    }
    let pattern = Regex::new(text).ok();
    // Patterns that come out of columns are not kept for ever.
    if known.len() > 256 {
        known.clear();
    }
    known.insert(text.to_owned(), pattern.clone());
    pattern
}

fn initials(text: &str) -> String {
    let mut inside = false;
    let letter = |letter: char| {
        let begins = !std::mem::replace(&mut inside, letter.is_alphanumeric());
        if begins { letter.to_uppercase().to_string() } else { letter.to_lowercase().to_string() }
    };
    text.chars().map(letter).collect()
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    pure("UPPER", "s", text, |call| texts(call, |row| Some(row.text(0)?.to_uppercase()))),
    pure("LOWER", "s", text, |call| texts(call, |row| Some(row.text(0)?.to_lowercase()))),
    pure("INITCAP", "s", text, |call| texts(call, |row| Some(initials(row.text(0)?)))),
    pure("REVERSE", "s", text, |call| texts(call, |row| Some(row.text(0)?.chars().rev().collect()))),
    pure("CHAR_LENGTH", "s", int, |call| ints(call, |row| Some(row.text(0)?.chars().count() as i32))),
    pure("CHARACTER_LENGTH", "s", int, |call| ints(call, |row| Some(row.text(0)?.chars().count() as i32))),
    pure("OCTET_LENGTH", "s", int, |call| ints(call, |row| Some(row.text(0)?.len() as i32))),
    pure("ASCII", "s", int, |call| ints(call, |row| Some(row.text(0)?.bytes().next().map_or(0, i32::from)))),
    pure("CHR", "i", text, |call| {
        texts(call, |row| match row.int(0)? {
            code if code < 0 => Some(String::new()),
            code => Some(char::from((code % 256) as u8).to_string()),
        })
    }),
    pure("CONCAT", "s+", text, |call| {
        texts(call, |row| {
            (0..row.len()).map(|place| row.text(place)).collect::<Option<Vec<_>>>().map(|all| all.concat())
        })
    }),
    pure("CONCAT_WS", "ss+", text, |call| {
        texts(call, |row| {
            let between = row.text(0)?;
            let all: Vec<&str> = (1..row.len()).filter_map(|place| row.text(place)).collect();
            Some(all.join(between))
        })
    }),
    pure("SUBSTRING", "si?i", text, |call| {
        texts(call, |row| {
            let length = if row.len() > 2 { Some(row.int(2)?) } else { None };
            Some(substring(row.text(0)?, row.int(1)?, length))
        })
    }),
    pure("SUBSTR", "si?i", text, |call| {
        texts(call, |row| {
            let length = if row.len() > 2 { Some(row.int(2)?) } else { None };
            Some(substring(row.text(0)?, row.int(1)?, length))
        })
    }),
    pure("LEFT", "si", text, |call| {
        texts(call, |row| Some(row.text(0)?.chars().take(row.int(1)?.max(0) as usize).collect()))
    }),
    pure("RIGHT", "si", text, |call| {
        texts(call, |row| {
            let (text, length) = (row.text(0)?, row.int(1)?.max(0) as usize);
            Some(text.chars().skip(text.chars().count().saturating_sub(length)).collect())
        })
    }),
    pure("OVERLAY", "ssi?i", text, |call| {
        texts(call, |row| {
            let (text, new, start) = (row.text(0)?, row.text(1)?, row.int(2)?);
            let count = text.chars().count() as i64;
            let length = if row.len() > 3 { row.int(3)? } else { new.chars().count() as i64 };
            if start <= 0 || start > count {
                return Some(text.to_owned());
            }
            let before: String = text.chars().take(start as usize - 1).collect();
            let after: String = match length {
                length if length < 0 => String::new(),
                length => text.chars().skip((start - 1 + length) as usize).collect(),
            };
            Some(format!("{before}{new}{after}"))
        })
    }),
    pure("POSITION", "ss", int, |call| ints(call, |row| Some(position(row.text(0)?, row.text(1)?)))),
    pure("LOCATE", "ss?i", int, |call| {
        ints(call, |row| {
            let (part, text) = (row.text(0)?, row.text(1)?);
            let from = if row.len() > 2 { row.int(2)? } else { 1 };
            if from <= 0 {
                return Some(0);
            }
            let rest: String = text.chars().skip(from as usize - 1).collect();
            Some(match position(part, &rest) {
                0 => 0,
                found => found + from as i32 - 1,
            })
        })
    }),
    pure("INSTR", "ss", int, |call| ints(call, |row| Some(position(row.text(1)?, row.text(0)?)))),
    pure("REPLACE", "sss", text, |call| {
        texts(call, |row| Some(row.text(0)?.replace(row.text(1)?, row.text(2)?)))
    }),
    pure("TRANSLATE", "sss", text, |call| {
        texts(call, |row| {
            let (from, to): (Vec<char>, Vec<char>) =
                (row.text(1)?.chars().collect(), row.text(2)?.chars().collect());
            let letter = |letter: char| match from.iter().position(|known| *known == letter) {
                Some(place) => to.get(place).copied(),
                None => Some(letter),
            };
            Some(row.text(0)?.chars().filter_map(letter).collect())
        })
    }),
    pure("REPEAT", "si", text, |call| {
        texts(call, |row| Some(row.text(0)?.repeat(row.int(1)?.clamp(0, 1 << 20) as usize)))
    }),
    pure("LPAD", "sis", text, |call| {
        texts(call, |row| padded(row.text(0)?, row.int(1)?, row.text(2)?, true))
    }),
    pure("RPAD", "sis", text, |call| {
        texts(call, |row| padded(row.text(0)?, row.int(1)?, row.text(2)?, false))
    }),
    pure("BTRIM", "s?s", text, |call| {
        texts(call, |row| {
            let what = if row.len() > 1 { row.text(1)? } else { " " };
            Some(row.text(0)?.trim_matches(|letter| what.contains(letter)).to_owned())
        })
    }),
    pure("LTRIM", "s?s", text, |call| {
        texts(call, |row| {
            let what = if row.len() > 1 { row.text(1)? } else { " " };
            Some(row.text(0)?.trim_start_matches(|letter| what.contains(letter)).to_owned())
        })
    }),
    pure("RTRIM", "s?s", text, |call| {
        texts(call, |row| {
            let what = if row.len() > 1 { row.text(1)? } else { " " };
            Some(row.text(0)?.trim_end_matches(|letter| what.contains(letter)).to_owned())
        })
    }),
    pure("STARTSWITH", "ss", flag, |call| flags(call, |row| Some(row.text(0)?.starts_with(row.text(1)?)))),
    pure("ENDSWITH", "ss", flag, |call| flags(call, |row| Some(row.text(0)?.ends_with(row.text(1)?)))),
    pure("SPLIT_INDEX", "ssi", text, |call| {
        texts(call, |row| {
            let (text, between, place) = (row.text(0)?, row.text(1)?, usize::try_from(row.int(2)?).ok()?);
            if between.is_empty() { None } else { text.split(between).nth(place).map(str::to_owned) }
        })
    }),
    pure("REGEXP", "ss", flag, |call| flags(call, |row| Some(pattern(row.text(1)?)?.is_match(row.text(0)?)))),
    pure("REGEXP_REPLACE", "sss", text, |call| {
        texts(call, |row| Some(pattern(row.text(1)?)?.replace_all(row.text(0)?, row.text(2)?).into_owned()))
    }),
    pure("REGEXP_EXTRACT", "ss?i", text, |call| {
        texts(call, |row| {
            let group = if row.len() > 2 { usize::try_from(row.int(2)?).ok()? } else { 0 };
            let found = pattern(row.text(1)?)?.captures(row.text(0)?)?.get(group)?.as_str().to_owned();
            Some(found)
        })
    }),
    pure("TO_BASE64", "s", text, |call| texts(call, |row| Some(STANDARD.encode(row.text(0)?)))),
    pure("FROM_BASE64", "s", text, |call| {
        texts(call, |row| String::from_utf8(STANDARD.decode(row.text(0)?).ok()?).ok())
    }),
    pure("IS_ALPHA", "s", flag, |call| {
        flags(call, |row| {
            let text = row.text(0).unwrap_or_default();
            Some(!text.is_empty() && text.chars().all(char::is_alphabetic))
        })
    }),
    pure("IS_DIGIT", "s", flag, |call| {
        flags(call, |row| {
            let text = row.text(0).unwrap_or_default();
            Some(!text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit()))
        })
    }),
    pure("IS_DECIMAL", "s", flag, |call| {
        flags(call, |row| Some(row.text(0).is_some_and(|text| text.trim().parse::<f64>().is_ok())))
    }),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_strings_count_from_one() {
        assert_eq!(substring("flink", 2, Some(3)), "lin");
        assert_eq!(substring("flink", -2, None), "nk");
        assert_eq!(substring("flink", 9, None), "");
        assert_eq!(position("in", "flink"), 3);
        assert_eq!(padded("hi", 4, "??", true).as_deref(), Some("??hi"));
        assert_eq!(initials("hello wORLD"), "Hello World");
    }
}
