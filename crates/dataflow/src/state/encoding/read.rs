//! serde's `Deserializer`: reads a value that was written by one schema into the type that is wanted now.

use std::cell::RefCell;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::DEPTH;
use super::error::{Error, Step};
use super::plan::{Match, Plan};
use super::schema::{EnumNode, Leaf, Node, NodeId};
use super::varint::{cut_short, take, take_u128, unzigzag, unzigzag_128};

/// The bytes of a part that have not been read yet.
pub(super) struct Cursor<'a, 'de> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) bytes: &'de [u8],
    /// The version of the run.
    pub(super) version: u32,
    pub(super) depth: u32,
    /// So many more values may be looked at: damaged bytes and a damaged schema must not keep anybody busy for ever.
    pub(super) fuel: u64,
    /// What asked the values what they are, instead of saying what it wants: looked for when a type does not come back.
    pub(super) asked: Option<&'a RefCell<Vec<String>>>,
}

impl<'a, 'de> Cursor<'a, 'de> {
    pub(super) fn new(plan: &'a Plan<'a>, bytes: &'de [u8]) -> Self {
        // Values without bytes cost fuel, too: a thousand to the byte are more than any type has.
        let fuel = 1024 * (bytes.len() as u64 + 64);
        Self { plan, bytes, version: 0, depth: 0, fuel, asked: None }
    }

    #[cold]
    fn ask(asked: &RefCell<Vec<String>>, visitor: &dyn de::Expected) {
        asked.borrow_mut().push(visitor.to_string());
    }

    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<u64, Error> {
        take(&mut self.bytes)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(cut_short)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or_else(cut_short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    /// A number of bytes, items or entries: each takes a byte at least.
    #[inline(always)]
    pub(super) fn length(&mut self) -> Result<usize, Error> {
        match usize::try_from(self.number()?) {
            Ok(length) if length <= self.bytes.len() => Ok(length),
            _ => Err(cut_short()),
        }
    }

    #[inline(always)]
    fn text(&mut self) -> Result<&'de str, Error> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::new("damaged: a text is not UTF-8"))
    }

    #[inline(always)]
    fn blob(&mut self) -> Result<&'de [u8], Error> {
        let length = self.length()?;
        self.take(length)
    }

    #[inline(always)]
    fn flag(&mut self) -> Result<bool, Error> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::new("damaged: a byte is neither 0 nor 1")),
        }
    }

    fn char(&mut self) -> Result<char, Error> {
        let code = u32::try_from(self.number()?).ok().and_then(char::from_u32);
        code.ok_or_else(|| Error::new("damaged: a number is no character"))
    }

    fn integer<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        T::try_from(self.number()?).map_err(|_| out_of_range())
    }

    fn signed<T: TryFrom<i64>>(&mut self) -> Result<T, Error> {
        T::try_from(unzigzag(self.number()?)).map_err(|_| out_of_range())
    }

    /// The version that begins a run.
    pub(super) fn begin_run(&mut self) -> Result<(), Error> {
        self.version = self.integer()?;
        Ok(())
    }

    #[inline(always)]
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        self.fuel = self.fuel.wrapping_sub(1);
        if self.depth > DEPTH || self.fuel == 0 { Err(self.exhausted()) } else { Ok(()) }
    }

    #[inline(always)]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[cold]
    fn exhausted(&self) -> Error {
        match self.fuel {
            0 => Error::new("damaged: few bytes claim to be many values"),
            _ => Error::new(format_args!("it is nested deeper than {DEPTH} levels")),
        }
    }

    /// The pad byte of an item that has taken none.
    #[inline(always)]
    pub(super) fn unpad(&mut self, before: usize) -> Result<(), Error> {
        if self.bytes.len() == before { self.byte().map(|_| ()) } else { Ok(()) }
    }
}

#[cold]
fn out_of_range() -> Error {
    Error::new("damaged: a number is out of range")
}

