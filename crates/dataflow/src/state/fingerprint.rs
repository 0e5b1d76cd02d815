//! The shape of a type: what serde sees of it, in words. It is kept beside state, and tells a checkpoint of
//! another type from this one.
//!
//! A shape names what decides the encoding and what a reader would mix up: primitives, the names of structs,
//! fields and variants, and how they nest. It knows nothing of modules, compilers or type parameters, so moving
//! a struct to another module keeps its checkpoints, and so does turning a `String` into another kind of
//! string.
//!
//! It is found by deserializing the type from nothing: each request of its `Deserialize` is written down and
//! answered with a zero or an empty text. A type that refuses such values is known by its Rust name instead.

use std::fmt;

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// How deep a shape is followed: a type that contains itself would go on for ever.
const DEPTH: usize = 12;

/// The shape of `T`, such as `(string,Count{word:string,n:i64})`.
pub fn shape_of<T: DeserializeOwned>() -> String {
    // One pass shows one variant of each enum; there are as many passes as the largest enum has variants.
    let (mut shape, mut variants, mut variant) = (String::new(), 1, 0);
    while variant < variants {
        let mut pass = String::new();
        let tracer = Tracer { shape: &mut pass, depth: 0, variant, variants: &mut variants };
        if T::deserialize(tracer).is_err() {
            return std::any::type_name::<T>().to_owned();
        }
        if variant > 0 {
            shape.push(' ');
        }
        shape.push_str(&pass);
        variant += 1;
    }
    shape
}

/// Writes down what it is asked for.
struct Tracer<'a> {
    shape: &'a mut String,
    depth: usize,
    /// Which variant to answer with, if an enum is asked for.
    variant: usize,
    /// The number of variants of the largest enum so far.
    variants: &'a mut usize,
}

/// A value was refused. What was wrong with it is of no interest.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the type refuses a value that stands for any")
    }
}

impl std::error::Error for Refused {}

impl Error for Refused {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Refused
    }
}

impl Tracer<'_> {
    fn word(&mut self, word: &str) {
        self.shape.push_str(word);
    }

    fn inner(&mut self) -> Tracer<'_> {
        Tracer { shape: self.shape, depth: self.depth + 1, variant: self.variant, variants: self.variants }
    }

    fn items<'de, V: Visitor<'de>>(
        &mut self,
        names: &[&str],
        count: usize,
        brackets: [&str; 2],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.word(brackets[0]);
        let value = visitor.visit_seq(Items { tracer: self.inner(), names, next: 0, count })?;
        self.word(brackets[1]);
        Ok(value)
    }
}

/// The items of a tuple, struct or list, or the one key and value of a map.
struct Items<'a, 'n> {
    tracer: Tracer<'a>,
    names: &'n [&'n str],
    next: usize,
    count: usize,
}

impl Items<'_, '_> {
    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        if self.next > 0 {
            self.tracer.word(",");
        }
        if let Some(name) = self.names.get(self.next) {
            self.tracer.word(name);
            self.tracer.word(":");
        }
        self.next += 1;
        seed.deserialize(self.tracer.inner())
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Refused;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refused> {
        if self.next == self.count { Ok(None) } else { self.next(seed).map(Some) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Refused;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refused> {
        if self.next == self.count { Ok(None) } else { self.next(seed).map(Some) }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refused> {
        self.next(seed)
    }
}

/// One variant of an enum, by its index.
struct Variant<'a> {
    tracer: Tracer<'a>,
    index: u32,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Refused;
    type Variant = Tracer<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Tracer<'a>), Refused> {
        let index: U32Deserializer<Refused> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self.tracer))
    }
}

impl<'de> VariantAccess<'de> for Tracer<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Refused> {
        self.word("(");
        let value = seed.deserialize(self.inner())?;
        self.word(")");
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        self.items(&[], length, ["(", ")"], visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.items(fields, fields.len(), ["{", "}"], visitor)
    }
}

