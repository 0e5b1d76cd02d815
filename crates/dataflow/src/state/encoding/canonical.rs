//! Whether two values are the same when the order of what has none does not count: a hash map that was read back gives its entries in
//! another order.

use super::cursor::Cursor;
use super::error::Error;
use super::fields::Fields;
use super::read::{Reader, variant};
use super::schema::{Node, NodeId};

/// The bytes of a value, with the items of lists and the entries of maps in the order of their bytes.
pub(super) fn canonical(cursor: &mut Cursor<'_, '_>, node: NodeId) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    write(cursor, node, &mut out)?;
    Ok(out)
}

fn write(cursor: &mut Cursor<'_, '_>, node: NodeId, out: &mut Vec<u8>) -> Result<(), Error> {
    let (plan, before) = (cursor.plan, cursor.bytes);
    cursor.enter()?;
    // What the value itself takes, before what is in it.
    let head = |cursor: &Cursor<'_, '_>, out: &mut Vec<u8>| {
        out.extend_from_slice(&before[..before.len() - cursor.bytes.len()]);
    };
    match plan.schema.node(node) {
        Node::Unknown | Node::Leaf(_) | Node::UnitStruct(_) => {
            Reader::new(&mut *cursor, node).skip()?;
            head(cursor, out);
        }
        Node::Option(inner) => {
            let is_some = cursor.number()? != 0;
            head(cursor, out);
            if is_some {
                write(cursor, *inner, out)?;
            }
        }
        Node::Newtype(_, inner) => write(cursor, *inner, out)?,
        Node::Tuple(items) | Node::TupleStruct(_, items) => {
            items.iter().try_for_each(|item| write(cursor, *item, out))?;
        }
        Node::Seq(item) => sorted(cursor, &[*item], out)?,
        Node::Map(key, value) => sorted(cursor, &[*key, *value], out)?,
        Node::Struct(_) => {
            let mut fields = Fields::new(&mut *cursor, node);
            while let Some((number, field)) = fields.advance()? {
                out.push(number as u8);
                write(fields.cursor, field.node, out)?;
            }
        }
        Node::Enum(of) => {
            let variant = variant(cursor, &of.variants)?;
            head(cursor, out);
            write(cursor, variant.content, out)?;
        }
        Node::Union { alternatives, since } => {
            let number = if cursor.version >= *since { cursor.number()? } else { 0 };
            head(cursor, out);
            let alternative = usize::try_from(number).ok().and_then(|number| alternatives.get(number));
            write(
                cursor,
                *alternative.ok_or_else(|| Error::new("damaged: a type has no such alternative"))?,
                out,
            )?;
        }
    }
    cursor.leave();
    Ok(())
}

fn sorted(cursor: &mut Cursor<'_, '_>, nodes: &[NodeId], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut items = Vec::new();
    for _ in 0..cursor.length()? {
        let (mut item, before) = (Vec::new(), cursor.bytes.len());
        nodes.iter().try_for_each(|node| write(cursor, *node, &mut item))?;
        cursor.unpad(before)?;
        items.push(item);
    }
    items.sort_unstable();
    out.extend((items.len() as u64).to_le_bytes());
    for item in items {
        out.extend((item.len() as u64).to_le_bytes());
        out.extend(item);
    }
    Ok(())
}
