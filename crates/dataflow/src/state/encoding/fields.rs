//! The fields of a struct, as they were written, handed to the type that is wanted now.

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer};

use super::cursor::Cursor;
use super::error::Error;
use super::read::{Reader, unread};
use super::schema::{Field, Node, NodeId, Variant};

/// By position: the fields are those that are wanted, in the same order.
pub(super) struct InOrder<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) fields: &'a [Field],
    pub(super) next: usize,
}

impl InOrder<'_, '_, '_> {
    #[inline(always)]
    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.fields.len() - self.next {
            0 => Ok(()),
            left => Err(unread(left, self.fields.len())),
        }
    }
}

impl<'de> de::SeqAccess<'de> for InOrder<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(field) = self.fields.get(self.next) else { return Ok(None) };
        self.next += 1;
        let value = seed.deserialize(Reader::new(self.cursor, field.node));
        value.map(Some).map_err(|error| error.field(&field.name))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len() - self.next)
    }
}

/// By name: each field is announced by its name, and the type that is wanted says what becomes of it.
pub(super) struct Fields<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    fields: &'a [Field],
    next: usize,
    /// Each field's number is written before it.
    keyed: bool,
    current: Option<&'a Field>,
    over: bool,
}

impl<'c, 'a, 'de> Fields<'c, 'a, 'de> {
    pub(super) fn new(cursor: &'c mut Cursor<'a, 'de>, node: NodeId) -> Self {
        let (fields, since) = match cursor.plan.schema.node(node) {
            Node::Struct(of) => (&of.fields[..], of.keyed_since),
            _ => (&[][..], None),
        };
        let keyed = since.is_some_and(|since| cursor.version >= since);
        Self { cursor, fields, next: 0, keyed, current: None, over: false }
    }

    /// The next field; its value comes next.
    pub(super) fn advance(&mut self) -> Result<Option<(usize, &'a Field)>, Error> {
        if self.over {
            return Ok(None);
        }
        let place = match self.keyed {
            true => match self.cursor.number()? {
                0 => None,
                number => Some(usize::try_from(number - 1).unwrap_or(usize::MAX)),
            },
            false => Some(self.next).filter(|next| *next < self.fields.len()),
        };
        self.next += 1;
        let Some(place) = place else {
            self.over = true;
            return Ok(None);
        };
        match self.fields.get(place) {
            Some(field) => Ok(Some((place, field))),
            None => Err(Error::new("damaged: a struct has no such field")),
        }
    }

    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.advance()? {
            None => Ok(()),
            Some((_, field)) => {
                Err(Error::new(format_args!("field `{}` was written, and nobody asks for it", &*field.name)))
            }
        }
    }
}

impl<'de> de::MapAccess<'de> for Fields<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((_, field)) = self.advance()? else { return Ok(None) };
        self.current = Some(field);
        let name: StrDeserializer<'_, Error> = (&*field.name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some(field) = self.current.take() else {
            return Err(Error::new("a value was asked for before its name"));
        };
        let value = seed.deserialize(Reader::new(self.cursor, field.node));
        value.map_err(|error| error.field(&field.name))
    }
}

/// A variant with content, where nobody said that an enum is wanted: a map of its name to its content.
pub(super) struct VariantAsMap<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) variant: &'a Variant,
    pub(super) told: bool,
}

impl VariantAsMap<'_, '_, '_> {
    pub(super) fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        if self.told { Ok(()) } else { Err(unread(1, 1)) }
    }
}

impl<'de> de::MapAccess<'de> for VariantAsMap<'_, '_, 'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.told {
            return Ok(None);
        }
        self.told = true;
        let name: StrDeserializer<'_, Error> = (&*self.variant.name).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let value = seed.deserialize(Reader::new(self.cursor, self.variant.content));
        value.map_err(|error| error.variant(&self.variant.name))
    }
}