/// A primitive: its word, and the value that stands for any.
macro_rules! primitive {
    ($($method:ident $word:literal $visit:ident($($value:expr)?);)*) => {
        $(fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            self.word($word);
            visitor.$visit($($value)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Refused;

    primitive! {
        deserialize_bool "bool" visit_bool(false);
        deserialize_i8 "i8" visit_i8(0);
        deserialize_i16 "i16" visit_i16(0);
        deserialize_i32 "i32" visit_i32(0);
        deserialize_i64 "i64" visit_i64(0);
        deserialize_i128 "i128" visit_i128(0);
        deserialize_u8 "u8" visit_u8(0);
        deserialize_u16 "u16" visit_u16(0);
        deserialize_u32 "u32" visit_u32(0);
        deserialize_u64 "u64" visit_u64(0);
        deserialize_u128 "u128" visit_u128(0);
        deserialize_f32 "f32" visit_f32(0.0);
        deserialize_f64 "f64" visit_f64(0.0);
        deserialize_char "char" visit_char('0');
        deserialize_str "string" visit_borrowed_str("");
        deserialize_string "string" visit_borrowed_str("");
        deserialize_bytes "bytes" visit_borrowed_bytes(b"");
        deserialize_byte_buf "bytes" visit_borrowed_bytes(b"");
        deserialize_unit "()" visit_unit();
        deserialize_identifier "string" visit_borrowed_str("");
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.word("?");
        if self.depth > DEPTH { visitor.visit_none() } else { visitor.visit_some(self.inner()) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.word(name);
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.word(name);
        self.word("(");
        let value = visitor.visit_newtype_struct(self.inner())?;
        self.word(")");
        Ok(value)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let count = usize::from(self.depth <= DEPTH);
        self.items(&[], count, ["[", "]"], visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Refused> {
        self.items(&[], length, ["(", ")"], visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.word(name);
        self.items(&[], length, ["(", ")"], visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        self.word("map<");
        // One key and one value.
        let count = if self.depth <= DEPTH { 2 } else { 0 };
        let value = visitor.visit_map(Items { tracer: self.inner(), names: &[], next: 0, count })?;
        self.word(">");
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        self.word(name);
        self.items(fields, fields.len(), ["{", "}"], visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        if self.depth > DEPTH {
            return Err(Refused);
        }
        *self.variants = variants.len().max(*self.variants);
        let index = self.variant % variants.len().max(1);
        self.word(name);
        self.word("::");
        self.word(variants.get(index).unwrap_or(&"!"));
        let index = u32::try_from(index).unwrap_or(0);
        visitor.visit_enum(Variant { tracer: self.inner(), index })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        // A type that adapts to the data has no shape; postcard cannot read it either.
        Err(Refused)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(dead_code, reason = "types that are only looked at")]

    use std::collections::{BTreeMap, HashMap};

    use serde::{Deserialize, Serialize};

    use super::shape_of;

    #[derive(Serialize, Deserialize)]
    struct Count {
        word: String,
        n: Option<i64>,
    }

    #[derive(Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Rectangle { width: u8, height: u8 },
    }

    #[derive(Serialize, Deserialize)]
    struct Tree(Vec<Tree>);

    #[test]
    fn shapes_name_what_decides_the_encoding() {
        assert_eq!(shape_of::<(String, i64)>(), "(string,i64)");
        assert_eq!(shape_of::<Count>(), "Count{word:string,n:?i64}");
        assert_eq!(shape_of::<HashMap<u16, Vec<bool>>>(), "map<u16,[bool]>");
        assert_eq!(shape_of::<Box<()>>(), "()");
        assert_eq!(
            shape_of::<Shape>(),
            "Shape::Point Shape::Circle(f64) Shape::Rectangle{width:u8,height:u8}"
        );
    }

    #[test]
    fn equal_encodings_have_equal_shapes_and_others_do_not() {
        assert_eq!(shape_of::<BTreeMap<String, i64>>(), shape_of::<HashMap<Box<str>, i64>>());
        assert_ne!(shape_of::<(u8, Shape)>(), shape_of::<(u8, Option<f64>)>());
        assert_ne!(shape_of::<i64>(), shape_of::<u64>());
    }

    #[test]
    fn a_type_that_contains_itself_or_refuses_a_zero_has_a_shape_too() {
        assert!(shape_of::<Tree>().starts_with("Tree([Tree("));
        assert!(shape_of::<std::num::NonZeroU8>().contains("NonZero"));
    }
}
