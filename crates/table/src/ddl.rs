//! `CREATE`, `ALTER` and `DROP`: what they do to the catalog.
//!
//! A table keeps what was declared of it; `LIKE` and `ALTER` change that, and the table is made anew out of it. So what is wrong with the
//! result is found by the same checks as in `CREATE TABLE`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Relation, Table, TablePath, View};
use crate::environment::{Outcome, TableEnvironment, options_of};
use crate::error::SqlError;
use crate::parser::{
    AlterAction, AlterTable, AlterView, ColumnDef, ColumnKind, CreateFunction, CreateNamespace, CreateTable,
    CreateView, Drop, Insert, Like, Name, ObjectKind, TableSchema, Word,
};
use crate::types::LogicalType;

/// A table, as it is to be made.
struct Definition {
    schema: TableSchema,
    options: BTreeMap<String, String>,
    partitioned_by: Vec<String>,
    comment: Option<String>,
}

impl Definition {
    fn of(table: &Table) -> Self {
        Self {
            schema: table.declared.clone(),
            options: table.options.clone(),
            partitioned_by: table.partitioned_by.clone(),
            comment: table.comment.clone(),
        }
    }
}

fn word(value: &str) -> Word {
    Word { value: value.to_owned(), span: 0..0 }
}

impl TableEnvironment {
    /// `CREATE TABLE`; of one `AS` a query, the job that fills it.
    pub(crate) fn create_table(&mut self, create: &CreateTable) -> Result<Outcome, SqlError> {
        let mut definition = Definition {
            schema: create.schema.clone(),
            options: options_of(&create.options),
            partitioned_by: create.partitioned_by.iter().map(|word| word.value.clone()).collect(),
            comment: create.comment.clone(),
        };
        if let Some(query) = &create.query {
            if !definition.schema.columns.is_empty() || create.like.is_some() {
                return Err(SqlError::new("the columns of CREATE TABLE … AS are those of its query"));
            }
            let plan = self.planner().unoptimized(query)?;
            for field in plan.schema().fields() {
                let of = LogicalType::from_arrow(field.data_type(), field.is_nullable())?;
                let (name, kind) = (word(field.name()), ColumnKind::Physical(of));
                definition.schema.columns.push(ColumnDef { name, kind, comment: None });
            }
        }
        if let Some(like) = &create.like {
            definition = self.like(like, definition)?;
        }
        let mut table = self.table(&create.name, &definition.schema, definition.options)?;
        table.partitioned_by = definition.partitioned_by;
        table.comment = definition.comment;
        self.check_partitions(&table)?;
        if let (Some((first, _)), Some((_, last))) = (create.options.0.first(), create.options.0.last()) {
            table.options_at = Some(first.span.start..last.span.end);
        }
        self.add(&create.name, Relation::Table(Arc::new(table)), create.if_not_exists, create.temporary)?;
        match &create.query {
            None => Ok(Outcome::Done),
            Some(query) => {
                let insert = Insert {
                    table: create.name.clone(),
                    hints: crate::parser::Options::default(),
                    partition: Vec::new(),
                    columns: Vec::new(),
                    overwrite: false,
                    query: query.clone(),
                    span: create.name.0.first().map_or(0..0, |word| word.span.clone()),
                };
                self.plan_inserts(std::slice::from_ref(&insert)).map(Outcome::Job)
            }
        }
    }

    fn check_partitions(&self, table: &Table) -> Result<(), SqlError> {
        let missing = table
            .partitioned_by
            .iter()
            .find(|name| !table.columns.iter().any(|column| column.name == **name));
        match missing {
            Some(name) => {
                Err(SqlError::new(format!("PARTITIONED BY has `{name}`, and there is no such column")))
            }
            None => Ok(()),
        }
    }

