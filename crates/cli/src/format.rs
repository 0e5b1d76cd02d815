//! Formats of records, in kcat's words: `%k` the key, `%s` the value, and so on. A format is parsed once.

use std::io::Write;

use rdkafka::Message;
use rdkafka::message::{Header, Headers};

use crate::printable;
use crate::unpack::Unpack;

/// What the tokens of a format mean, for help texts.
pub(crate) const TOKENS: &str = "%t topic, %p partition, %o offset, %k key, %s value, %h headers (a=1,b=2), \
     %T timestamp in milliseconds, %K and %S length of key and value (-1: null), %% a percent sign; \
     escapes: \\n \\r \\t \\0 \\\\ \\xHH";

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    KeyLength,
    Value,
    ValueLength,
    /// The length in 4 bytes, the highest first.
    ValueLengthBytes,
    Timestamp,
    Headers,
}

/// How a record is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    tokens: Vec<Token>,
    /// What stands for no key and no value.
    null: &'static [u8],
    /// Whether it goes to a terminal, which would obey what is in a record.
    for_terminal: bool,
    /// How keys and values are taken apart that are not text.
    key: Option<Unpack>,
    value: Option<Unpack>,
}

impl Format {
    pub(crate) fn new(tokens: Vec<Token>) -> Self {
        Self { tokens, null: b"", for_terminal: false, key: None, value: None }
    }

    /// Takes keys and values apart, if it is said how.
    pub(crate) fn unpack(&mut self, key: Option<Unpack>, value: Option<Unpack>) {
        (self.key, self.value) = (key, value);
    }

    /// Puts a key or value, taken apart if it is there and that is to be.
    fn put_part(
        &self,
        name: &str,
        part: Option<&[u8]>,
        unpack: Option<&Unpack>,
        message: &impl Message,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let (Some(bytes), Some(unpack)) = (part, unpack) else {
            self.put(part.unwrap_or(self.null), out);
            return Ok(());
        };
        let mut text = Vec::new();
        unpack.write(bytes, &mut text).map_err(|error| {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            let error = format!(
                "the {name} of offset {offset} in {topic} [{partition}] is not what -s says: {error}"
            );
            std::io::Error::new(std::io::ErrorKind::InvalidData, error)
        })?;
        self.put(&text, out);
        Ok(())
    }

    /// Shows a key or a value that is not there as `NULL`, instead of as an empty one.
    pub(crate) fn show_nulls(&mut self) {
        self.null = b"NULL";
    }

    /// Shows what a terminal would obey, instead of writing it.
    pub(crate) fn for_terminal(&mut self) {
        self.for_terminal = true;
    }

    fn put(&self, part: &[u8], out: &mut Vec<u8>) {
        if self.for_terminal { printable::escape(part, out) } else { out.extend_from_slice(part) }
    }

    /// Appends a record to `out`.
    pub(crate) fn write(&self, message: &impl Message, out: &mut Vec<u8>) -> std::io::Result<()> {
        for token in &self.tokens {
            match token {
                Token::Literal(text) => out.extend_from_slice(text),
                Token::Key => self.put_part("key", message.key(), self.key.as_ref(), message, out)?,
                Token::Value => {
                    self.put_part("value", message.payload(), self.value.as_ref(), message, out)?
                }
                Token::Topic => self.put(message.topic().as_bytes(), out),
                Token::Partition => write!(out, "{}", message.partition())?,
                Token::Offset => write!(out, "{}", message.offset())?,
                Token::KeyLength => write!(out, "{}", length(message.key()))?,
                Token::ValueLength => write!(out, "{}", length(message.payload()))?,
                Token::ValueLengthBytes => {
                    let length = i32::try_from(length(message.payload())).unwrap_or(i32::MAX);
                    out.extend_from_slice(&length.to_be_bytes());
                }
                Token::Timestamp => write!(out, "{}", message.timestamp().to_millis().unwrap_or(-1))?,
                Token::Headers => {
                    let mut headers = Vec::new();
                    write_headers(message.headers(), &mut headers);
                    self.put(&headers, out);
                }
            }
        }
        Ok(())
    }
}

fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.and_then(|bytes| i64::try_from(bytes.len()).ok()).unwrap_or(-1)
}

