//! Strings. Letters are Unicode's, and count from one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion_common::{DFSchema, Result, exec_err};
use datafusion_expr::Expr;
use datafusion_expr::planner::{ExprPlanner, PlannerResult};

use super::builtin::{Builtin, Call, Takes, flag, flags, int, ints, pure, text, texts};

/// Plans the forms that strings have in the grammar.
#[derive(Debug)]
pub(super) struct TextPlanner;

impl ExprPlanner for TextPlanner {
    fn plan_overlay(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("OVERLAY", arguments)
    }

    fn plan_extract(&self, arguments: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        call("$extract", arguments)
    }

    fn plan_struct_literal(&self, arguments: Vec<Expr>, _: bool) -> Result<PlannerResult<Vec<Expr>>> {
        call("ROW", arguments)
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

/// Where a part is in a text for the `which`th time, from letter `from` on, or backwards from its end if that is negative.
fn instr(text: &str, part: &str, from: i64, which: i64) -> Option<i32> {
    let (letters, part): (Vec<char>, Vec<char>) = (text.chars().collect(), part.chars().collect());
    if from == 0 || which < 1 {
        return None;
    }
    let places = 0..(letters.len() + 1).saturating_sub(part.len());
    let is_there = |place: &usize| letters[*place..].starts_with(&part);
    let mut found: Box<dyn Iterator<Item = usize>> = match from {
        from if from > 0 => Box::new(places.skip(from as usize - 1).filter(is_there)),
        from => {
            Box::new(places.take((letters.len() as i64 + from + 1).max(0) as usize).rev().filter(is_there))
        }
    };
    Some(found.nth(which as usize - 1).map_or(0, |place| place as i32 + 1))
}

fn padded(text: &str, length: i64, with: &str, left: bool) -> Option<String> {
    let length = usize::try_from(length).ok()?;
    // Also if nothing would have to be added, as in Flink.
    if with.is_empty() {
        return None;
    }
    let count = text.chars().count();
    if count >= length {
        return Some(text.chars().take(length).collect());
    }
    let padding: String = with.chars().cycle().take(length - count).collect();
    Some(if left { padding + text } else { text.to_owned() + &padding })
}

/// A text in a set of characters that Java knows by name; none, if it is not known.
fn encoded(text: &str, set: &str) -> Option<Vec<u8>> {
    let units = || text.encode_utf16();
    Some(match set.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" => text.as_bytes().to_vec(),
        "US-ASCII" | "ASCII" => text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect(),
        "ISO-8859-1" => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
        "UTF-16BE" => units().flat_map(u16::to_be_bytes).collect(),
        "UTF-16LE" => units().flat_map(u16::to_le_bytes).collect(),
        "UTF-16" => [0xfe, 0xff].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect(),
        _ => return None,
    })
}

fn decoded(bytes: &[u8], set: &str) -> Option<String> {
    let units = |of: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| of([pair[0], pair[1]]));
        String::from_utf16_lossy(&units.collect::<Vec<_>>())
    };
    Some(match set.to_ascii_uppercase().as_str() {
        "UTF-8" | "UTF8" => String::from_utf8_lossy(bytes).into_owned(),
        "US-ASCII" | "ASCII" => {
            bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' }).collect()
        }
        "ISO-8859-1" => bytes.iter().map(|byte| char::from(*byte)).collect(),
        "UTF-16BE" => units(u16::from_be_bytes, bytes),
        "UTF-16LE" => units(u16::from_le_bytes, bytes),
        "UTF-16" => match bytes {
            [0xff, 0xfe, rest @ ..] => units(u16::from_le_bytes, rest),
            [0xfe, 0xff, rest @ ..] | rest => units(u16::from_be_bytes, rest),
        },
        _ => return None,
    })
}