/// Set in a reader's node: values of several types come there, and the one at hand has been chosen by its number.
const CHOSEN: NodeId = 1 << 31;

/// Reads one value.
pub(super) struct Reader<'c, 'a, 'de> {
    pub(super) cursor: &'c mut Cursor<'a, 'de>,
    pub(super) node: NodeId,
}

impl<'c, 'a, 'de> Reader<'c, 'a, 'de> {
    #[inline(always)]
    pub(super) fn new(cursor: &'c mut Cursor<'a, 'de>, node: NodeId) -> Self {
        Self { cursor, node }
    }

    #[inline(always)]
    fn plan(&self) -> &'a Plan<'a> {
        self.cursor.plan
    }

    /// Its node, without the mark.
    #[inline(always)]
    fn id(&self) -> NodeId {
        self.node & !CHOSEN
    }

    #[inline(always)]
    fn node(&self) -> &'a Node {
        self.plan().schema.node(self.id())
    }

    /// Chooses among alternatives.
    #[inline(always)]
    fn choose(&mut self) -> Result<&'a Node, Error> {
        match self.node() {
            Node::Union { .. } => self.chosen(),
            node => Ok(node),
        }
    }

    fn chosen(&mut self) -> Result<&'a Node, Error> {
        while let Node::Union { since, alternatives } = self.node() {
            self.step()?;
            let number = match self.cursor.version >= *since {
                true => self.cursor.number()?,
                false => 0,
            };
            let alternative = usize::try_from(number).ok().and_then(|number| alternatives.get(number));
            self.node = *alternative.ok_or_else(|| Error::new("damaged: a type has no such alternative"))?;
            self.node |= CHOSEN;
        }
        Ok(self.node())
    }

    /// A step within a value that takes no bytes.
    fn step(&mut self) -> Result<(), Error> {
        self.cursor.enter()?;
        self.cursor.leave();
        Ok(())
    }

    /// What is to be read: alternatives are chosen, newtypes seen through, and an option is what is in it, where none is wanted.
    #[inline(always)]
    fn settle(&mut self, wanted: &dyn Fn() -> String) -> Result<&'a Node, Error> {
        match self.node() {
            Node::Union { .. } | Node::Newtype(..) | Node::Option(_) => self.settled(wanted),
            node => Ok(node),
        }
    }

    fn settled(&mut self, wanted: &dyn Fn() -> String) -> Result<&'a Node, Error> {
        loop {
            match self.node() {
                Node::Union { .. } => drop(self.chosen()?),
                Node::Newtype(_, inner) => {
                    self.step()?;
                    self.node = *inner;
                }
                Node::Option(inner) => {
                    self.step()?;
                    if !self.cursor.flag()? {
                        let wanted = wanted();
                        return Err(Error::new(format_args!(
                            "there is nothing (None), and {wanted} is wanted"
                        )));
                    }
                    self.node = *inner;
                }
                node => return Ok(node),
            }
        }
    }

    #[cold]
    fn differs(&self, wanted: impl std::fmt::Display) -> Error {
        let written = self.plan().schema.describe_node(self.id());
        Error::new(format_args!("{written} was written, and {wanted} is wanted"))
    }

    /// What is there, as it is.
    fn leaf<V: Visitor<'de>>(self, leaf: Leaf, visitor: V) -> Result<V::Value, Error> {
        let cursor = self.cursor;
        match leaf {
            Leaf::Unit => visitor.visit_unit(),
            Leaf::Bool => visitor.visit_bool(cursor.flag()?),
            Leaf::I8 => visitor.visit_i8(cursor.byte()? as i8),
            Leaf::I16 => visitor.visit_i16(cursor.signed()?),
            Leaf::I32 => visitor.visit_i32(cursor.signed()?),
            Leaf::I64 => visitor.visit_i64(cursor.signed()?),
            Leaf::I128 => visitor.visit_i128(unzigzag_128(take_u128(&mut cursor.bytes)?)),
            Leaf::U8 => visitor.visit_u8(cursor.byte()?),
            Leaf::U16 => visitor.visit_u16(cursor.integer()?),
            Leaf::U32 => visitor.visit_u32(cursor.integer()?),
            Leaf::U64 => visitor.visit_u64(cursor.number()?),
            Leaf::U128 => visitor.visit_u128(take_u128(&mut cursor.bytes)?),
            Leaf::F32 => visitor.visit_f32(f32::from_le_bytes(cursor.array()?)),
            Leaf::F64 => visitor.visit_f64(f64::from_le_bytes(cursor.array()?)),
            Leaf::Char => visitor.visit_char(cursor.char()?),
            Leaf::Str => visitor.visit_borrowed_str(cursor.text()?),
            Leaf::Bytes => visitor.visit_borrowed_bytes(cursor.blob()?),
        }
    }

    /// A number of another type than the one that is wanted: every value of its type must be one of that type, too.
    #[inline(never)]
    fn widen<V: Visitor<'de>>(mut self, wanted: Leaf, visitor: V) -> Result<V::Value, Error> {
        let node = self.settle(&|| wanted.to_string())?;
        let Node::Leaf(leaf) = *node else { return Err(self.differs(wanted)) };
        if leaf == wanted {
            return self.leaf(leaf, visitor);
        }
        if !leaf.widens_to(wanted) {
            return Err(self.differs(wanted));
        }
        let cursor = &mut *self.cursor;
        if leaf == Leaf::F32 {
            return visitor.visit_f64(f64::from(f32::from_le_bytes(cursor.array()?)));
        }
        let number: i128 = match leaf {
            Leaf::I8 => i128::from(cursor.byte()? as i8),
            Leaf::U8 => i128::from(cursor.byte()?),
            Leaf::I16 => i128::from(cursor.signed::<i16>()?),
            Leaf::I32 => i128::from(cursor.signed::<i32>()?),
            Leaf::I64 => i128::from(cursor.signed::<i64>()?),
            Leaf::U16 => i128::from(cursor.integer::<u16>()?),
            Leaf::U32 => i128::from(cursor.integer::<u32>()?),
            Leaf::U64 => i128::from(cursor.number()?),
            _ => return Err(self.differs(wanted)),
        };
        // It fits, because of what `widens_to` says of the two types.
        match wanted {
            Leaf::I16 => visitor.visit_i16(number as i16),
            Leaf::I32 => visitor.visit_i32(number as i32),
            Leaf::I64 => visitor.visit_i64(number as i64),
            Leaf::I128 => visitor.visit_i128(number),
            Leaf::U16 => visitor.visit_u16(number as u16),
            Leaf::U32 => visitor.visit_u32(number as u32),
            Leaf::U64 => visitor.visit_u64(number as u64),
            Leaf::U128 => visitor.visit_u128(number as u128),
            Leaf::F32 => visitor.visit_f32(number as f32),
            Leaf::F64 => visitor.visit_f64(number as f64),
            _ => Err(self.differs(wanted)),
        }
    }

    fn text<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.settle(&|| Leaf::Str.to_string())? {
            Node::Leaf(leaf @ (Leaf::Str | Leaf::Char)) => self.leaf(*leaf, visitor),
            _ => Err(self.differs(Leaf::Str)),
        }
    }

    fn bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.settle(&|| Leaf::Bytes.to_string())? {
            Node::Leaf(Leaf::Bytes) => self.leaf(Leaf::Bytes, visitor),
            Node::Leaf(Leaf::Str) => visitor.visit_borrowed_bytes(self.cursor.blob()?),
            Node::Seq(item)
                if matches!(self.plan().schema.node(*item), Node::Leaf(Leaf::U8) | Node::Unknown) =>
            {
                self.sequence(*item, visitor)
            }
            _ => Err(self.differs(Leaf::Bytes)),
        }
    }

    fn unit<V: Visitor<'de>>(mut self, wanted: &str, visitor: V) -> Result<V::Value, Error> {
        match self.settle(&|| wanted.to_owned())? {
            Node::Leaf(Leaf::Unit) | Node::UnitStruct(_) => visitor.visit_unit(),
            _ => Err(self.differs(wanted)),
        }
    }

    #[inline(always)]
    fn sequence<V: Visitor<'de>>(self, item: NodeId, visitor: V) -> Result<V::Value, Error> {
        let cursor = self.cursor;
        let length = cursor.length()?;
        cursor.enter()?;
        let mut items = Items { cursor, item, left: length, length };
        let value = visitor.visit_seq(&mut items)?;
        items.done()?;
        Ok(value)
    }

    #[inline(always)]
    fn tuple_of<V: Visitor<'de>>(self, nodes: &'a [NodeId], visitor: V) -> Result<V::Value, Error> {
        let cursor = self.cursor;
        cursor.enter()?;
        let mut items = TupleItems { cursor, nodes, next: 0 };
        let value = visitor.visit_seq(&mut items)?;
        items.done()?;
        Ok(value)
    }

    #[inline(always)]
    fn tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        match self.node() {
            Node::Tuple(nodes) if nodes.len() == length => self.tuple_of(nodes, visitor),
            _ => self.tuple_otherwise(length, visitor),
        }
    }

    #[inline(never)]
    fn tuple_otherwise<V: Visitor<'de>>(mut self, length: usize, visitor: V) -> Result<V::Value, Error> {
        match self.settle(&|| tuple_name(length))? {
            Node::Tuple(nodes) | Node::TupleStruct(_, nodes) if nodes.len() == length => {
                self.tuple_of(nodes, visitor)
            }
            Node::Seq(item) => {
                let mut ahead = self.cursor.bytes;
                match take(&mut ahead)? {
                    found if found == length as u64 => self.sequence(*item, visitor),
                    found => {
                        let wanted = tuple_name(length);
                        Err(Error::new(format_args!("a list of {found} was written, and {wanted} is wanted")))
                    }
                }
            }
            // Zero or one item can be written as less than a tuple.
            Node::Leaf(Leaf::Unit) | Node::UnitStruct(_) if length == 0 => self.tuple_of(&[], visitor),
            _ => Err(self.differs(tuple_name(length))),
        }
    }

    #[inline(always)]
    fn map<V: Visitor<'de>>(self, key: NodeId, value: NodeId, visitor: V) -> Result<V::Value, Error> {
        let cursor = self.cursor;
        let length = cursor.length()?;
        cursor.enter()?;
        let mut entries = Entries { cursor, key, value, left: length, start: 0 };
        let value = visitor.visit_map(&mut entries)?;
        entries.done()?;
        Ok(value)
    }

    fn fields<V: Visitor<'de>>(self, node: NodeId, visitor: V) -> Result<V::Value, Error> {
        let cursor = self.cursor;
        cursor.enter()?;
        let mut fields = super::fields::Fields::new(cursor, node);
        let value = visitor.visit_map(&mut fields)?;
        fields.done()?;
        Ok(value)
    }

    /// A struct where a struct is wanted: by position if they are the same, else by name.
    #[inline(always)]
    fn structure<V: Visitor<'de>>(
        self,
        name: &'static str,
        wanted: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Node::Struct(of) = self.node()
            && self.plan().is_the_same(self.id(), wanted)
            && of.keyed_since.is_none_or(|since| self.cursor.version < since)
        {
            let cursor = self.cursor;
            cursor.enter()?;
            let mut fields = super::fields::InOrder { cursor, fields: &of.fields, next: 0 };
            let value = visitor.visit_seq(&mut fields)?;
            fields.done()?;
            return Ok(value);
        }
        self.structure_otherwise(name, wanted, visitor)
    }

    #[inline(never)]
    fn structure_otherwise<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        wanted: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.settle(&|| name.to_owned())? {
            Node::Struct(of) => match self.plan().match_fields(self.id(), of, name, wanted)? {
                Match::Same if of.keyed_since.is_none_or(|since| self.cursor.version < since) => {
                    let cursor = self.cursor;
                    cursor.enter()?;
                    let mut fields = super::fields::InOrder { cursor, fields: &of.fields, next: 0 };
                    let value = visitor.visit_seq(&mut fields)?;
                    fields.done()?;
                    Ok(value)
                }
                _ => {
                    let node = self.id();
                    self.fields(node, visitor)
                }
            },
            Node::Map(key, value) => self.map(*key, *value, visitor),
            Node::UnitStruct(_) => self.no_fields(visitor),
            _ => Err(self.differs(format_args!("struct {name}"))),
        }
    }

    /// What is wanted may be there or not, and was not written so.
    #[inline(never)]
    fn option_otherwise<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        loop {
            match self.choose()? {
                Node::Option(inner) => {
                    if !self.cursor.flag()? {
                        return visitor.visit_none();
                    }
                    self.cursor.enter()?;
                    let value = visitor.visit_some(Reader::new(self.cursor, *inner))?;
                    self.cursor.leave();
                    return Ok(value);
                }
                // What says of itself what it is says so of nothing, too: JSON's null.
                Node::Leaf(Leaf::Unit) if self.node & CHOSEN != 0 => return visitor.visit_none(),
                Node::Newtype(_, inner) if self.plan().is_optional(*inner) => {
                    self.step()?;
                    self.node = *inner;
                }
                // It was not optional when it was written, so it is there.
                _ => return visitor.visit_some(self),
            }
        }
    }

    #[inline(never)]
    fn sequence_otherwise<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        match self.settle(&|| "a list".to_owned())? {
            Node::Seq(item) => self.sequence(*item, visitor),
            Node::Tuple(nodes) | Node::TupleStruct(_, nodes) => self.tuple_of(nodes, visitor),
            Node::Leaf(Leaf::Bytes) => {
                let bytes = self.cursor.blob()?;
                visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied()))
            }
            _ => Err(self.differs("a list")),
        }
    }

    #[inline(always)]
    fn variant_of<V: Visitor<'de>>(self, of: &'a EnumNode, visitor: V) -> Result<V::Value, Error> {
        let cursor = self.cursor;
        let variant = variant(cursor, &of.variants)?;
        cursor.enter()?;
        let value = visitor.visit_enum(VariantReader { cursor: &mut *cursor, variant })?;
        cursor.leave();
        Ok(value)
    }

    #[inline(never)]
    fn enum_otherwise<V: Visitor<'de>>(mut self, name: &str, visitor: V) -> Result<V::Value, Error> {
        match self.settle(&|| name.to_owned())? {
            Node::Enum(of) => self.variant_of(of, visitor),
            // A hand-written `Serialize` may name the variant only.
            Node::Leaf(Leaf::Str) => {
                let text: BorrowedStrDeserializer<'de, Error> =
                    BorrowedStrDeserializer::new(self.cursor.text()?);
                visitor.visit_enum(text)
            }
            _ => Err(self.differs(format_args!("enum {name}"))),
        }
    }

    /// A struct or variant that had no fields when it was written.
    fn no_fields<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(de::value::MapDeserializer::<_, Error>::new(std::iter::empty::<((), ())>()))
    }

    /// Goes past a value.
    pub(super) fn skip(mut self) -> Result<(), Error> {
        self.cursor.enter()?;
        match self.choose()? {
            Node::Unknown => return Err(unknown()),
            Node::Leaf(leaf) => match leaf {
                Leaf::Unit => {}
                Leaf::Bool | Leaf::I8 | Leaf::U8 => drop(self.cursor.byte()?),
                Leaf::F32 => drop(self.cursor.take(4)?),
                Leaf::F64 => drop(self.cursor.take(8)?),
                Leaf::I128 | Leaf::U128 => drop(take_u128(&mut self.cursor.bytes)?),
                Leaf::Str | Leaf::Bytes => drop(self.cursor.blob()?),
                _ => drop(self.cursor.number()?),
            },
            Node::UnitStruct(_) => {}
            Node::Option(inner) => {
                if self.cursor.flag()? {
                    Reader::new(self.cursor, *inner).skip()?;
                }
            }
            Node::Newtype(_, inner) => Reader::new(self.cursor, *inner).skip()?,
            Node::Tuple(items) | Node::TupleStruct(_, items) => {
                for item in items {
                    Reader::new(self.cursor, *item).skip()?;
                }
            }
            Node::Seq(item) => {
                for _ in 0..self.cursor.length()? {
                    let before = self.cursor.bytes.len();
                    Reader::new(self.cursor, *item).skip()?;
                    self.cursor.unpad(before)?;
                }
            }
            Node::Map(key, value) => {
                for _ in 0..self.cursor.length()? {
                    let before = self.cursor.bytes.len();
                    Reader::new(self.cursor, *key).skip()?;
                    Reader::new(self.cursor, *value).skip()?;
                    self.cursor.unpad(before)?;
                }
            }
            Node::Struct(_) => {
                let id = self.id();
                let mut fields = super::fields::Fields::new(self.cursor, id);
                while let Some((_, field)) = fields.advance()? {
                    Reader::new(fields.cursor, field.node).skip()?;
                }
            }
            Node::Enum(of) => {
                let variant = variant(self.cursor, &of.variants)?;
                Reader::new(self.cursor, variant.content).skip()?;
            }
            Node::Union { .. } => return Err(unknown()),
        }
        self.cursor.leave();
        Ok(())
    }
}

