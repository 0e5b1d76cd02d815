//! The bytes of a part, taken value by value.

use std::cell::RefCell;

use serde::de;

use super::DEPTH;
use super::error::Error;
use super::plan::Plan;
use super::varint::{cut_short, take, unzigzag};

/// The bytes of a part that have not been read yet.
pub(super) struct Cursor<'a, 'de> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) bytes: &'de [u8],
    /// The version of the run.
    pub(super) version: u32,
    pub(super) depth: u32,
    /// So many more values may be looked at: damaged bytes and a damaged schema must not keep anybody busy for ever.
    pub(super) fuel: u64,
    /// What asked the values what they are, instead of saying what it wants: looked for when a type does not come back.
    pub(super) asked: Option<&'a RefCell<Vec<String>>>,
}

impl<'a, 'de> Cursor<'a, 'de> {
    pub(super) fn new(plan: &'a Plan<'a>, bytes: &'de [u8]) -> Self {
        // Values without bytes cost fuel, too: a thousand to the byte are more than any type has.
        let fuel = 1024 * (bytes.len() as u64 + 64);
        Self { plan, bytes, version: 0, depth: 0, fuel, asked: None }
    }

    #[cold]
    pub(super) fn ask(asked: &RefCell<Vec<String>>, visitor: &dyn de::Expected) {
        asked.borrow_mut().push(visitor.to_string());
    }

    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<u64, Error> {
        take(&mut self.bytes)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, length: usize) -> Result<&'de [u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(cut_short)?;
        self.bytes = rest;
        Ok(taken)
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or_else(cut_short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    #[inline(always)]
    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    /// A number of bytes, items or entries: each takes a byte at least.
    #[inline(always)]
    pub(super) fn length(&mut self) -> Result<usize, Error> {
        match usize::try_from(self.number()?) {
            Ok(length) if length <= self.bytes.len() => Ok(length),
            _ => Err(cut_short()),
        }
    }

    #[inline(always)]
    pub(super) fn text(&mut self) -> Result<&'de str, Error> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::new("damaged: a text is not UTF-8"))
    }

    #[inline(always)]
    pub(super) fn blob(&mut self) -> Result<&'de [u8], Error> {
        let length = self.length()?;
        self.take(length)
    }

    #[inline(always)]
    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::new("damaged: a byte is neither 0 nor 1")),
        }
    }

    pub(super) fn char(&mut self) -> Result<char, Error> {
        let code = u32::try_from(self.number()?).ok().and_then(char::from_u32);
        code.ok_or_else(|| Error::new("damaged: a number is no character"))
    }

    pub(super) fn integer<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        T::try_from(self.number()?).map_err(|_| out_of_range())
    }

    pub(super) fn signed<T: TryFrom<i64>>(&mut self) -> Result<T, Error> {
        T::try_from(unzigzag(self.number()?)).map_err(|_| out_of_range())
    }

    /// The version that begins a run.
    pub(super) fn begin_run(&mut self) -> Result<(), Error> {
        self.version = self.integer()?;
        Ok(())
    }

    #[inline(always)]
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        self.depth += 1;
        self.fuel = self.fuel.wrapping_sub(1);
        if self.depth > DEPTH || self.fuel == 0 { Err(self.exhausted()) } else { Ok(()) }
    }

    #[inline(always)]
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    #[cold]
    fn exhausted(&self) -> Error {
        match self.fuel {
            0 => Error::new("damaged: few bytes claim to be many values"),
            _ => Error::new(format_args!("it is nested deeper than {DEPTH} levels")),
        }
    }

    /// The pad byte of an item that has taken none.
    #[inline(always)]
    pub(super) fn unpad(&mut self, before: usize) -> Result<(), Error> {
        if self.bytes.len() == before { self.byte().map(|_| ()) } else { Ok(()) }
    }
}

#[cold]
fn out_of_range() -> Error {
    Error::new("damaged: a number is out of range")
}
