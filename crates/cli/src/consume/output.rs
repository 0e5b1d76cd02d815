//! Records on standard output.

use std::io::{IsTerminal as _, StdoutLock, Write as _};

use rdkafka::Message;

use super::Args;
use crate::envelope;
use crate::format::{self, Format, Token};
use crate::printable;
use crate::usage::Usage;

/// Bytes that are gathered before they are written.
const FULL: usize = 64 << 10;

/// Writes records in the format that was asked for.
pub(super) struct Output {
    /// Or JSON, if there is none.
    format: Option<Format>,
    for_terminal: bool,
    buffer: Vec<u8>,
    stdout: StdoutLock<'static>,
}

impl Output {
    pub(super) fn of(args: &Args) -> anyhow::Result<Self> {
        let mut format = if args.json { None } else { Some(format_of(args).map_err(Usage)?) };
        let for_terminal = std::io::stdout().is_terminal();
        if let Some(format) = format.as_mut().filter(|_| for_terminal) {
            format.for_terminal();
        }
        Ok(Self {
            format,
            for_terminal,
            buffer: Vec::with_capacity(2 * FULL),
            stdout: std::io::stdout().lock(),
        })
    }

    pub(super) fn write(&mut self, message: &impl Message) -> std::io::Result<()> {
        match &self.format {
            Some(format) => format.write(message, &mut self.buffer),
            None if self.for_terminal => {
                let mut line = Vec::new();
                envelope::write(message, &mut line)?;
                printable::json(&line, &mut self.buffer);
                Ok(())
            }
            None => envelope::write(message, &mut self.buffer),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= FULL
    }

    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        if !self.buffer.is_empty() {
            self.stdout.write_all(&self.buffer)?;
            self.stdout.flush()?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Whether whoever read our output has gone, as `head` does when it has enough. A write would tell, but there may
    /// be nothing to write for a long time.
    pub(super) fn is_closed(&self) -> bool {
        #[cfg(unix)]
        {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};
            let mut stdout = [PollFd::new(&self.stdout, PollFlags::empty())];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut stdout, Some(&now)).is_ok() && stdout[0].revents().contains(PollFlags::ERR)
        }
        #[cfg(not(unix))]
        false
    }
}

fn format_of(args: &Args) -> Result<Format, String> {
    let tokens = match &args.format {
        Some(format) => format::parse(format)?,
        None => {
            let literal = |text: &str| format::unescape(text).map(Token::Literal);
            let mut tokens = Vec::new();
            if args.print_offset {
                for token in [Token::Topic, Token::Partition, Token::Offset] {
                    tokens.extend([token, Token::Literal(b"\t".to_vec())]);
                }
            }
            if let Some(delimiter) = &args.key_delimiter {
                tokens.extend([Token::Key, literal(delimiter)?]);
            }
            tokens.extend([Token::Value, literal(&args.delimiter)?]);
            tokens
        }
    };
    let mut format = Format::new(tokens);
    let key = args.unpack.iter().rev().find_map(|serdes| serdes.key.clone());
    let value = args.unpack.iter().rev().find_map(|serdes| serdes.value.clone());
    format.unpack(key, value);
    if args.null {
        format.show_nulls();
    }
    Ok(format)
}
