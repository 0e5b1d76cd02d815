//! From the bytes of a record in the input to its parts.

use std::borrow::Cow;

use memchr::memmem;

use crate::envelope::{Bytes, Envelope};
use crate::format::Token;

type ParsedHeaders<'a> = Vec<(Cow<'a, str>, Option<Cow<'a, [u8]>>)>;

/// The parts of a record that is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) key: Option<Cow<'a, [u8]>>,
    pub(super) value: Option<Cow<'a, [u8]>>,
    pub(super) headers: ParsedHeaders<'a>,
    pub(super) partition: Option<i32>,
    pub(super) timestamp: Option<i64>,
}

/// How records are written in the input.
#[derive(Debug)]
pub(super) enum Parser {
    /// The value; before it the key, if there is a delimiter.
    Line { key_delimiter: Option<Vec<u8>> },
    /// Tokens with text between them.
    Format(Vec<Token>),
    /// [`Envelope`]s.
    Json,
}

impl Parser {
    /// A parser for a format, and the delimiter of its records: the text at its end, or else the end of a line.
    pub(super) fn of_format(mut tokens: Vec<Token>) -> Result<(Self, Vec<u8>), String> {
        let delimiter = match tokens.pop() {
            Some(Token::Literal(text)) => text,
            last => {
                tokens.extend(last);
                b"\n".to_vec()
            }
        };
        if let Some(length) = tokens
            .iter()
            .find(|token| matches!(token, Token::KeyLength | Token::ValueLength | Token::ValueLengthBytes))
        {
            return Err(format!(
                "{length:?} can be written, not read: separate the parts of a record by text"
            ));
        }
        if tokens.windows(2).any(|pair| !pair.iter().any(|token| matches!(token, Token::Literal(_)))) {
            return Err(
                "there is no text between two parts of a record, so that they cannot be told apart".into()
            );
        }
        Ok((Self::Format(tokens), delimiter))
    }

    pub(super) fn parse<'a>(&self, record: &'a [u8]) -> Result<Record<'a>, String> {
        match self {
            Self::Line { key_delimiter: None } => {
                Ok(Record { value: Some(Cow::Borrowed(record)), ..Record::default() })
            }
            Self::Line { key_delimiter: Some(delimiter) } => Ok(match memmem::find(record, delimiter) {
                Some(at) => Record {
                    key: Some(Cow::Borrowed(&record[..at])),
                    value: Some(Cow::Borrowed(&record[at + delimiter.len()..])),
                    ..Record::default()
                },
                None => Record { value: Some(Cow::Borrowed(record)), ..Record::default() },
            }),
            Self::Format(tokens) => parse_format(tokens, record),
            Self::Json => Envelope::parse(record).and_then(of_envelope),
        }
    }
}

fn parse_format<'a>(tokens: &[Token], record: &'a [u8]) -> Result<Record<'a>, String> {
    let mut parts = Record::default();
    let mut rest = record;
    for (nth, token) in tokens.iter().enumerate() {
        if let Token::Literal(text) = token {
            // Where the part before it ends, it is known to be.
            rest = rest.strip_prefix(text.as_slice()).ok_or_else(|| missing(text))?;
            continue;
        }
        let end = match tokens.get(nth + 1) {
            Some(Token::Literal(text)) => memmem::find(rest, text).ok_or_else(|| missing(text))?,
            _ => rest.len(),
        };
        let (part, behind) = rest.split_at(end);
        rest = behind;
        match token {
            Token::Key => parts.key = Some(Cow::Borrowed(part)),
            Token::Value => parts.value = Some(Cow::Borrowed(part)),
            Token::Headers => parts.headers = headers(part)?,
            Token::Partition => parts.partition = Some(number(part, "partition")?),
            Token::Timestamp => parts.timestamp = timestamp(number(part, "timestamp")?)?,
            // Where a record came from says nothing about where it goes.
            _ => {}
        }
    }
    Ok(parts)
}

fn missing(text: &[u8]) -> String {
    format!("there is no '{}' where the format has it", text.escape_ascii())
}

fn number<T: std::str::FromStr>(part: &[u8], what: &str) -> Result<T, String> {
    let number = std::str::from_utf8(part).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| format!("'{}' is no {what}", part.escape_ascii()))
}