    /// What `LIKE` makes of a definition: what is taken from the other table, and what is its own.
    fn like(&self, like: &Like, own: Definition) -> Result<Definition, SqlError> {
        let (_, relation) = self.catalog().find(&like.table)?;
        let Relation::Table(source) = relation else {
            return Err(SqlError::new("LIKE takes from a table, and this is a view"));
        };
        // Of each feature the last that is said counts.
        let strategy = |what: &str, otherwise: &str| {
            let own = like.options.iter().rev().find(|option| option.what == what);
            let all = like.options.iter().rev().find(|option| option.what == "ALL");
            own.or(all).map_or(otherwise.to_owned(), |option| option.strategy.clone())
        };
        if let Some(option) = like.options.iter().find(|option| {
            option.strategy == "OVERWRITING"
                && matches!(option.what.as_str(), "ALL" | "CONSTRAINTS" | "PARTITIONS" | "DISTRIBUTION")
        }) {
            return Err(SqlError::new(format!("`OVERWRITING {}` is not to be had", option.what))
                .help("OVERWRITING is for GENERATED, METADATA, OPTIONS and WATERMARKS"));
        }
        let mut out = Definition::of(source);
        out.comment = own.comment;
        // Columns: those of the source first.
        let kept = |column: &ColumnDef| match column.kind {
            ColumnKind::Physical(_) => true,
            ColumnKind::Metadata { .. } => strategy("METADATA", "INCLUDING") != "EXCLUDING",
            ColumnKind::Computed(_) => strategy("GENERATED", "INCLUDING") != "EXCLUDING",
        };
        out.schema.columns.retain(kept);
        for column in own.schema.columns {
            let there = out.schema.columns.iter().position(|known| known.name.value == column.name.value);
            let overwrites = match column.kind {
                ColumnKind::Physical(_) => false,
                ColumnKind::Metadata { .. } => strategy("METADATA", "INCLUDING") == "OVERWRITING",
                ColumnKind::Computed(_) => strategy("GENERATED", "INCLUDING") == "OVERWRITING",
            };
            match there {
                Some(place)
                    if overwrites
                        && std::mem::discriminant(&out.schema.columns[place].kind)
                            == std::mem::discriminant(&column.kind) =>
                {
                    out.schema.columns[place] = column;
                }
                Some(_) => {
                    return Err(SqlError::at(
                        column.name.span.clone(),
                        format!("`{}` has a column `{}` already", source.path.table, column.name.value),
                    ));
                }
                None => out.schema.columns.push(column),
            }
        }
        let twice = |what: &str| {
            Err(SqlError::new(format!("`{}` has {what} already", source.path.table))
                .help("say what becomes of it: EXCLUDING, or OVERWRITING where that is to be had"))
        };
        if strategy("WATERMARKS", "INCLUDING") == "EXCLUDING" {
            out.schema.watermark = None;
        }
        if let Some(watermark) = own.schema.watermark {
            if out.schema.watermark.is_some() && strategy("WATERMARKS", "INCLUDING") != "OVERWRITING" {
                return twice("a watermark");
            }
            out.schema.watermark = Some(watermark);
        }
        if strategy("CONSTRAINTS", "INCLUDING") == "EXCLUDING" {
            out.schema.primary_key = None;
        }
        if let Some(key) = own.schema.primary_key {
            if out.schema.primary_key.is_some() {
                return twice("a primary key");
            }
            out.schema.primary_key = Some(key);
        }
        if strategy("PARTITIONS", "INCLUDING") == "EXCLUDING" {
            out.partitioned_by.clear();
        }
        if !own.partitioned_by.is_empty() {
            if !out.partitioned_by.is_empty() {
                return twice("partitions");
            }
            out.partitioned_by = own.partitioned_by;
        }
        match strategy("OPTIONS", "OVERWRITING").as_str() {
            "EXCLUDING" => out.options = own.options,
            "INCLUDING" if own.options.keys().any(|key| out.options.contains_key(key)) => {
                return twice("one of the options");
            }
            _ => out.options.extend(own.options),
        }
        Ok(out)
    }

    /// `CREATE VIEW`.
    pub(crate) fn create_view(&mut self, create: &CreateView) -> Result<Outcome, SqlError> {
        let columns: Vec<String> = create.columns.iter().map(|word| word.value.clone()).collect();
        let view = View { query: (*create.query).clone(), columns, comment: create.comment.clone() };
        self.check_view(&view)?;
        self.add(&create.name, Relation::View(Arc::new(view)), create.if_not_exists, create.temporary)?;
        Ok(Outcome::Done)
    }