/// `%s`, `%d`, `%5.2f`, `%x`, `%%`, `%n` with widths and the flags `-` and `0`.
fn printf(format: &str, values: &[arrow::array::ArrayRef], row: usize) -> Result<String> {
    let (mut out, mut letters, mut next) = (String::new(), format.chars().peekable(), 0);
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut directive = String::new();
        while let Some(more) = letters.next_if(|letter| !letter.is_alphabetic() && *letter != '%') {
            directive.push(more);
        }
        let kind = match letters.next() {
            Some('%') => {
                out.push('%');
                continue;
            }
            Some('n') => {
                out.push('\n');
                continue;
            }
            Some(kind) => kind,
            None => return exec_err!("PRINTF: the format ends within `%`"),
        };
        let Some(value) = values.get(next) else {
            return exec_err!("PRINTF: there are fewer values than the format '{format}' has places");
        };
        next += 1;
        let text = crate::cast::text(value, row, chrono_tz::Tz::UTC);
        let text =
            text.map(|text| if value.data_type() == &DataType::Boolean { text.to_lowercase() } else { text });
        let flags: String = directive.chars().take_while(|letter| "-+0, #".contains(*letter)).collect();
        let (width, digits) =
            directive[flags.len()..].split_once('.').unwrap_or((&directive[flags.len()..], ""));
        let is_number = value.data_type().is_numeric();
        let text = match (kind, text) {
            (_, None) => "null".to_owned(),
            ('s' | 'S', Some(text)) => match digits.parse::<usize>() {
                Ok(most) => text.chars().take(most).collect(),
                Err(_) => text,
            },
            ('d', Some(text)) if value.data_type().is_integer() => text,
            ('b', Some(text)) => text,
            ('x', Some(text)) if value.data_type().is_integer() => {
                format!("{:x}", text.parse::<i64>().unwrap_or(0))
            }
            ('f', Some(text)) if is_number && !value.data_type().is_integer() => {
                format!("{:.*}", digits.parse().unwrap_or(6), text.parse::<f64>().unwrap_or(f64::NAN))
            }
            (kind, Some(_)) => return exec_err!("PRINTF: `%{kind}` does not take {}", value.data_type()),
        };
        let text = if flags.contains('+') && is_number && !text.starts_with('-') {
            format!("+{text}")
        } else {
            text
        };
        let lacking = width.parse::<usize>().unwrap_or(0).saturating_sub(text.chars().count());
        if flags.contains('-') {
            out.push_str(&(text + &" ".repeat(lacking)));
        } else if flags.contains('0') && is_number {
            let (sign, number) = text.strip_prefix('-').map_or(("", text.as_str()), |number| ("-", number));
            out.push_str(&format!("{sign}{}{number}", "0".repeat(lacking)));
        } else {
            out.push_str(&(" ".repeat(lacking) + &text));
        }
    }
    Ok(out)
}

fn initials(text: &str) -> String {
    let mut inside = false;
    let letter = |letter: char| {
        let begins = !std::mem::replace(&mut inside, letter.is_alphanumeric());
        if begins { letter.to_uppercase().to_string() } else { letter.to_lowercase().to_string() }
    };
    text.chars().map(letter).collect()
}

/// The letters of a column in another case. ASCII, which most columns are, stays where it is: `ascii` is for all of it, `any` for a text.
fn in_place(call: &Call<'_>, ascii: fn(&[u8]) -> Vec<u8>, any: fn(&str) -> String) -> Result<ArrayRef> {
    let column = call.arguments[0].as_string::<i32>();
    let (bytes, offsets) = (column.values(), column.offsets());
    let is_whole =
        offsets.first() == Some(&0) && offsets.last().map(|end| *end as usize) == Some(bytes.len());
    if column.len() == call.rows && is_whole && bytes.is_ascii() {
        let bytes = Buffer::from_vec(ascii(bytes));
        return Ok(Arc::new(StringArray::try_new(offsets.clone(), bytes, column.nulls().cloned())?));
    }
    texts(call, |row| Some(any(row.text(0)?)))
}

/// The part of this number, from 0 on, of a text that is divided at each `byte`, which is ASCII.
fn nth_part(text: &str, byte: u8, place: usize) -> Option<&str> {
    let mut ends = text.bytes().enumerate().filter(|(_, own)| *own == byte).map(|(at, _)| at);
    let begin = if place == 0 { 0 } else { ends.nth(place - 1)? + 1 };
    text.get(begin..ends.next().unwrap_or(text.len()))
}

