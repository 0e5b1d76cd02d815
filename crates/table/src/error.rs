//! What is wrong with a statement, and where: shown with the place underlined.

use std::fmt;
use std::ops::Range;

use datafusion_common::{Column, SchemaError};

/// A place in a script, in bytes.
pub type Span = Range<usize>;

/// Why a statement cannot be parsed, planned or run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// What is wrong, in one line.
    pub message: String,
    /// Where, in the script.
    pub span: Option<Span>,
    /// What to do about it: the nearest name, the options that are allowed.
    pub help: Option<String>,
    /// Where exactly, if a part of a query is at fault.
    pub part: Option<Part>,
}

/// A part of a query, from one line and column to another; both count from one, and the last column is behind the part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The line and column where it begins.
    pub start: (usize, usize),
    /// The line and column where it has ended.
    pub end: (usize, usize),
}

impl Part {
    /// The bytes of the script that it is.
    fn span(&self, script: &str) -> Option<Span> {
        let byte = |(line, column): (usize, usize)| {
            let begin = match line.checked_sub(2) {
                None => 0,
                Some(before) => script.match_indices('\n').nth(before)?.0 + 1,
            };
            let mut letters = script[begin..].char_indices();
            Some(letters.nth(column.checked_sub(1)?).map_or(script.len(), |(offset, _)| begin + offset))
        };
        Some(byte(self.start)?..byte(self.end)?)
    }
}

impl SqlError {
    /// Something is wrong, somewhere.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None, part: None }
    }

    /// Something is wrong at `span`.
    pub fn at(span: Span, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::new(message) }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where it is, if that is not said yet.
    #[must_use]
    pub fn or_at(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    /// The error with the line of `script` it is about, and the place underlined.
    ///
    /// ```
    /// use thalweg_table::error::SqlError;
    ///
    /// let error = SqlError::at(14..18, "no table `wrds`").help("did you mean `words`?");
    /// assert_eq!(
    ///     error.render("SELECT *\nFROM wrds"),
    ///     "no table `wrds`\n  --> line 2, column 6\n2 | FROM wrds\n  |      ^^^^\n  = did you mean `words`?"
    /// );
    /// ```
    pub fn render(&self, script: &str) -> String {
        let mut text = self.message.clone();
        let part = self.part.and_then(|part| part.span(script));
        if let Some(place) = part.as_ref().or(self.span.as_ref()).and_then(|span| Place::of(span, script)) {
            let Place { number, column, line, width } = place;
            let margin = " ".repeat(number.to_string().len());
            let indent: String =
                line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            text = format!(
                "{text}\n{margin} --> line {number}, column {column}\n{number} | {line}\n{margin} | {indent}{}",
                "^".repeat(width)
            );
        }
        match &self.help {
            Some(help) => format!("{text}\n  = {help}"),
            None => text,
        }
    }
}

/// A place, as people count.
struct Place<'a> {
    number: usize,
    column: usize,
    line: &'a str,
    width: usize,
}

impl<'a> Place<'a> {
    fn of(span: &Span, script: &'a str) -> Option<Self> {
        let before = script.get(..span.start)?;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = script[start..].lines().next().unwrap_or_default();
        let column = before[start..].chars().count() + 1;
        let end = span.end.min(start + line.len());
        let width = script.get(span.start..end).map_or(1, |text| text.chars().count().max(1));
        Some(Self { number: before.matches('\n').count() + 1, column, line, width })
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

impl std::error::Error for SqlError {}

impl From<datafusion_common::DataFusionError> for SqlError {
    fn from(error: datafusion_common::DataFusionError) -> Self {
        use datafusion_common::DataFusionError as E;
        match error {
            E::External(error) => match error.downcast::<SqlError>() {
                Ok(error) => *error,
                Err(error) => Self::new(error.to_string()),
            },
            E::Context(_, inner) => (*inner).into(),
            E::Diagnostic(about, inner) => {
                let part = about.span.map(|span| Part {
                    start: (span.start.line as usize, span.start.column as usize),
                    end: (span.end.line as usize, span.end.column as usize),
                });
                let error: Self = (*inner).into();
                Self { part: error.part.or(part), ..error }
            }
            E::SchemaError(error, _) => match *error {
                SchemaError::FieldNotFound { field, valid_fields } => no_column(&field, &valid_fields),
                other => Self::new(other.to_string()),
            },
            error => Self::of_text(&error.strip_backtrace()),
        }
    }
}

/// That there is no such column, and which is like it, or which there are.
fn no_column(field: &Column, known: &[Column]) -> SqlError {
    let error = SqlError::new(format!("there is no column `{}`", field.name));
    let names = || known.iter().map(|column| column.name.as_str());
    match crate::catalog::nearest(&field.name, names()) {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None if known.is_empty() || known.len() > 12 => error,
        None => error.help(format!("there are {}", names().collect::<Vec<_>>().join(", "))),
    }
}

impl SqlError {
    /// What DataFusion says, without what it says around it.
    fn of_text(text: &str) -> Self {
        let kinds = ["Error during planning: ", "Execution error: ", "This feature is not implemented: "];
        let text = kinds.iter().find_map(|kind| text.strip_prefix(kind)).unwrap_or(text);
        if let Some(name) = text.strip_prefix("Invalid function '").and_then(|rest| rest.split('\'').next()) {
            let mut names = crate::functions::scalar_names();
            names.extend(crate::aggregates::aggregate_names().map(str::to_owned));
            names.extend(crate::window_functions::window_function_names().map(str::to_owned));
            names.retain(|name| !name.starts_with('$'));
            let error = Self::new(format!("there is no function `{}`", name.to_uppercase()));
            return match crate::catalog::nearest(name, names.iter().map(String::as_str)) {
                Some(name) => error.help(format!("did you mean `{name}`?")),
                None => error,
            };
        }
        let inside = text.split_once("user-defined coercion failed with: Error during planning: ");
        let inside = inside.map(|(_, inside)| inside.split(". No function matches").next().unwrap_or(inside));
        Self::new(inside.unwrap_or(text))
    }
}

impl From<SqlError> for datafusion_common::DataFusionError {
    fn from(error: SqlError) -> Self {
        Self::External(Box::new(error))
    }
}
