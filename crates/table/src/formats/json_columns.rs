//! JSON straight into columns: for records as they usually are, values of the types that their columns have.
//!
//! What is otherwise in one record of a batch (a number in a text, a field that stands there twice, no JSON at all) is an error here, and the
//! whole batch is read again a value at a time, by whoever knows what to make of it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, ListArray, StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use super::Field;
use super::json::read;
use super::json_value::{column, plain};
use crate::error::SqlError;
use crate::types::{LogicalType, TypeKind};

/// The columns of these fields, if every record is an object as it should be. A field that is not there is NULL, unless that is `strict`.
pub(super) fn columns(fields: &[Field], records: &[&[u8]], strict: bool) -> Option<Vec<ArrayRef>> {
    let mut object = Object::of(fields);
    for record in records {
        let mut json = serde_json::Deserializer::from_slice(record);
        json.deserialize_map(InObject { object: &mut object, strict }).ok()?;
        json.end().ok()?;
        object.rows += 1;
    }
    let columns = object.fields.into_iter().zip(fields);
    columns.map(|(field, (_, of))| field.values.finish(of).ok()).collect()
}

/// The fields of objects, as they are read.
struct Object {
    fields: Vec<InField>,
    /// So many objects have been read.
    rows: usize,
    /// The field that is probably next.
    next: usize,
}

struct InField {
    name: String,
    values: Values,
    /// So many values there are.
    length: usize,
}

enum Values {
    Flags(BooleanBuilder),
    Whole(Int64Builder),
    Floats(Float64Builder),
    /// What is a text, or is made of the text that it is in JSON.
    Texts(StringBuilder),
    /// The same, of numbers whose every digit counts.
    Digits(StringBuilder),
    Rows(Object, Vec<bool>),
    Lists {
        item: Box<Values>,
        of: LogicalType,
        lengths: Vec<usize>,
        valid: Vec<bool>,
    },
    Others(LogicalType, Vec<Value>),
}

impl Object {
    fn of(fields: &[Field]) -> Self {
        let field = |(name, of): &Field| InField { name: name.clone(), values: Values::of(of), length: 0 };
        Self { fields: fields.iter().map(field).collect(), rows: 0, next: 0 }
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        // Fields come in the same order again and again.
        if self.fields.get(self.next).is_none_or(|field| field.name != name) {
            self.next = self.fields.iter().position(|field| field.name == name)?;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// One more object that is not there.
    fn push_null(&mut self) {
        for field in &mut self.fields {
            field.values.push_null();
            field.length += 1;
        }
        self.rows += 1;
    }
}

impl Values {
    fn of(of: &LogicalType) -> Self {
        match &of.kind {
            TypeKind::Boolean => Self::Flags(BooleanBuilder::new()),
            TypeKind::TinyInt | TypeKind::SmallInt | TypeKind::Int | TypeKind::BigInt => {
                Self::Whole(Int64Builder::new())
            }
            TypeKind::Double => Self::Floats(Float64Builder::new()),
            TypeKind::Decimal(..) => Self::Digits(StringBuilder::new()),
            TypeKind::Char(_)
            | TypeKind::VarChar(_)
            | TypeKind::Float
            | TypeKind::Date
            | TypeKind::Time(_)
            | TypeKind::Timestamp(_)
            | TypeKind::TimestampLtz(_) => Self::Texts(StringBuilder::new()),
            TypeKind::Row(fields) => Self::Rows(Object::of(fields), Vec::new()),
            TypeKind::Array(item) => Self::Lists {
                item: Box::new(Self::of(item)),
                of: (**item).clone(),
                lengths: Vec::new(),
                valid: Vec::new(),
            },
            _ => Self::Others(of.clone(), Vec::new()),
        }
    }

    fn push_null(&mut self) {
        match self {
            Self::Flags(flags) => flags.append_null(),
            Self::Whole(numbers) => numbers.append_null(),
            Self::Floats(numbers) => numbers.append_null(),
            Self::Texts(texts) | Self::Digits(texts) => texts.append_null(),
            Self::Rows(object, valid) => {
                object.push_null();
                valid.push(false);
            }
            Self::Lists { lengths, valid, .. } => {
                lengths.push(0);
                valid.push(false);
            }
            Self::Others(_, values) => values.push(Value::Null),
        }
    }

    fn finish(self, of: &LogicalType) -> Result<ArrayRef, SqlError> {
        let to = of.to_arrow();
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let arrow = |error: arrow::error::ArrowError| SqlError::new(error.to_string());
        let nulls = |valid: Vec<bool>| valid.contains(&false).then(|| NullBuffer::from(valid));
        let made: ArrayRef = match self {
            Self::Flags(mut flags) => Arc::new(flags.finish()),
            Self::Whole(mut numbers) => Arc::new(numbers.finish()),
            Self::Floats(mut numbers) => Arc::new(numbers.finish()),
            Self::Texts(mut texts) | Self::Digits(mut texts) => Arc::new(texts.finish()),
            Self::Rows(object, valid) => {
                let (DataType::Struct(fields), TypeKind::Row(types)) = (&to, &of.kind) else {
                    return Err(SqlError::new("no row"));
                };
                let columns = object.fields.into_iter().zip(types);
                let columns = columns.map(|(field, (_, of))| field.values.finish(of));
                let columns = columns.collect::<Result<_, _>>()?;
                return Ok(Arc::new(
                    StructArray::try_new(fields.clone(), columns, nulls(valid)).map_err(arrow)?,
                ));
            }
            Self::Lists { item, of: item_type, lengths, valid } => {
                let DataType::List(field) = &to else { return Err(SqlError::new("no list")) };
                let (items, offsets) = (item.finish(&item_type)?, OffsetBuffer::from_lengths(lengths));
                let list = ListArray::try_new(field.clone(), offsets, items, nulls(valid));
                return Ok(Arc::new(list.map_err(arrow)?));
            }
            Self::Others(of, values) => return column(&of, &values.iter().collect::<Vec<_>>()),
        };
        if *made.data_type() == to { Ok(made) } else { cast_with_options(&made, &to, &strict).map_err(arrow) }
    }
}

/// The name of a field: which of ours it is.
struct Name<'a>(&'a mut Object);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.place(name))
    }
}

