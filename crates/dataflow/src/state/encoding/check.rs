//! Whether a value comes back: what was written is read again, and what that gives is written once more.

use std::cell::RefCell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::canonical::canonical;
use super::cursor::Cursor;
use super::encoder::Encoder;
use super::error::Error;
use super::plan::{Matches, Plan};
use super::read::Reader;
use super::write::Writer;

/// What a check keeps from one value to the next.
#[derive(Default)]
pub(super) struct Checker {
    scratch: Vec<u8>,
    matches: Matches,
    /// The growth of the schema that `matches` is about.
    growth: u64,
}

impl Encoder {
    /// Reads what this encoder has written, at any time before.
    pub(crate) fn read<T>(&mut self, read: impl FnOnce(&Plan<'_>) -> T) -> T {
        self.catch_up();
        read(&Plan::with(&self.sink.grown.schema, &self.checker.matches))
    }

    /// What was found out about a schema that has grown since is forgotten.
    fn catch_up(&mut self) {
        if self.checker.growth != self.sink.grown.growth {
            self.checker.growth = self.sink.grown.growth;
            self.checker.matches.reset(&self.sink.grown.schema);
        }
    }

    /// Reads the value back that has just been written at `start` of the buffer.
    pub(super) fn check<T: Serialize + DeserializeOwned>(
        &mut self,
        start: usize,
        root: usize,
    ) -> Result<(), Error> {
        self.catch_up();
        let mut checker = std::mem::take(&mut self.checker);
        let checked = self.compare::<T>(&mut checker, start, root);
        self.checker = checker;
        checked.map_err(|fault| self.explain::<T>(fault, start, root))
    }

    fn compare<T: Serialize + DeserializeOwned>(
        &mut self,
        checker: &mut Checker,
        start: usize,
        root: usize,
    ) -> Result<(), Fault> {
        let version = self.sink.grown.version;
        let schema = &self.sink.grown.schema;
        let node = schema.roots[root];
        let value: T = {
            let plan = Plan::with(schema, &checker.matches);
            let mut cursor = Cursor { version, ..Cursor::new(&plan, &self.sink.buffer[start..]) };
            let value = T::deserialize(Reader::new(&mut cursor, node)).map_err(Fault::Unreadable)?;
            if !cursor.bytes.is_empty() {
                return Err(Fault::Unreadable(Error::new("not all that was written is read")));
            }
            value
        };
        let growth = self.sink.grown.growth;
        checker.scratch.clear();
        std::mem::swap(&mut self.sink.buffer, &mut checker.scratch);
        self.sink.depth = 0;
        let written = value.serialize(Writer::<T>::new(&mut self.sink, node));
        std::mem::swap(&mut self.sink.buffer, &mut checker.scratch);
        written.map_err(Fault::Unreadable)?;
        if self.sink.buffer[start..] == checker.scratch[..] {
            return Ok(());
        }
        if growth != self.sink.grown.growth {
            return Err(Fault::Differs);
        }
        let plan = Plan::with(&self.sink.grown.schema, &checker.matches);
        let canonical = |bytes| {
            canonical(&mut Cursor { version, ..Cursor::new(&plan, bytes) }, node).map_err(Fault::Unreadable)
        };
        match canonical(&self.sink.buffer[start..])? == canonical(&checker.scratch)? {
            true => Ok(()),
            false => Err(Fault::Differs),
        }
    }

    /// Which type it is that does not come back, where, and the attribute that is known to do that.
    #[cold]
    fn explain<T: DeserializeOwned>(&self, fault: Fault, start: usize, root: usize) -> Error {
        let asked = RefCell::new(Vec::new());
        let plan = Plan::new(&self.sink.grown.schema);
        let version = self.sink.grown.version;
        let bytes = &self.sink.buffer[start..];
        let mut cursor = Cursor { version, asked: Some(&asked), ..Cursor::new(&plan, bytes) };
        // What comes of it is known; what it asks for on the way is not.
        let _ = T::deserialize(Reader::new(&mut cursor, plan.schema.roots[root]));
        let asked = asked.into_inner();
        let (what, reason) = match &fault {
            Fault::Unreadable(error) => (format!("cannot be read back: {error}"), error.reason()),
            Fault::Differs => ("comes back as another value".to_owned(), ""),
        };
        let name = std::any::type_name::<T>();
        Error::new(format_args!("a value of type {name} {what}; {}", attribute(reason, &asked)))
    }
}

enum Fault {
    Unreadable(Error),
    Differs,
}

/// What is likely to be at fault, by what was said and what was asked for. serde's derived code says what it expects in words.
fn attribute(reason: &str, asked: &[String]) -> String {
    let named = |what: &str| asked.iter().rev().find_map(|asked| asked.strip_prefix(what));
    if reason.starts_with("missing field") {
        return "a field that is left out when it is written (`#[serde(skip_serializing_if)]`, `#[serde(skip_serializing)]`), or \
                has another name there, needs `#[serde(default)]` or `#[serde(alias)]` to be read"
            .to_owned();
    }
    if let Some(name) = named("internally tagged enum ") {
        return format!(
            "enum {name} has `#[serde(tag = …)]`, which reads it by way of a buffer that does not know all types (such as i128, \
             and those that are read in another form by people); drop the attribute, or change the type that it does not know"
        );
    }
    if reason.contains("untagged enum")
        || (reason.is_empty() && asked.iter().any(|asked| asked == "any value"))
    {
        return "`#[serde(untagged)]` takes the first variant that the value could be, which need not be the one that was written, \
                and does not know all types; drop the attribute, or put the variant that is more special first"
            .to_owned();
    }
    if let Some(name) = named("struct ").or_else(|| named("variant ")) {
        return format!(
            "{name} has `#[serde(flatten)]`, which reads it by way of a buffer that does not know all types (such as i128, and \
             those that are read in another form by people); drop the attribute, or change the type that it does not know"
        );
    }
    if reason.starts_with("unknown") {
        return "the names that are written are not those that are read: look for `#[serde(rename(…))]`, \
                `#[serde(skip_deserializing)]` and `#[serde(deny_unknown_fields)]`"
            .to_owned();
    }
    "its `Serialize` and its `Deserialize` do not agree: look for `#[serde(skip_deserializing)]`, `#[serde(serialize_with)]`, \
     `#[serde(into)]` and what is written by hand"
        .to_owned()
}
