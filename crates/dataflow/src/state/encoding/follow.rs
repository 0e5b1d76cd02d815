//! serde's `Serializer` for values that show nothing new: writes them by the schema as it is.
//!
//! Nearly all values are like those before them. So they are first written as if all were: the schema is only read, and nothing is said
//! of an error but that there is one. What does not fit is [`Other`]; the value is then written once more by `write.rs`, which
//! lets the schema grow, or says what is wrong.

mod octets;

use std::fmt;
use std::slice::Iter;

use serde::ser::{self, Serialize};

use self::octets::Octet;
use super::DEPTH;
use super::grow::Kind;
use super::schema::{EnumNode, Field, Leaf, Node, NodeId, Schema, StructNode};
use super::varint::{put, put_u128, zigzag, zigzag_128};

/// The value is not as the schema says, or is an error.
#[derive(Debug)]
pub(super) struct Other;

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not as the schema says")
    }
}

impl std::error::Error for Other {}

impl ser::Error for Other {
    #[cold]
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Appends a value to `buffer` that is the content of `node`. On an error it may have appended a part.
#[inline(always)]
pub(super) fn follow<T: Serialize + ?Sized>(
    schema: &Schema,
    node: NodeId,
    depth: u32,
    value: &T,
    buffer: &mut Vec<u8>,
) -> Result<(), Other> {
    let mut output = Output { nodes: &schema.nodes, buffer };
    value.serialize(Follower { output: &mut output, node, depth })
}

/// Where values are written to, and by what.
struct Output<'s> {
    nodes: &'s [Node],
    buffer: &'s mut Vec<u8>,
}

impl<'s> Output<'s> {
    #[inline(always)]
    fn write<T: Serialize + ?Sized>(&mut self, node: NodeId, depth: u32, value: &T) -> Result<(), Other> {
        value.serialize(Follower { output: self, node, depth })
    }

    #[inline(always)]
    fn node(&self, node: NodeId) -> Result<&'s Node, Other> {
        self.nodes.get(node as usize).ok_or(Other)
    }

    /// The node of a value of this kind, where that is expected.
    #[inline(always)]
    fn enter(&mut self, node: NodeId, kind: Kind) -> Result<&'s Node, Other> {
        let node = self.node(node)?;
        if kind.fits(node) { Ok(node) } else { self.alternative(node, kind) }
    }

    /// Where values of several kinds come, their number is written before them.
    #[cold]
    #[inline(never)]
    fn alternative(&mut self, node: &Node, kind: Kind) -> Result<&'s Node, Other> {
        let Node::Union { alternatives, .. } = node else { return Err(Other) };
        for (number, alternative) in alternatives.iter().enumerate() {
            let node = self.node(*alternative)?;
            if kind.fits(node) {
                put(self.buffer, number as u64);
                return Ok(node);
            }
        }
        Err(Other)
    }

    /// Begins a value of an enum. Returns the node of its content.
    #[inline(always)]
    fn variant(
        &mut self,
        node: NodeId,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<NodeId, Other> {
        let Node::Enum(EnumNode { places, variants, .. }) = self.enter(node, Kind::Enum(name))? else {
            return Err(Other);
        };
        let place = *places.get(index as usize).ok_or(Other)?;
        let known = variants.get(place as usize).ok_or(Other)?;
        if !known.name.is(variant) {
            return Err(Other);
        }
        put(self.buffer, u64::from(place));
        Ok(known.content)
    }
}

/// Writes one value at one place of the schema.
struct Follower<'a, 's> {
    output: &'a mut Output<'s>,
    node: NodeId,
    depth: u32,
}

impl<'a, 's> Follower<'a, 's> {
    #[inline(always)]
    fn leaf(self, leaf: Leaf) -> Result<&'a mut Vec<u8>, Other> {
        self.output.enter(self.node, Kind::Leaf(leaf))?;
        Ok(self.output.buffer)
    }

    /// The depth of what is in this value.
    #[inline(always)]
    fn deeper(&self) -> Result<u32, Other> {
        let depth = self.depth + 1;
        if depth > DEPTH { Err(Other) } else { Ok(depth) }
    }

    #[inline(always)]
    fn items(self, kind: Kind) -> Result<Items<'a, 's>, Other> {
        let depth = self.deeper()?;
        match self.output.enter(self.node, kind)? {
            Node::Tuple(items) | Node::TupleStruct(_, items) => {
                Ok(Items { output: self.output, items: items.iter(), depth })
            }
            _ => Err(Other),
        }
    }

    #[inline(always)]
    fn fields(self, name: &'static str, depth: u32) -> Result<Fields<'a, 's>, Other> {
        match self.output.enter(self.node, Kind::Struct(name))? {
            Node::Struct(StructNode { fields, keyed_since, complete: true, .. }) => {
                let (left, keyed) = (fields.iter(), keyed_since.is_some());
                Ok(Fields { output: self.output, fields, left, keyed, depth })
            }
            _ => Err(Other),
        }
    }
}