    /// A view that cannot be planned is refused when it is made, not when it is used.
    fn check_view(&self, view: &View) -> Result<(), SqlError> {
        let plan = self.planner().unoptimized(&view.query)?;
        let (given, named) = (plan.schema().fields().len(), view.columns.len());
        if named > 0 && named != given {
            return Err(SqlError::new(format!(
                "the query gives {given} columns, and the view names {named}"
            )));
        }
        Ok(())
    }

    /// `ALTER VIEW`.
    pub(crate) fn alter_view(&mut self, alter: &AlterView) -> Result<Outcome, SqlError> {
        let (AlterView::Rename(name, _) | AlterView::As(name, _)) = alter;
        let (path, relation) = self.catalog().find(name)?;
        let Relation::View(view) = relation.clone() else {
            return Err(SqlError::new(format!("`{}` is a table", path.table)).help("ALTER TABLE"));
        };
        match alter {
            AlterView::Rename(_, to) => self.rename(&path, to)?,
            AlterView::As(_, query) => {
                let view = View { query: (**query).clone(), ..(*view).clone() };
                self.check_view(&view)?;
                self.catalog_mut().replace(&path, Relation::View(Arc::new(view)));
            }
        }
        Ok(Outcome::Done)
    }

    fn rename(&mut self, path: &TablePath, to: &Name) -> Result<(), SqlError> {
        let new = match &to.0[..] {
            // In the same database.
            [table] => TablePath { table: table.value.clone(), ..path.clone() },
            _ => self.catalog().path_of(to),
        };
        if self.catalog().get(&new).is_some() {
            return Err(SqlError::new(format!("there is a table or view `{}` already", new.table)));
        }
        let temporary = self.catalog().is_temporary(path);
        if let Some(relation) = self.catalog_mut().remove(path) {
            let relation = match relation {
                Relation::Table(table) => {
                    Relation::Table(Arc::new(Table { path: new.clone(), ..(*table).clone() }))
                }
                view => view,
            };
            self.catalog_mut().add(new, relation, temporary);
        }
        Ok(())
    }

    /// `ALTER TABLE`.
    pub(crate) fn alter_table(&mut self, alter: &AlterTable) -> Result<Outcome, SqlError> {
        let (path, relation) = match self.catalog().find(&alter.name) {
            Ok(found) => found,
            Err(_) if alter.if_exists => return Ok(Outcome::Done),
            Err(error) => return Err(error),
        };
        let Relation::Table(table) = relation.clone() else {
            return Err(SqlError::new(format!("`{}` is a view", path.table)).help("ALTER VIEW"));
        };
        if let AlterAction::Rename(to) = &alter.action {
            self.rename(&path, to)?;
            return Ok(Outcome::Done);
        }
        let mut definition = Definition::of(&table);
        change(&mut definition, &alter.action)?;
        let mut made = self.table(&alter.name, &definition.schema, definition.options)?;
        made.partitioned_by = definition.partitioned_by;
        made.comment = definition.comment;
        made.path = path.clone();
        self.check_partitions(&made)?;
        self.catalog_mut().replace(&path, Relation::Table(Arc::new(made)));
        Ok(Outcome::Done)
    }

