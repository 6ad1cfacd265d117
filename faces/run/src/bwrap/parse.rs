//! Arguments into a [`CommandLine`]. Order-sensitive where bubblewrap's manual says so; one pass, no look-ahead.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::command_line::{CommandLine, FileOp, Kind};
use super::flag::Flag;
use super::message::Message;
use super::table;

/// Most arguments, those of `--args` included.
pub const MOST_ARGUMENTS: usize = 9000;

/// What is done after parsing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// No command was given: the help as a complaint.
    Usage,
    /// Run this.
    Run(Box<CommandLine>),
}

/// How parsing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Warnings, and the error if there was one, in order.
    pub messages: Vec<Message>,
    /// `--level-prefix` was seen: later messages carry their level too.
    pub level_prefix: bool,
    /// What to do; `None` after an error.
    pub wanted: Option<Wanted>,
}

/// Reads all of a descriptor and closes it; the error is the system's text.
pub type Reader<'a> = &'a mut dyn FnMut(RawFd) -> Result<Vec<u8>, String>;

/// The state of parsing, which the flags' handlers change.
pub struct Parser<'a> {
    /// What was asked so far.
    pub line: CommandLine,
    /// `--perms` waiting for its operation.
    pub perms: Option<u32>,
    /// `--size` waiting for its operation.
    pub size: Option<u64>,
    /// `--overlay-src` waiting for their operation.
    pub overlay_sources: Vec<PathBuf>,
    /// Messages get a level.
    pub level_prefix: bool,
    seen: BTreeSet<&'static str>,
    messages: Vec<Message>,
    read: Reader<'a>,
    total: usize,
    in_file: bool,
    stop: Option<Wanted>,
}

/// Parses the arguments after the program's name.
pub fn parse(arguments: &[OsString], read: Reader<'_>) -> Parsed {
    let mut parser = Parser {
        line: CommandLine::default(),
        perms: None,
        size: None,
        overlay_sources: Vec::new(),
        level_prefix: false,
        seen: BTreeSet::new(),
        messages: Vec::new(),
        read,
        total: 0,
        in_file: false,
        stop: None,
    };
    let wanted = match parser.all(arguments) {
        Ok(wanted) => Some(wanted),
        Err(text) => {
            parser.messages.push(Message::error(text, parser.level_prefix));
            None
        }
    };
    Parsed { messages: parser.messages, level_prefix: parser.level_prefix, wanted }
}

impl Parser<'_> {
    fn all(&mut self, arguments: &[OsString]) -> Result<Wanted, String> {
        self.count(arguments.len())?;
        let rest = self.options(arguments)?;
        if let Some(wanted) = self.stop.take() {
            return Ok(wanted);
        }
        if !self.overlay_sources.is_empty() {
            return Err(OVERLAY_SOURCE_ALONE.to_owned());
        }
        if rest.is_empty() {
            return Ok(Wanted::Usage);
        }
        self.line.command = rest.to_vec();
        Ok(Wanted::Run(Box::new(std::mem::take(&mut self.line))))
    }

    fn count(&mut self, more: usize) -> Result<(), String> {
        self.total += more;
        if self.total > MOST_ARGUMENTS { Err(format!("Exceeded maximum number of arguments {MOST_ARGUMENTS}")) } else { Ok(()) }
    }

    /// Takes options from the front; what is left begins with the command.
    fn options<'b>(&mut self, mut arguments: &'b [OsString]) -> Result<&'b [OsString], String> {
        while let Some((word, rest)) = arguments.split_first() {
            if word == "--" {
                return Ok(rest);
            }
            if word.as_bytes().first() != Some(&b'-') {
                break;
            }
            let flag = table::find(word).ok_or_else(|| format!("Unknown option {}", word.display()))?;
            let Some((values, rest)) = rest.split_at_checked(flag.arguments.len()) else { return Err(flag.complaint()) };
            (flag.apply)(self, flag, values)?;
            if self.stop.is_some() {
                return Ok(&[]);
            }
            self.nothing_waits(flag)?;
            arguments = rest;
        }
        Ok(arguments)
    }

    /// `--perms`, `--size` and `--overlay-src` change the next operation, and there must be one that they can change.
    fn nothing_waits(&self, flag: &Flag) -> Result<(), String> {
        let is_modifier = ["--perms", "--size"].contains(&flag.name);
        if self.perms.is_some() && !is_modifier {
            return Err("--perms must be followed by an option that creates a file".to_owned());
        }
        if self.size.is_some() && !is_modifier {
            return Err("--size must be followed by --tmpfs".to_owned());
        }
        if !self.overlay_sources.is_empty() && flag.name != "--overlay-src" {
            return Err(OVERLAY_SOURCE_ALONE.to_owned());
        }
        Ok(())
    }

    /// Ends parsing: nothing after `--help` and `--version` is looked at.
    pub fn stop(&mut self, wanted: Wanted) {
        self.stop = Some(wanted);
    }

    /// Warns when an option of which only one can hold comes again.
    pub fn only_last(&mut self, flag: &Flag) {
        if !self.seen.insert(flag.name) {
            self.messages.push(Message::warning(format!("Only the last {} option will take effect", flag.name), self.level_prefix));
        }
    }

    /// Takes the options in a descriptor. What follows the first word that is no option is ignored, a command too: as in bubblewrap, the
    /// command always comes from the command line itself.
    pub fn arguments_from(&mut self, fd: RawFd) -> Result<(), String> {
        if self.in_file {
            return Err("--args not supported in arguments file".to_owned());
        }
        let data = (self.read)(fd).map_err(|error| format!("Can't read --args data: {error}"))?;
        self.line.argument_fds.push(fd);
        let data = data.strip_suffix(b"\0").unwrap_or(&data);
        if data.is_empty() {
            return Ok(());
        }
        let words: Vec<OsString> = data.split(|b| *b == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
        self.count(words.len())?;
        self.in_file = true;
        let outcome = self.options(&words).map(|_| ());
        self.in_file = false;
        outcome
    }

    /// Adds an operation.
    pub fn operation(&mut self, flag: &Flag, kind: Kind, dest: &OsStr) {
        self.line.ops.push(FileOp { flag: flag.name, kind, dest: PathBuf::from(dest) });
    }
}

const OVERLAY_SOURCE_ALONE: &str =
    "--overlay-src must be followed by another --overlay-src or one of --overlay, --tmp-overlay, or --ro-overlay";

#[cfg(test)]
mod tests;
