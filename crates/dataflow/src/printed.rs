//! Records as `print` shows them: as `Debug` does, but text without quotes and escapes, as Spark and Flink print it.
//!
//! ```
//! use thalweg_dataflow::printed::printed;
//!
//! assert_eq!(printed(&("deep", 2)), "(deep, 2)");
//! assert_eq!(printed(&vec!["so \"it\" is", "tab\there"]), "[so \"it\" is, tab\there]");
//! assert_eq!(printed(&2.5), "2.5");
//! ```

use std::fmt::{self, Debug, Write};

/// What is printed of a record. A single character keeps its quotes, as it may be a space.
pub fn printed(value: &impl Debug) -> String {
    let mut text = Unquoted::default();
    // A `Debug` that fails has written what it could.
    let _ = write!(text, "{value:?}");
    text.finish()
}

/// Takes quotes away while `Debug` writes.
#[derive(Default)]
struct Unquoted {
    out: String,
    state: Where,
    /// An escape that is not complete yet: what follows the backslash.
    escape: String,
    /// Where the text began that is being read, should it have no end.
    began: usize,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Where {
    #[default]
    Outside,
    /// Between single quotes, of a character.
    Character,
    CharacterEscape,
    Text,
    TextEscape,
}

impl Unquoted {
    fn push(&mut self, c: char) {
        match (self.state, c) {
            (Where::Outside, '"') => (self.state, self.began) = (Where::Text, self.out.len()),
            (Where::Text, '"') => self.state = Where::Outside,
            (Where::Text, '\\') => self.state = Where::TextEscape,
            (Where::TextEscape, c) => {
                self.escape.push(c);
                if let Some(c) = unescape(&self.escape) {
                    self.out.extend(c);
                    self.escape.clear();
                    self.state = Where::Text;
                }
            }
            (state, c) => {
                // A quote within a character begins no text; an apostrophe in what somebody's own `Debug` writes may be alone.
                let at_word = self.out.chars().next_back().is_some_and(char::is_alphanumeric);
                self.state = match (state, c) {
                    (Where::Outside, '\'') if !at_word => Where::Character,
                    (Where::Character, '\\') => Where::CharacterEscape,
                    (Where::CharacterEscape, _) => Where::Character,
                    (Where::Character, '\'') => Where::Outside,
                    (state, _) => state,
                };
                self.out.push(c);
            }
        }
    }

    fn finish(mut self) -> String {
        if matches!(self.state, Where::Text | Where::TextEscape) {
            self.out.insert(self.began, '"');
        }
        self.out
    }
}

impl Write for Unquoted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().for_each(|c| self.push(c));
        Ok(())
    }
}

/// What stands behind a backslash, as soon as it is complete; what is no escape stays as it is.
fn unescape(escape: &str) -> Option<Vec<char>> {
    let c = match escape {
        "n" => '\n',
        "r" => '\r',
        "t" => '\t',
        "0" => '\0',
        "\\" => '\\',
        "'" => '\'',
        "\"" => '"',
        _ => {
            let hex = escape.strip_prefix('u');
            if hex.is_some_and(|hex| !hex.ends_with('}') && hex.len() < 9) {
                return None;
            }
            let code = hex.and_then(|hex| hex.strip_prefix('{')).and_then(|hex| hex.strip_suffix('}'));
            let code = code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32);
            return Some(
                code.map_or_else(|| std::iter::once('\\').chain(escape.chars()).collect(), |c| vec![c]),
            );
        }
    };
    Some(vec![c])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "printed")]
    struct Order {
        customer: &'static str,
        paid: Option<String>,
    }

    #[test]
    fn text_is_printed_as_it_is_wherever_it_stands() {
        assert_eq!(printed(&"deep"), "deep");
        let order = Order { customer: "ada", paid: Some("yes, \"now\"".to_owned()) };
        assert_eq!(printed(&order), "Order { customer: ada, paid: Some(yes, \"now\") }");
        assert_eq!(printed(&('"', 'a', '\'', "x")), "('\"', 'a', '\\'', x)");
    }

    struct Own(&'static str);
    impl Debug for Own {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    #[test]
    fn what_somebody_writes_by_himself_keeps_its_apostrophes_and_open_quotes() {
        assert_eq!(printed(&Own("it isn't \"so\"")), "it isn't so");
        assert_eq!(printed(&Own("5\" wide")), "5\" wide");
    }

    proptest! {
        #[test]
        fn a_string_is_its_own_print(text in any::<String>(), n in any::<i32>()) {
            prop_assert_eq!(printed(&text), text.clone());
            prop_assert_eq!(printed(&(&text, n)), format!("({text}, {n})"));
        }
    }
}
