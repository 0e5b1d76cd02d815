//! A table: a query, and what is made of it.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Ident, VisitMut, VisitorMut};
use thalweg_dataflow::runtime::JobHandle;

use super::expression::{Expression, Expressions, quoted};
use super::session::TableSession;
use super::window::{GroupWindow, OverWindow};
use crate::error::SqlError;
use crate::parser::{StatementKind, parse_expression, parse_script};
use crate::result::TableResult;
use crate::types::LogicalType;

/// A query. Nothing runs until it is executed, inserted, or made a stream.
#[derive(Clone)]
pub struct Table {
    pub(super) session: TableSession,
    /// As SQL.
    pub(super) query: String,
    /// Whether the query ends with its order, so that a limit goes behind it.
    ordered: bool,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("query", &self.query).finish()
    }
}

macro_rules! joins {
    ($($(#[$doc:meta])+ $name:ident $kind:literal;)+) => {$(
        $(#[$doc])+
        ///
        /// # Errors
        /// If the condition is wrong, or both have a column of the same name.
        pub fn $name(&self, right: &Self, on: impl Into<Expression>) -> Result<Self, SqlError> {
            self.joined($kind, right, &format!(" ON {}", on.into().sql()))
        }
    )+};
}

macro_rules! sets {
    ($($(#[$doc:meta])+ $name:ident $operator:literal;)+) => {$(
        $(#[$doc])+
        ///
        /// # Errors
        /// If the other has other columns.
        pub fn $name(&self, other: &Self) -> Result<Self, SqlError> {
            self.made(format!("SELECT * FROM ({}) {} SELECT * FROM ({})", self.query, $operator, other.query))
        }
    )+};
}

impl Table {
    pub(super) fn of(session: TableSession, query: String) -> Self {
        Self { session, query, ordered: false }
    }

    /// The table of another query; it is planned, so that what is wrong with it is told here.
    fn made(&self, query: String) -> Result<Self, SqlError> {
        let made = Self { query, session: self.session.clone(), ordered: false };
        made.schema()?;
        Ok(made)
    }

    /// The names and types of the columns.
    ///
    /// # Errors
    /// If the query is wrong.
    pub fn schema(&self) -> Result<Vec<(String, LogicalType)>, SqlError> {
        self.session.schema_of_query(&self.query)
    }

    /// The columns, a line for each (Flink's `printSchema`).
    ///
    /// # Errors
    /// If the query is wrong.
    pub fn print_schema(&self) -> Result<(), SqlError> {
        println!("(");
        for (name, of) in self.schema()? {
            println!("  {} {of},", quoted(&name));
        }
        println!(")");
        Ok(())
    }

    /// These expressions for each row; of all rows together, if they are aggregates.
    ///
    /// # Errors
    /// If an expression is wrong.
    pub fn select(&self, expressions: impl Expressions) -> Result<Self, SqlError> {
        self.made(format!("SELECT {} FROM ({})", expressions.list(), self.query))
    }

    /// The rows for which a condition is true.
    ///
    /// # Errors
    /// If the condition is wrong.
    pub fn filter(&self, condition: impl Into<Expression>) -> Result<Self, SqlError> {
        self.made(format!("SELECT * FROM ({}) WHERE {}", self.query, condition.into().sql()))
    }

    /// The rows for which a condition is true.
    ///
    /// # Errors
    /// If the condition is wrong.
    pub fn where_(&self, condition: impl Into<Expression>) -> Result<Self, SqlError> {
        self.filter(condition)
    }

    /// The columns by other names.
    ///
    /// # Errors
    /// If there are not as many.
    pub fn as_(&self, names: &[&str]) -> Result<Self, SqlError> {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        self.made(format!("SELECT * FROM ({}) AS `t` ({})", self.query, names.join(", ")))
    }

    /// Groups of rows that have the same of these.
    ///
    /// # Errors
    /// None; what is wrong is told by `select`.
    pub fn group_by(&self, keys: impl Expressions) -> Result<GroupedTable, SqlError> {
        Ok(GroupedTable { table: self.clone(), keys: keys.list() })
    }

    /// Windows that rows are grouped by.
    pub fn window(&self, window: GroupWindow) -> WindowedTable {
        WindowedTable { table: self.clone(), window }
    }

    /// Windows of the rows before each row, for [`Expression::over`].
    pub fn over_window(&self, window: OverWindow) -> OverWindowedTable {
        OverWindowedTable { table: self.clone(), windows: vec![window] }
    }

    /// Each row once.
    ///
    /// # Errors
    /// If a column has a type that cannot be compared.
    pub fn distinct(&self) -> Result<Self, SqlError> {
        self.made(format!("SELECT DISTINCT * FROM ({})", self.query))
    }

    /// Each row with each of another; a `where_` behind it says which belong together.
    ///
    /// # Errors
    /// If both have a column of the same name.
    pub fn join(&self, right: &Self) -> Result<Self, SqlError> {
        self.joined("CROSS JOIN", right, "")
    }

    joins! {
        /// Each row with those of another that belong to it.
        join_on "JOIN";
        /// Each row with those of another that belong to it, or with NULLs.
        left_outer_join "LEFT JOIN";
        /// Each row of another with those that belong to it, or with NULLs.
        right_outer_join "RIGHT JOIN";
        /// Both: rows without partners come with NULLs.
        full_outer_join "FULL JOIN";
    }

    fn joined(&self, kind: &str, right: &Self, on: &str) -> Result<Self, SqlError> {
        let left = self.schema()?;
        if let Some((name, _)) =
            right.schema()?.iter().find(|(name, _)| left.iter().any(|(own, _)| own == name))
        {
            return Err(SqlError::new(format!("both tables have a column `{name}`"))
                .help("rename it in one of them: rename_columns"));
        }
        self.made(format!("SELECT * FROM ({}) AS `l` {kind} ({}) AS `r`{on}", self.query, right.query))
    }

    /// Each row with those that a table function gives for it, by these names.
    ///
    /// # Errors
    /// If there is no such function, or it takes no such arguments.
    pub fn join_lateral(&self, call: impl Into<Expression>, names: &[&str]) -> Result<Self, SqlError> {
        self.lateral("CROSS JOIN", call.into(), names, "")
    }

    /// Each row with those that a table function gives for it, or with NULLs.
    ///
    /// # Errors
    /// If there is no such function, or it takes no such arguments.
    pub fn left_outer_join_lateral(
        &self,
        call: impl Into<Expression>,
        names: &[&str],
    ) -> Result<Self, SqlError> {
        self.lateral("LEFT JOIN", call.into(), names, " ON TRUE")
    }

    fn lateral(&self, kind: &str, call: Expression, names: &[&str], on: &str) -> Result<Self, SqlError> {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        self.made(format!(
            "SELECT * FROM ({}) AS `l` {kind} LATERAL TABLE({}) AS `r`{names}{on}",
            self.query,
            call.sql()
        ))
    }

    sets! {
        /// The rows of both, each once.
        union "UNION";
        /// The rows of both.
        union_all "UNION ALL";
        /// The rows that are in both, each once.
        intersect "INTERSECT";
        /// The rows that are in both, as often as in the one that has fewer of them.
        intersect_all "INTERSECT ALL";
        /// The rows that are not in the other, each once.
        minus "EXCEPT";
        /// The rows without those of the other.
        minus_all "EXCEPT ALL";
    }

    /// The rows in an order: by event time, or with a [`fetch`](Self::fetch) behind it.
    ///
    /// # Errors
    /// If the order is wrong.
    pub fn order_by(&self, order: impl Expressions) -> Result<Self, SqlError> {
        let query = format!("SELECT * FROM ({}) ORDER BY {}", self.query, order.list());
        Ok(Self { ordered: true, ..self.made(query)? })
    }

    /// Without the first `rows` of them.
    ///
    /// # Errors
    /// If the order is wrong.
    pub fn offset(&self, rows: u64) -> Result<Self, SqlError> {
        self.limited(&format!("OFFSET {rows}"))
    }

    /// The first `rows` of them.
    ///
    /// # Errors
    /// If the order is wrong.
    pub fn fetch(&self, rows: u64) -> Result<Self, SqlError> {
        self.limited(&format!("LIMIT {rows}"))
    }

    /// The first `rows` of them.
    ///
    /// # Errors
    /// If the order is wrong.
    pub fn limit(&self, rows: u64) -> Result<Self, SqlError> {
        self.fetch(rows)
    }

    fn limited(&self, limit: &str) -> Result<Self, SqlError> {
        let query = match self.ordered {
            true => format!("{} {limit}", self.query),
            false => format!("SELECT * FROM ({}) {limit}", self.query),
        };
        Ok(Self { ordered: self.ordered, ..self.made(query)? })
    }

    /// More columns.
    ///
    /// # Errors
    /// If an expression is wrong, or its name is there already.
    pub fn add_columns(&self, expressions: impl Expressions) -> Result<Self, SqlError> {
        let added = self.select(expressions.list().as_str())?.schema()?;
        let own = self.schema()?;
        if let Some((name, _)) = added.iter().find(|(name, _)| own.iter().any(|(known, _)| known == name)) {
            return Err(
                SqlError::new(format!("there is a column `{name}` already")).help("add_or_replace_columns")
            );
        }
        self.select(format!("*, {}", expressions.list()).as_str())
    }

    /// More columns, in place of those of the same name.
    ///
    /// # Errors
    /// If an expression is wrong.
    pub fn add_or_replace_columns(&self, expressions: impl Expressions) -> Result<Self, SqlError> {
        let added = self.select(expressions.list().as_str())?.schema()?;
        let own = self.schema()?;
        let replaced = |name: &String| added.iter().any(|(new, _)| new == name);
        let kept = own.iter().filter(|(name, _)| !replaced(name)).map(|(name, _)| quoted(name));
        let items: Vec<String> = kept.chain([expressions.list()]).collect();
        let changed = self.select(items.join(", ").as_str())?;
        // What is replaced stays where it was.
        let new = added.iter().filter(|(name, _)| !own.iter().any(|(known, _)| known == name));
        let names: Vec<String> = own.iter().chain(new).map(|(name, _)| quoted(name)).collect();
        changed.select(names.join(", ").as_str())
    }

    /// Columns by other names: `[("a", "b")]`.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn rename_columns(&self, names: &[(&str, &str)]) -> Result<Self, SqlError> {
        let own = self.schema()?;
        self.known(names.iter().map(|(from, _)| *from), &own)?;
        let item = |(name, _): &(String, LogicalType)| match names.iter().find(|(from, _)| from == name) {
            Some((_, to)) => format!("{} AS {}", quoted(name), quoted(to)),
            None => quoted(name),
        };
        self.select(own.iter().map(item).collect::<Vec<_>>().join(", ").as_str())
    }

    /// Without these columns.
    ///
    /// # Errors
    /// If there is no such column.
    pub fn drop_columns(&self, names: &[&str]) -> Result<Self, SqlError> {
        let own = self.schema()?;
        self.known(names.iter().copied(), &own)?;
        let kept = own.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        self.select(kept.map(|(name, _)| quoted(name)).collect::<Vec<_>>().join(", ").as_str())
    }

    fn known<'a>(
        &self,
        mut names: impl Iterator<Item = &'a str>,
        own: &[(String, LogicalType)],
    ) -> Result<(), SqlError> {
        let Some(name) = names.find(|name| !own.iter().any(|(known, _)| known == name)) else {
            return Ok(());
        };
        let error = SqlError::new(format!("there is no column `{name}`"));
        Err(match crate::catalog::nearest(name, own.iter().map(|(known, _)| known.as_str())) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    /// The plan, as `EXPLAIN` shows it.
    ///
    /// # Errors
    /// If the query cannot be planned.
    pub fn explain(&self) -> Result<String, SqlError> {
        self.session.with(|tables| tables.explain_sql(&self.query))
    }

    /// Runs the query, and gives its rows as they come.
    ///
    /// # Errors
    /// If it cannot be planned or started.
    pub fn execute(&self) -> Result<TableResult, SqlError> {
        self.session.execute(&self.query)
    }

    /// Writes the rows into a table, in a job of the session that is started now.
    ///
    /// # Errors
    /// If there is no such table, or it does not take such rows.
    pub fn execute_insert(&self, path: &str) -> Result<JobHandle, SqlError> {
        let mut set = self.session.create_statement_set();
        set.add_insert(path, self)?;
        set.execute()
    }
}

/// Rows in groups.
#[derive(Clone, Debug)]
pub struct GroupedTable {
    table: Table,
    keys: String,
}

impl GroupedTable {
    /// These expressions, of keys and aggregates, for each group.
    ///
    /// # Errors
    /// If an expression is wrong.
    pub fn select(&self, expressions: impl Expressions) -> Result<Table, SqlError> {
        let Self { table, keys } = self;
        table.made(format!("SELECT {} FROM ({}) GROUP BY {keys}", expressions.list(), table.query))
    }
}

/// Rows with windows that they are to be grouped by.
#[derive(Clone, Debug)]
pub struct WindowedTable {
    table: Table,
    window: GroupWindow,
}

impl WindowedTable {
    /// Groups by the window, whose name is among these, and by the others.
    ///
    /// # Errors
    /// If the window is not among them.
    pub fn group_by(&self, keys: impl Expressions) -> Result<WindowGroupedTable, SqlError> {
        let name = &self.window.name;
        let items = super::session::items(&keys.list())?;
        let (windows, keys): (Vec<String>, Vec<String>) =
            items.into_iter().partition(|item| item.trim_matches('`') == name);
        match windows.is_empty() {
            true => {
                Err(SqlError::new(format!("rows are grouped by the window `{name}`, and by others besides")))
            }
            false => Ok(WindowGroupedTable { table: self.table.clone(), window: self.window.clone(), keys }),
        }
    }
}

/// Rows grouped by windows.
#[derive(Clone, Debug)]
pub struct WindowGroupedTable {
    table: Table,
    window: GroupWindow,
    keys: Vec<String>,
}

impl WindowGroupedTable {
    /// These expressions for each group; bounds of the window are `w.start`, `w.end`, `w.rowtime`.
    ///
    /// # Errors
    /// If an expression is wrong.
    pub fn select(&self, expressions: impl Expressions) -> Result<Table, SqlError> {
        let Self { table, window, keys } = self;
        let select = format!("SELECT {} FROM `t`", expressions.list());
        let mut statements = parse_script(&select)?;
        let Some(StatementKind::Query(query)) = statements.first_mut().map(|statement| &mut statement.kind)
        else {
            return Err(SqlError::new("expressions are selected"));
        };
        let bounds = Bounds {
            name: &window.name,
            of: ["_START", "_END", "_ROWTIME", "_PROCTIME"]
                .map(|suffix| parse_expression(&window.sql(suffix)))
                .into_iter()
                .collect::<Result<Vec<Expr>, _>>()?,
        };
        let _ = query.visit(&mut { bounds });
        let selected = query.to_string();
        let selected = selected.strip_suffix("FROM `t`").unwrap_or(&selected);
        let groups: Vec<String> = keys.iter().cloned().chain([window.sql("")]).collect();
        table.made(format!("{selected} FROM ({}) GROUP BY {}", table.query, groups.join(", ")))
    }
}

/// Puts the functions of a window in the place of its bounds.
struct Bounds<'a> {
    name: &'a str,
    of: Vec<Expr>,
}

impl VisitorMut for Bounds<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        let Expr::CompoundIdentifier(parts) = expression else { return ControlFlow::Continue(()) };
        let [Ident { value: window, .. }, Ident { value: bound, .. }] = &parts[..] else {
            return ControlFlow::Continue(());
        };
        let names = ["start", "end", "rowtime", "proctime"];
        let place = names.iter().position(|name| bound.trim_start_matches('$').eq_ignore_ascii_case(name));
        if let (true, Some(place)) = (window == self.name, place) {
            *expression = self.of[place].clone();
        }
        ControlFlow::Continue(())
    }
}

/// Rows with windows of the rows before them.
#[derive(Clone, Debug)]
pub struct OverWindowedTable {
    table: Table,
    windows: Vec<OverWindow>,
}

impl OverWindowedTable {
    /// Another window.
    #[must_use]
    pub fn over_window(mut self, window: OverWindow) -> Self {
        self.windows.push(window);
        self
    }

    /// These expressions for each row.
    ///
    /// # Errors
    /// If an expression is wrong.
    pub fn select(&self, expressions: impl Expressions) -> Result<Table, SqlError> {
        let windows: Vec<String> = self.windows.iter().map(OverWindow::sql).collect();
        let list = expressions.list();
        self.table.made(format!("SELECT {list} FROM ({}) WINDOW {}", self.table.query, windows.join(", ")))
    }
}
