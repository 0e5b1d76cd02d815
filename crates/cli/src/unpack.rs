//! Keys and values that are numbers, printed as such: kcat's `-s key=…`, `-s value=…`, in its letters, which are those of Python's `struct`.

use std::io::Write;

/// What the letters mean, for help texts.
pub(crate) const LETTERS: &str = "< little-endian, > big-endian (so it begins, and so Kafka's own serializers write), b B signed and unsigned integer of 8 bits, \
     h H of 16, i I of 32, q Q of 64, f d floating point of 32 and 64, c a character, s the rest as text, $ nothing may follow (without it, what follows is \
     left out); blank and comma stand for themselves";

/// How bytes are taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unpack {
    letters: Vec<u8>,
}

/// Of which part of a record it is said: `key=…`, `value=…`, or of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Serdes {
    pub(crate) key: Option<Unpack>,
    pub(crate) value: Option<Unpack>,
}

impl Serdes {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(match text.split_once('=') {
            Some(("key", letters)) => Self { key: Some(Unpack::parse(letters)?), value: None },
            Some(("value", letters)) => Self { key: None, value: Some(Unpack::parse(letters)?) },
            Some((other, _)) => return Err(format!("'{other}' is neither key nor value")),
            None => {
                let both = Unpack::parse(text)?;
                Self { key: Some(both.clone()), value: Some(both) }
            }
        })
    }
}

impl Unpack {
    fn parse(letters: &str) -> Result<Self, String> {
        if letters.is_empty() {
            return Err(format!("it is empty; there are {LETTERS}"));
        }
        match letters.chars().find(|letter| !"<>bBhHiIqQfdcs$ ,".contains(*letter)) {
            Some(letter) if letters == "avro" => {
                Err(format!("Avro is not there, and '{letter}' means nothing; there are {LETTERS}"))
            }
            Some(letter) => Err(format!("'{letter}' means nothing; there are {LETTERS}")),
            None => Ok(Self { letters: letters.as_bytes().to_vec() }),
        }
    }

    /// Appends `bytes`, taken apart, to `out`.
    pub(crate) fn write(&self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let whole = bytes.len();
        let mut big_endian = true;
        for letter in &self.letters {
            macro_rules! number {
                ($number:ty) => {{
                    let Some((number, rest)) = bytes.split_first_chunk() else {
                        return Err(format!(
                            "'{}' wants {} bytes, and {} of {whole} are left",
                            char::from(*letter),
                            size_of::<$number>(),
                            bytes.len()
                        ));
                    };
                    bytes = rest;
                    let number = match big_endian {
                        true => <$number>::from_be_bytes(*number),
                        false => <$number>::from_le_bytes(*number),
                    };
                    // Into a vector nothing fails.
                    let _ = write!(out, "{number}");
                }};
            }
            match letter {
                b'<' => big_endian = false,
                b'>' => big_endian = true,
                b'b' => number!(i8),
                b'B' => number!(u8),
                b'h' => number!(i16),
                b'H' => number!(u16),
                b'i' => number!(i32),
                b'I' => number!(u32),
                b'q' => number!(i64),
                b'Q' => number!(u64),
                b'f' => number!(f32),
                b'd' => number!(f64),
                b'c' => match bytes.split_first() {
                    Some((character, rest)) => {
                        out.push(*character);
                        bytes = rest;
                    }
                    None => return Err(format!("'c' wants a character, and all of {whole} bytes are read")),
                },
                b's' => out.extend_from_slice(std::mem::take(&mut bytes)),
                b'$' if !bytes.is_empty() => {
                    return Err(format!("'$' wants the end, and {} of {whole} bytes are left", bytes.len()));
                }
                b'$' => {}
                // A blank or a comma: all others were refused.
                other => out.push(*other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpacked(letters: &str, bytes: &[u8]) -> Result<String, String> {
        let mut out = Vec::new();
        Unpack::parse(letters)?.write(bytes, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_letter_takes_its_bytes() {
        assert_eq!(unpacked("q", &(-7_i64).to_be_bytes()), Ok("-7".to_owned()));
        assert_eq!(unpacked("<Q", &7_u64.to_le_bytes()), Ok("7".to_owned()));
        assert_eq!(unpacked("b,B", &[0xff, 0xff]), Ok("-1,255".to_owned()));
        assert_eq!(unpacked("h H>i<I", &[1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0]), Ok("256 25611".to_owned()));
        assert_eq!(unpacked("d", &1.5_f64.to_be_bytes()), Ok("1.5".to_owned()));
        assert_eq!(unpacked("f", &0.25_f32.to_be_bytes()), Ok("0.25".to_owned()));
        assert_eq!(unpacked("cs", b"text"), Ok("text".to_owned()));
        assert_eq!(unpacked("b", &[1, 2]), Ok("1".to_owned()), "the rest is left out");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        assert_eq!(unpacked("q", b"123"), Err("'q' wants 8 bytes, and 3 of 3 are left".to_owned()));
        assert_eq!(unpacked("b$", &[1, 2]), Err("'$' wants the end, and 1 of 2 bytes are left".to_owned()));
        assert!(unpacked("x", b"").unwrap_err().starts_with("'x' means nothing"));
        assert!(unpacked("avro", b"").unwrap_err().starts_with("Avro is not there"));
        assert!(Serdes::parse("header=q").unwrap_err().starts_with("'header' is neither"));
        assert!(Serdes::parse("key=").unwrap_err().starts_with("it is empty"));
    }

    #[test]
    fn it_is_said_of_one_part_or_of_both() {
        let both = Serdes::parse("q").unwrap();
        assert_eq!((both.key.is_some(), both.key == both.value), (true, true));
        let value = Serdes::parse("value=q").unwrap();
        assert_eq!((value.key, value.value), (None, both.value));
    }
}
