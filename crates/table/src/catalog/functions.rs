//! Functions of users, registered from Rust.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion_expr::{AggregateUDF, ScalarUDF};

use crate::table_functions::TableFunction;

/// Functions of users, by their names in lower case.
#[derive(Clone, Default)]
pub struct UserFunctions {
    scalar: BTreeMap<String, Arc<ScalarUDF>>,
    table: BTreeMap<String, Arc<dyn TableFunction>>,
    aggregate: BTreeMap<String, Arc<AggregateUDF>>,
}

impl UserFunctions {
    /// Adds a scalar function, in place of one of the same name.
    pub fn add_scalar(&mut self, name: &str, function: Arc<ScalarUDF>) {
        self.scalar.insert(name.to_lowercase(), function);
    }

    /// Adds a table function, in place of one of the same name.
    pub fn add_table(&mut self, name: &str, function: Arc<dyn TableFunction>) {
        self.table.insert(name.to_lowercase(), function);
    }

    /// Adds an aggregate function, in place of one of the same name.
    pub fn add_aggregate(&mut self, name: &str, function: Arc<AggregateUDF>) {
        self.aggregate.insert(name.to_lowercase(), function);
    }

    /// The aggregate function of this name.
    pub fn aggregate(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.aggregate.get(&name.to_lowercase()).cloned()
    }

    /// The scalar function of this name.
    pub fn scalar(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.scalar.get(&name.to_lowercase()).cloned()
    }

    /// The table function of this name.
    pub fn table(&self, name: &str) -> Option<Arc<dyn TableFunction>> {
        self.table.get(&name.to_lowercase()).cloned()
    }

    /// Makes a function known by another name, too. Returns whether there is one of the first.
    pub fn alias(&mut self, of: &str, name: &str) -> bool {
        let (scalar, table, aggregate) = (self.scalar(of), self.table(of), self.aggregate(of));
        let found = scalar.is_some() || table.is_some() || aggregate.is_some();
        aggregate.into_iter().for_each(|function| self.add_aggregate(name, function));
        scalar.into_iter().for_each(|function| self.add_scalar(name, function));
        table.into_iter().for_each(|function| self.add_table(name, function));
        found
    }

    /// Forgets a function. Returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let name = name.to_lowercase();
        let (scalar, aggregate) =
            (self.scalar.remove(&name).is_some(), self.aggregate.remove(&name).is_some());
        self.table.remove(&name).is_some() || scalar || aggregate
    }

    /// The names of all functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let of_rows = self.scalar.keys().chain(self.aggregate.keys()).map(String::as_str);
        of_rows.chain(self.table_names())
    }

    /// The names of the table functions.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.table.keys().map(String::as_str)
    }
}

impl fmt::Debug for UserFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
