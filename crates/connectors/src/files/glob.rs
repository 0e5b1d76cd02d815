//! Patterns of paths: `logs/2026-*/{app,web}-[0-9]?.log.gz`, as shells and Hadoop know them.
//!
//! | | |
//! |---|---|
//! | `*` | any characters, none included, within one name |
//! | `?` | one character |
//! | `[a-z0]`, `[!a-z]` | one character of these, or none of these |
//! | `{a,b}` | one of these; they may be nested |
//! | `**` | as a whole name: any number of folders, none included |

use std::path::{Path, PathBuf};

/// A pattern, in its parts.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// What comes before the first name that is a pattern.
    base: PathBuf,
    /// What comes after it; braces written out.
    alternatives: Vec<Vec<char>>,
}

const SPECIAL: [char; 4] = ['*', '?', '[', '{'];

impl Pattern {
    /// `None` if there is nothing of a pattern in it.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let text = path.to_str()?;
        let special = text.find(SPECIAL)?;
        let base_ends = text[..special].rfind('/').map_or(0, |at| at + 1);
        let (base, pattern) = text.split_at(base_ends);
        let base = match base {
            "" => ".",
            "/" => "/",
            base => base.trim_end_matches('/'),
        };
        let alternatives = expand(pattern).into_iter().map(|one| one.chars().collect()).collect();
        Some(Self { base: base.into(), alternatives })
    }

    /// The folder that all that fits is in.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// Whether what fits may be in folders of the base.
    pub(super) fn is_deep(&self) -> bool {
        self.alternatives.iter().any(|pattern| pattern.contains(&'/'))
    }

    /// Whether a path below the base fits.
    pub(super) fn fits(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.base).unwrap_or(path);
        let Some(below) = below.to_str() else { return false };
        let below: Vec<char> = below.chars().collect();
        self.alternatives.iter().any(|pattern| fits(pattern, &below))
    }
}

/// Writes braces out: `a{b,c}` is `ab` and `ac`. One that is not closed is a character like others.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, choices, after)) = braces(pattern) else { return vec![pattern.to_owned()] };
    let rest = expand(after);
    let choices = choices.into_iter().flat_map(expand);
    choices.flat_map(|choice| rest.iter().map(move |rest| format!("{before}{choice}{rest}"))).collect()
}

/// What is before the first braces, in them, and after them.
fn braces(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let open = pattern.find('{')?;
    let (mut depth, mut begins, mut choices) = (0_usize, open + 1, Vec::new());
    for (at, character) in pattern.char_indices().skip_while(|(at, _)| *at < open) {
        match character {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(&pattern[begins..at]);
                begins = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(&pattern[begins..at]);
                return Some((&pattern[..open], choices, &pattern[at + 1..]));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether all of a path fits all of a pattern without braces.
fn fits(pattern: &[char], path: &[char]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*', '*', '/', rest @ ..] => {
            // No folder, or one more.
            fits(rest, path)
                || path.iter().position(|c| *c == '/').is_some_and(|end| fits(pattern, &path[end + 1..]))
        }
        ['*', '*'] => true,
        ['*', rest @ ..] => {
            let name_ends = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            (0..=name_ends).any(|taken| fits(rest, &path[taken..]))
        }
        ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && fits(rest, &path[1..]),
        ['[', rest @ ..] => match class(rest) {
            Some((class, negated, rest)) => path
                .split_first()
                .is_some_and(|(c, path)| *c != '/' && in_class(class, *c) != negated && fits(rest, path)),
            None => path.first() == Some(&'[') && fits(rest, &path[1..]),
        },
        [literal, rest @ ..] => path.first() == Some(literal) && fits(rest, &path[1..]),
    }
}

/// What is in a class whose bracket has been opened, whether it is negated, and what comes after it.
fn class(pattern: &[char]) -> Option<(&[char], bool, &[char])> {
    let (negated, pattern) = match pattern {
        ['!' | '^', rest @ ..] => (true, rest),
        pattern => (false, pattern),
    };
    // A bracket that comes first is one of the class.
    let ends = pattern.iter().skip(1).position(|c| *c == ']')? + 1;
    Some((&pattern[..ends], negated, &pattern[ends + 1..]))
}

fn in_class(class: &[char], c: char) -> bool {
    match class {
        [] => false,
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&c) || in_class(rest, c),
        [one, rest @ ..] => *one == c || in_class(rest, c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_shells_say() {
        for (pattern, path, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "a/b.log", false),
            ("*.log", ".log", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "a/bx", false),
            ("a/**", "a/b/c", true),
            ("dt=*/hm=*/part-*", "dt=1/hm=2/part-0", true),
            ("dt=*/hm=*/part-*", "dt=1/part-0", false),
            ("{app,web}-[0-9][!a]", "web-7b", true),
            ("{app,web}-[0-9][!a]", "web-7a", false),
            ("{app,web}-[0-9][!a]", "db-7b", false),
            ("{a,b{c,d}}x", "bdx", true),
            ("{a,b{c,d}}x", "bx", false),
            ("a{b", "a{b", true),
            ("[]x]", "]", true),
            ("[ab", "[ab", true),
            ("*a*b*c", "xxaxxbxxc", true),
            ("ü*", "über", true),
        ] {
            let of = Pattern::of(Path::new(pattern)).unwrap();
            assert_eq!(
                of.fits(&of.base().join(path)) || of.fits(Path::new(path)),
                expected,
                "{pattern} {path}"
            );
        }
        let of = |pattern: &str| Pattern::of(Path::new(pattern));
        assert_eq!(of("s3://bucket/logs/*/x").unwrap().base(), Path::new("s3://bucket/logs"));
        assert_eq!(of("/*.txt").unwrap().base(), Path::new("/"));
        assert!(of("x/*/y").unwrap().is_deep() && !of("x/*").unwrap().is_deep());
        assert!(of("plain/path.txt").is_none());
    }
}
