//! The items of a list of bytes (`Vec<u8>`, which serde takes item by item): they lie there one beside the other, and so nothing has to
//! be looked up for each.

use serde::de::{self, DeserializeSeed, Visitor};

use super::super::cursor::Cursor;
use super::super::error::Error;
use super::super::schema::NodeId;
use super::Reader;
use super::access::unread;

/// What is left of the list.
pub(super) struct Octets<'c, 'a, 'de> {
    /// Behind the list.
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) item: NodeId,
    pub(super) bytes: &'de [u8],
    pub(super) length: usize,
}

impl Octets<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.bytes.len() {
            0 => Ok(()),
            left => Err(unread(left, self.length)),
        }
    }
}

impl<'de> de::SeqAccess<'de> for Octets<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((octet, rest)) = self.bytes.split_at_checked(1) else { return Ok(None) };
        self.bytes = rest;
        match seed.deserialize(Octet { cursor: self.cursor, item: self.item, octet }) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.item(self.length - self.bytes.len() - 1)),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.bytes.len())
    }
}

/// One of them.
struct Octet<'c, 'a, 'de> {
    cursor: &'c mut Cursor<'a, 'de>,
    item: NodeId,
    octet: &'de [u8],
}

impl<'a, 'de> Octet<'_, 'a, 'de> {
    /// What is no `u8` reads it as any other value.
    #[inline(never)]
    fn read<T>(self, read: impl FnOnce(Reader<'_, 'a, 'de>) -> Result<T, Error>) -> Result<T, Error> {
        let behind = std::mem::replace(&mut self.cursor.bytes, self.octet);
        let value = read(Reader::new(self.cursor, self.item))?;
        self.cursor.bytes = behind;
        Ok(value)
    }
}

macro_rules! otherwise {
    ($($method:ident($($argument:ident: $of:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $of,)* visitor: V) -> Result<V::Value, Error> {
            self.read(|reader| reader.$method($($argument,)* visitor))
        })*
    };
}

impl<'de> de::Deserializer<'de> for Octet<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(self.octet[0])
    }

    otherwise! {
        deserialize_any() deserialize_bool() deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64()
        deserialize_i128() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128() deserialize_f32()
        deserialize_f64() deserialize_char() deserialize_str() deserialize_string() deserialize_bytes()
        deserialize_byte_buf() deserialize_option() deserialize_unit() deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str) deserialize_seq() deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize) deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) deserialize_identifier()
        deserialize_ignored_any()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
