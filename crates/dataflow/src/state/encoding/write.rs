//! serde's `Serializer`: writes a value by the schema of its state, which grows where the value shows something new.

use std::marker::PhantomData;

use serde::ser::{self, Serialize};

use super::DEPTH;
use super::error::{Error, Step};
use super::grow::{Content, Grown, Kind};
use super::schema::{Field, Leaf, Name, Node, NodeId, StructNode, UNSEEN};
use super::varint::{put, put_u128, zigzag, zigzag_128};

/// Where values are written to.
pub(super) struct Sink {
    pub(super) buffer: Vec<u8>,
    pub(super) grown: Grown,
    pub(super) depth: u32,
}

impl Sink {
    /// The node of a value that is not what was expected at its place. If values of several kinds come there, its number is written.
    #[cold]
    #[inline(never)]
    fn other(&mut self, node: NodeId, kind: Kind, name: &'static str) -> NodeId {
        let (node, number) = self.grown.settle(node, kind, name);
        if let Some(number) = number {
            put(&mut self.buffer, u64::from(number));
        }
        node
    }
}

/// Writes one value, a `T`, at one place of the schema.
pub(super) struct Writer<'a, T: ?Sized> {
    sink: &'a mut Sink,
    node: NodeId,
    of: PhantomData<fn(&T)>,
}

impl<'a, T: ?Sized> Writer<'a, T> {
    #[inline(always)]
    pub(super) fn new(sink: &'a mut Sink, node: NodeId) -> Self {
        Self { sink, node, of: PhantomData }
    }

    /// The node of a value of this kind.
    #[inline(always)]
    fn enter(&mut self, kind: Kind) -> NodeId {
        match kind.fits(&self.sink.grown.schema.nodes[self.node as usize]) {
            true => self.node,
            false => self.sink.other(self.node, kind, std::any::type_name::<T>()),
        }
    }

    #[inline(always)]
    fn leaf(&mut self, leaf: Leaf) -> &mut Vec<u8> {
        self.enter(Kind::Leaf(leaf));
        &mut self.sink.buffer
    }

    #[inline(always)]
    fn deeper(&mut self) -> Result<(), Error> {
        self.sink.depth += 1;
        if self.sink.depth > DEPTH { Err(too_deep()) } else { Ok(()) }
    }

    fn sequence(mut self, length: Option<usize>) -> Result<Sequence<'a>, Error> {
        self.deeper()?;
        let node = self.enter(Kind::Seq);
        Ok(Sequence::begin(self.sink, node, length))
    }

    #[inline(always)]
    fn items(mut self, kind: Kind) -> Result<Items<'a>, Error> {
        self.deeper()?;
        let node = self.enter(kind);
        Ok(Items { sink: self.sink, node, next: 0 })
    }

    #[inline(always)]
    fn variant<C: ?Sized>(&mut self, name: &'static str, index: u32, variant: &'static str) -> NodeId {
        let node = self.enter(Kind::Enum(name));
        let (place, content) = self.sink.grown.variant::<C>(node, index, variant);
        put(&mut self.sink.buffer, u64::from(place));
        content
    }
}

#[cold]
fn too_deep() -> Error {
    Error::new(format_args!("it is nested deeper than {DEPTH} levels"))
}

#[cold]
fn announced(announced: usize, written: usize) -> Error {
    Error::new(format_args!("its Serialize announced {announced} items, and wrote {written}"))
}

macro_rules! number {
    ($($method:ident $leaf:ident $type:ty, |$buffer:ident, $value:ident| $write:expr;)*) => {
        $(#[inline(always)]
        fn $method(mut self, $value: $type) -> Result<(), Error> {
            let $buffer = self.leaf(Leaf::$leaf);
            $write;
            Ok(())
        })*
    };
}

