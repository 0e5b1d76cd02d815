//! Names of types, as far as they survive an edit of the program: without the paths of the modules that they are in.

use std::any::type_name;

/// The type with its parameters, each without its path: `(String, Vec<Order>)`.
pub(crate) fn without_paths<T: ?Sized>() -> String {
    let mut short = String::new();
    for part in type_name::<T>().split_inclusive(|c: char| !(c.is_alphanumeric() || "_:{}".contains(c))) {
        short.push_str(part.rsplit("::").next().unwrap_or(part));
    }
    short
}

/// The name of a user's type, without path and parameters. Nothing of a closure or a pointer, which have no name of their own.
pub(crate) fn own_name<T: ?Sized>() -> &'static str {
    let name = type_name::<T>().split('<').next().unwrap_or_default();
    let name = name.rsplit("::").next().unwrap_or_default();
    if name.chars().all(|c| c.is_alphanumeric() || c == '_') { name } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::CollectionSource;

    #[test]
    fn paths_fall_away_and_closures_have_no_name() {
        assert_eq!(without_paths::<(String, Vec<Option<i64>>)>(), "(String, Vec<Option<i64>>)");
        assert_eq!(without_paths::<[u8; 4]>(), "[u8; 4]");
        assert_eq!(own_name::<CollectionSource<String>>(), "CollectionSource");
        fn name_of<F>(_: F) -> &'static str {
            own_name::<F>()
        }
        assert_eq!(name_of(|| ()), "");
    }
}