pub(super) static FUNCTIONS: &[Builtin] = &[
    pure("UPPER", "s", text, |call| in_place(call, <[u8]>::to_ascii_uppercase, str::to_uppercase)),
    pure("LOWER", "s", text, |call| in_place(call, <[u8]>::to_ascii_lowercase, str::to_lowercase)),
    pure("INITCAP", "s", text, |call| texts(call, |row| Some(initials(row.text(0)?)))),
    pure("REVERSE", "s", text, |call| {
        texts(call, |row| Some(row.text(0)?.chars().rev().collect::<String>()))
    }),
    pure("CHAR_LENGTH", "s", int, |call| ints(call, |row| Some(row.text(0)?.chars().count() as i32))),
    pure("CHARACTER_LENGTH", "s", int, |call| ints(call, |row| Some(row.text(0)?.chars().count() as i32))),
    pure("OCTET_LENGTH", "s", int, |call| ints(call, |row| Some(row.text(0)?.len() as i32))),
    pure("ASCII", "s", int, |call| {
        ints(call, |row| Some(row.text(0)?.bytes().next().map_or(0, |byte| i32::from(byte as i8))))
    }),
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
            let length = if row.len() > 2 { Some(row.int(2).filter(|length| *length >= 0)?) } else { None };
            Some(substring(row.text(0)?, row.int(1)?, length))
        })
    }),
    pure("SUBSTR", "si?i", text, |call| {
        texts(call, |row| {
            let length = if row.len() > 2 { Some(row.int(2).filter(|length| *length >= 0)?) } else { None };
            Some(substring(row.text(0)?, row.int(1)?, length))
        })
    }),
    pure("LEFT", "si", text, |call| {
        texts(call, |row| Some(row.text(0)?.chars().take(row.int(1)?.max(0) as usize).collect::<String>()))
    }),
    pure("RIGHT", "si", text, |call| {
        texts(call, |row| {
            let (text, length) = (row.text(0)?, row.int(1)?.max(0) as usize);
            Some(text.chars().skip(text.chars().count().saturating_sub(length)).collect::<String>())
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
            // Where nothing is taken out, what follows goes, as in Flink.
            let after: String = match length {
                length if length <= 0 => String::new(),
                length => text.chars().skip((start - 1 + length) as usize).collect(),
            };
            Some(format!("{before}{new}{after}"))
        })
    }),
    pure("POSITION", "ss", int, |call| ints(call, |row| Some(position(row.text(0)?, row.text(1)?)))),
    pure("LOCATE", "ss?i", int, |call| {
        ints(call, |row| {
            let (part, text) = (row.text(0)?, row.text(1)?);
            let from = if row.len() > 2 { row.int(2)?.max(1) } else { 1 };
            // Nothing is at the beginning, from wherever it is looked for.
            let from = if part.is_empty() { 1 } else { from };
            let rest: String = text.chars().skip(from as usize - 1).collect();
            Some(match position(part, &rest) {
                0 => 0,
                found => found + from as i32 - 1,
            })
        })
    }),
    pure("INSTR", "ss?ii", int, |call| {
        ints(call, |row| {
            let from = if row.len() > 2 { row.int(2)? } else { 1 };
            let which = if row.len() > 3 { row.int(3)? } else { 1 };
            instr(row.text(0)?, row.text(1)?, from, which)
        })
    }),
    pure("REPLACE", "sss", text, |call| {
        texts(call, |row| Some(row.text(0)?.replace(row.text(1)?, row.text(2)?)))
    }),
    pure("TRANSLATE", "sss", text, |call| {
        texts(call, |row| {
            // What is NULL has no letters.
            let letters = |place: usize| row.text(place).unwrap_or_default().chars().collect();
            let (from, to): (Vec<char>, Vec<char>) = (letters(1), letters(2));
            let letter = |letter: char| match from.iter().position(|known| *known == letter) {
                Some(place) => to.get(place).copied(),
                None => Some(letter),
            };
            Some(row.text(0)?.chars().filter_map(letter).collect::<String>())
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
    pure("ELT", "is+", text, |call| {
        texts(call, |row| {
            let place = usize::try_from(row.int(0)?).ok().filter(|place| *place > 0 && *place < row.len())?;
            row.text(place).map(str::to_owned)
        })
    }),
    pure("PRINTF", "s*+", text, |call| {
        let format = call.arguments[0].as_string::<i32>();
        let one = |row: usize| match format.iter().nth(row).flatten() {
            Some(format) => printf(format, &call.arguments[1..], row).map(Some),
            None => Ok(None),
        };
        Ok(Arc::new((0..call.rows).map(one).collect::<Result<arrow::array::StringArray>>()?))
    }),
    pure(
        "ENCODE",
        "ss",
        |_| Ok(DataType::Binary),
        |call| {
            let (texts, sets) = (call.arguments[0].as_string::<i32>(), call.arguments[1].as_string::<i32>());
            let bytes = texts.iter().zip(sets).map(|(text, set)| encoded(text?, set?));
            Ok(Arc::new(bytes.collect::<BinaryArray>()))
        },
    ),
    Builtin {
        name: "DECODE",
        takes: super::builtin::Takes::By((2, 2), |_| Ok(vec![DataType::Binary, DataType::Utf8])),
        result: text,
        run: |call| {
            let (bytes, sets) = (call.arguments[0].as_binary::<i32>(), call.arguments[1].as_string::<i32>());
            let texts = bytes.iter().zip(sets).map(|(bytes, set)| decoded(bytes?, set?));
            Ok(Arc::new(texts.collect::<arrow::array::StringArray>()))
        },
        volatility: datafusion_expr::Volatility::Immutable,
    },
    Builtin {
        name: "UUID",
        takes: super::builtin::Takes::Letters(""),
        result: text,
        run: |call| texts(call, |_| Some(uuid::Uuid::new_v4().to_string())),
        volatility: datafusion_expr::Volatility::Volatile,
    },
    pure("STARTSWITH", "ss", flag, |call| flags(call, |row| Some(row.text(0)?.starts_with(row.text(1)?)))),
    pure("ENDSWITH", "ss", flag, |call| flags(call, |row| Some(row.text(0)?.ends_with(row.text(1)?)))),
    Builtin {
        name: "SPLIT_INDEX",
        takes: super::builtin::Takes::By((3, 3), |types| {
            let between = if types[1].is_integer() { DataType::Int64 } else { DataType::Utf8 };
            Ok(vec![DataType::Utf8, between, DataType::Int64])
        }),
        result: text,
        run: |call| {
            texts(call, |row| {
                // A number is the letter of that code.
                let code = match call.arguments[1].data_type() {
                    DataType::Int64 => Some(char::from(u8::try_from(row.int(1)?).ok()?).to_string()),
                    _ => None,
                };
                let between = match &code {
                    Some(code) => code.as_str(),
                    None => row.text(1)?,
                };
                let (text, place) = (row.text(0)?, usize::try_from(row.int(2)?).ok()?);
                match between.as_bytes() {
                    [] => None,
                    _ if text.is_empty() => None,
                    // Where a letter is one byte it is no part of another, and is found faster.
                    [byte] => nth_part(text, *byte, place),
                    _ => text.split(between).nth(place),
                }
            })
        },
        volatility: datafusion_expr::Volatility::Immutable,
    },
    Builtin {
        name: "TO_BASE64",
        takes: Takes::By((1, 1), |types| match &types[0] {
            DataType::Binary => Ok(vec![DataType::Binary]),
            _ => Ok(vec![DataType::Utf8]),
        }),
        result: text,
        run: |call| match call.arguments[0].as_binary_opt::<i32>() {
            Some(bytes) => {
                let encoded = bytes.iter().map(|bytes| bytes.map(|bytes| STANDARD.encode(bytes)));
                Ok(Arc::new(encoded.collect::<arrow::array::StringArray>()))
            }
            None => texts(call, |row| Some(STANDARD.encode(row.text(0)?))),
        },
        volatility: datafusion_expr::Volatility::Immutable,
    },
    pure("FROM_BASE64", "s", text, |call| {
        let texts = call.arguments[0].as_string::<i32>().iter();
        let read = |text: &str| match STANDARD.decode(text) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => exec_err!("FROM_BASE64: '{text}' is no base64: {error}"),
        };
        let read = texts.map(|text| text.map(read).transpose());
        Ok(Arc::new(read.collect::<Result<arrow::array::StringArray>>()?))
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

    #[test]
    fn a_text_is_divided_at_a_byte_as_at_a_text() {
        for text in ["", "/", "a/b", "/a//bc/", "äö/ü", "none"] {
            for place in 0..6 {
                assert_eq!(nth_part(text, b'/', place), text.split("/").nth(place), "{text}, {place}");
            }
        }
    }
}