impl<'a, Of: ?Sized> ser::Serializer for Writer<'a, Of> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Sequence<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Sequence<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

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
    fn serialize_str(mut self, text: &str) -> Result<(), Error> {
        let buffer = self.leaf(Leaf::Str);
        put(buffer, text.len() as u64);
        buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(mut self, bytes: &[u8]) -> Result<(), Error> {
        let buffer = self.leaf(Leaf::Bytes);
        put(buffer, bytes.len() as u64);
        buffer.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn serialize_none(mut self) -> Result<(), Error> {
        self.enter(Kind::Option);
        self.sink.buffer.push(0);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Error> {
        self.deeper()?;
        let mut node = self.enter(Kind::Option);
        self.sink.buffer.push(1);
        let inner = inner::<T>(self.sink, &mut node, |node| match node {
            Node::Option(inner) => Some(inner),
            _ => None,
        });
        value.serialize(Writer::<T>::new(self.sink, inner))?;
        self.sink.depth -= 1;
        Ok(())
    }

    #[inline]
    fn serialize_unit(mut self) -> Result<(), Error> {
        self.leaf(Leaf::Unit);
        Ok(())
    }

    fn serialize_unit_struct(mut self, name: &'static str) -> Result<(), Error> {
        self.enter(Kind::UnitStruct(name));
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(
        mut self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        let content = self.variant::<Content>(name, index, variant);
        Writer::<Content>::new(self.sink, content).leaf(Leaf::Unit);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.deeper()?;
        let mut node = self.enter(Kind::Newtype(name));
        let inner = inner::<T>(self.sink, &mut node, |node| match node {
            Node::Newtype(_, inner) => Some(inner),
            _ => None,
        });
        value.serialize(Writer::<T>::new(self.sink, inner))?;
        self.sink.depth -= 1;
        Ok(())
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.deeper()?;
        let content = self.variant::<T>(name, index, variant);
        value.serialize(Writer::<T>::new(self.sink, content)).map_err(|error| error.variant(variant))?;
        self.sink.depth -= 1;
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Sequence<'a>, Error> {
        self.sequence(length)
    }

    #[inline]
    fn serialize_tuple(self, length: usize) -> Result<Items<'a>, Error> {
        self.items(Kind::Tuple(length))
    }

    #[inline]
    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Items<'a>, Error> {
        self.items(Kind::TupleStruct(name, length))
    }

    #[inline]
    fn serialize_tuple_variant(
        mut self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items<'a>, Error> {
        let content = self.variant::<Content>(name, index, variant);
        Writer::<Content>::new(self.sink, content).items(Kind::Tuple(length))
    }

    #[inline]
    fn serialize_map(mut self, length: Option<usize>) -> Result<Sequence<'a>, Error> {
        self.deeper()?;
        let node = self.enter(Kind::Map);
        Ok(Sequence::begin(self.sink, node, length))
    }

    #[inline]
    fn serialize_struct(mut self, name: &'static str, _: usize) -> Result<Fields<'a>, Error> {
        self.deeper()?;
        let node = self.enter(Kind::Struct(name));
        Ok(Fields::begin(self.sink, node))
    }

    #[inline]
    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, Error> {
        self.deeper()?;
        let content = self.variant::<Content>(name, index, variant);
        let mut writer = Writer::<Content>::new(self.sink, content);
        let node = writer.enter(Kind::Struct(variant));
        Ok(Fields::begin(writer.sink, node))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The node of what is in a value of `node`. Where a value has just shown that the place has several types, `node` is set right first.
#[inline(always)]
fn inner<T: ?Sized>(
    sink: &mut Sink,
    node: &mut NodeId,
    slot: impl Fn(&mut Node) -> Option<&mut NodeId>,
) -> NodeId {
    match slot(&mut sink.grown.schema.nodes[*node as usize]) {
        Some(&mut inner) if inner != UNSEEN => inner,
        _ => unseen::<T>(sink, node, slot),
    }
}

#[cold]
fn unseen<T: ?Sized>(
    sink: &mut Sink,
    node: &mut NodeId,
    slot: impl Fn(&mut Node) -> Option<&mut NodeId>,
) -> NodeId {
    *node = sink.grown.moved(*node);
    match slot(&mut sink.grown.schema.nodes[*node as usize]) {
        Some(&mut inner) if inner != UNSEEN => inner,
        _ => {
            let place = sink.grown.place::<T>();
            if let Some(inner) = slot(&mut sink.grown.schema.nodes[*node as usize]) {
                *inner = place;
            }
            place
        }
    }
}

/// The items of a list, or the entries of a map.
pub(super) struct Sequence<'a> {
    sink: &'a mut Sink,
    node: NodeId,
    /// Where its length has been written.
    start: usize,
    announced: usize,
    written: usize,
    /// Where the entry began whose key has been written.
    entry: usize,
}

impl<'a> Sequence<'a> {
    #[inline(always)]
    fn begin(sink: &'a mut Sink, node: NodeId, length: Option<usize>) -> Self {
        let (start, announced) = (sink.buffer.len(), length.unwrap_or(0));
        put(&mut sink.buffer, announced as u64);
        Self { sink, node, start, announced, written: 0, entry: 0 }
    }

    /// Every item takes a byte, so that no few bytes can claim to be many items.
    #[inline(always)]
    fn pad(&mut self, start: usize) {
        self.written += 1;
        if self.sink.buffer.len() == start {
            self.sink.buffer.push(0);
        }
    }

    #[inline(always)]
    fn finish(self) -> Result<(), Error> {
        self.sink.depth -= 1;
        if self.written != self.announced {
            self.correct();
        }
        Ok(())
    }

    /// Its length was not known, or another than announced.
    #[cold]
    fn correct(self) {
        let mut length = Vec::new();
        put(&mut length, self.announced as u64);
        let announced = self.start..self.start + length.len();
        length.clear();
        put(&mut length, self.written as u64);
        self.sink.buffer.splice(announced, length);
    }
}

impl ser::SerializeSeq for Sequence<'_> {
    type Ok = ();
    type Error = Error;

    #[inline(always)]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let start = self.sink.buffer.len();
        let item = inner::<T>(self.sink, &mut self.node, |node| match node {
            Node::Seq(item) => Some(item),
            _ => None,
        });
        let written = value.serialize(Writer::<T>::new(self.sink, item));
        if let Err(error) = written {
            return Err(error.item(self.written));
        }
        self.pad(start);
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeMap for Sequence<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.entry = self.sink.buffer.len();
        let node = inner::<T>(self.sink, &mut self.node, |node| match node {
            Node::Map(key, _) => Some(key),
            _ => None,
        });
        key.serialize(Writer::<T>::new(self.sink, node)).map_err(|error| error.at(Step::Key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let node = inner::<T>(self.sink, &mut self.node, |node| match node {
            Node::Map(_, value) => Some(value),
            _ => None,
        });
        value.serialize(Writer::<T>::new(self.sink, node)).map_err(|error| error.at(Step::Value))?;
        self.pad(self.entry);
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

/// The items of a tuple.
pub(super) struct Items<'a> {
    sink: &'a mut Sink,
    node: NodeId,
    next: usize,
}

impl Items<'_> {
    #[inline(always)]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let index = self.next;
        let item = inner::<T>(self.sink, &mut self.node, |node| match node {
            Node::Tuple(items) | Node::TupleStruct(_, items) => items.get_mut(index),
            _ => None,
        });
        self.next += 1;
        value.serialize(Writer::<T>::new(self.sink, item)).map_err(|error| error.item(index))
    }

    #[inline(always)]
    fn finish(self) -> Result<(), Error> {
        self.sink.depth -= 1;
        match self.sink.grown.schema.node(self.node) {
            Node::Tuple(items) | Node::TupleStruct(_, items) if items.len() != self.next => {
                Err(announced(items.len(), self.next))
            }
            _ => Ok(()),
        }
    }
}

macro_rules! items {
    ($($of:ident $method:ident;)*) => {
        $(impl ser::$of for Items<'_> {
            type Ok = ();
            type Error = Error;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        })*
    };
}