macro_rules! number {
    ($($method:ident $leaf:ident $type:ty, |$buffer:ident, $value:ident| $write:expr;)*) => {
        $(#[inline(always)]
        fn $method(self, $value: $type) -> Result<(), Other> {
            let $buffer = self.leaf(Leaf::$leaf)?;
            $write;
            Ok(())
        })*
    };
}

impl<'a, 's> ser::Serializer for Follower<'a, 's> {
    type Ok = ();
    type Error = Other;
    type SerializeSeq = Sequence<'a, 's>;
    type SerializeTuple = Items<'a, 's>;
    type SerializeTupleStruct = Items<'a, 's>;
    type SerializeTupleVariant = Items<'a, 's>;
    type SerializeMap = Sequence<'a, 's>;
    type SerializeStruct = Fields<'a, 's>;
    type SerializeStructVariant = Fields<'a, 's>;

    number! {
        serialize_bool Bool bool, |buffer, v| buffer.push(u8::from(v));
        serialize_i8 I8 i8, |buffer, v| buffer.push(v as u8);
        serialize_i16 I16 i16, |buffer, v| put(buffer, zigzag(v.into()));
        serialize_i32 I32 i32, |buffer, v| put(buffer, zigzag(v.into()));
        serialize_i64 I64 i64, |buffer, v| put(buffer, zigzag(v));
        serialize_i128 I128 i128, |buffer, v| put_u128(buffer, zigzag_128(v));
        serialize_u8 U8 u8, |buffer, v| buffer.push(v);
        serialize_u16 U16 u16, |buffer, v| put(buffer, v.into());
        serialize_u32 U32 u32, |buffer, v| put(buffer, v.into());
        serialize_u64 U64 u64, |buffer, v| put(buffer, v);
        serialize_u128 U128 u128, |buffer, v| put_u128(buffer, v);
        serialize_f32 F32 f32, |buffer, v| buffer.extend_from_slice(&v.to_le_bytes());
        serialize_f64 F64 f64, |buffer, v| buffer.extend_from_slice(&v.to_le_bytes());
        serialize_char Char char, |buffer, v| put(buffer, u32::from(v).into());
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Other> {
        let buffer = self.leaf(Leaf::Str)?;
        put(buffer, text.len() as u64);
        buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Other> {
        let buffer = self.leaf(Leaf::Bytes)?;
        put(buffer, bytes.len() as u64);
        buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Other> {
        self.output.enter(self.node, Kind::Option)?;
        self.output.buffer.push(0);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Other> {
        let depth = self.deeper()?;
        let Node::Option(inner) = self.output.enter(self.node, Kind::Option)? else { return Err(Other) };
        self.output.buffer.push(1);
        self.output.write(*inner, depth, value)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Other> {
        self.leaf(Leaf::Unit)?;
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Other> {
        self.output.enter(self.node, Kind::UnitStruct(name))?;
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), Other> {
        let content = self.output.variant(self.node, name, index, variant)?;
        self.output.enter(content, Kind::Leaf(Leaf::Unit))?;
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Other> {
        let depth = self.deeper()?;
        match self.output.enter(self.node, Kind::Newtype(name))? {
            Node::Newtype(_, inner) => self.output.write(*inner, depth, value),
            _ => Err(Other),
        }
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Other> {
        let depth = self.deeper()?;
        let content = self.output.variant(self.node, name, index, variant)?;
        self.output.write(content, depth, value)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Sequence<'a, 's>, Other> {
        let depth = self.deeper()?;
        match self.output.enter(self.node, Kind::Seq)? {
            Node::Seq(item) => Ok(Sequence::begin(self.output, *item, *item, depth, length)),
            _ => Err(Other),
        }
    }

    #[inline]
    fn collect_seq<I: IntoIterator<Item: Serialize>>(self, items: I) -> Result<(), Other> {
        let mut items = items.into_iter();
        let length = match items.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        if let (Some(length), Node::Seq(item)) = (length, self.output.node(self.node)?)
            && matches!(self.output.node(*item)?, Node::Leaf(Leaf::U8))
        {
            self.deeper()?;
            let buffer = &mut *self.output.buffer;
            put(buffer, length as u64);
            let end = buffer.len() + length;
            buffer.reserve(length);
            items.try_for_each(|item| item.serialize(Octet(&mut *buffer)))?;
            return if buffer.len() == end { Ok(()) } else { Err(Other) };
        }
        let mut sequence = self.serialize_seq(length)?;
        items.try_for_each(|item| ser::SerializeSeq::serialize_element(&mut sequence, &item))?;
        ser::SerializeSeq::end(sequence)
    }

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<Items<'a, 's>, Other> {
        self.items(Kind::Tuple(length))
    }

    #[inline]
    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Items<'a, 's>, Other> {
        self.items(Kind::TupleStruct(name, length))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items<'a, 's>, Other> {
        let Self { output, node, depth } = self;
        let node = output.variant(node, name, index, variant)?;
        Follower { output, node, depth }.items(Kind::Tuple(length))
    }

    #[inline]
    fn serialize_map(self, length: Option<usize>) -> Result<Sequence<'a, 's>, Other> {
        let depth = self.deeper()?;
        match self.output.enter(self.node, Kind::Map)? {
            Node::Map(key, value) => Ok(Sequence::begin(self.output, *key, *value, depth, length)),
            _ => Err(Other),
        }
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Fields<'a, 's>, Other> {
        let depth = self.deeper()?;
        self.fields(name, depth)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a, 's>, Other> {
        let depth = self.deeper()?;
        let Self { output, node, .. } = self;
        let node = output.variant(node, name, index, variant)?;
        Follower { output, node, depth }.fields(variant, depth)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The items of a list, or the entries of a map.
struct Sequence<'a, 's> {
    output: &'a mut Output<'s>,
    key: NodeId,
    value: NodeId,
    depth: u32,
    announced: usize,
    written: usize,
    /// Where the entry began whose key has been written.
    entry: usize,
}

impl<'a, 's> Sequence<'a, 's> {
    #[inline(always)]
    fn begin(
        output: &'a mut Output<'s>,
        key: NodeId,
        value: NodeId,
        depth: u32,
        length: Option<usize>,
    ) -> Self {
        // One whose length is not announced is left to `write.rs`, unless it is empty.
        let announced = length.unwrap_or(0);
        put(output.buffer, announced as u64);
        Self { output, key, value, depth, announced, written: 0, entry: 0 }
    }

    /// Every item takes a byte, so that no few bytes can claim to be many items.
    #[inline(always)]
    fn pad(&mut self, start: usize) {
        self.written += 1;
        if self.output.buffer.len() == start {
            self.output.buffer.push(0);
        }
    }

    #[inline(always)]
    fn finish(self) -> Result<(), Other> {
        if self.written == self.announced { Ok(()) } else { Err(Other) }
    }
}

impl ser::SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = Other;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Other> {
        let start = self.output.buffer.len();
        self.output.write(self.value, self.depth, value)?;
        self.pad(start);
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), Other> {
        self.finish()
    }
}

impl ser::SerializeMap for Sequence<'_, '_> {
    type Ok = ();
    type Error = Other;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Other> {
        self.entry = self.output.buffer.len();
        self.output.write(self.key, self.depth, key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Other> {
        self.output.write(self.value, self.depth, value)?;
        self.pad(self.entry);
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), Other> {
        self.finish()
    }
}

/// The items of a tuple.
struct Items<'a, 's> {
    output: &'a mut Output<'s>,
    items: Iter<'s, NodeId>,
    depth: u32,
}

impl Items<'_, '_> {
    #[inline(always)]
    fn next<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Other> {
        let item = self.items.next().ok_or(Other)?;
        self.output.write(*item, self.depth, value)
    }

    #[inline(always)]
    fn finish(self) -> Result<(), Other> {
        if self.items.len() == 0 { Ok(()) } else { Err(Other) }
    }
}

/// The fields of a struct.
struct Fields<'a, 's> {
    output: &'a mut Output<'s>,
    fields: &'s [Field],
    /// Those that have not had their turn.
    left: Iter<'s, Field>,
    /// Each field's number is written before it.
    keyed: bool,
    depth: u32,
}

impl Fields<'_, '_> {
    #[inline(always)]
    fn next<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Other> {
        let node = match self.left.next() {
            Some(field) if !self.keyed && field.name.is(name) => field.node,
            _ => self.keyed(name)?,
        };
        self.output.write(node, self.depth, value)
    }

    #[inline(always)]
    fn finish(self) -> Result<(), Other> {
        match (self.keyed, self.left.len()) {
            (true, _) => self.output.buffer.push(0),
            (false, 0) => {}
            _ => return Err(Other),
        }
        Ok(())
    }

    /// The node of a field that does not come in its turn, or has its number before it.
    #[cold]
    #[inline(never)]
    fn keyed(&mut self, name: &'static str) -> Result<NodeId, Other> {
        let known = self.fields.iter().position(|field| field.name.is(name));
        let place = known.filter(|_| self.keyed).ok_or(Other)?;
        put(self.output.buffer, place as u64 + 1);
        Ok(self.fields[place].node)
    }
}

macro_rules! parts {
    ($($trait:ident for $of:ident: $method:ident($($name:ident)?);)*) => {
        $(impl ser::$trait for $of<'_, '_> {
            type Ok = ();
            type Error = Other;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Result<(), Other> {
                self.next($($name,)? value)
            }

            #[inline(always)]
            fn end(self) -> Result<(), Other> {
                self.finish()
            }
        })*
    };
}

parts! {
    SerializeTuple for Items: serialize_element();
    SerializeTupleStruct for Items: serialize_field();
    SerializeTupleVariant for Items: serialize_field();
    SerializeStruct for Fields: serialize_field(name);
    SerializeStructVariant for Fields: serialize_field(name);
}