/// `a=1,b=2`.
fn headers(part: &[u8]) -> Result<ParsedHeaders<'_>, String> {
    let mut headers = Vec::new();
    for header in part.split(|byte| *byte == b',').filter(|header| !header.is_empty()) {
        let Some(at) = memchr::memchr(b'=', header) else {
            return Err(format!("'{}' is no header; one is written name=value", header.escape_ascii()));
        };
        let value = Some(&header[at + 1..]).filter(|value| *value != b"NULL");
        headers.push((name(Cow::Borrowed(&header[..at]))?, value.map(Cow::Borrowed)));
    }
    Ok(headers)
}

fn name(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, String> {
    let name = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    };
    name.ok_or_else(|| "the name of a header is no UTF-8".to_owned())
}

fn of_envelope(envelope: Envelope<'_>) -> Result<Record<'_>, String> {
    let mut headers = Vec::new();
    let mut parts = envelope.headers.into_iter();
    while let Some(key) = parts.next() {
        let Some(value) = parts.next() else {
            return Err("the headers are names and values in turn, but the last name has no value".to_owned());
        };
        let Some(Bytes(key)) = key else { return Err("the name of a header is null".to_owned()) };
        headers.push((name(key)?, value.map(|Bytes(value)| value)));
    }
    Ok(Record {
        key: envelope.key.map(|Bytes(key)| key),
        value: envelope.payload.map(|Bytes(value)| value),
        headers,
        partition: envelope.partition,
        timestamp: match envelope.ts {
            Some(at) => timestamp(at)?,
            None => None,
        },
    })
}

/// The time of a record. Kafka's -1 says that it has none, so it gets that of its writing; no other is less than 0.
fn timestamp(at: i64) -> Result<Option<i64>, String> {
    match at {
        -1 => Ok(None),
        // librdkafka takes it for none, and would write the present.
        0 => Err("a record of the time 0 (the beginning of 1970) cannot be written by librdkafka; give it 1, or -1 for \
                  the time of its writing"
            .to_owned()),
        1.. => Ok(Some(at)),
        _ => Err(format!("{at} is no time of a record; -1 is that of its writing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;

    fn bytes(text: &str) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Borrowed(text.as_bytes()))
    }

    fn formatted(format: &str) -> (Parser, Vec<u8>) {
        Parser::of_format(format::parse(format).unwrap()).unwrap()
    }

    #[test]
    fn a_line_is_a_value_or_a_key_and_a_value() {
        let parser = Parser::Line { key_delimiter: Some(b": ".to_vec()) };
        let record = parser.parse(b"k: v: w").unwrap();
        assert_eq!((record.key, record.value), (bytes("k"), bytes("v: w")));
        let record = parser.parse(b"v").unwrap();
        assert_eq!((record.key, record.value), (None, bytes("v")));
    }

    #[test]
    fn a_format_is_read_as_it_is_written() {
        let (parser, delimiter) = formatted("%t[%p]@%o %T %h %k\\t%s;\\n");
        assert_eq!(delimiter, b";\n");
        let record = parser.parse(b"lines[3]@42 1500 a=1,b=NULL key\tvalue\twith\ttabs").unwrap();
        let expected = Record {
            key: bytes("key"),
            value: bytes("value\twith\ttabs"),
            headers: vec![("a".into(), bytes("1")), ("b".into(), None)],
            partition: Some(3),
            timestamp: Some(1500),
        };
        assert_eq!(record, expected);
        assert_eq!(formatted("%k=%s").1, b"\n");
    }

    #[test]
    fn what_does_not_fit_the_format_is_told() {
        let (parser, _) = formatted("%p %k\\t%s\\n");
        assert!(parser.parse(b"1 k v").unwrap_err().contains("no '\\t'"));
        assert!(parser.parse(b"x k\tv").unwrap_err().contains("'x' is no partition"));
        assert!(formatted("%h %s\\n").0.parse(b"a v").unwrap_err().contains("'a' is no header"));
        for wrong in ["%k%s", "%S %s"] {
            assert!(Parser::of_format(format::parse(wrong).unwrap()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_envelope_gives_all_parts() {
        let line =
            br#"{"topic":"t","partition":1,"ts":-1,"headers":["a","1","b",null],"key":null,"payload":"v"}"#;
        let record = Parser::Json.parse(line).unwrap();
        let expected = Record {
            key: None,
            value: bytes("v"),
            headers: vec![("a".into(), bytes("1")), ("b".into(), None)],
            partition: Some(1),
            timestamp: None,
        };
        assert_eq!(record, expected);
        assert!(Parser::Json.parse(br#"{"headers":["a"],"payload":null}"#).unwrap_err().contains("no value"));
    }
}
