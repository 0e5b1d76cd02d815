//! A schema that grows with the values that are written by it.
//!
//! A node says what the values at one place of a type look like, as far as values have shown it. What they show later is added. Most of
//! what can be added leaves what has been written before as it is: a variant, the inside of an option, another alternative. When a
//! place turns out to have values of *several* types after some have been written without saying which, or a struct turns out to leave
//! fields out, the **version** of runs goes up: the run that is being written is written again.

use std::collections::HashMap;

use super::schema::{EnumNode, Leaf, Node, NodeId, Schema, StructNode, UNSEEN, Variant};

/// What a value is, as its `Serialize` tells.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Leaf(Leaf),
    Option,
    UnitStruct(&'static str),
    Newtype(&'static str),
    Seq,
    Tuple(usize),
    TupleStruct(&'static str, usize),
    Map,
    Struct(&'static str),
    Enum(&'static str),
}

impl Kind {
    /// Whether the values of a node are of this kind. Structs and enums of several names may come to one place.
    #[inline(always)]
    pub(super) fn fits(self, node: &Node) -> bool {
        match (self, node) {
            (Kind::Leaf(leaf), Node::Leaf(known)) => *known == leaf,
            (Kind::Option, Node::Option(_))
            | (Kind::UnitStruct(_), Node::UnitStruct(_))
            | (Kind::Newtype(_), Node::Newtype(..))
            | (Kind::Seq, Node::Seq(_))
            | (Kind::Map, Node::Map(..)) => true,
            (Kind::Tuple(length), Node::Tuple(items)) => items.len() == length,
            (Kind::TupleStruct(_, length), Node::TupleStruct(_, items)) => items.len() == length,
            (Kind::Struct(name), Node::Struct(of)) => of.name.is(name),
            (Kind::Enum(name), Node::Enum(of)) => of.name.is(name),
            _ => false,
        }
    }

    fn node(self) -> Node {
        match self {
            Kind::Leaf(leaf) => Node::Leaf(leaf),
            Kind::Option => Node::Option(UNSEEN),
            Kind::UnitStruct(name) => Node::UnitStruct(name.into()),
            Kind::Newtype(name) => Node::Newtype(name.into(), UNSEEN),
            Kind::Seq => Node::Seq(UNSEEN),
            Kind::Tuple(length) => Node::Tuple(vec![UNSEEN; length]),
            Kind::TupleStruct(name, length) => Node::TupleStruct(name.into(), vec![UNSEEN; length]),
            Kind::Map => Node::Map(UNSEEN, UNSEEN),
            Kind::Struct(name) => Node::Struct(StructNode {
                name: name.into(),
                fields: Vec::new(),
                keyed_since: None,
                complete: false,
            }),
            Kind::Enum(name) => {
                Node::Enum(EnumNode { name: name.into(), variants: Vec::new(), places: Vec::new() })
            }
        }
    }
}

/// The schema of one state while it is written.
#[derive(Default)]
pub(super) struct Grown {
    pub(super) schema: Schema,
    /// The place of each type that may contain itself, by its Rust name: so a place of the same type is the same node.
    types: HashMap<&'static str, NodeId>,
    /// Of each node the Rust name of the type that it was made for; empty if values of several types came there.
    names: Vec<&'static str>,
    /// The version that runs are written with.
    pub(super) version: u32,
    /// The run at hand cannot be read: it has to be written again, with the next version.
    pub(super) broken: bool,
    /// Rises with everything that is added.
    pub(super) growth: u64,
}

impl Grown {
    pub(super) fn new() -> Self {
        let schema = Schema { nodes: Vec::new(), roots: [UNSEEN; 2] };
        Self { schema, ..Self::default() }
    }

    fn push(&mut self, node: Node, name: &'static str) -> NodeId {
        self.growth += 1;
        self.schema.nodes.push(node);
        self.names.push(name);
        (self.schema.nodes.len() - 1) as NodeId
    }

    /// The node for a place of type `T` that has not been seen before.
    #[cold]
    pub(super) fn place<T: ?Sized>(&mut self) -> NodeId {
        self.growth += 1;
        let name = std::any::type_name::<T>();
        match self.types.get(name) {
            Some(node) => *node,
            None => self.push(Node::Unknown, name),
        }
    }

    /// Makes room at `node` for values of a kind, and of a Rust type. Returns their node and, if the place has values of several kinds,
    /// the number to be written before them.
    pub(super) fn settle(&mut self, node: NodeId, kind: Kind, name: &'static str) -> (NodeId, Option<u32>) {
        if let Node::Union { alternatives, .. } = &self.schema.nodes[node as usize]
            && let Some(place) = alternatives.iter().position(|id| kind.fits(self.schema.node(*id)))
        {
            return (alternatives[place], Some(place as u32));
        }
        self.growth += 1;
        if self.names[node as usize] != name {
            // Values of several types come here, so it stands for none of them.
            let former = std::mem::take(&mut self.names[node as usize]);
            if self.types.get(former) == Some(&node) {
                self.types.remove(former);
            }
        }
        match &self.schema.nodes[node as usize] {
            Node::Unknown => {
                self.set(node, kind.node());
                return (node, None);
            }
            Node::Union { .. } => {}
            _ => {
                // Until now there were only values of one type, and nothing was written before them.
                self.broken = true;
                let first = std::mem::replace(&mut self.schema.nodes[node as usize], Node::Unknown);
                let first = self.push(first, "");
                let since = self.version + 1;
                self.set(node, Node::Union { since, alternatives: vec![first] });
            }
        }
        let known = self.types.get(name).copied().filter(|id| kind.fits(self.schema.node(*id)));
        let id = known.unwrap_or_else(|| {
            let id = self.push(Node::Unknown, name);
            self.set(id, kind.node());
            id
        });
        let Node::Union { alternatives, .. } = &mut self.schema.nodes[node as usize] else {
            unreachable!("it was made a union above")
        };
        alternatives.push(id);
        (id, Some(alternatives.len() as u32 - 1))
    }

    fn set(&mut self, node: NodeId, made: Node) {
        let name = self.names[node as usize];
        if made.is_compound() && !name.is_empty() && name != std::any::type_name::<Content>() {
            self.types.entry(name).or_insert(node);
        }
        self.schema.nodes[node as usize] = made;
    }

    /// Where the node of a value that is being written has moved to, if its place came to have several types in the middle of it.
    #[cold]
    pub(super) fn moved(&self, node: NodeId) -> NodeId {
        match self.schema.node(node) {
            Node::Union { alternatives, .. } => alternatives[0],
            _ => node,
        }
    }

    /// Marks a struct as one whose values have not all the same fields.
    #[cold]
    pub(super) fn key_fields(&mut self, node: NodeId) {
        let since = self.version + 1;
        if let Node::Struct(of) = &mut self.schema.nodes[node as usize]
            && of.keyed_since.is_none()
        {
            of.keyed_since = Some(since);
            self.broken = true;
            self.growth += 1;
        }
    }

    /// The place of a variant among those that have been written, and the node of its content.
    #[inline]
    pub(super) fn variant<T: ?Sized>(
        &mut self,
        node: NodeId,
        index: u32,
        name: &'static str,
    ) -> (u32, NodeId) {
        if let Node::Enum(of) = &self.schema.nodes[node as usize]
            && let Some(&place) = of.places.get(index as usize)
            && let Some(variant) = of.variants.get(place as usize)
            && variant.name.is(name)
        {
            return (place, variant.content);
        }
        self.new_variant::<T>(node, index, name)
    }

    #[cold]
    #[inline(never)]
    fn new_variant<T: ?Sized>(&mut self, node: NodeId, index: u32, name: &'static str) -> (u32, NodeId) {
        if let Node::Enum(of) = self.schema.node(node)
            && let Some(place) = of.variants.iter().position(|variant| *variant.name == *name)
        {
            // A hand-written `Serialize` gives the variant another index than before.
            return (place as u32, of.variants[place].content);
        }
        let content = self.place::<T>();
        let Node::Enum(of) = &mut self.schema.nodes[node as usize] else { return (0, content) };
        let place = of.variants.len() as u32;
        of.variants.push(Variant { name: name.into(), content });
        let index = index as usize;
        // An index is the number of a variant in its enum; one that is absurdly large is looked for by name each time.
        if index < 4096 {
            if of.places.len() <= index {
                of.places.resize(index + 1, u32::MAX);
            }
            of.places[index] = place;
        }
        self.growth += 1;
        (place, content)
    }
}

/// Stands for the content of a variant, which is no Rust type that could come anywhere else.
pub(super) enum Content {}
