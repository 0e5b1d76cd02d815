//! `SHOW …` and `DESCRIBE`: what there is, as text.

use std::fmt::Write as _;

use regex::Regex;

use crate::catalog::{Column, ColumnSource, Relation, Table, TablePath};
use crate::environment::TableEnvironment;
use crate::error::SqlError;
use crate::models;
use crate::parser::{ColumnKind, Name, ObjectKind, Show, TableSchema};
use crate::tableau::tableau;
use crate::types::LogicalType;

/// Whether a name is like a pattern of SQL: `%` is any text, `_` any letter.
fn is_like(name: &str, pattern: &str) -> bool {
    let letter = |letter: char| match letter {
        '%' => ".*".to_owned(),
        '_' => ".".to_owned(),
        other => regex::escape(&other.to_string()),
    };
    let pattern: String = pattern.chars().map(letter).collect();
    Regex::new(&format!("(?s)^{pattern}$")).is_ok_and(|pattern| pattern.is_match(name))
}

fn wanted(name: &str, like: &Option<(bool, String)>) -> bool {
    like.as_ref().is_none_or(|(negated, pattern)| is_like(name, pattern) != *negated)
}

/// A name between back-ticks.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text between quotes.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn path(path: &TablePath) -> String {
    [&path.catalog, &path.database, &path.table].map(|part| quoted(part)).join(".")
}

impl TableEnvironment {
    /// Names that somebody may be about to type: tables, views and their columns in the current database, and functions.
    pub fn known_names(&self) -> Vec<String> {
        let (catalog, database) = self.catalog().current();
        let mut names = self.names(ObjectKind::Function, None).unwrap_or_default();
        for (name, relation) in self.catalog().relations(catalog, database) {
            names.push(name.to_owned());
            match relation {
                Relation::Table(table) => {
                    names.extend(table.columns.iter().map(|column| column.name.clone()))
                }
                Relation::View(_) => {
                    let schema = self.schema_of(&self.catalog().path(&[name]));
                    let fields = schema.iter().flat_map(|schema| schema.fields());
                    names.extend(fields.map(|field| field.name().clone()));
                }
            }
        }
        names.sort();
        names.dedup();
        names
    }

    /// What `SHOW` shows.
    pub(crate) fn show_statement(&self, show: &Show) -> Result<String, SqlError> {
        let listed = |title: &str, names: Vec<String>| {
            let rows: Vec<Vec<String>> = names.into_iter().map(|name| vec![name]).collect();
            tableau(&[title], &rows)
        };
        Ok(match show {
            Show::Objects { kind, from, like } => {
                let mut names = self.names(*kind, from.as_ref())?;
                names.retain(|name| wanted(name, like));
                let title = match kind {
                    ObjectKind::Table => "table name",
                    ObjectKind::View => "view name",
                    ObjectKind::Function => "function name",
                    ObjectKind::Database => "database name",
                    ObjectKind::Catalog => "catalog name",
                    ObjectKind::Model => "model name",
                };
                listed(title, names)
            }
            Show::Columns(name, like) => self.columns_of(name, like)?,
            Show::CurrentCatalog => {
                listed("current catalog name", vec![self.catalog().current().0.to_owned()])
            }
            Show::CurrentDatabase => {
                listed("current database name", vec![self.catalog().current().1.to_owned()])
            }
            Show::Create(kind, name) => match (self.catalog().find(name)?, kind) {
                ((_, Relation::Table(table)), ObjectKind::Table) => self.create_statement(table),
                ((at, Relation::View(view)), ObjectKind::View) => {
                    let columns: Vec<String> = view.columns.iter().map(|name| quoted(name)).collect();
                    let columns =
                        if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
                    let comment = view.comment.as_ref().map(|of| format!("COMMENT {}\n", text(of)));
                    let temporary = if self.catalog().is_temporary(&at) { "TEMPORARY " } else { "" };
                    format!(
                        "CREATE {temporary}VIEW {}{columns}\n{}AS {}",
                        path(&at),
                        comment.unwrap_or_default(),
                        view.query
                    )
                }
                ((at, Relation::Table(_)), _) => {
                    return Err(SqlError::new(format!("`{}` is a table: SHOW CREATE TABLE", at.table)));
                }
                ((at, Relation::View(_)), _) => {
                    return Err(SqlError::new(format!("`{}` is a view: SHOW CREATE VIEW", at.table)));
                }
            },
            Show::CreateModel(name) => models::show_create(self.catalog(), name)?,
            Show::Jobs => {
                return Err(SqlError::new("jobs are those of the shell")
                    .help("`thalweg sql` runs jobs in the background, and shows them"));
            }
        })
    }

