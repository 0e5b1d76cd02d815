//! What is wrong with a statement, and where: shown with the place underlined.

use std::fmt;
use std::ops::Range;

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
}

impl SqlError {
    /// Something is wrong, somewhere.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None }
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
        if let Some(place) = self.span.as_ref().and_then(|span| Place::of(span, script)) {
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
            E::Diagnostic(_, inner) => (*inner).into(),
            error => Self::new(error.strip_backtrace()),
        }
    }
}

impl From<SqlError> for datafusion_common::DataFusionError {
    fn from(error: SqlError) -> Self {
        Self::External(Box::new(error))
    }
}
