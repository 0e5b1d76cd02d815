//! What there is by name: tables, views, and what they are made of.

mod functions;
pub(crate) mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use functions::UserFunctions;
pub use table::{Column, ColumnSource, Table};

use crate::error::SqlError;
use crate::models::Models;
use crate::parser::Name;

/// The full name of a table: catalog, database, table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TablePath {
    /// The catalog.
    pub catalog: String,
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

impl std::fmt::Display for TablePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.database, self.table)
    }
}

/// A table or a view.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table of a connector.
    Table(Arc<Table>),
    /// A query that has a name.
    View(Arc<View>),
}

/// A query that has a name.
#[derive(Clone, Debug)]
pub struct View {
    /// The query.
    pub query: sqlparser::ast::Query,
    /// The names of its columns, if they have other names than in the query.
    pub columns: Vec<String>,
    /// `COMMENT`.
    pub comment: Option<String>,
}

/// All tables and views, and where a name without a catalog or database is looked for.
#[derive(Clone, Debug)]
pub struct Catalog {
    current: (String, String),
    databases: BTreeSet<(String, String)>,
    relations: BTreeMap<TablePath, Relation>,
    /// These are found before others of the same name.
    temporary: BTreeMap<TablePath, Relation>,
    functions: UserFunctions,
    pub(crate) models: Models,
}

impl Default for Catalog {
    fn default() -> Self {
        let current = ("default_catalog".to_owned(), "default_database".to_owned());
        Self {
            databases: [current.clone()].into(),
            current,
            relations: BTreeMap::new(),
            temporary: BTreeMap::new(),
            functions: UserFunctions::default(),
            models: Models::new(),
        }
    }
}

impl Catalog {
    /// The full path of a name of one to three parts.
    pub fn path(&self, parts: &[&str]) -> TablePath {
        let (catalog, database) = &self.current;
        let [catalog, database, table] = match parts {
            [catalog, database, table] => [catalog, database, table],
            [database, table] => [&catalog.as_str(), database, table],
            [table] => [&catalog.as_str(), &database.as_str(), table],
            _ => [&"", &"", &""],
        };
        TablePath { catalog: (*catalog).into(), database: (*database).into(), table: (*table).into() }
    }

    /// The full path of a name in a statement.
    pub fn path_of(&self, name: &Name) -> TablePath {
        self.path(&name.0.iter().map(|word| word.value.as_str()).collect::<Vec<_>>())
    }

    /// What goes by a path.
    pub fn get(&self, path: &TablePath) -> Option<&Relation> {
        self.temporary.get(path).or_else(|| self.relations.get(path))
    }

    /// What goes by a name in a statement.
    ///
    /// # Errors
    /// If there is nothing of that name; with the nearest there is.
    pub fn find(&self, name: &Name) -> Result<(TablePath, &Relation), SqlError> {
        let path = self.path_of(name);
        match self.get(&path) {
            Some(relation) => Ok((path, relation)),
            None => {
                let error = self.missing(&path);
                Err(match (name.0.first(), name.0.last()) {
                    (Some(first), Some(last)) => error.or_at(&(first.span.start..last.span.end)),
                    _ => error,
                })
            }
        }
    }

    /// That there is nothing of that name.
    pub fn missing(&self, path: &TablePath) -> SqlError {
        let all = self.relations.keys().chain(self.temporary.keys());
        let here = all.filter(|known| known.database == path.database);
        let error = SqlError::new(format!("there is no table `{}`", path.table));
        match nearest(&path.table, here.map(|known| known.table.as_str())) {
            Some(name) => error.help(format!("did you mean `{name}`?")),
            None => error,
        }
    }

    /// Adds a relation. Returns whether there was none of that name; of one that is `temporary`, no other that is.
    pub fn add(&mut self, path: TablePath, relation: Relation, temporary: bool) -> bool {
        use std::collections::btree_map::Entry;
        let relations = if temporary { &mut self.temporary } else { &mut self.relations };
        match relations.entry(path) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(relation);
                true
            }
        }
    }

    /// Puts a relation in the place of what goes by a path now, temporary as that is.
    pub fn replace(&mut self, path: &TablePath, relation: Relation) {
        let relations =
            if self.temporary.contains_key(path) { &mut self.temporary } else { &mut self.relations };
        relations.insert(path.clone(), relation);
    }

    /// Whether what goes by a path is temporary.
    pub fn is_temporary(&self, path: &TablePath) -> bool {
        self.temporary.contains_key(path)
    }

    /// Removes a relation: the temporary one, if there is one.
    pub fn remove(&mut self, path: &TablePath) -> Option<Relation> {
        self.temporary.remove(path).or_else(|| self.relations.remove(path))
    }

    /// All relations of a database, by name.
    pub fn relations<'a>(
        &'a self,
        catalog: &'a str,
        database: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Relation)> {
        let all: BTreeMap<&TablePath, &Relation> = self.relations.iter().chain(&self.temporary).collect();
        let here =
            all.into_iter().filter(move |(path, _)| path.catalog == catalog && path.database == database);
        here.map(|(path, relation)| (path.table.as_str(), relation))
    }

    /// The functions of users.
    pub fn functions(&self) -> &UserFunctions {
        &self.functions
    }

    /// The functions of users, to add some.
    pub fn functions_mut(&mut self) -> &mut UserFunctions {
        &mut self.functions
    }

    /// The current catalog and database.
    pub fn current(&self) -> (&str, &str) {
        (&self.current.0, &self.current.1)
    }

    /// Adds a database.
    pub fn add_database(&mut self, catalog: &str, database: &str) -> bool {
        self.databases.insert((catalog.to_owned(), database.to_owned()))
    }

    /// Whether there is such a catalog.
    pub fn has_catalog(&self, catalog: &str) -> bool {
        self.databases.iter().any(|(known, _)| known == catalog)
    }

    /// Whether there is such a database.
    pub fn has_database(&self, catalog: &str, database: &str) -> bool {
        self.databases.contains(&(catalog.to_owned(), database.to_owned()))
    }

    /// Removes a database, and what is in it.
    pub fn remove_database(&mut self, catalog: &str, database: &str) -> bool {
        let inside = |path: &TablePath| path.catalog == catalog && path.database == database;
        self.relations.retain(|path, _| !inside(path));
        self.temporary.retain(|path, _| !inside(path));
        self.databases.remove(&(catalog.to_owned(), database.to_owned()))
    }

    /// Makes a database the current one.
    ///
    /// # Errors
    /// If there is no such database.
    pub fn use_database(&mut self, catalog: &str, database: &str) -> Result<(), SqlError> {
        let wanted = (catalog.to_owned(), database.to_owned());
        match self.databases.contains(&wanted) {
            true => self.current = wanted,
            false => return Err(SqlError::new(format!("there is no database `{catalog}.{database}`"))),
        }
        Ok(())
    }

    /// All databases.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.databases.iter().map(|(catalog, database)| (catalog.as_str(), database.as_str()))
    }
}

/// The name that is most like `name`, if one is like it.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + name.chars().count() / 4;
    let near = known.map(|other| (distance(&name.to_lowercase(), &other.to_lowercase()), other));
    near.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
}

/// How many letters have to be inserted, deleted or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_near_are_found() {
        assert_eq!(nearest("ordrs", ["orders", "users"].into_iter()), Some("orders"));
        assert_eq!(nearest("x", ["orders"].into_iter()), None);
    }
}
