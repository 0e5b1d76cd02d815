//! Rows as types of Rust, by serde: what columns a type has, rows out of values, and values out of rows.
//!
//! | type | columns |
//! |---|---|
//! | a struct | one for each field |
//! | a tuple | `f0`, `f1`, … |
//! | anything else | `f0` |
//!
//! Whole numbers, floats, `bool`, `String`, `Option` (a column that may be NULL), `Vec`, maps and structs within are types of SQL, too. A float
//! that is no number is NULL.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde_json::Value;

use crate::error::SqlError;
use crate::types::{LogicalType, MAX_LENGTH, TypeKind};

/// What a type is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A struct, by the names of its fields.
    Struct(Vec<(String, LogicalType)>),
    /// A tuple.
    Tuple(Vec<LogicalType>),
    /// One value.
    Value(LogicalType),
    /// Whatever there is, as JSON.
    Any,
}

impl Shape {
    /// The columns of the type, if they are known.
    pub(super) fn columns(&self) -> Option<Vec<(String, LogicalType)>> {
        match self {
            Self::Struct(fields) => Some(fields.clone()),
            Self::Tuple(types) => {
                Some(types.iter().enumerate().map(|(place, of)| (format!("f{place}"), of.clone())).collect())
            }
            Self::Value(of) => Some(vec![("f0".to_owned(), of.clone())]),
            Self::Any => None,
        }
    }
}

/// The shape of a type.
pub(super) fn shape_of<T: DeserializeOwned>() -> Result<Shape, SqlError> {
    let mut found = None;
    T::deserialize(Tracer { found: &mut found }).map_err(|error| {
        SqlError::new(format!("the columns of `{}` are not known: {error}", std::any::type_name::<T>()))
            .help("give them by a Schema")
    })?;
    match found {
        Some(Found { kind: Kind::Any, .. }) | None => Ok(Shape::Any),
        Some(Found { kind: Kind::Tuple(types), nullable: false }) => Ok(Shape::Tuple(types)),
        Some(found) => Ok(match found.logical() {
            LogicalType { kind: TypeKind::Row(fields), nullable: false } => Shape::Struct(fields),
            other => Shape::Value(other),
        }),
    }
}

struct Found {
    kind: Kind,
    nullable: bool,
}

enum Kind {
    Of(TypeKind),
    Tuple(Vec<LogicalType>),
    Any,
}

impl Found {
    fn logical(self) -> LogicalType {
        let kind = match self.kind {
            Kind::Of(kind) => kind,
            Kind::Tuple(types) => TypeKind::Row(
                types.into_iter().enumerate().map(|(place, of)| (format!("f{place}"), of)).collect(),
            ),
            Kind::Any => TypeKind::VarChar(MAX_LENGTH),
        };
        LogicalType { kind, nullable: self.nullable }
    }
}

/// Why a type cannot be looked into.
#[derive(Debug)]
struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unknown {}

impl serde::de::Error for Unknown {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Finds out what a type asks for, and gives it something of that kind.
struct Tracer<'a> {
    found: &'a mut Option<Found>,
}

impl Tracer<'_> {
    fn is(&mut self, kind: TypeKind) {
        *self.found = Some(Found { kind: Kind::Of(kind), nullable: false });
    }
}

