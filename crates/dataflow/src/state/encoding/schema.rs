//! The schema of a state: what its writer knew of its types, as its values showed it.

use std::fmt;
use std::sync::atomic::{AtomicPtr, Ordering};

use serde::{Deserialize, Serialize};

/// The index of a node in its schema.
pub(super) type NodeId = u32;

/// What no value has shown yet: the items of lists that were all empty, the inside of options that were all `None`.
pub(super) const UNSEEN: NodeId = NodeId::MAX;

/// A graph of nodes: types may contain themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(super) nodes: Vec<Node>,
    /// What parts begin with, and what their entries are; [`UNSEEN`] if there is none.
    pub(super) roots: [NodeId; 2],
}

/// A type, as serde's data model has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Node {
    /// Nothing is known of it yet. In a schema that has been written, no value is of it.
    Unknown,
    Leaf(Leaf),
    Option(NodeId),
    UnitStruct(Name),
    Newtype(Name, NodeId),
    Seq(NodeId),
    Tuple(Vec<NodeId>),
    TupleStruct(Name, Vec<NodeId>),
    Map(NodeId, NodeId),
    Struct(StructNode),
    Enum(EnumNode),
    /// Values of several types: the number of the alternative is written before each, in runs of version `since` or newer. In older
    /// runs all values are of the first alternative, and nothing is written before them.
    Union {
        since: u32,
        alternatives: Vec<NodeId>,
    },
}

/// A name of a type, field or variant: where it lies in the program that writes it, or what was read.
#[derive(Debug, Default)]
pub(super) struct Name {
    known: &'static str,
    read: Box<str>,
    /// Where the name lay that was last found to be this one: a program may have the same words at several places.
    found: AtomicPtr<u8>,
}

impl Name {
    /// Whether two names are the same: mostly they are the same bytes in memory.
    #[inline(always)]
    pub(super) fn is(&self, name: &'static str) -> bool {
        let found = self.found.load(Ordering::Relaxed);
        (std::ptr::eq(found, name.as_ptr()) && self.known.len() == name.len()) || self.says(name)
    }

    #[cold]
    #[inline(never)]
    fn says(&self, name: &'static str) -> bool {
        let same = **self == *name;
        if same && self.read.is_empty() {
            self.found.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
        }
        same
    }
}

impl Clone for Name {
    fn clone(&self) -> Self {
        Self { read: self.read.clone(), ..Self::from(self.known) }
    }
}

impl From<&'static str> for Name {
    fn from(known: &'static str) -> Self {
        Self { known, read: Box::default(), found: AtomicPtr::new(known.as_ptr().cast_mut()) }
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        if self.read.is_empty() { self.known } else { &self.read }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { read: Box::deserialize(deserializer)?, ..Self::default() })
    }
}

