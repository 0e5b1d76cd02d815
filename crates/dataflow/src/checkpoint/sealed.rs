//! Small files that people can read and bits cannot fall out of: JSON whose last field is the checksum of all the rest.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BoxError;

/// What stands before the eight digits of the checksum.
const FIELD: &[u8] = b"\"checksum\": \"crc32c:";
const ZEROS: &str = "crc32c:00000000";
const DIGITS: usize = 8;

/// Writes an object, and its checksum: CRC-32C of the text, with zeros where the checksum stands.
pub(super) fn seal(value: &impl Serialize) -> Result<Vec<u8>, BoxError> {
    let mut value = serde_json::to_value(value)?;
    let object = value.as_object_mut().ok_or("only objects are sealed")?;
    object.insert("checksum".to_owned(), ZEROS.into());
    let mut text = serde_json::to_vec_pretty(&value)?;
    let at = digits(&text).ok_or("the checksum has no place")?;
    let checksum = format!("{:08x}", crc32c::crc32c(&text));
    text[at..at + DIGITS].copy_from_slice(checksum.as_bytes());
    Ok(text)
}

/// Reads what [`seal`] has written. The error says what is wrong with it.
pub(super) fn open<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let at = digits(text).ok_or("it has no checksum, or is cut short")?;
    let mut zeroed = text.to_vec();
    zeroed[at..at + DIGITS].fill(b'0');
    if format!("{:08x}", crc32c::crc32c(&zeroed)).as_bytes() != &text[at..at + DIGITS] {
        return Err("its checksum does not match its contents".to_owned());
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// Where the digits of the checksum are.
fn digits(text: &[u8]) -> Option<usize> {
    let field = text.windows(FIELD.len()).rposition(|window| window == FIELD)?;
    let at = field + FIELD.len();
    (text.len() > at + DIGITS).then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed() -> Vec<u8> {
        seal(&serde_json::json!({ "epoch": 17, "\"checksum\": \"crc32c:": "key", "files": ["a", "b"] }))
            .unwrap()
    }

    #[test]
    fn what_was_sealed_is_read() {
        let read: serde_json::Value = open(&sealed()).unwrap();
        assert_eq!((&read["epoch"], &read["files"][1]), (&17.into(), &"b".into()));
    }

    proptest! {
        #[test]
        fn any_damage_is_noticed(position in 0_usize..1000, flip in 1_u8..=255, cut in prop::bool::ANY) {
            let mut bytes = sealed();
            let position = position % bytes.len();
            if cut {
                bytes.truncate(position);
            } else {
                bytes[position] ^= flip;
            }
            prop_assert!(open::<serde_json::Value>(&bytes).is_err());
        }
    }
}