fn write_headers<H: Headers>(headers: Option<&H>, out: &mut Vec<u8>) {
    for (nth, Header { key, value }) in headers.into_iter().flat_map(Headers::iter).enumerate() {
        if nth > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.unwrap_or(b"NULL"));
    }
}

/// Takes a format apart.
pub(crate) fn parse(format: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut literal = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        literal.extend(unescape(&rest[..at])?);
        let token = match rest.as_bytes().get(at + 1) {
            Some(b'%') => None,
            Some(b't') => Some(Token::Topic),
            Some(b'p') => Some(Token::Partition),
            Some(b'o') => Some(Token::Offset),
            Some(b'k') => Some(Token::Key),
            Some(b'K') => Some(Token::KeyLength),
            Some(b's') => Some(Token::Value),
            Some(b'S') => Some(Token::ValueLength),
            Some(b'R') => Some(Token::ValueLengthBytes),
            Some(b'T') => Some(Token::Timestamp),
            Some(b'h') => Some(Token::Headers),
            _ => {
                let unknown: String = rest[at..].chars().take(2).collect();
                return Err(format!("'{unknown}' means nothing; there are {TOKENS}"));
            }
        };
        match token {
            None => literal.push(b'%'),
            Some(token) => {
                if !literal.is_empty() {
                    tokens.push(Token::Literal(std::mem::take(&mut literal)));
                }
                tokens.push(token);
            }
        }
        rest = &rest[at + 2..];
    }
    literal.extend(unescape(rest)?);
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

/// The bytes of a text in which `\n`, `\t`, `\0`, `\x1F` and the like may stand.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let (byte, taken) = match escape.as_bytes().first() {
            Some(b'n') => (b'\n', 1),
            Some(b'r') => (b'\r', 1),
            Some(b't') => (b'\t', 1),
            Some(b'0') => (b'\0', 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => {
                let byte = escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                (byte.ok_or("'\\x' is followed by two hex digits")?, 3)
            }
            _ => return Err(format!("'\\{escape}' is no escape; there are \\n \\r \\t \\0 \\\\ \\xHH")),
        };
        bytes.push(byte);
        rest = &escape[taken..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{OwnedHeaders, OwnedMessage};
    use rdkafka::{Timestamp, message::Header};

    use super::*;

    fn written(format: &str, message: &OwnedMessage) -> String {
        let mut out = Vec::new();
        Format::new(parse(format).unwrap()).write(message, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_token_stands_for_its_part() {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "a", value: Some("1") })
            .insert(Header { key: "b", value: None::<&str> });
        let message = OwnedMessage::new(
            Some(b"value".to_vec()),
            Some(b"key".to_vec()),
            "lines".into(),
            Timestamp::CreateTime(1500),
            3,
            42,
            Some(headers),
        );
        assert_eq!(
            written("%t|%p|%o|%k|%s|%K|%S|%T|%h|100%%\\n", &message),
            "lines|3|42|key|value|3|5|1500|a=1,b=NULL|100%\n"
        );
        assert_eq!(written("%R%s", &message), "\0\0\0\u{5}value");
    }

    #[test]
    fn nothing_is_empty_or_null_and_its_length_is_minus_one() {
        let message = OwnedMessage::new(None, None, "t".into(), Timestamp::NotAvailable, 0, 0, None);
        assert_eq!(written("%k,%s,%K,%S,%T,%h", &message), ",,-1,-1,-1,");
        let mut format = Format::new(parse("%k,%s").unwrap());
        format.show_nulls();
        let mut out = Vec::new();
        format.write(&message, &mut out).unwrap();
        assert_eq!(out, b"NULL,NULL");
    }

    #[test]
    fn escapes_are_bytes_and_mistakes_are_told() {
        assert_eq!(unescape("a\\n\\t\\0\\\\\\xfFé"), Ok(b"a\n\t\0\\\xff\xc3\xa9".to_vec()));
        assert!(unescape("\\q").unwrap_err().contains("'\\q'"));
        assert!(unescape("\\x1").is_err() && unescape("\\xé").is_err());
        assert!(parse("%q").unwrap_err().starts_with("'%q' means nothing"));
        assert!(parse("%").is_err() && parse("%é").is_err());
    }
}
