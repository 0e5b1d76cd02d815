//! The frames of `application/vnd.amazon.eventstream`, which the answers come in that have no end.
//!
//! ```text
//! total length u32 | length of the headers u32 | CRC-32 of these two | headers | payload | CRC-32 of all before it
//! ```
//!
//! Numbers begin with their highest byte. A header is the length of its name (a byte), the name, a type (a byte), and a value: of some types its length is known, of others it is
//! said before it (two bytes).

use bytes::{Buf, Bytes, BytesMut};

/// The two lengths, and their checksum.
const PRELUDE: usize = 12;

const CHECKSUM: usize = 4;

/// What AWS allows headers.
const MOST_HEADERS: usize = 128 << 10;

/// What AWS allows a frame: 24 MiB of payload.
const MOST: usize = PRELUDE + MOST_HEADERS + (24 << 20) + CHECKSUM;

/// Why bytes are no frames. What comes after is not read: where the next one begins is not known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("a frame of {0} bytes, {1} of them headers, which cannot be")]
    Length(usize, usize),
    #[error("a frame whose {0} does not fit its checksum")]
    Checksum(&'static str),
    #[error("a frame with headers that end too soon, or are of an unknown type")]
    Headers,
}

/// A frame: those of its headers that are text, and its payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    headers: Vec<(String, String)>,
    pub(super) payload: Bytes,
}

impl Message {
    /// The header of this name; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }
}

/// Makes frames of bytes as they come. It holds no more than one frame and what came with its end: lengths are looked at before anything is waited for.
#[derive(Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes what has come. All frames that are whole are to be taken out before.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a frame has begun that is not whole.
    pub(super) fn is_within(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame, if it is whole.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Broken> {
        let Some(mut prelude) = self.buffer.get(..PRELUDE) else { return Ok(None) };
        let sum = crc32fast::hash(&prelude[..8]);
        let (total, headers) = (prelude.get_u32() as usize, prelude.get_u32() as usize);
        if prelude.get_u32() != sum {
            return Err(Broken::Checksum("beginning"));
        }
        if total > MOST || headers > MOST_HEADERS || total < PRELUDE + headers + CHECKSUM {
            return Err(Broken::Length(total, headers));
        }
        if self.buffer.len() < total {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(total).freeze();
        let mut sum = frame.split_off(total - CHECKSUM);
        if crc32fast::hash(&frame) != sum.get_u32() {
            return Err(Broken::Checksum("content"));
        }
        frame.advance(PRELUDE);
        let headers = texts(frame.split_to(headers)).ok_or(Broken::Headers)?;
        Ok(Some(Message { headers, payload: frame }))
    }
}

/// The headers that are text.
fn texts(mut headers: Bytes) -> Option<Vec<(String, String)>> {
    let mut texts = Vec::new();
    while !headers.is_empty() {
        let length = usize::from(headers.try_get_u8().ok()?);
        let name = text(&mut headers, length)?;
        let kind = headers.try_get_u8().ok()?;
        let length = match kind {
            // True, and false.
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            // A number, and a time.
            5 | 8 => 8,
            // Bytes, and text.
            6 | 7 => usize::from(headers.try_get_u16().ok()?),
            // A UUID.
            9 => 16,
            _ => return None,
        };
        if kind == 7 {
            texts.push((name, text(&mut headers, length)?));
        } else {
            (headers.len() >= length).then(|| headers.advance(length))?;
        }
    }
    Some(texts)
}

fn text(from: &mut Bytes, length: usize) -> Option<String> {
    let bytes = (from.len() >= length).then(|| from.split_to(length))?;
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
        let sum = crc32fast::hash(&frame);
        frame.extend(sum.to_be_bytes());
        frame
    }

    fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
        let total = PRELUDE + headers.len() + payload.len() + CHECKSUM;
        let lengths = [(total as u32).to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
        sealed([&sealed(lengths), headers, payload].concat())
    }

    fn header(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
        [&[name.len() as u8], name.as_bytes(), &[kind], value].concat()
    }

    fn text(name: &str, value: &str) -> Vec<u8> {
        header(name, 7, &[&(value.len() as u16).to_be_bytes(), value.as_bytes()].concat())
    }

    fn decode(bytes: &[u8]) -> Result<Option<Message>, Broken> {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        decoder.next()
    }

    #[test]
    fn a_frame_of_the_specification_is_read() {
        // From AWS's own cases: `payload_one_str_header`.
        let frame = b"\0\0\0\x3d\0\0\0\x20\x07\xfd\x83\x96\x0ccontent-type\x07\0\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1";
        let message = decode(frame).unwrap().unwrap();
        assert_eq!(message.header("content-type"), "application/json");
        assert_eq!((&message.payload[..], message.header(":message-type")), (&b"{'foo':'bar'}"[..], ""));
    }

    #[test]
    fn headers_of_all_types_are_stepped_over() {
        let sizes = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)];
        let mut headers: Vec<u8> =
            sizes.iter().flat_map(|(kind, size)| header("n", *kind, &[7; 16][..*size])).collect();
        headers.extend(header("bytes", 6, b"\0\x02ab"));
        headers.extend(text("t", "last"));
        let message = decode(&frame(&headers, b"")).unwrap().unwrap();
        assert_eq!((message.header("t"), message.headers.len()), ("last", 1));
        assert_eq!(decode(&frame(&header("n", 10, &[]), b"")), Err(Broken::Headers));
        for end in 1..headers.len() {
            // It may end between two of them.
            let read = decode(&frame(&headers[..end], b""));
            assert!(matches!(read, Ok(Some(_)) | Err(Broken::Headers)), "{end}: {read:?}");
        }
    }

    #[test]
    fn what_does_not_fit_its_checksum_is_refused() {
        let whole = frame(&text("name", "value"), b"payload");
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            let of = if at < PRELUDE { "beginning" } else { "content" };
            assert_eq!(decode(&wrong), Err(Broken::Checksum(of)), "byte {at}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused_before_anything_is_waited_for() {
        let most = MOST as u32;
        for (total, headers) in
            [(u32::MAX, 0), (most + 1, 0), (0, 0), (15, 0), (16, 1), (40, u32::MAX), (most, (128 << 10) + 1)]
        {
            let prelude = sealed([total.to_be_bytes(), headers.to_be_bytes()].concat());
            assert_eq!(decode(&prelude), Err(Broken::Length(total as usize, headers as usize)));
        }
        let longest = sealed([most.to_be_bytes(), [0; 4]].concat());
        assert_eq!(decode(&longest), Ok(None));
    }

    proptest! {
        #[test]
        fn frames_come_out_however_they_are_cut(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..6), piece in 1_usize..40) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(&text(":event-type", "E"), payload)).collect();
            let (mut decoder, mut read) = (Decoder::default(), Vec::new());
            for piece in bytes.chunks(piece) {
                decoder.push(piece);
                while let Some(message) = decoder.next().unwrap() {
                    prop_assert_eq!(message.header(":event-type"), "E");
                    read.push(message.payload.to_vec());
                }
            }
            prop_assert!(!decoder.is_within());
            prop_assert_eq!(read, payloads);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), headers in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
            let _ = decode(&frame(&headers, &bytes));
        }
    }
}