    /// `DROP`.
    pub(crate) fn drop_object(&mut self, drop: &Drop) -> Result<Outcome, SqlError> {
        let parts: Vec<&str> = drop.name.0.iter().map(|word| word.value.as_str()).collect();
        let dotted = parts.join(".");
        match drop.kind {
            ObjectKind::Table | ObjectKind::View => {
                let path = self.catalog().path_of(&drop.name);
                match (self.catalog().get(&path), drop.kind) {
                    (None, _) if drop.if_exists => return Ok(Outcome::Done),
                    (None, _) => return self.catalog().find(&drop.name).map(|_| Outcome::Done),
                    (Some(Relation::View(_)), ObjectKind::Table) => {
                        return Err(SqlError::new(format!("`{dotted}` is a view")).help("DROP VIEW"));
                    }
                    (Some(Relation::Table(_)), ObjectKind::View) => {
                        return Err(SqlError::new(format!("`{dotted}` is a table")).help("DROP TABLE"));
                    }
                    _ => {}
                }
                if drop.temporary && !self.catalog().is_temporary(&path) {
                    return Err(SqlError::new(format!("`{dotted}` is not temporary")));
                }
                self.catalog_mut().remove(&path);
            }
            ObjectKind::Function => {
                let name = parts.last().copied().unwrap_or_default();
                if !self.catalog_mut().functions_mut().remove(name) && !drop.if_exists {
                    return Err(SqlError::new(format!("there is no function `{name}` of yours")));
                }
            }
            ObjectKind::Model => {
                let catalog = self.catalog_mut();
                match crate::models::find(catalog, &drop.name) {
                    Ok((path, _)) => {
                        catalog.models.remove(&path);
                    }
                    Err(_) if drop.if_exists => {}
                    Err(error) => return Err(error),
                }
            }
            ObjectKind::Database => {
                let (catalog, database) = self.database_of(&parts)?;
                if !self.catalog().has_database(&catalog, &database) {
                    return match drop.if_exists {
                        true => Ok(Outcome::Done),
                        false => Err(SqlError::new(format!("there is no database `{catalog}.{database}`"))),
                    };
                }
                if self.catalog().current() == (catalog.as_str(), database.as_str()) {
                    return Err(
                        SqlError::new("the current database cannot be dropped").help("USE another first")
                    );
                }
                if !drop.cascade && self.catalog().relations(&catalog, &database).next().is_some() {
                    return Err(SqlError::new(format!("the database `{database}` is not empty"))
                        .help("DROP DATABASE … CASCADE drops what is in it"));
                }
                self.catalog_mut().remove_database(&catalog, &database);
            }
            ObjectKind::Catalog => {
                if self.catalog().current().0 == dotted {
                    return Err(
                        SqlError::new("the current catalog cannot be dropped").help("USE CATALOG another")
                    );
                }
                let inside: Vec<String> = self
                    .catalog()
                    .databases()
                    .filter(|(catalog, _)| *catalog == dotted)
                    .map(|(_, database)| database.to_owned())
                    .collect();
                if inside.is_empty() && !drop.if_exists {
                    return Err(SqlError::new(format!("there is no catalog `{dotted}`")));
                }
                for database in inside {
                    self.catalog_mut().remove_database(&dotted, &database);
                }
            }
        }
        Ok(Outcome::Done)
    }

    /// The catalog and database of a name of one or two parts.
    pub(crate) fn database_of(&self, parts: &[&str]) -> Result<(String, String), SqlError> {
        match parts {
            [catalog, database] => Ok(((*catalog).to_owned(), (*database).to_owned())),
            [database] => Ok((self.catalog().current().0.to_owned(), (*database).to_owned())),
            _ => Err(SqlError::new("a database has a name of one or two parts")),
        }
    }

    /// `CREATE DATABASE` and `CREATE CATALOG`.
    pub(crate) fn create_namespace(&mut self, create: &CreateNamespace) -> Result<Outcome, SqlError> {
        let parts: Vec<&str> = create.name.0.iter().map(|word| word.value.as_str()).collect();
        let (catalog, database) = match parts[..] {
            [catalog] if create.is_catalog => {
                let kind = create.options.0.iter().find(|(key, _)| key.value == "type");
                if let Some((_, kind)) = kind.filter(|(_, kind)| kind.value != "generic_in_memory") {
                    return Err(SqlError::at(
                        kind.span.clone(),
                        format!("there is no catalog of the type `{}`", kind.value),
                    )
                    .help("there is `generic_in_memory`"));
                }
                (catalog.to_owned(), "default".to_owned())
            }
            _ => self.database_of(&parts)?,
        };
        if !create.is_catalog && !self.catalog().has_catalog(&catalog) {
            return Err(SqlError::new(format!("there is no catalog `{catalog}`")));
        }
        let is_new = match create.is_catalog {
            true => {
                !self.catalog().has_catalog(&catalog) && self.catalog_mut().add_database(&catalog, &database)
            }
            false => self.catalog_mut().add_database(&catalog, &database),
        };
        match is_new || create.if_not_exists {
            true => Ok(Outcome::Done),
            false => Err(SqlError::new(format!("`{}` is there already", parts.join(".")))),
        }
    }

