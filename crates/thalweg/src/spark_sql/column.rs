//! Columns: names, and expressions.

use thalweg_table::api::Expression;

use super::functions::col;

/// A column, or what is computed of some.
pub type Column = Expression;

/// A name of a column, or an expression.
pub trait IntoColumn {
    /// As an expression.
    fn into_column(self) -> Column;
}

impl IntoColumn for Column {
    fn into_column(self) -> Column {
        self
    }
}

impl IntoColumn for &str {
    fn into_column(self) -> Column {
        col(self)
    }
}

impl IntoColumn for String {
    fn into_column(self) -> Column {
        col(&self)
    }
}

/// One column or several: names or expressions, or an array, vector, slice or tuple of them. A name is a name, and no text of SQL: for that there is
/// [`expr`](super::functions::expr).
pub trait IntoColumns {
    /// As expressions.
    fn into_columns(self) -> Vec<Column>;
}

impl<T: IntoColumn> IntoColumns for T {
    fn into_columns(self) -> Vec<Column> {
        vec![self.into_column()]
    }
}

impl<T: IntoColumn, const N: usize> IntoColumns for [T; N] {
    fn into_columns(self) -> Vec<Column> {
        self.into_iter().map(IntoColumn::into_column).collect()
    }
}

impl<T: IntoColumn> IntoColumns for Vec<T> {
    fn into_columns(self) -> Vec<Column> {
        self.into_iter().map(IntoColumn::into_column).collect()
    }
}

impl<T: IntoColumn + Clone> IntoColumns for &[T] {
    fn into_columns(self) -> Vec<Column> {
        self.iter().cloned().map(IntoColumn::into_column).collect()
    }
}

macro_rules! tuples {
    ($(($($place:tt $of:ident),+);)+) => {$(
        impl<$($of: IntoColumn),+> IntoColumns for ($($of,)+) {
            fn into_columns(self) -> Vec<Column> {
                vec![$(self.$place.into_column()),+]
            }
        }
    )+};
}

tuples! {
    (0 A, 1 B);
    (0 A, 1 B, 2 C);
    (0 A, 1 B, 2 C, 3 D);
    (0 A, 1 B, 2 C, 3 D, 4 E);
    (0 A, 1 B, 2 C, 3 D, 4 E, 5 F);
}

/// Expressions with their names, with commas between.
pub(super) fn list(columns: &[Column]) -> String {
    columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Expressions without their names, with commas between.
pub(super) fn unnamed(columns: &[Column]) -> String {
    columns.iter().map(Column::sql).collect::<Vec<_>>().join(", ")
}
