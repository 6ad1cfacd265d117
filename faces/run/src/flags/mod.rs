//! One flag, one record.
//!
//! A [`Flag`] holds everything that is ever said about a flag. The parser ([`parse`]), the help ([`help`]), the man page, the completions and
//! the tables of the guide are all made from it, so they cannot disagree. To add a flag: write its record in `table/`, then
//! `ENCLOS_BLESS=1 cargo test -p enclos` writes the generated documents anew.

use std::ffi::OsStr;

pub mod help;
pub mod parse;
pub mod table;
pub mod value;

/// What the value of a flag is, for completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complete {
    /// Nothing a shell could offer.
    Nothing,
    /// A file.
    File,
    /// A directory.
    Directory,
    /// One of these words.
    Words(&'static [&'static str]),
    /// The name of a variable of the caller's environment.
    Variable,
}

/// What follows a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// A value: `--flag VALUE` or `--flag=VALUE`.
    Value(&'static str, Complete),
    /// A value or none; a value only as `--flag=VALUE`.
    Optional(&'static str, Complete),
}

impl Takes {
    /// The placeholder of the value, e.g. `SIZE`.
    pub fn placeholder(self) -> Option<&'static str> {
        match self {
            Takes::Nothing => None,
            Takes::Value(name, _) | Takes::Optional(name, _) => Some(name),
        }
    }

    /// What a shell can offer for the value.
    pub fn complete(self) -> Complete {
        match self {
            Takes::Nothing => Complete::Nothing,
            Takes::Value(_, complete) | Takes::Optional(_, complete) => complete,
        }
    }
}

/// Everything about one flag of a command whose parsed form is `T`.
pub struct Flag<T: 'static> {
    /// The long name without the dashes.
    pub name: &'static str,
    /// What follows it.
    pub takes: Takes,
    /// The key of a policy file that means the same; `None`: only a flag.
    pub key: Option<&'static str>,
    /// What holds without the flag; empty where that goes without saying.
    pub default: &'static str,
    /// May be given more than once, and adds.
    pub adds: bool,
    /// One line, no full stop.
    pub help: &'static str,
    /// What else one should know: whole sentences, or empty.
    pub more: &'static str,
    /// Writes the value into the parsed form. The error is what is wrong with the value and what would be right, without the flag's name.
    pub apply: fn(&mut T, &OsStr) -> Result<(), String>,
}

impl<T> Flag<T> {
    /// As it is written: `--memory SIZE`, `--report[=FILE]`.
    pub fn usage(&self) -> String {
        match self.takes {
            Takes::Nothing => format!("--{}", self.name),
            Takes::Value(value, _) => format!("--{} {value}", self.name),
            Takes::Optional(value, _) => format!("--{}[={value}]", self.name),
        }
    }
}

/// Flags under one heading.
pub struct Group<T: 'static> {
    /// The heading.
    pub title: &'static str,
    /// A sentence or two below it in the man page; may be empty.
    pub about: &'static str,
    /// The flags, in the order of the help.
    pub flags: &'static [Flag<T>],
}

/// A command: its flags and the words around them.
pub struct Command<T: 'static> {
    /// The word after `enclos`.
    pub name: &'static str,
    /// What follows the flags, e.g. `[--] COMMAND [ARGUMENTS]`; empty: nothing may.
    pub operands: &'static str,
    /// One line, no full stop.
    pub summary: &'static str,
    /// Paragraphs under the summary.
    pub about: &'static [&'static str],
    /// The flags.
    pub groups: &'static [Group<T>],
}

impl<T> Command<T> {
    /// All flags, in the order of the help.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag<T>> + use<T> {
        self.groups.iter().flat_map(|group| group.flags)
    }
}