    fn names(&self, kind: ObjectKind, from: Option<&Name>) -> Result<Vec<String>, SqlError> {
        let catalog = self.catalog();
        let parts: Vec<&str> = from.iter().flat_map(|name| &name.0).map(|word| word.value.as_str()).collect();
        let (current, database) = catalog.current();
        let (of, database) = match (parts[..].first(), parts.get(1)) {
            (Some(catalog), Some(database)) => (*catalog, *database),
            (Some(database), None) => (current, *database),
            _ => (current, database),
        };
        let in_database = matches!(kind, ObjectKind::Table | ObjectKind::View | ObjectKind::Model);
        if in_database && !catalog.has_database(of, database) {
            return Err(SqlError::new(format!("there is no database `{of}.{database}`")));
        }
        let views = |wanted: bool| {
            let all = catalog.relations(of, database);
            let all = all.filter(move |(_, relation)| !wanted || matches!(relation, Relation::View(_)));
            all.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        };
        Ok(match kind {
            ObjectKind::Table => views(false),
            ObjectKind::View => views(true),
            ObjectKind::Function => {
                let mut names = crate::functions::scalar_names();
                names.extend(crate::aggregates::aggregate_names().map(str::to_owned));
                names.extend(catalog.functions().names().map(str::to_owned));
                names.sort();
                names.dedup();
                names
            }
            ObjectKind::Database => {
                let of = parts.first().copied().unwrap_or(current);
                let all = catalog.databases().filter(|(catalog, _)| *catalog == of);
                all.map(|(_, database)| database.to_owned()).collect()
            }
            ObjectKind::Catalog => {
                let mut names: Vec<String> =
                    catalog.databases().map(|(catalog, _)| catalog.to_owned()).collect();
                names.dedup();
                names
            }
            ObjectKind::Model => models::names(catalog, of, database),
        })
    }

    /// The columns of a table or view, as `DESCRIBE` shows them.
    pub(crate) fn columns_of(&self, name: &Name, like: &Option<(bool, String)>) -> Result<String, SqlError> {
        let (at, relation) = self.catalog().find(name)?;
        let rows: Vec<Vec<String>> = match relation {
            Relation::Table(table) => {
                let columns = table.columns.iter().enumerate();
                columns.map(|(index, column)| described(table, index, column)).collect()
            }
            Relation::View(_) => {
                let schema = self.schema_of(&at)?;
                let row = |field: &arrow::datatypes::FieldRef| {
                    let of = LogicalType::from_arrow(field.data_type(), field.is_nullable())?;
                    Ok(described_as(field.name(), &of, String::new(), String::new(), String::new()))
                };
                schema.fields().iter().map(row).collect::<Result<_, SqlError>>()?
            }
        };
        let mut rows = rows;
        rows.retain(|row| wanted(&row[0], like));
        Ok(tableau(&["name", "type", "null", "key", "extras", "watermark"], &rows))
    }