macro_rules! simple {
    ($($method:ident $visit:ident $value:expr, $kind:expr;)+) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
            self.is($kind);
            visitor.$visit($value)
        }
    )+};
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Unknown;

    simple! {
        deserialize_bool visit_bool false, TypeKind::Boolean;
        deserialize_i8 visit_i8 0, TypeKind::TinyInt;
        deserialize_i16 visit_i16 0, TypeKind::SmallInt;
        deserialize_i32 visit_i32 0, TypeKind::Int;
        deserialize_i64 visit_i64 0, TypeKind::BigInt;
        deserialize_u8 visit_u8 0, TypeKind::SmallInt;
        deserialize_u16 visit_u16 0, TypeKind::Int;
        deserialize_u32 visit_u32 0, TypeKind::BigInt;
        deserialize_u64 visit_u64 0, TypeKind::BigInt;
        deserialize_f32 visit_f32 0.0, TypeKind::Float;
        deserialize_f64 visit_f64 0.0, TypeKind::Double;
        deserialize_char visit_char ' ', TypeKind::VarChar(MAX_LENGTH);
        deserialize_str visit_borrowed_str "", TypeKind::VarChar(MAX_LENGTH);
        deserialize_string visit_string String::new(), TypeKind::VarChar(MAX_LENGTH);
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        *self.found = Some(Found { kind: Kind::Any, nullable: true });
        visitor.visit_unit()
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unknown> {
        Err(Unknown("bytes have no form in JSON".to_owned()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        let mut found = None;
        let value = visitor.visit_some(Tracer { found: &mut found })?;
        *self.found = found.map(|found| Found { nullable: true, ..found });
        Ok(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unknown> {
        Err(Unknown("a type without values is no column".to_owned()))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let mut items = Items { left: 1, types: Vec::new() };
        let value = visitor.visit_seq(&mut items)?;
        let item = items.types.pop().ok_or_else(|| Unknown("an array holds something".to_owned()))?;
        self.is(TypeKind::Array(Box::new(item)));
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Unknown> {
        let mut items = Items { left: len, types: Vec::new() };
        let value = visitor.visit_seq(&mut items)?;
        *self.found = Some(Found { kind: Kind::Tuple(items.types), nullable: false });
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let mut entries = Entries { left: 1, types: Vec::new() };
        let value = visitor.visit_map(&mut entries)?;
        let [key, item]: [LogicalType; 2] =
            entries.types.try_into().map_err(|_| Unknown("a map has keys and values".to_owned()))?;
        self.is(TypeKind::Map(Box::new(key), Box::new(item)));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        let mut of = Fields { fields, next: 0, types: Vec::new() };
        let value = visitor.visit_map(&mut of)?;
        self.is(TypeKind::Row(of.types));
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.is(TypeKind::VarChar(MAX_LENGTH));
        visitor.visit_enum(Variant(variants.first().copied().unwrap_or_default()))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        visitor.visit_unit()
    }
}

fn traced<'de, S: DeserializeSeed<'de>>(seed: S, types: &mut Vec<LogicalType>) -> Result<S::Value, Unknown> {
    let mut found = None;
    let value = seed.deserialize(Tracer { found: &mut found })?;
    types.push(found.ok_or_else(|| Unknown("a field without a type".to_owned()))?.logical());
    Ok(value)
}

struct Items {
    left: usize,
    types: Vec<LogicalType>,
}

impl<'de> SeqAccess<'de> for &mut Items {
    type Error = Unknown;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unknown> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        traced(seed, &mut self.types).map(Some)
    }
}

struct Entries {
    left: usize,
    types: Vec<LogicalType>,
}

impl<'de> MapAccess<'de> for &mut Entries {
    type Error = Unknown;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unknown> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        traced(seed, &mut self.types).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unknown> {
        traced(seed, &mut self.types)
    }
}

struct Fields {
    fields: &'static [&'static str],
    next: usize,
    types: Vec<(String, LogicalType)>,
}

impl<'de> MapAccess<'de> for &mut Fields {
    type Error = Unknown;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unknown> {
        let Some(name) = self.fields.get(self.next) else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unknown> {
        let mut types = Vec::new();
        let value = traced(seed, &mut types)?;
        let name = self.fields[self.next].to_owned();
        self.types.extend(types.into_iter().map(|of| (name.clone(), of)));
        self.next += 1;
        Ok(value)
    }
}

struct Variant(&'static str);

impl<'de> EnumAccess<'de> for Variant {
    type Error = Unknown;
    type Variant = Unit;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Unit), Unknown> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<Unknown>::new(self.0))?, Unit))
    }
}

/// A variant without fields: one with some is no text.
struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = Unknown;

    fn unit_variant(self) -> Result<(), Unknown> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, Unknown> {
        Err(Unknown("an enum with fields is no column".to_owned()))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Unknown> {
        Err(Unknown("an enum with fields is no column".to_owned()))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Unknown> {
        Err(Unknown("an enum with fields is no column".to_owned()))
    }
}

/// The values of the columns of a row, from a value of the shape.
pub(super) fn values_of(value: Value, names: &[String]) -> Vec<Value> {
    match value {
        Value::Object(mut fields) => {
            names.iter().map(|name| fields.remove(name).unwrap_or(Value::Null)).collect()
        }
        Value::Array(items) if names.len() > 1 => items,
        other => vec![other],
    }
}

/// A value of the shape, from the values of the columns of a row.
pub(super) fn value_of(shape: &Shape, names: &[String], mut values: Vec<Value>) -> Value {
    match shape {
        Shape::Tuple(_) => Value::Array(values),
        Shape::Value(_) if values.len() == 1 => values.swap_remove(0),
        _ => Value::Object(names.iter().cloned().zip(values).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn types_are_looked_into() {
        #[derive(Deserialize)]
        #[allow(dead_code, reason = "its type is looked at")]
        enum Color {
            Red,
            Blue,
        }
        #[derive(Deserialize)]
        #[allow(dead_code, reason = "its type is looked at")]
        struct Order {
            id: i64,
            note: Option<String>,
            tags: Vec<(i32, bool)>,
            weights: std::collections::BTreeMap<String, f64>,
            color: Color,
        }
        let shown = |shape: Shape| {
            let columns = shape.columns().unwrap().into_iter();
            columns.map(|(name, of)| format!("{name} {of}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(
            shown(shape_of::<Order>().unwrap()),
            "id BIGINT NOT NULL, note STRING, tags ARRAY<ROW<`f0` INT NOT NULL, `f1` BOOLEAN NOT NULL> NOT NULL> NOT NULL, \
             weights MAP<STRING NOT NULL, DOUBLE NOT NULL> NOT NULL, color STRING NOT NULL"
        );
        assert_eq!(shown(shape_of::<(String, u32)>().unwrap()), "f0 STRING NOT NULL, f1 BIGINT NOT NULL");
        assert_eq!(shown(shape_of::<String>().unwrap()), "f0 STRING NOT NULL");
        assert_eq!(shape_of::<Value>().unwrap(), Shape::Any);
        assert!(shape_of::<()>().is_err());
    }
}
