//! What others have written, on a terminal: nothing that it would obey.
//!
//! A value may hold sequences that clear the screen, change what was printed before, or type. On a terminal such characters are shown as
//! what they are: `\x1b`, `\u{202e}`. Elsewhere a value stays what it is.
//!
//! ```
//! assert_eq!(thalweg_table::printable::text("a\u{1b}[2J"), "a\\x1b[2J");
//! ```

use std::borrow::Cow;

/// Whether a character is only itself on a terminal. Ends of lines and tabs are.
pub fn is_safe(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Marks that have text run the other way, and two more ends of lines.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        c => !c.is_control(),
    }
}

/// Appends a text as a terminal may have it.
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
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
pub fn text(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_safe) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    escape_into(text, &mut out);
    String::from_utf8_lossy(&out).into_owned().into()
}
