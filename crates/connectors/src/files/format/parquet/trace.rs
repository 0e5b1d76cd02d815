//! The columns of a type, by what its `Deserialize` asks for.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use thalweg_dataflow::error::BoxError;

use super::super::columns::{ColumnType, Field};

/// The columns of a type.
pub(super) fn fields_of<T: DeserializeOwned>() -> Result<Vec<Field>, BoxError> {
    let found = RefCell::new(Found::Nothing);
    // It gets what it asks for, or an error when that is known: its value is of no interest.
    let _ = T::deserialize(Whole { found: &found, of: None });
    match found.into_inner() {
        Found::Fields(names) => names.iter().map(|name| field_of::<T>(name)).collect(),
        Found::Values(types) => {
            let several = types.len() > 1;
            let name = |at: usize| if several { format!("_{}", at + 1) } else { "value".to_owned() };
            let fields = types.into_iter().enumerate();
            Ok(fields.map(|(at, column_type)| Field { name: name(at), column_type }).collect())
        }
        Found::Nothing => Err(format!(
            "the columns of {} are not known from its type: it has to be a structure, a tuple or a value, not a map, a list or an enum, and without `#[serde(flatten)]`",
            std::any::type_name::<T>()
        )
        .into()),
    }
}

/// A field of a structure, which is asked for alone: what is wrong with another one is of no matter.
fn field_of<T: DeserializeOwned>(name: &'static str) -> Result<Field, BoxError> {
    let (found, column_type) = (RefCell::new(Found::Nothing), Cell::new(None));
    let _ = T::deserialize(Whole { found: &found, of: Some((name, &column_type)) });
    match column_type.get() {
        Some(column_type) => Ok(Field { name: name.to_owned(), column_type }),
        None => Err(format!("the type of `{name}` of {} is not known", std::any::type_name::<T>()).into()),
    }
}

enum Found {
    Nothing,
    /// The names of the fields of a structure.
    Fields(&'static [&'static str]),
    /// The types of the values of a tuple, or of the value that it is.
    Values(Vec<ColumnType>),
}

/// Why it goes no further.
#[derive(Debug)]
struct Enough;

impl fmt::Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("enough is known")
    }
}

impl std::error::Error for Enough {}

impl serde::de::Error for Enough {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A record.
struct Whole<'a> {
    found: &'a RefCell<Found>,
    /// A field, whose type is looked for.
    of: Option<(&'static str, &'a Cell<Option<ColumnType>>)>,
}

macro_rules! values {
    ($($name:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
            let column_type = Cell::new(None);
            let value = Value(&column_type).$name(visitor);
            *self.found.borrow_mut() = column_type.get().map_or(Found::Nothing, |of| Found::Values(vec![of]));
            value
        }
    )*};
}

impl<'de> Deserializer<'de> for Whole<'_> {
    type Error = Enough;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Enough> {
        Err(Enough)
    }

    values! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_option
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Enough> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Enough> {
        *self.found.borrow_mut() = Found::Fields(fields);
        match self.of {
            Some((name, column_type)) => visitor.visit_map(OneField { name: Some(name), column_type }),
            None => Err(Enough),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Enough> {
        let types = RefCell::new(Vec::new());
        let value = visitor.visit_seq(Tuple { types: &types, left: length });
        let types = types.into_inner();
        if types.len() == length && length > 0 {
            *self.found.borrow_mut() = Found::Values(types);
        }
        value
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Enough> {
        self.deserialize_tuple(length, visitor)
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct seq map enum identifier ignored_any }
}

/// A structure with a single field.
struct OneField<'a> {
    name: Option<&'static str>,
    column_type: &'a Cell<Option<ColumnType>>,
}

impl<'de> MapAccess<'de> for OneField<'_> {
    type Error = Enough;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Enough> {
        // The others are missing, and nobody wants to know.
        let name = self.name.take().ok_or(Enough)?;
        let name: StrDeserializer<'_, Enough> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Enough> {
        seed.deserialize(Value(self.column_type))
    }
}

