//! A record as a line of JSON, as kcat's `-J` has it:
//!
//! ```json
//! {"topic":"t","partition":0,"offset":7,"tstype":"create","ts":1500,"headers":["a","1"],"key":"k","payload":"v"}
//! ```
//!
//! What is no UTF-8, kcat writes as it is, which no parser of JSON takes. Here it is an object in the place of the
//! string: `"payload":{"base64":"/w=="}`.

use std::borrow::Cow;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rdkafka::message::{Header, Headers};
use rdkafka::{Message, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// Appends a record to `out`, with the end of the line.
pub(crate) fn write(message: &impl Message, out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(b"{\"topic\":");
    write_bytes(Some(message.topic().as_bytes()), out)?;
    write!(out, ",\"partition\":{},\"offset\":{}", message.partition(), message.offset())?;
    let (kind, at) = match message.timestamp() {
        Timestamp::NotAvailable => ("unknown", -1),
        Timestamp::CreateTime(at) => ("create", at),
        Timestamp::LogAppendTime(at) => ("logappend", at),
    };
    write!(out, ",\"tstype\":\"{kind}\",\"ts\":{at}")?;
    if let Some(headers) = message.headers().filter(|headers| headers.count() > 0) {
        for (nth, Header { key, value }) in headers.iter().enumerate() {
            out.extend_from_slice(if nth == 0 { b",\"headers\":[" } else { b"," });
            write_bytes(Some(key.as_bytes()), out)?;
            out.push(b',');
            write_bytes(value, out)?;
        }
        out.push(b']');
    }
    out.extend_from_slice(b",\"key\":");
    write_bytes(message.key(), out)?;
    out.extend_from_slice(b",\"payload\":");
    write_bytes(message.payload(), out)?;
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn write_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) -> std::io::Result<()> {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => out.extend_from_slice(b"null"),
        Some(Ok(text)) => serde_json::to_writer(&mut *out, text)?,
        Some(Err(bytes)) => write!(out, "{{\"base64\":\"{}\"}}", STANDARD.encode(bytes))?,
    }
    Ok(())
}

/// The parts of a record that a copy of it keeps.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(default, borrow)]
    pub(crate) key: Option<Bytes<'a>>,
    // It must be there: other objects of JSON are no records, and would be written as tombstones.
    #[serde(borrow, deserialize_with = "Deserialize::deserialize")]
    pub(crate) payload: Option<Bytes<'a>>,
    /// Names and values in turn.
    #[serde(default, borrow)]
    pub(crate) headers: Vec<Option<Bytes<'a>>>,
    #[serde(default)]
    pub(crate) partition: Option<i32>,
    #[serde(default)]
    pub(crate) ts: Option<i64>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, String> {
        // An array is taken for the members in their order, otherwise.
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Err("expected an object of JSON, as `consume -J` prints it".to_owned());
        }
        serde_json::from_slice(line).map_err(|error| error.to_string())
    }
}

/// Text, or bytes in base64.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bytes<'a>(pub(crate) Cow<'a, [u8]>);

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesVisitor).map(Bytes)
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string, null, or {\"base64\": \"…\"}")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(("base64", text)) = map.next_entry::<&str, Cow<'_, str>>()? else {
            return Err(A::Error::custom("an object in the place of a string has one member, \"base64\""));
        };
        let bytes = STANDARD.decode(text.as_bytes()).map_err(A::Error::custom)?;
        if map.next_key::<&str>()?.is_some() {
            return Err(A::Error::custom("there is more than \"base64\" in the place of a string"));
        }
        Ok(Cow::Owned(bytes))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{OwnedHeaders, OwnedMessage};

    use super::*;

    fn text(bytes: &[u8]) -> Option<Bytes<'_>> {
        Some(Bytes(Cow::Borrowed(bytes)))
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "a\"", value: Some(b"\xff") })
            .insert(Header { key: "b", value: None::<&[u8]> });
        let message = OwnedMessage::new(
            Some(b"\x00\xff".to_vec()),
            Some("kéy\n".into()),
            "t".into(),
            Timestamp::CreateTime(1500),
            3,
            42,
            Some(headers),
        );
        let mut line = Vec::new();
        write(&message, &mut line).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&line),
            "{\"topic\":\"t\",\"partition\":3,\"offset\":42,\"tstype\":\"create\",\"ts\":1500,\
             \"headers\":[\"a\\\"\",{\"base64\":\"/w==\"},\"b\",null],\"key\":\"kéy\\n\",\"payload\":{\"base64\":\"AP8=\"}}\n"
        );
        let read = Envelope::parse(&line).unwrap();
        assert_eq!((read.partition, read.ts), (Some(3), Some(1500)));
        assert_eq!((read.key, read.payload), (text("kéy\n".as_bytes()), text(b"\x00\xff")));
        assert_eq!(read.headers, [text(b"a\""), text(b"\xff"), text(b"b"), None]);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let wrong = [
            "{\"payload\":1}",
            "{\"payload\":{}}",
            "{\"payload\":{\"base64\":\"!\"}}",
            "[]",
            "{",
            "{\"key\":\"k\"}",
        ];
        for wrong in wrong {
            assert!(Envelope::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let tombstone = Envelope::parse(b"{\"key\":\"k\",\"payload\":null,\"broker\":1}").unwrap();
        assert_eq!((tombstone.key, tombstone.payload), (text(b"k"), None));
    }
}
