//! What lists, tuples, maps and enums are made of, one after another.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::super::cursor::Cursor;
use super::super::error::{Error, Step};
use super::super::schema::{Leaf, Node, NodeId, Variant};
use super::Reader;

/// The items of a list.
pub(super) struct Items<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) item: NodeId,
    pub(super) left: usize,
    pub(super) length: usize,
}

impl Items<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.left {
            0 => Ok(()),
            left => Err(unread(left, self.length)),
        }
    }
}

/// What is left over would be lost, and nobody told.
#[cold]
pub(in crate::state::encoding) fn unread(left: usize, all: usize) -> Error {
    Error::new(format_args!("{all} items were written, and only {} of them are wanted", all - left))
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let before = self.cursor.bytes.len();
        match seed.deserialize(Reader::new(self.cursor, self.item)) {
            Ok(value) => {
                self.cursor.unpad(before)?;
                Ok(Some(value))
            }
            Err(error) => Err(error.item(self.length - self.left - 1)),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The items of a tuple.
pub(super) struct TupleItems<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) nodes: &'a [NodeId],
    pub(super) next: usize,
}

impl TupleItems<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.nodes.len() - self.next {
            0 => Ok(()),
            left => Err(unread(left, self.nodes.len())),
        }
    }
}

impl<'de> de::SeqAccess<'de> for TupleItems<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(node) = self.nodes.get(self.next) else { return Ok(None) };
        self.next += 1;
        match seed.deserialize(Reader::new(self.cursor, *node)) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.item(self.next - 1)),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.nodes.len() - self.next)
    }
}

pub(super) struct Entries<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) key: NodeId,
    pub(super) value: NodeId,
    pub(super) left: usize,
    pub(super) start: usize,
}

impl Entries<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.left {
            0 => Ok(()),
            left => Err(Error::new(format_args!("{left} more entries were written than are wanted"))),
        }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.start = self.cursor.bytes.len();
        let key = seed.deserialize(Reader::new(self.cursor, self.key));
        key.map(Some).map_err(|error| error.at(Step::Key))
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = seed.deserialize(Reader::new(self.cursor, self.value));
        let value = value.map_err(|error| error.at(Step::Value))?;
        self.cursor.unpad(self.start)?;
        Ok(value)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// A variant, where an enum is wanted.
pub(super) struct VariantReader<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) variant: &'a Variant,
}

impl<'de> de::EnumAccess<'de> for VariantReader<'_, '_, 'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = (&*self.variant.name).into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'a, 'de> VariantReader<'_, 'a, 'de> {
    #[inline(always)]
    fn content<T>(self, read: impl FnOnce(Reader<'_, 'a, 'de>) -> Result<T, Error>) -> Result<T, Error> {
        let reader = Reader::new(self.cursor, self.variant.content);
        read(reader).map_err(|error| error.variant(&self.variant.name))
    }
}

impl<'de> de::VariantAccess<'de> for VariantReader<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<(), Error> {
        self.content(|reader| reader.unit("a variant without content", de::IgnoredAny).map(|_| ()))
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        self.content(|reader| seed.deserialize(reader))
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.content(|reader| reader.tuple(length, visitor))
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.content(|reader| match reader.node() {
            Node::Leaf(Leaf::Unit) => reader.no_fields(visitor),
            _ => reader.structure("", fields, visitor),
        })
    }
}
