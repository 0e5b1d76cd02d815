//! A container file, block by block.
//!
//! ```text
//! "Obj" 1 | metadata: schema, codec | sync marker | { records | bytes | the records, compressed | sync marker } …
//! ```
//!
//! What is behind the end of compressed data in a block is passed over: there are writers that leave a part of a checksum there.

use std::io::{self, BufRead, BufReader, Read};

use serde::de::DeserializeOwned;
use serde_avro_fast::Schema;
use serde_avro_fast::de::DeserializerState;

use super::super::invalid;

const MAGIC: [u8; 4] = *b"Obj\x01";

/// A schema is no longer, nor anything else in the header.
const LONGEST: u64 = 16 << 20;

/// A block is no larger, compressed or not.
const LARGEST: u64 = 256 << 20;

pub(super) struct Container {
    file: BufReader<Box<dyn Read + Send>>,
    schema: Schema,
    codec: String,
    sync: [u8; 16],
    /// What is in the block.
    block: Vec<u8>,
    at: usize,
    /// How many records of the block are left.
    left: u64,
}

impl Container {
    pub(super) fn open(file: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(256 << 10, file);
        let mut magic = [0; 4];
        file.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(invalid("it does not begin as a container file of Avro does"));
        }
        let (mut schema, mut codec) = (None, "null".to_owned());
        loop {
            let entries = long(&mut file)?;
            if entries == 0 {
                break;
            }
            if entries < 0 {
                // How many bytes they have.
                long(&mut file)?;
            }
            for _ in 0..entries.unsigned_abs() {
                let (name, value) = (bytes(&mut file, LONGEST)?, bytes(&mut file, LONGEST)?);
                let text = |value: Vec<u8>| String::from_utf8(value).map_err(invalid);
                match &name[..] {
                    b"avro.schema" => schema = Some(text(value)?),
                    b"avro.codec" => codec = text(value)?,
                    _ => {}
                }
            }
        }
        let schema = schema.ok_or_else(|| invalid("it has no schema"))?;
        let schema = schema.parse::<Schema>().map_err(|error| invalid(format!("its schema: {error}")))?;
        let mut sync = [0; 16];
        file.read_exact(&mut sync)?;
        Ok(Self { file, schema, codec, sync, block: Vec::new(), at: 0, left: 0 })
    }

    /// The next record, and how many bytes it had; `None` at the end.
    pub(super) fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<(T, usize)>> {
        while self.left == 0 {
            if self.file.fill_buf()?.is_empty() {
                return Ok(None);
            }
            self.next_block()?;
        }
        let mut rest = &self.block[self.at..];
        let before = rest.len();
        let mut state = DeserializerState::from_reader(&mut rest, &self.schema);
        let record = T::deserialize(state.deserializer()).map_err(|error| invalid(error.to_string()))?;
        let length = before - rest.len();
        self.at += length;
        self.left -= 1;
        Ok(Some((record, length)))
    }

    fn next_block(&mut self) -> io::Result<()> {
        let records = u64::try_from(long(&mut self.file)?).map_err(invalid)?;
        let compressed = bytes(&mut self.file, LARGEST)?;
        let mut sync = [0; 16];
        self.file.read_exact(&mut sync)?;
        if sync != self.sync {
            return Err(invalid("a block does not end with the marker of the file: it is damaged"));
        }
        self.block.clear();
        self.at = 0;
        self.left = records;
        match &*self.codec {
            "null" => self.block = compressed,
            "deflate" => self.unpack(flate2::read::DeflateDecoder::new(&compressed[..]))?,
            "zstandard" => self.unpack(zstd::stream::read::Decoder::new(&compressed[..])?)?,
            "bzip2" => self.unpack(bzip2::read::BzDecoder::new(&compressed[..]))?,
            "snappy" => {
                let Some((data, sum)) = compressed.split_last_chunk::<4>() else {
                    return Err(invalid("a block of Snappy has no checksum"));
                };
                if snap::raw::decompress_len(data).map_err(invalid)? as u64 > LARGEST {
                    return Err(too_large());
                }
                self.block = snap::raw::Decoder::new().decompress_vec(data).map_err(invalid)?;
                let mut found = flate2::Crc::new();
                found.update(&self.block);
                if found.sum() != u32::from_be_bytes(*sum) {
                    return Err(invalid("the checksum of a block is wrong: it is damaged"));
                }
            }
            other => {
                let known = "null, deflate, snappy, zstandard and bzip2";
                return Err(invalid(format!("its codec is `{other}`; those that can be read are {known}")));
            }
        }
        Ok(())
    }

    fn unpack(&mut self, data: impl Read) -> io::Result<()> {
        data.take(LARGEST + 1).read_to_end(&mut self.block).map_err(invalid)?;
        if self.block.len() as u64 > LARGEST { Err(too_large()) } else { Ok(()) }
    }
}

fn too_large() -> io::Error {
    invalid(format!("a block is larger than {LARGEST} bytes"))
}

/// Bytes behind their length. No more is taken from memory than there is in the file.
fn bytes(file: &mut impl Read, longest: u64) -> io::Result<Vec<u8>> {
    let length = u64::try_from(long(file)?).ok().filter(|length| *length <= longest);
    let length = length.ok_or_else(|| invalid("it has a length that cannot be: it is damaged"))?;
    let mut bytes = Vec::new();
    if file.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// A number: seven bits a byte, the lowest first, the sign in the last of all.
fn long(file: &mut impl Read) -> io::Result<i64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        number |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    Err(invalid("it has a number that does not end: it is damaged"))
}