/// One object.
struct InObject<'a> {
    object: &'a mut Object,
    strict: bool,
}

impl<'de> Visitor<'de> for InObject<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.object.rows;
        let object = self.object;
        object.next = 0;
        while let Some(place) = map.next_key_seed(Name(object))? {
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let field = &mut object.fields[place];
            if field.length > row {
                return Err(A::Error::custom("a field stands there twice"));
            }
            map.next_value_seed(One(&mut field.values))?;
            field.length += 1;
        }
        for field in object.fields.iter_mut().filter(|field| field.length == row) {
            if self.strict {
                return Err(A::Error::custom("a field is not there"));
            }
            field.values.push_null();
            field.length += 1;
        }
        Ok(())
    }
}

/// One value.
struct One<'a>(&'a mut Values);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Values::Digits(texts) => {
                let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
                match raw.get() {
                    "null" => texts.append_null(),
                    text if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
                        texts.append_value(text);
                    }
                    _ => return Err(D::Error::custom("no number")),
                }
                Ok(())
            }
            Values::Others(of, values) => {
                let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
                values.push(read(raw, of).map_err(D::Error::custom)?);
                Ok(())
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl One<'_> {
    fn number<E: Error>(self, number: Option<Number>) -> Result<(), E> {
        match (self.0, number) {
            (Values::Texts(texts), Some(number)) => {
                texts.append_value(plain(&number));
                Ok(())
            }
            _ => Err(E::custom("a number")),
        }
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of the column's type")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push_null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        match self.0 {
            Values::Flags(flags) => flags.append_value(flag),
            Values::Texts(texts) => texts.append_value(if flag { "true" } else { "false" }),
            _ => return Err(E::custom("true or false")),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        match self.0 {
            Values::Whole(numbers) => numbers.append_value(number),
            Values::Floats(numbers) => numbers.append_value(number as f64),
            _ => return self.number(Some(number.into())),
        }
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => match self.0 {
                Values::Floats(numbers) => {
                    numbers.append_value(number as f64);
                    Ok(())
                }
                _ => self.number(Some(number.into())),
            },
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        match self.0 {
            Values::Floats(numbers) => {
                numbers.append_value(number);
                Ok(())
            }
            _ => self.number(Number::from_f64(number)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        match self.0 {
            Values::Texts(texts) => {
                texts.append_value(text);
                Ok(())
            }
            _ => Err(E::custom("a text")),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Values::Lists { item, lengths, valid, .. } = self.0 else {
            return Err(A::Error::custom("an array"));
        };
        let mut length = 0;
        while seq.next_element_seed(One(item))?.is_some() {
            length += 1;
        }
        lengths.push(length);
        valid.push(true);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Values::Rows(object, valid) = self.0 else { return Err(A::Error::custom("an object")) };
        InObject { object, strict: false }.visit_map(map)?;
        object.rows += 1;
        valid.push(true);
        Ok(())
    }
}
