//! A record, as serde hands it over, into columns.

use std::fmt;

use parquet::data_type::ByteArray;
use serde::ser::{
    Error as _, Impossible, Serialize, SerializeMap, SerializeStruct, SerializeTuple, SerializeTupleStruct,
    Serializer,
};
use serde_json::Value;

use super::columns::{Column, Values};

/// Why a record is no row.
#[derive(Debug)]
pub(super) enum Error {
    /// It is a structure, which becomes text.
    Nested,
    Said(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nested => f.write_str("a structure where a value is wanted"),
            Self::Said(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::Said(text.to_string())
    }
}

/// One row. Columns that it says nothing of are filled up by its owner.
pub(super) struct Row<'a> {
    columns: &'a mut [Column],
    /// The one that is next, if the record has its fields in the order of the columns.
    next: usize,
    /// How many rows there are before this one.
    rows: usize,
    /// Of a map: whose value is next.
    key: Option<usize>,
}

impl<'a> Row<'a> {
    pub(super) fn new(columns: &'a mut [Column], rows: usize) -> Self {
        Self { columns, next: 0, rows, key: None }
    }

    fn find(&mut self, name: &str) -> Result<usize, Error> {
        let is_it = |at: &usize| self.columns.get(*at).is_some_and(|column| column.name == name);
        let at = Some(self.next)
            .filter(is_it)
            .or_else(|| self.columns.iter().position(|column| column.name == name));
        let at = at.ok_or_else(|| Error::Said(format!("there is no column `{name}`")))?;
        if self.columns[at].rows() > self.rows {
            return Err(Error::Said(format!("it has the field `{name}` twice")));
        }
        self.next = at + 1;
        Ok(at)
    }

    fn put<T: Serialize + ?Sized>(&mut self, at: usize, value: &T) -> Result<(), Error> {
        let columns = self.columns.len();
        match self.columns.get_mut(at) {
            Some(column) => Cell::put(column, value),
            None => Err(Error::Said(format!("it has more than {columns} fields"))),
        }
    }

    fn put_next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.next += 1;
        self.put(self.next - 1, value)
    }
}

/// Whatever is no structure is the value of the first column.
macro_rules! values_of_a_row {
    ($($name:ident: $type:ty),*) => {$(
        fn $name(mut self, value: $type) -> Result<(), Error> {
            self.put_next(&value)
        }
    )*};
}

impl<'a> Serializer for Row<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Error>;

    values_of_a_row! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32, serialize_f64: f64,
        serialize_char: char, serialize_str: &str
    }

    fn serialize_bytes(mut self, bytes: &[u8]) -> Result<(), Error> {
        self.put_next(bytes)
    }

    fn serialize_none(mut self) -> Result<(), Error> {
        self.put_next(&())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(mut self) -> Result<(), Error> {
        self.put_next(&())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(mut self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.put_next(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::Said(format!("the enum {name} has no columns")))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Err(Error::custom("a list has no columns"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::Said(format!("the enum {name} has no columns")))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Error> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::Said(format!("the enum {name} has no columns")))
    }
}

impl SerializeStruct for Row<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let at = self.find(name)?;
        self.put(at, value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SerializeTuple for Row<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.put_next(value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SerializeTupleStruct for Row<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.put_next(value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

impl SerializeMap for Row<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let key = serde_json::to_value(key).map_err(Error::custom)?;
        let name = key.as_str().ok_or_else(|| Error::Said(format!("{key} is no name of a column")))?;
        self.key = Some(self.find(name)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let at = self.key.take().ok_or_else(|| Error::custom("a value without a name"))?;
        self.put(at, value)
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

/// One value.
pub(super) struct Cell<'a>(&'a mut Column);

impl<'a> Cell<'a> {
    /// Puts a value at the end of a column; what is a structure, as JSON.
    pub(super) fn put<T: Serialize + ?Sized>(column: &'a mut Column, value: &T) -> Result<(), Error> {
        match value.serialize(Cell(column)) {
            Err(Error::Nested) => {
                let text = serde_json::to_string(value).map_err(Error::custom)?;
                Cell(column).text(&text)
            }
            put => put,
        }
    }

    fn text(self, text: &str) -> Result<(), Error> {
        match &mut self.0.values {
            Values::String(values) => {
                values.push(ByteArray::from(text));
                self.0.pushed(text.len() + 16);
                Ok(())
            }
            _ => Err(self.wrong(text)),
        }
    }

    fn long(self, value: i64) -> Result<(), Error> {
        match &mut self.0.values {
            Values::Long(values) => values.push(value),
            Values::Double(values) => values.push(value as f64),
            Values::String(_) => return self.text(&value.to_string()),
            Values::Boolean(_) => return Err(self.wrong(value)),
        }
        self.0.pushed(8);
        Ok(())
    }

    fn wrong(&self, value: impl fmt::Display) -> Error {
        let of = match self.0.values {
            Values::Boolean(_) => "BOOLEAN",
            Values::Long(_) => "INT64",
            Values::Double(_) => "DOUBLE",
            Values::String(_) => "text",
        };
        Error::Said(format!("`{}` is a column of {of}, and {value} is none", self.0.name))
    }
}

impl Serializer for Cell<'_> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        match &mut self.0.values {
            Values::Boolean(values) => values.push(value),
            Values::String(_) => return self.text(&value.to_string()),
            _ => return Err(self.wrong(value)),
        }
        self.0.pushed(1);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.long(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.long(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.long(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.long(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.long(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.long(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.long(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        match i64::try_from(value) {
            Ok(value) => self.long(value),
            Err(_) => Err(Error::Said(format!("`{}`: {value} does not fit 64 signed bits", self.0.name))),
        }
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        match &mut self.0.values {
            Values::Double(values) => values.push(value),
            Values::String(_) => return self.text(&Value::from(value).to_string()),
            _ => return Err(self.wrong(value)),
        }
        self.0.pushed(8);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.text(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(Error::Nested)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.0.absent();
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Error> {
        Err(Error::Nested)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Err(Error::Nested)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(Error::Nested)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Error> {
        Err(Error::Nested)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error::Nested)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(Error::Nested)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        Err(Error::Nested)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error::Nested)
    }
}