#[cold]
fn unknown() -> Error {
    Error::new("damaged: a value is of a type that the schema does not know")
}

#[cold]
fn tuple_name(length: usize) -> String {
    format!("a tuple of {length}")
}

#[inline(always)]
pub(super) fn variant<'a>(
    cursor: &mut Cursor<'_, '_>,
    variants: &'a [super::schema::Variant],
) -> Result<&'a super::schema::Variant, Error> {
    let place = usize::try_from(cursor.number()?).ok();
    place
        .and_then(|place| variants.get(place))
        .ok_or_else(|| Error::new("damaged: an enum has no such variant"))
}

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
                        let mut content = super::fields::VariantAsMap { cursor, variant, told: false };
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

/// The items of a list.
struct Items<'c, 'a, 'de> {
    cursor: &'c mut Cursor<'a, 'de>,
    item: NodeId,
    left: usize,
    length: usize,
}

impl Items<'_, '_, '_> {
    #[inline(always)]
    fn done(&mut self) -> Result<(), Error> {
        self.cursor.leave();
        match self.left {
            0 => Ok(()),
            left => Err(unread(left, self.length)),
        }
    }
}

/// What is left over would be lost, and nobody told.
#[cold]
pub(super) fn unread(left: usize, all: usize) -> Error {
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
struct TupleItems<'c, 'a, 'de> {
    cursor: &'c mut Cursor<'a, 'de>,
    nodes: &'a [NodeId],
    next: usize,
}

impl TupleItems<'_, '_, '_> {
    #[inline(always)]
    fn done(&mut self) -> Result<(), Error> {
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

struct Entries<'c, 'a, 'de> {
    cursor: &'c mut Cursor<'a, 'de>,
    key: NodeId,
    value: NodeId,
    left: usize,
    start: usize,
}

impl Entries<'_, '_, '_> {
    #[inline(always)]
    fn done(&mut self) -> Result<(), Error> {
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
struct VariantReader<'c, 'a, 'de> {
    cursor: &'c mut Cursor<'a, 'de>,
    variant: &'a super::schema::Variant,
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
