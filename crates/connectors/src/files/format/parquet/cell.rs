//! A row, or a value in it, as serde reads it.

use parquet::record::{Field, Row};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

type Error = serde_json::Error;

/// A row, or a value.
#[derive(Clone, Copy)]
pub(super) enum Cell<'a> {
    Row(&'a Row),
    Value(&'a Field),
}

impl<'a> Cell<'a> {
    pub(super) fn row(row: &'a Row) -> Self {
        Self::Row(row)
    }

    /// The text, if it is one.
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Value(Field::Str(text)) => Some(text),
            // Text that its writer has not said to be text.
            Self::Value(Field::Bytes(bytes)) => std::str::from_utf8(bytes.data()).ok(),
            _ => None,
        }
    }

    /// What the only value is, of a row that is wanted as one.
    fn only(self) -> Self {
        match self {
            Self::Row(row) if row.len() == 1 => {
                row.get_column_iter().next().map_or(self, |(_, value)| Self::Value(value))
            }
            _ => self,
        }
    }
}

impl<'a> IntoDeserializer<'a, Error> for Cell<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What is text in the file, and a structure in the record, is JSON.
macro_rules! or_json {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $name<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            match self.text() {
                Some(text) => serde_json::Deserializer::from_str(text).$name($($argument,)* visitor),
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

/// A row with a single column may be its value.
macro_rules! or_only {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only().deserialize_any(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match self {
            Self::Row(row) => {
                let fields = row.get_column_iter().map(|(name, value)| (name.as_str(), Cell::Value(value)));
                return visitor.visit_map(MapDeserializer::new(fields));
            }
            Self::Value(value) => value,
        };
        match value {
            Field::Null => visitor.visit_unit(),
            Field::Bool(value) => visitor.visit_bool(*value),
            Field::Byte(value) => visitor.visit_i8(*value),
            Field::Short(value) => visitor.visit_i16(*value),
            Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => visitor.visit_i32(*value),
            Field::Long(value)
            | Field::TimeMicros(value)
            | Field::TimestampMillis(value)
            | Field::TimestampMicros(value) => visitor.visit_i64(*value),
            Field::UByte(value) => visitor.visit_u8(*value),
            Field::UShort(value) => visitor.visit_u16(*value),
            Field::UInt(value) => visitor.visit_u32(*value),
            Field::ULong(value) => visitor.visit_u64(*value),
            Field::Float16(value) => visitor.visit_f32(value.to_f32()),
            Field::Float(value) => visitor.visit_f32(*value),
            Field::Double(value) => visitor.visit_f64(*value),
            // With all its digits, which no number here has room for.
            Field::Decimal(_) => visitor.visit_string(value.to_string()),
            Field::Str(text) => visitor.visit_borrowed_str(text),
            Field::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes.data()),
            Field::Group(row) => Cell::Row(row).deserialize_any(visitor),
            Field::ListInternal(list) => {
                visitor.visit_seq(SeqDeserializer::new(list.elements().iter().map(Cell::Value)))
            }
            Field::MapInternal(map) => {
                let entries = map.entries().iter().map(|(key, value)| (Cell::Value(key), Cell::Value(value)));
                visitor.visit_map(MapDeserializer::new(entries))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.only() {
            Self::Value(Field::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.only().text() {
            Some(text) => visitor.visit_borrowed_str(text),
            None => self.only().deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        match (self, self.text()) {
            // In the order of the columns.
            (Self::Row(row), _) if row.len() == length => {
                let values = row.get_column_iter().map(|(_, value)| Cell::Value(value));
                visitor.visit_seq(SeqDeserializer::new(values))
            }
            (Self::Row(row), _) => {
                Err(Error::custom(format!("{length} values are wanted, and there are {} columns", row.len())))
            }
            (_, Some(text)) => serde_json::Deserializer::from_str(text).deserialize_tuple(length, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.only().text() {
            Some(text) if text.starts_with('{') => {
                serde_json::Deserializer::from_str(text).deserialize_enum(name, variants, visitor)
            }
            Some(text) => visitor.visit_enum(text.into_deserializer()),
            None => Err(Error::custom(format!("{name} is an enum, and the column has no text"))),
        }
    }

    or_json! {
        deserialize_seq();
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
    }

    or_only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct identifier ignored_any }
}
