//! What of a row is read: so that sources make, and filters copy, no column that nobody looks at.
//!
//! A column that is not needed stays where it is, and is NULL: places do not move, and state looks the same. Which columns are there is part
//! of who an operator is that keeps rows: of what it has kept without them, none is found by a query that reads more.

use std::collections::BTreeMap;
use std::fmt;
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

impl fmt::Display for Need {
    /// The same for the same need, from version to version: state is found by it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("-"),
            Self::All => f.write_str("*"),
            Self::Fields(fields) => {
                f.write_str("{")?;
                fields.iter().try_for_each(|(name, need)| write!(f, "{name}:{need},"))?;
                f.write_str("}")
            }
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

/// What is read of an input of `width` columns of which the first come out, if of what comes out this is needed: that, and `also`.
pub(crate) fn through(needed: &[Need], width: usize, also: impl IntoIterator<Item = usize>) -> Vec<Need> {
    let mut below = vec![Need::No; width];
    below.iter_mut().zip(needed).for_each(|(own, need)| own.add(need));
    also.into_iter().for_each(|column| below[column] = Need::All);
    below
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