/// A type without parts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Leaf {
    Unit,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StructNode {
    pub(super) name: Name,
    pub(super) fields: Vec<Field>,
    /// From this version of runs on, the number of each field is written before it, and a zero behind the last: values have not all
    /// the same fields, or not in the same order.
    pub(super) keyed_since: Option<u32>,
    /// A value of it has been written to its end, so that all of its fields are known. Of use only to the writer.
    #[serde(skip)]
    pub(super) complete: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Field {
    pub(super) name: Name,
    pub(super) node: NodeId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EnumNode {
    pub(super) name: Name,
    /// In the order in which they were first written.
    pub(super) variants: Vec<Variant>,
    /// Of each index that serde gives a variant, its place in `variants`. Of use only to the writer.
    #[serde(skip)]
    pub(super) places: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Variant {
    pub(super) name: Name,
    pub(super) content: NodeId,
}

impl Schema {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::Unknown)
    }

    /// What entries are, in words, for people: such as `(u64,Count{word:string,n:?i64})`.
    pub(crate) fn describe(&self) -> String {
        self.describe_node(self.roots[super::ENTRY])
    }

    /// One node in words.
    pub(super) fn describe_node(&self, id: NodeId) -> String {
        let mut words = String::new();
        self.words(id, &mut Vec::new(), &mut words);
        words
    }

    fn words(&self, id: NodeId, within: &mut Vec<NodeId>, out: &mut String) {
        if within.len() > 8 || within.contains(&id) || out.len() > 400 {
            match self.node(id) {
                Node::Struct(StructNode { name, .. }) | Node::Enum(EnumNode { name, .. }) => {
                    out.push_str(name)
                }
                _ => out.push('…'),
            }
            return;
        }
        within.push(id);
        let list = |ids: &[NodeId], within: &mut Vec<NodeId>, out: &mut String, between: &str| {
            for (index, id) in ids.iter().enumerate() {
                out.push_str(if index > 0 { between } else { "" });
                self.words(*id, within, out);
            }
        };
        match self.node(id) {
            Node::Unknown => out.push('_'),
            Node::Leaf(leaf) => out.push_str(leaf.word()),
            Node::Option(inner) => {
                out.push('?');
                self.words(*inner, within, out);
            }
            Node::UnitStruct(name) => out.push_str(name),
            Node::Newtype(name, inner) => {
                out.extend([name, "("]);
                self.words(*inner, within, out);
                out.push(')');
            }
            Node::Seq(item) => {
                out.push('[');
                self.words(*item, within, out);
                out.push(']');
            }
            Node::Tuple(items) => {
                out.push('(');
                list(items, within, out, ",");
                out.push(')');
            }
            Node::TupleStruct(name, items) => {
                out.extend([name, "("]);
                list(items, within, out, ",");
                out.push(')');
            }
            Node::Map(key, value) => {
                out.push_str("map<");
                list(&[*key, *value], within, out, ",");
                out.push('>');
            }
            Node::Struct(StructNode { name, fields, .. }) => {
                out.extend([name, "{"]);
                for (index, field) in fields.iter().enumerate() {
                    out.extend([if index > 0 { "," } else { "" }, &field.name, ":"]);
                    self.words(field.node, within, out);
                }
                out.push('}');
            }
            Node::Enum(EnumNode { name, variants, .. }) => {
                out.push_str(name);
                for (index, variant) in variants.iter().enumerate() {
                    out.extend([if index > 0 { "|" } else { "::" }, &variant.name]);
                    match self.node(variant.content) {
                        Node::Leaf(Leaf::Unit) => {}
                        Node::Struct(inner) if inner.name == variant.name => {
                            out.push('{');
                            for (index, field) in inner.fields.iter().enumerate() {
                                out.extend([if index > 0 { "," } else { "" }, &field.name, ":"]);
                                self.words(field.node, within, out);
                            }
                            out.push('}');
                        }
                        Node::Tuple(items) => {
                            out.push('(');
                            list(items, within, out, ",");
                            out.push(')');
                        }
                        _ => {
                            out.push('(');
                            self.words(variant.content, within, out);
                            out.push(')');
                        }
                    }
                }
            }
            Node::Union { alternatives, .. } => list(alternatives, within, out, " or "),
        }
        within.pop();
    }
}

impl Node {
    /// Whether it has a name or parts, so that a type that is of it may contain itself.
    pub(super) fn is_compound(&self) -> bool {
        !matches!(self, Node::Unknown | Node::Leaf(_) | Node::UnitStruct(_))
    }
}

impl Leaf {
    pub(super) fn word(self) -> &'static str {
        match self {
            Leaf::Unit => "()",
            Leaf::Bool => "bool",
            Leaf::I8 => "i8",
            Leaf::I16 => "i16",
            Leaf::I32 => "i32",
            Leaf::I64 => "i64",
            Leaf::I128 => "i128",
            Leaf::U8 => "u8",
            Leaf::U16 => "u16",
            Leaf::U32 => "u32",
            Leaf::U64 => "u64",
            Leaf::U128 => "u128",
            Leaf::F32 => "f32",
            Leaf::F64 => "f64",
            Leaf::Char => "char",
            Leaf::Str => "string",
            Leaf::Bytes => "bytes",
        }
    }

    /// Whether every value of it is a value of `wanted`, too.
    pub(super) fn widens_to(self, wanted: Leaf) -> bool {
        use Leaf::*;
        self == wanted
            || match self {
                I8 => matches!(wanted, I16 | I32 | I64 | I128 | F32 | F64),
                I16 => matches!(wanted, I32 | I64 | I128 | F32 | F64),
                I32 => matches!(wanted, I64 | I128 | F64),
                I64 => wanted == I128,
                U8 => matches!(wanted, U16 | U32 | U64 | U128 | I16 | I32 | I64 | I128 | F32 | F64),
                U16 => matches!(wanted, U32 | U64 | U128 | I32 | I64 | I128 | F32 | F64),
                U32 => matches!(wanted, U64 | U128 | I64 | I128 | F64),
                U64 => matches!(wanted, U128 | I128),
                F32 => wanted == F64,
                Char => wanted == Str,
                Str => wanted == Bytes,
                _ => false,
            }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
