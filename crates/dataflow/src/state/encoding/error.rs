//! What cannot be written or resolved, and where in the value it is.

use std::fmt;

/// Why a value cannot be written, or read back into the type that is wanted now.
///
/// It is boxed so that the results on the hot path stay small.
#[derive(Debug)]
pub(crate) struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// From the innermost step to the outermost.
    path: Vec<Step>,
    reason: String,
}

/// One step from a value to what is in it.
#[derive(Debug)]
pub(super) enum Step {
    Field(String),
    Variant(String),
    Item(usize),
    Key,
    Value,
}

impl Error {
    #[cold]
    pub(super) fn new(reason: impl fmt::Display) -> Self {
        Self(Box::new(Inner { path: Vec::new(), reason: reason.to_string() }))
    }

    /// It lies one step further in than where it is being passed on.
    #[cold]
    #[inline(never)]
    pub(super) fn at(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    #[cold]
    #[inline(never)]
    pub(super) fn variant(self, name: &str) -> Self {
        self.at(Step::Variant(name.to_owned()))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn item(self, index: usize) -> Self {
        self.at(Step::Item(index))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn field(self, name: &str) -> Self {
        self.at(Step::Field(name.to_owned()))
    }

    /// The entry of a table is a pair, but its halves have names.
    pub(super) fn in_entry(mut self) -> Self {
        match self.0.path.last_mut() {
            Some(step @ Step::Item(0)) => *step = Step::Field("key".to_owned()),
            Some(step @ Step::Item(1)) => *step = Step::Field("value".to_owned()),
            _ => {}
        }
        self
    }

    /// What is wrong, without where.
    pub(super) fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Where: such as `value.address.lines[2]`. Empty if it is the value itself.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Field(name) | Step::Variant(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name]),
                Step::Variant(name) => path.extend(["::", name]),
                Step::Item(index) => path.push_str(&format!("[{index}]")),
                Step::Key => path.push_str("{key}"),
                Step::Value => path.push_str("{value}"),
            }
        }
        path
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            path if path.is_empty() => f.write_str(&self.0.reason),
            path => write!(f, "at `{path}`: {}", self.0.reason),
        }
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}