items! {
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

/// The fields of a struct.
pub(super) struct Fields<'a> {
    sink: &'a mut Sink,
    node: NodeId,
    next: usize,
    keyed: bool,
}

impl<'a> Fields<'a> {
    #[inline(always)]
    fn begin(sink: &'a mut Sink, node: NodeId) -> Self {
        let keyed = matches!(sink.grown.schema.node(node), Node::Struct(of) if of.keyed_since.is_some());
        Self { sink, node, next: 0, keyed }
    }

    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let node = match &self.sink.grown.schema.nodes[self.node as usize] {
            Node::Struct(StructNode { fields, .. })
                if !self.keyed && fields.get(self.next).is_some_and(|field| field.name.is(name)) =>
            {
                fields[self.next].node
            }
            _ => self.other::<T>(name),
        };
        self.next += 1;
        value.serialize(Writer::<T>::new(self.sink, node)).map_err(|error| error.field(name))
    }

    /// The node of a field that does not come in its turn, its number being written before it where they are.
    #[cold]
    #[inline(never)]
    fn other<T: ?Sized>(&mut self, name: &'static str) -> NodeId {
        let grown = &mut self.sink.grown;
        self.node = grown.moved(self.node);
        let Node::Struct(of) = grown.schema.node(self.node) else { return grown.place::<T>() };
        // Most often they come in the same order.
        let known = match of.fields.get(self.next) {
            Some(field) if field.name.is(name) => Some(self.next),
            _ => of.fields.iter().position(|field| *field.name == *name),
        };
        let (in_turn, complete) = (self.next == of.fields.len(), of.complete);
        if !self.keyed && (complete || known.is_some() || !in_turn) && known != Some(self.next) {
            grown.key_fields(self.node);
            self.keyed = true;
        }
        let place = known.unwrap_or_else(|| {
            let node = grown.place::<T>();
            let Node::Struct(of) = &mut grown.schema.nodes[self.node as usize] else { return 0 };
            of.fields.push(Field { name: Name::from(name), node });
            of.fields.len() - 1
        });
        self.next = place;
        if self.keyed {
            put(&mut self.sink.buffer, place as u64 + 1);
        }
        match self.sink.grown.schema.node(self.node) {
            Node::Struct(of) => of.fields[place].node,
            _ => UNSEEN,
        }
    }

    #[inline(always)]
    fn finish(mut self) -> Result<(), Error> {
        self.sink.depth -= 1;
        if self.keyed {
            self.sink.buffer.push(0);
        } else {
            match self.sink.grown.schema.node(self.node) {
                Node::Struct(of) if of.complete && of.fields.len() == self.next => {}
                _ => self.end_otherwise(),
            }
        }
        Ok(())
    }

    #[cold]
    fn end_otherwise(&mut self) {
        let grown = &mut self.sink.grown;
        self.node = grown.moved(self.node);
        let next = self.next;
        let Node::Struct(of) = &mut grown.schema.nodes[self.node as usize] else { return };
        of.complete = true;
        if of.fields.len() != next {
            grown.key_fields(self.node);
        }
    }
}

macro_rules! fields {
    ($($of:ident;)*) => {
        $(impl ser::$of for Fields<'_> {
            type Ok = ();
            type Error = Error;

            #[inline(always)]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
                self.field(name, value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        })*
    };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}
