//! Reads a value that was written by one schema into the type that is wanted now.

mod access;
mod deserializer;
mod octets;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Visitor};

pub(super) use self::access::unread;
use self::access::{Entries, Items, TupleItems, VariantReader};
use self::octets::Octets;
use super::cursor::Cursor;
use super::error::Error;
use super::plan::{Match, Plan};
use super::schema::{EnumNode, Leaf, Node, NodeId};
use super::varint::{take, take_u128, unzigzag_128};

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
        if matches!(cursor.plan.schema.node(item), Node::Leaf(Leaf::U8)) {
            let bytes = cursor.take(length)?;
            let mut items = Octets { cursor, item, bytes, length };
            let value = visitor.visit_seq(&mut items)?;
            items.done()?;
            return Ok(value);
        }
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
