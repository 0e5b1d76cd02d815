//! serde's `Deserializer` itself: what a type asks for, and where that is found.

use serde::de::{self, Visitor};

use super::super::cursor::Cursor;
use super::super::error::Error;
use super::super::fields::VariantAsMap;
use super::super::schema::{Leaf, Node};
use super::super::varint::{take_u128, unzigzag, unzigzag_128};
use super::{Reader, unknown, variant};

macro_rules! number {
    ($($method:ident $leaf:ident |$cursor:ident| $visit:ident($value:expr);)*) => {
        $(#[inline(always)]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.node() {
                Node::Leaf(Leaf::$leaf) => {
                    let $cursor = self.cursor;
                    visitor.$visit($value)
                }
                _ => self.widen(Leaf::$leaf, visitor),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for Reader<'_, '_, 'de> {
    type Error = Error;

    number! {
        deserialize_bool Bool |cursor| visit_bool(cursor.flag()?);
        deserialize_i8 I8 |cursor| visit_i8(cursor.byte()? as i8);
        deserialize_i16 I16 |cursor| visit_i16(cursor.signed()?);
        deserialize_i32 I32 |cursor| visit_i32(cursor.signed()?);
        deserialize_i64 I64 |cursor| visit_i64(unzigzag(cursor.number()?));
        deserialize_i128 I128 |cursor| visit_i128(unzigzag_128(take_u128(&mut cursor.bytes)?));
        deserialize_u8 U8 |cursor| visit_u8(cursor.byte()?);
        deserialize_u16 U16 |cursor| visit_u16(cursor.integer()?);
        deserialize_u32 U32 |cursor| visit_u32(cursor.integer()?);
        deserialize_u64 U64 |cursor| visit_u64(cursor.number()?);
        deserialize_u128 U128 |cursor| visit_u128(take_u128(&mut cursor.bytes)?);
        deserialize_f32 F32 |cursor| visit_f32(f32::from_le_bytes(cursor.array()?));
        deserialize_f64 F64 |cursor| visit_f64(f64::from_le_bytes(cursor.array()?));
        deserialize_char Char |cursor| visit_char(cursor.char()?);
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node() {
            Node::Leaf(Leaf::Str) => visitor.visit_borrowed_str(self.cursor.text()?),
            _ => self.text(visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.bytes(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Node::Option(inner) = self.node() else { return self.option_otherwise(visitor) };
        if !self.cursor.flag()? {
            return visitor.visit_none();
        }
        let cursor = self.cursor;
        cursor.enter()?;
        let value = visitor.visit_some(Reader::new(&mut *cursor, *inner))?;
        cursor.leave();
        Ok(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.unit("()", visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.unit(name, visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.cursor.enter()?;
        let (node, cursor) = (self.node(), self.cursor);
        let node = match node {
            Node::Newtype(_, inner) => *inner,
            _ => self.node,
        };
        let value = visitor.visit_newtype_struct(Reader::new(&mut *cursor, node))?;
        cursor.leave();
        Ok(value)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node() {
            Node::Seq(item) => self.sequence(*item, visitor),
            _ => self.sequence_otherwise(visitor),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.tuple(length, visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.tuple(length, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        if let Some(asked) = self.cursor.asked {
            Cursor::ask(asked, &visitor);
        }
        match self.settle(&|| "a map".to_owned())? {
            Node::Map(key, value) => self.map(*key, *value, visitor),
            Node::Struct(_) => {
                let node = self.id();
                self.fields(node, visitor)
            }
            Node::UnitStruct(_) => self.no_fields(visitor),
            _ => Err(self.differs("a map")),
        }
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.structure(name, fields, visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.node() {
            Node::Enum(of) => self.variant_of(of, visitor),
            _ => self.enum_otherwise(name, visitor),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        if let Some(asked) = self.cursor.asked {
            Cursor::ask(asked, &visitor);
        }
        match self.choose()? {
            Node::Unknown | Node::Union { .. } => Err(unknown()),
            Node::Leaf(leaf) => self.leaf(*leaf, visitor),
            Node::UnitStruct(_) => visitor.visit_unit(),
            Node::Option(_) => self.deserialize_option(visitor),
            Node::Newtype(_, inner) => {
                self.cursor.enter()?;
                let value = Reader::new(self.cursor, *inner).deserialize_any(visitor)?;
                self.cursor.leave();
                Ok(value)
            }
            Node::Seq(item) => self.sequence(*item, visitor),
            Node::Tuple(nodes) | Node::TupleStruct(_, nodes) => self.tuple_of(nodes, visitor),
            Node::Map(key, value) => self.map(*key, *value, visitor),
            Node::Struct(_) => {
                let node = self.id();
                self.fields(node, visitor)
            }
            // As formats that describe themselves have it: its name, or a map of its name to its content.
            Node::Enum(of) => {
                let cursor = self.cursor;
                let variant = variant(cursor, &of.variants)?;
                match cursor.plan.schema.node(variant.content) {
                    Node::Leaf(Leaf::Unit) => visitor.visit_str(&variant.name),
                    _ => {
                        cursor.enter()?;
                        let mut content = VariantAsMap { cursor, variant, told: false };
                        let value = visitor.visit_map(&mut content)?;
                        content.done()?;
                        Ok(value)
                    }
                }
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.skip()?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
