//! One flag, one record: the parser, `--help`, the man page, the completions and the guide's table are all made from it.

use std::ffi::OsString;

use super::parse::Parser;

/// What a value is, for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing a shell could offer.
    Text,
    /// The number of an open descriptor.
    Fd,
    /// A path on the host.
    Path,
    /// A capability.
    Capability,
}

/// One argument of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, e.g. `DEST`.
    pub name: &'static str,
    /// What it is.
    pub value: Value,
}

/// Everything about one flag.
pub struct Flag {
    /// With its dashes: it is compared, printed and searched for as a whole.
    pub name: &'static str,
    /// What must follow, each a word of its own.
    pub arguments: &'static [Argument],
    /// First version of bubblewrap that has it; `enclos` for ours.
    pub since: &'static str,
    /// One line, no full stop.
    pub help: &'static str,
    /// What else one should know: whole sentences, or empty.
    pub more: &'static str,
    /// Takes its arguments; there are as many as [`Flag::arguments`] says.
    pub apply: fn(&mut Parser<'_>, &'static Flag, &[OsString]) -> Result<(), String>,
}

/// Flags under one heading.
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The flags, in the order of the help.
    pub flags: &'static [Flag],
}

impl Flag {
    /// As it is written: `--bind SRC DEST`.
    #[must_use]
    pub fn usage(&self) -> String {
        std::iter::once(self.name).chain(self.arguments.iter().map(|a| a.name)).collect::<Vec<_>>().join(" ")
    }

    /// The complaint when arguments are missing, in bubblewrap's words.
    #[must_use]
    pub fn complaint(&self) -> String {
        let count = match self.arguments.len() {
            1 if ["--argv0", "--chdir", "--remount-ro"].contains(&self.name) => "one argument",
            1 => "an argument",
            2 => "two arguments",
            _ => "three arguments",
        };
        format!("{} takes {count}", self.name)
    }
}
