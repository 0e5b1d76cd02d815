//! The names of the folders of partitions: `dt=2020-01-01/hm=08%3A00`.

use std::path::Path;

use super::Layout;

/// Letters that stand for something in paths are written as `%` and their number, as Hive does it.
pub(super) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '\0'..='\x1f'
            | '"'
            | '#'
            | '%'
            | '\''
            | '*'
            | '/'
            | ':'
            | '='
            | '?'
            | '\\'
            | '\x7f'
            | '{'
            | '}'
            | '['
            | ']'
            | '^' => out.push_str(&format!("%{:02X}", letter as u32)),
            other => out.push(other),
        }
    }
    out
}

pub(super) fn unescape(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let bytes = value.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = value.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Layout {
    /// The values of the partition columns of a file, `None` for NULL or where there is no such folder.
    pub(super) fn values_of(&self, file: &Path) -> Vec<Option<String>> {
        let inside = file.strip_prefix(&self.path).unwrap_or(file);
        let folders: Vec<(String, String)> = inside
            .parent()
            .into_iter()
            .flat_map(Path::components)
            .filter_map(|part| part.as_os_str().to_str()?.split_once('='))
            .map(|(name, value)| (unescape(name), unescape(value)))
            .collect();
        let value =
            |name: &String| folders.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone());
        self.partitions.iter().map(|(_, name)| value(name).filter(|value| *value != self.no_value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in ["08:00", "a/b=c", "100%", "Zürich", ""] {
            assert_eq!(unescape(&escape(name)), name);
        }
        assert_eq!(escape("08:00"), "08%3A00");
    }
}
