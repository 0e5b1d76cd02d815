//! How values of a schema are read into the types that are wanted: found out once for each node, not for each value.

use std::borrow::Cow;
use std::cell::Cell;

use super::error::Error;
use super::schema::{Node, NodeId, Schema, StructNode};

/// How the values of one state are read, as far as it has been found out.
pub(crate) struct Plan<'s> {
    pub(super) schema: &'s Schema,
    matches: Cow<'s, Matches>,
}

/// Of each node, the list of fields that was wanted last, and what came of it.
#[derive(Clone, Default)]
pub(super) struct Matches(Vec<Cell<Option<Found>>>);

type Found = (&'static [&'static str], Match);

/// How the fields of a struct are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// They are those that are wanted, in the same order.
    Same,
    ByName,
}

impl<'s> Plan<'s> {
    pub(crate) fn new(schema: &'s Schema) -> Self {
        Self { schema, matches: Cow::Owned(Matches(vec![Cell::new(None); schema.nodes.len()])) }
    }

    /// One that goes on with what has been found out.
    pub(super) fn with(schema: &'s Schema, matches: &'s Matches) -> Self {
        Self { schema, matches: Cow::Borrowed(matches) }
    }

    /// Whether `wanted` fields, a list of a derived `Deserialize`, are known to be those of a struct that was written, in the same order.
    #[inline(always)]
    pub(super) fn is_the_same(&self, node: NodeId, wanted: &'static [&'static str]) -> bool {
        // A list of fields is a constant, so it is the same one if it lies at the same place.
        matches!(
            self.matches.0.get(node as usize).map(Cell::get),
            Some(Some((before, Match::Same))) if std::ptr::eq(before, wanted)
        )
    }

    /// How `wanted` fields are read from those of a struct that was written.
    pub(super) fn match_fields(
        &self,
        node: NodeId,
        written: &StructNode,
        name: &str,
        wanted: &'static [&'static str],
    ) -> Result<Match, Error> {
        if let Some(cell) = self.matches.0.get(node as usize)
            && let Some((before, found)) = cell.get()
            && std::ptr::eq(before, wanted)
        {
            return Ok(found);
        }
        self.compare(node, written, name, wanted)
    }

    #[cold]
    fn compare(
        &self,
        node: NodeId,
        written: &StructNode,
        name: &str,
        wanted: &'static [&'static str],
    ) -> Result<Match, Error> {
        let same = written.fields.len() == wanted.len()
            && written.fields.iter().zip(wanted).all(|(written, wanted)| *written.name == **wanted);
        let found = if same { Match::Same } else { Match::ByName };
        if !same && *written.name != *name && !name.is_empty() && !written.fields.is_empty() {
            let known = written.fields.iter().any(|field| wanted.contains(&&*field.name));
            if !known {
                let written = self.schema.describe_node(node);
                return Err(Error::new(format_args!(
                    "{written} was written, and struct {name} is wanted: they have no field in common"
                )));
            }
        }
        if let Some(cell) = self.matches.0.get(node as usize) {
            cell.set(Some((wanted, found)));
        }
        Ok(found)
    }

    /// Whether there may be nothing at this place.
    pub(super) fn is_optional(&self, mut node: NodeId) -> bool {
        // Newtypes in newtypes, as deep as anybody writes them.
        for _ in 0..16 {
            match self.schema.node(node) {
                Node::Option(_) => return true,
                Node::Newtype(_, inner) => node = *inner,
                _ => return false,
            }
        }
        false
    }
}

impl Matches {
    /// Forgets everything: the schema has grown.
    pub(super) fn reset(&mut self, schema: &Schema) {
        self.0.clear();
        self.0.resize(schema.nodes.len(), Cell::new(None));
    }
}