    /// A statement that makes the table.
    fn create_statement(&self, table: &Table) -> String {
        let temporary = if self.catalog().is_temporary(&table.path) { "TEMPORARY " } else { "" };
        let mut out = format!("CREATE {temporary}TABLE {} (\n", path(&table.path));
        let lines = lines_of(&table.declared);
        let _ = write!(out, "  {}\n)", lines.join(",\n  "));
        if let Some(comment) = &table.comment {
            let _ = write!(out, "\nCOMMENT {}", text(comment));
        }
        if !table.partitioned_by.is_empty() {
            let names: Vec<String> = table.partitioned_by.iter().map(|name| quoted(name)).collect();
            let _ = write!(out, "\nPARTITIONED BY ({})", names.join(", "));
        }
        let options = table.options.iter().map(|(key, value)| format!("  {} = {}", text(key), text(value)));
        let _ = write!(out, "\nWITH (\n{}\n)", options.collect::<Vec<_>>().join(",\n"));
        out
    }
}

fn described(table: &Table, index: usize, column: &Column) -> Vec<String> {
    let names: Vec<&str> =
        table.primary_key.iter().map(|column| table.columns[*column].name.as_str()).collect();
    let key =
        if table.primary_key.contains(&index) { format!("PRI({})", names.join(", ")) } else { String::new() };
    let declared = table.declared.columns.iter().find(|declared| declared.name.value == column.name);
    let extras = match (&column.source, declared.map(|declared| &declared.kind)) {
        (ColumnSource::Metadata { key, is_virtual }, _) => {
            let from = if *key == column.name { String::new() } else { format!(" FROM {}", text(key)) };
            format!("METADATA{from}{}", if *is_virtual { " VIRTUAL" } else { "" })
        }
        (ColumnSource::Computed(_), Some(ColumnKind::Computed(expression))) => format!("AS {expression}"),
        (ColumnSource::Computed(expression), _) => format!("AS {expression}"),
        (ColumnSource::Physical, _) => String::new(),
    };
    let watermark = match (&table.watermark, &table.declared.watermark) {
        (Some((of, _)), Some(declared)) if *of == index => declared.expression.to_string(),
        _ => String::new(),
    };
    described_as(&column.name, &column.data_type, key, extras, watermark)
}

fn described_as(name: &str, of: &LogicalType, key: String, extras: String, watermark: String) -> Vec<String> {
    let kind = LogicalType { nullable: true, ..of.clone() }.to_string();
    let null = if of.nullable { "TRUE" } else { "FALSE" };
    vec![name.to_owned(), kind, null.to_owned(), key, extras, watermark]
}

/// What stands between the parentheses of `CREATE TABLE t (…)`, a line for each.
fn lines_of(schema: &TableSchema) -> Vec<String> {
    let mut lines = Vec::new();
    for column in &schema.columns {
        let mut line = match &column.kind {
            ColumnKind::Physical(of) => format!("{} {of}", quoted(&column.name.value)),
            ColumnKind::Metadata { data_type, from, is_virtual } => {
                let from = from.as_ref().map(|key| format!(" FROM {}", text(key))).unwrap_or_default();
                let is_virtual = if *is_virtual { " VIRTUAL" } else { "" };
                format!("{} {data_type} METADATA{from}{is_virtual}", quoted(&column.name.value))
            }
            ColumnKind::Computed(expression) => format!("{} AS {expression}", quoted(&column.name.value)),
        };
        if let Some(comment) = &column.comment {
            let _ = write!(line, " COMMENT {}", text(comment));
        }
        lines.push(line);
    }
    if let Some(watermark) = &schema.watermark {
        let column: Vec<String> = watermark.column.iter().map(|part| quoted(&part.value)).collect();
        lines.push(format!("WATERMARK FOR {} AS {}", column.join("."), watermark.expression));
    }
    if let Some(key) = &schema.primary_key {
        let names: Vec<String> = key.iter().map(|name| quoted(&name.value)).collect();
        lines.push(format!("PRIMARY KEY ({}) NOT ENFORCED", names.join(", ")));
    }
    lines
}
