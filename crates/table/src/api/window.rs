//! Windows: of groups ([`Tumble`], [`Slide`], [`Session`]), and of rows before a row ([`Over`]).

use super::expression::{Expression, Expressions, quoted};

/// Windows of one length, one after the other: `Tumble::over(lit(10).minutes()).on(col("ts")).alias("w")`.
#[derive(Clone, Debug)]
pub struct Tumble;

/// Windows of one length that overlap: `Slide::over(lit(10).minutes()).every(lit(5).minutes()).on(col("ts")).alias("w")`.
#[derive(Clone, Debug)]
pub struct Slide;

/// Windows that end when nothing comes for so long: `Session::with_gap(lit(10).minutes()).on(col("ts")).alias("w")`.
#[derive(Clone, Debug)]
pub struct Session;

/// Windows of groups, by their name.
#[derive(Clone, Debug)]
pub struct GroupWindow {
    /// `TUMBLE`, `HOP` or `SESSION`.
    pub(super) function: &'static str,
    /// Lengths, in the order of SQL.
    pub(super) lengths: Vec<Expression>,
    /// The column of time.
    pub(super) time: Expression,
    pub(super) name: String,
}

impl Tumble {
    /// Windows of this length.
    pub fn over(size: impl Into<Expression>) -> GroupWindow {
        GroupWindow::new("TUMBLE", size.into())
    }
}

impl Slide {
    /// Windows of this length; say how often one begins with [`GroupWindow::every`].
    pub fn over(size: impl Into<Expression>) -> GroupWindow {
        GroupWindow::new("HOP", size.into())
    }
}

impl Session {
    /// Windows that end when nothing comes for so long.
    pub fn with_gap(gap: impl Into<Expression>) -> GroupWindow {
        GroupWindow::new("SESSION", gap.into())
    }
}

impl GroupWindow {
    fn new(function: &'static str, length: Expression) -> Self {
        Self { function, lengths: vec![length], time: "".into(), name: "w".to_owned() }
    }

    /// How often a window begins, of those that overlap.
    #[must_use]
    pub fn every(mut self, slide: impl Into<Expression>) -> Self {
        self.lengths.insert(0, slide.into());
        self
    }

    /// By this column of time.
    #[must_use]
    pub fn on(mut self, time: impl Into<Expression>) -> Self {
        self.time = time.into();
        self
    }

    /// By this name: `w` unless it is set.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The call of a function of the window, as SQL.
    pub(super) fn sql(&self, suffix: &str) -> String {
        let lengths: Vec<&str> = self.lengths.iter().map(Expression::sql).collect();
        format!("{}{suffix}({}, {})", self.function, self.time.sql(), lengths.join(", "))
    }
}

/// All rows before, by time.
pub const UNBOUNDED_RANGE: &str = "RANGE UNBOUNDED PRECEDING";
/// All rows before, by their number.
pub const UNBOUNDED_ROW: &str = "ROWS UNBOUNDED PRECEDING";
/// Up to rows of the same time.
pub const CURRENT_RANGE: &str = "RANGE CURRENT ROW";
/// Up to the row itself.
pub const CURRENT_ROW: &str = "ROWS CURRENT ROW";

/// A window of the rows before a row: `Over::partition_by("k").order_by("ts").preceding(UNBOUNDED_RANGE).alias("w")`.
#[derive(Clone, Debug)]
pub struct Over;

/// A window of the rows before a row, by its name.
#[derive(Clone, Debug)]
pub struct OverWindow {
    partition: String,
    order: String,
    frame: String,
    pub(super) name: String,
}

impl Over {
    /// Among the rows that have the same of these.
    pub fn partition_by(columns: impl Expressions) -> OverWindow {
        OverWindow { partition: columns.list(), ..Self::order_by("") }
    }

    /// Among all rows, in this order.
    pub fn order_by(time: impl Expressions) -> OverWindow {
        let order = time.list();
        OverWindow {
            partition: String::new(),
            order,
            frame: UNBOUNDED_RANGE.to_owned(),
            name: "w".to_owned(),
        }
    }
}

impl OverWindow {
    /// In this order: by a column of time.
    #[must_use]
    pub fn order_by(mut self, time: impl Expressions) -> Self {
        self.order = time.list();
        self
    }

    /// So far back: [`UNBOUNDED_RANGE`], [`UNBOUNDED_ROW`], or as in SQL: `ROWS 10 PRECEDING`, `RANGE INTERVAL '1' HOUR PRECEDING`.
    #[must_use]
    pub fn preceding(mut self, frame: &str) -> Self {
        frame.clone_into(&mut self.frame);
        self
    }

    /// By this name: `w` unless it is set.
    #[must_use]
    pub fn alias(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// `w AS (PARTITION BY …)`.
    pub(super) fn sql(&self) -> String {
        let partition = if self.partition.is_empty() {
            String::new()
        } else {
            format!("PARTITION BY {} ", self.partition)
        };
        let (unit, from) = self.frame.split_once(' ').unwrap_or(("RANGE", "UNBOUNDED PRECEDING"));
        format!(
            "{} AS ({partition}ORDER BY {} {unit} BETWEEN {from} AND CURRENT ROW)",
            quoted(&self.name),
            self.order
        )
    }
}
