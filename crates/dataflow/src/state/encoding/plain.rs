//! Values of the plainest types, written without asking their `Serialize`: which type it is, is known when the program is compiled.

use std::any::{Any, TypeId};

use super::schema::Leaf;
use super::varint::{put, zigzag};

macro_rules! plain {
    ($buffer:ident, $value:ident: $($type:ty, $leaf:ident => $write:expr;)*) => {
        /// What values of this type are, if it is one of the plainest.
        pub(super) fn leaf<T: 'static>() -> Option<Leaf> {
            $(if TypeId::of::<T>() == TypeId::of::<$type>() {
                return Some(Leaf::$leaf);
            })*
            None
        }

        /// Writes a value of a type that has a [`leaf`], and nothing of another.
        #[inline(always)]
        pub(super) fn put_value<T: 'static>($buffer: &mut Vec<u8>, value: &T) {
            $(if let Some($value) = (value as &dyn Any).downcast_ref::<$type>() {
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
