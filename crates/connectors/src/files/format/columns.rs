//! Names and types of columns.

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The type of its values; each of them may also be absent.
    pub column_type: ColumnType,
}

/// The types that a column can have, by Spark's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// True or false.
    Boolean,
    /// 64 bits, signed.
    Long,
    /// 64 bits, floating.
    Double,
    /// Text; also what is itself a structure, as JSON.
    String,
}