struct Tuple<'a> {
    types: &'a RefCell<Vec<ColumnType>>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Tuple<'_> {
    type Error = Enough;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Enough> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let column_type = Cell::new(None);
        let value = seed.deserialize(Value(&column_type));
        self.types.borrow_mut().extend(column_type.get());
        value.map(Some)
    }
}

/// A value, of which it is noted what it is to be. It gets one, where there is one of that kind.
struct Value<'a>(&'a Cell<Option<ColumnType>>);

impl Value<'_> {
    fn is(&self, column_type: ColumnType) {
        self.0.set(Some(column_type));
    }
}

macro_rules! longs {
    ($($name:ident: $visit:ident)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
            self.is(ColumnType::Long);
            visitor.$visit(0)
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Enough;

    /// Whatever it is; as JSON.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        visitor.visit_unit()
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::Boolean);
        visitor.visit_bool(false)
    }

    longs! {
        deserialize_i8: visit_i8 deserialize_i16: visit_i16 deserialize_i32: visit_i32 deserialize_i64: visit_i64
        deserialize_u8: visit_u8 deserialize_u16: visit_u16 deserialize_u32: visit_u32 deserialize_u64: visit_u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::Double);
        visitor.visit_f32(0.0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::Double);
        visitor.visit_f64(0.0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        visitor.visit_char(' ')
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        visitor.visit_str("")
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Enough> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        visitor.visit_seq(serde::de::value::SeqDeserializer::<_, Enough>::new(std::iter::empty::<()>()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        visitor.visit_map(serde::de::value::MapDeserializer::<_, Enough>::new(std::iter::empty::<((), ())>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        Err(Enough::custom("a structure"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Enough> {
        self.is(ColumnType::String);
        let first: StrDeserializer<'_, Enough> = variants.first().ok_or(Enough)?.into_deserializer();
        visitor.visit_enum(first)
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "its type is looked at")]
    struct Inner {
        x: i32,
    }

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "its type is looked at")]
    enum Suit {
        Hearts(u8),
        Spades,
    }

    #[derive(Deserialize)]
    struct Strict(#[allow(dead_code, reason = "its type is looked at")] std::net::IpAddr);

    #[derive(Deserialize)]
    #[allow(dead_code, reason = "its type is looked at")]
    struct Row {
        inner: Option<Inner>,
        address: Strict,
        suit: Suit,
        #[serde(rename = "renamed")]
        n: Option<u16>,
        list: Vec<i64>,
        map: BTreeMap<String, i64>,
        share: f32,
        seen: bool,
        pair: (i64, String),
        any: serde_json::Value,
    }

    fn types<T: DeserializeOwned>() -> Vec<(String, ColumnType)> {
        fields_of::<T>().unwrap().into_iter().map(|field| (field.name, field.column_type)).collect()
    }

    #[test]
    fn columns_are_known_by_the_type() {
        use ColumnType::{Boolean, Double, Long, String};
        let expected = [
            ("inner", String),
            ("address", String),
            ("suit", String),
            ("renamed", Long),
            ("list", String),
            ("map", String),
            ("share", Double),
            ("seen", Boolean),
            ("pair", String),
            ("any", String),
        ];
        assert_eq!(types::<Row>(), expected.map(|(name, of)| (name.to_owned(), of)));
        let pair = [("_1".to_owned(), String), ("_2".to_owned(), Long)];
        assert_eq!(types::<(std::string::String, Option<u64>)>(), pair);
        assert_eq!(types::<Option<f64>>(), [("value".to_owned(), Double)]);
        for error in [
            fields_of::<BTreeMap<std::string::String, i64>>(),
            fields_of::<Suit>(),
            fields_of::<Vec<i64>>(),
            fields_of::<serde_json::Value>(),
        ] {
            assert!(error.unwrap_err().to_string().contains("not known from its type"));
        }
    }
}
