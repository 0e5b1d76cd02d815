//! What the line editor asks for: whether a statement is whole, and how a word may go on.

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

/// Words of the language that are worth a completion.
const KEYWORDS: [&str; 64] = [
    "ALTER",
    "AND",
    "AS",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CREATE",
    "CROSS",
    "DATABASE",
    "DATABASES",
    "DESCRIBE",
    "DESCRIPTOR",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXECUTE",
    "EXISTS",
    "EXPLAIN",
    "FILTER",
    "FOR",
    "FROM",
    "FUNCTIONS",
    "GROUP",
    "HAVING",
    "INNER",
    "INSERT",
    "INTERVAL",
    "INTO",
    "JOBS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATCH_RECOGNIZE",
    "NOT",
    "NULL",
    "ORDER",
    "OVER",
    "PARTITION",
    "PRIMARY",
    "QUIT",
    "RESET",
    "SELECT",
    "SET",
    "SHOW",
    "STATEMENT",
    "STOP",
    "SYSTEM_TIME",
    "TABLE",
    "TABLES",
    "TEMPORARY",
    "THEN",
    "TUMBLE",
    "UNION",
    "UNNEST",
    "USE",
    "VALUES",
    "VIEW",
    "WATERMARK",
    "WHERE",
    "WITH",
];

/// Words that are known: of the language, and names.
#[derive(Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// Names of tables, columns and functions.
    pub(super) fn set(&mut self, names: Vec<String>) {
        self.0 = names;
    }
}

/// Whether a text is a whole statement: it ends with `;` outside of a text, a name or a comment, and every statement set is closed.
pub(super) fn is_whole(text: &str) -> bool {
    let mut letters = text.chars().peekable();
    let (mut whole, mut words) = (false, Vec::new());
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '`' => {
                // Two quotes are one that belongs to the text: it goes on right away.
                if !letters.by_ref().any(|other| other == letter) {
                    return false;
                }
                whole = false;
            }
            '-' if letters.peek() == Some(&'-') => {
                letters.by_ref().find(|other| *other == '\n');
            }
            '/' if letters.peek() == Some(&'*') => {
                let mut star = false;
                letters.next();
                if !letters.by_ref().any(|other| std::mem::replace(&mut star, other == '*') && other == '/') {
                    return false;
                }
            }
            ';' => whole = true,
            blank if blank.is_whitespace() => {}
            letter => {
                whole = false;
                let mut word = String::from(letter);
                while let Some(next) = letters.next_if(|next| next.is_alphanumeric() || *next == '_') {
                    word.push(next);
                }
                words.push(word.to_uppercase());
            }
        }
    }
    let sets = words.windows(2).filter(|pair| pair[0] == "STATEMENT" && pair[1] == "SET").count();
    let in_set = sets > 0 && words.last().is_some_and(|last| last != "END");
    whole && !in_set
}

impl Validator for Names {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let command = matches!(text.to_uppercase().as_str(), "" | "QUIT" | "EXIT" | "HELP" | "CLEAR");
        Ok(match command || is_whole(text) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Names {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
        let start = line[..at]
            .rfind(|letter: char| !is_part(letter))
            .map_or(0, |before| before + line[before..].chars().next().map_or(1, char::len_utf8));
        Ok((start, candidates(&self.0, &line[start..at])))
    }
}

fn candidates(names: &[String], word: &str) -> Vec<Pair> {
    if word.is_empty() {
        return Vec::new();
    }
    let begins =
        |name: &str| name.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word));
    let all = names.iter().map(String::as_str).chain(KEYWORDS);
    let mut found: Vec<&str> = all.filter(|name| begins(name)).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|name| Pair { display: name.to_owned(), replacement: name.to_owned() }).collect()
}

impl Hinter for Names {
    type Hint = String;
}

impl Highlighter for Names {}

impl Helper for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_whole_or_goes_on() {
        for whole in [
            "SELECT 1;",
            "SELECT ';' ; -- done",
            "SELECT 'it''s'; ",
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1 -- ;",
            "SELECT /* ; */",
            "/* ",
            "BEGIN STATEMENT SET; INSERT INTO a SELECT 1;",
        ] {
            assert!(!is_whole(open), "{open}");
        }
    }

    #[test]
    fn words_go_on() {
        let names = ["orders".to_owned(), "ordered".to_owned()];
        let found =
            |word| candidates(&names, word).into_iter().map(|pair| pair.replacement).collect::<Vec<_>>();
        assert_eq!(found("ord"), ["ORDER", "ordered", "orders"]);
        assert!(found("").is_empty() && found("zz").is_empty());
    }
}
