//! What others have written, on a terminal: nothing that it would obey.
//!
//! A record, the name of a group or of a client may hold sequences that clear the screen, change what was printed before, or
//! type. On a terminal such characters are shown as what they are: `\x1b`, `\u{202e}`. Elsewhere bytes stay bytes.

use std::borrow::Cow;

/// Whether a character is only itself on a terminal. Ends of lines and tabs are.
fn is_safe(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Marks that have text run the other way, and two more ends of lines.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        c => !c.is_control(),
    }
}

/// Appends bytes as a terminal may have them.
pub(crate) fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        escape_str(chunk.valid(), out);
        chunk.invalid().iter().for_each(|byte| out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()));
    }
}

fn escape_str(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((at, c)) = rest.char_indices().find(|(_, c)| !is_safe(*c)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let code = u32::from(c);
        let shown = if code < 0x80 { format!("\\x{code:02x}") } else { format!("\\u{{{code:x}}}") };
        out.extend_from_slice(shown.as_bytes());
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
}

/// A text as a terminal may have it.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    escape_str(text, &mut out);
    String::from_utf8_lossy(&out).into_owned().into()
}

/// A text in one line, at most so many characters long; it ends with an ellipsis where it is cut.
pub(crate) fn cell(cell: &str, longest: Option<usize>) -> String {
    let line = text(cell).replace('\n', "\\n").replace('\t', "\\t");
    match longest {
        Some(longest) if line.chars().count() > longest => {
            line.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
        }
        _ => line,
    }
}

/// JSON as a terminal may have it: still the same JSON.
pub(crate) fn json(line: &[u8], out: &mut Vec<u8>) {
    for c in String::from_utf8_lossy(line).chars() {
        if is_safe(c) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            // It can only stand in a string, and none of them is beyond 16 bits.
            out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(escaped("plain, é, 漢\n\t".as_bytes()), "plain, é, 漢\n\t");
        assert_eq!(escaped(b"a\x1b]0;title\x07\rb\x7f"), "a\\x1b]0;title\\x07\\x0db\\x7f");
        // The same in one character, and in one byte of a terminal that takes those.
        assert_eq!(escaped("\u{9b}2J".as_bytes()), "\\u{9b}2J");
        assert_eq!(escaped(b"\x9b2J\xff"), "\\x9b2J\\xff");
        assert_eq!(escaped("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }

    #[test]
    fn a_cell_is_one_line_and_no_longer_than_it_may_be() {
        assert_eq!(cell("a\nb\x1b", None), "a\\nb\\x1b");
        assert_eq!(cell("abcdef", Some(4)), "abc…");
        assert_eq!(cell("abcd", Some(4)), "abcd");
    }

    #[test]
    fn json_stays_the_same_json() {
        let line = serde_json::to_vec(&serde_json::json!({"k": "\u{1b}[2J\u{9b}\u{7f}\u{202e}é"})).unwrap();
        let mut out = Vec::new();
        json(&line, &mut out);
        let shown = String::from_utf8(out).unwrap();
        assert!(shown.chars().all(is_safe), "{shown}");
        let (shown, whole): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&shown).unwrap(), serde_json::from_slice(&line).unwrap());
        assert_eq!(shown, whole);
    }
}
