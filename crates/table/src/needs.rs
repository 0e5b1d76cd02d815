//! What of a row is read: so that sources make, and filters copy, no column that nobody looks at.
//!
//! A column that is not needed stays where it is, and is NULL: places do not move, and state looks the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::{Column, Literal};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use crate::functions::FIELD;

/// What of a column is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    #[default]
    No,
    /// Of a row these fields.
    Fields(BTreeMap<String, Need>),
    /// All of it.
    All,
}

impl Need {
    /// Whether nothing is read.
    pub fn is_no(&self) -> bool {
        *self == Self::No
    }

    /// What of a field is read.
    pub fn field(&self, name: &str) -> &Self {
        match self {
            Self::No => &Self::No,
            Self::Fields(fields) => fields.get(name).unwrap_or(&Self::No),
            Self::All => &Self::All,
        }
    }

    /// Whoever reads `other` reads it, too.
    pub fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::All, _) | (_, Self::No) => {}
            (Self::Fields(fields), Self::Fields(others)) => {
                for (name, other) in others {
                    fields.entry(name.clone()).or_default().add(other);
                }
            }
            (own, other) => *own = other.clone(),
        }
    }
}

/// Every column, whole.
pub fn all(columns: usize) -> Vec<Need> {
    vec![Need::All; columns]
}

/// A column, or a field of one, or a field of that, …: the column's number, and the names from the outermost field inwards.
pub(crate) fn path_of(expression: &Arc<dyn PhysicalExpr>) -> Option<(usize, Vec<String>)> {
    if let Some(column) = expression.downcast_ref::<Column>() {
        return Some((column.index(), Vec::new()));
    }
    let call = expression.downcast_ref::<ScalarFunctionExpr>().filter(|call| call.name() == FIELD)?;
    let [of, name] = call.args() else { return None };
    let (column, mut path) = path_of(of)?;
    match name.downcast_ref::<Literal>()?.value() {
        ScalarValue::Utf8(Some(name)) => path.push(name.clone()),
        _ => return None,
    }
    Some((column, path))
}

/// Marks what `expression` reads, if of its value `need` is read.
pub(crate) fn reads(expression: &Arc<dyn PhysicalExpr>, need: &Need, columns: &mut [Need]) {
    if need.is_no() {
        return;
    }
    if let Some((column, path)) = path_of(expression) {
        let inside = |inner: Need, name: &String| Need::Fields(BTreeMap::from([(name.clone(), inner)]));
        let need = path.iter().rev().fold(need.clone(), inside);
        if let Some(column) = columns.get_mut(column) {
            column.add(&need);
        }
        return;
    }
    for child in expression.children() {
        reads(child, &Need::All, columns);
    }
}

/// A column of this type that nobody reads.
pub(crate) fn nothing(of: &DataType, rows: usize) -> arrow::array::ArrayRef {
    arrow::array::new_null_array(of, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(of: &[(&str, Need)]) -> Need {
        Need::Fields(of.iter().map(|(name, need)| ((*name).to_owned(), need.clone())).collect())
    }

    #[test]
    fn what_two_read_is_read() {
        let mut need = fields(&[("a", Need::All)]);
        need.add(&fields(&[("b", fields(&[("c", Need::All)]))]));
        assert_eq!(need, fields(&[("a", Need::All), ("b", fields(&[("c", Need::All)]))]));
        assert!(need.field("d").is_no() && *need.field("a") == Need::All);
        need.add(&Need::No);
        need.add(&Need::All);
        assert_eq!(need, Need::All);
    }
}