    /// `CREATE FUNCTION`: another name of a function that was registered from Rust.
    pub(crate) fn create_function(&mut self, create: &CreateFunction) -> Result<Outcome, SqlError> {
        let name = create.name.0.last().map(|word| word.value.clone()).unwrap_or_default();
        let known = self.catalog().functions().names().any(|known| known.eq_ignore_ascii_case(&name));
        if known {
            return match create.if_not_exists {
                true => Ok(Outcome::Done),
                false => Err(SqlError::new(format!("there is a function `{name}` already"))),
            };
        }
        let of = &create.implementation;
        match self.catalog_mut().functions_mut().alias(&of.value, &name) {
            true => Ok(Outcome::Done),
            false => Err(SqlError::at(of.span.clone(), format!("nothing is registered as `{}`", of.value))
                .help("classes of Java are not there; register functions from Rust: create_scalar_function, create_table_function")),
        }
    }
}

/// Changes a definition.
fn change(definition: &mut Definition, action: &AlterAction) -> Result<(), SqlError> {
    let schema = &mut definition.schema;
    let place_of =
        |schema: &TableSchema, name: &Word| {
            schema.columns.iter().position(|column| column.name.value == name.value).ok_or_else(|| {
                SqlError::at(name.span.clone(), format!("there is no column `{}`", name.value))
            })
        };
    match action {
        AlterAction::Rename(_) => {}
        AlterAction::Set(options) => definition.options.extend(options_of(options)),
        AlterAction::Reset(keys) => {
            for key in keys {
                if key.value == "connector" {
                    return Err(SqlError::at(key.span.clone(), "a table has a connector"));
                }
                definition.options.remove(&key.value);
            }
        }
        AlterAction::Add(added, places) | AlterAction::Modify(added, places) => {
            let modifies = matches!(action, AlterAction::Modify(..));
            let refused = |what: &str| Err(SqlError::new(what));
            for column in &added.columns {
                let there = schema.columns.iter().position(|known| known.name.value == column.name.value);
                match (there, modifies) {
                    (Some(place), true) => schema.columns[place] = column.clone(),
                    (None, false) => schema.columns.push(column.clone()),
                    (Some(_), false) => {
                        let text = format!("there is a column `{}` already", column.name.value);
                        return Err(SqlError::at(column.name.span.clone(), text).help("ALTER TABLE … MODIFY"));
                    }
                    (None, true) => {
                        let text = format!("there is no column `{}`", column.name.value);
                        return Err(SqlError::at(column.name.span.clone(), text).help("ALTER TABLE … ADD"));
                    }
                }
            }
            for (column, after) in places {
                let column = schema.columns.remove(place_of(schema, column)?);
                let place = match after {
                    None => 0,
                    Some(after) => place_of(schema, after)? + 1,
                };
                schema.columns.insert(place, column);
            }
            if let Some(watermark) = &added.watermark {
                match (schema.watermark.is_some(), modifies) {
                    (true, false) => return refused("there is a watermark already; MODIFY it"),
                    (false, true) => return refused("there is no watermark; ADD it"),
                    _ => schema.watermark = Some(watermark.clone()),
                }
            }
            if let Some(key) = &added.primary_key {
                match (schema.primary_key.is_some(), modifies) {
                    (true, false) => return refused("there is a primary key already; MODIFY it"),
                    (false, true) => return refused("there is no primary key; ADD it"),
                    _ => schema.primary_key = Some(key.clone()),
                }
            }
        }
        AlterAction::DropColumns(columns) => {
            for name in columns {
                schema.columns.remove(place_of(schema, name)?);
            }
        }
        AlterAction::DropWatermark => {
            if schema.watermark.take().is_none() {
                return Err(SqlError::new("there is no watermark"));
            }
        }
        AlterAction::DropPrimaryKey => {
            if schema.primary_key.take().is_none() {
                return Err(SqlError::new("there is no primary key"));
            }
        }
        AlterAction::RenameColumn(from, to) => {
            let place = place_of(schema, from)?;
            schema.columns[place].name = to.clone();
            for key in schema.primary_key.iter_mut().flatten().filter(|key| key.value == from.value) {
                key.value.clone_from(&to.value);
            }
            for name in definition.partitioned_by.iter_mut().filter(|name| **name == from.value) {
                name.clone_from(&to.value);
            }
        }
    }
    Ok(())
}
