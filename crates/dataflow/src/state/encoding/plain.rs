//! Values of the plainest types, written without asking their `Serialize`: which type it is, is known when the program is compiled.

use std::any::{Any, TypeId};

use super::schema::{Leaf, Node, NodeId, Schema};
use super::varint::{put, zigzag};

/// Whether what was written at a node is just as values of this type are written here.
pub(super) fn is_at<T: 'static>(schema: &Schema, node: NodeId) -> bool {
    match schema.node(node) {
        Node::Leaf(of) => leaf::<T>() == Some(*of),
        Node::Seq(item) => is_octets::<T>() && *schema.node(*item) == Node::Leaf(Leaf::U8),
        _ => false,
    }
}

/// Whether it is `Vec<u8>`, which serde would take byte by byte.
pub(super) fn is_octets<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Vec<u8>>()
}

/// Bytes as a `T`, which is `Vec<u8>`: no other type gets any.
#[inline(always)]
pub(super) fn of_octets<T: 'static>(bytes: &[u8]) -> Option<T> {
    let mut value: Option<T> = None;
    if let Some(value) = (&mut value as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>() {
        *value = Some(bytes.to_vec());
    }
    value
}

macro_rules! plain {
    ($buffer:ident, $value:ident: $($type:ty, $leaf:ident => $write:expr;)*) => {
        /// What values of this type are, if it is one of the plainest and has no parts.
        fn leaf<T: 'static>() -> Option<Leaf> {
            $(if TypeId::of::<T>() == TypeId::of::<$type>() {
                return Some(Leaf::$leaf);
            })*
            None
        }

        /// Writes a value of a type for which [`is_at`] can hold, and nothing of another.
        #[inline(always)]
        pub(super) fn put_value<T: 'static>($buffer: &mut Vec<u8>, $value: &T) {
            let $value: &dyn Any = $value;
            if let Some(bytes) = $value.downcast_ref::<Vec<u8>>() {
                put($buffer, bytes.len() as u64);
                $buffer.extend_from_slice(bytes);
            }
            $(if let Some($value) = $value.downcast_ref::<$type>() {
                $write;
            })*
        }
    };
}

plain! {
    buffer, value:
    u8, U8 => buffer.push(*value);
    u16, U16 => put(buffer, u64::from(*value));
    u32, U32 => put(buffer, u64::from(*value));
    u64, U64 => put(buffer, *value);
    i16, I16 => put(buffer, zigzag(i64::from(*value)));
    i32, I32 => put(buffer, zigzag(i64::from(*value)));
    i64, I64 => put(buffer, zigzag(*value));
    f64, F64 => buffer.extend_from_slice(&value.to_le_bytes());
    String, Str => {
        put(buffer, value.len() as u64);
        buffer.extend_from_slice(value.as_bytes());
    };
}
