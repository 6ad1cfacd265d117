//! Words of a command line, read by records: one for each command and each flag. The help is made from the same records.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use enclos_sandbox::spec::{Size, Span};

/// A flag.
#[derive(Debug)]
pub struct Flag {
    /// With its dashes.
    pub name: &'static str,
    /// The same in one letter, with its dash; empty: there is none.
    pub short: &'static str,
    /// What it takes; empty: nothing.
    pub takes: &'static str,
    /// It may be given more than once.
    pub often: bool,
    /// One line.
    pub help: &'static str,
}

/// A command.
#[derive(Debug)]
pub struct Record {
    /// The words that name it.
    pub name: &'static str,
    /// What follows them.
    pub operands: &'static str,
    /// How many plain words it takes.
    pub plain: (usize, usize),
    /// Whether words after `--` belong to it.
    pub rest: bool,
    /// Its flags.
    pub flags: &'static [&'static Flag],
    /// One line.
    pub help: &'static str,
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Plain words.
    pub plain: Vec<String>,
    /// Values of flags, in order; a flag without a value has one that is empty.
    flags: BTreeMap<&'static str, Vec<String>>,
    /// The words after `--`; `None`: there was none.
    pub rest: Option<Vec<String>>,
    /// `--help` is among them.
    pub help: bool,
}

impl Record {
    /// Reads what follows the command's name.
    ///
    /// # Errors
    /// One line: which word, and what would be right.
    pub fn read(&self, words: impl Iterator<Item = OsString>) -> Result<Given, String> {
        let mut words = words.map(|word| word.into_string().map_err(|word| format!("{} is no text", word.display())));
        let mut given = Given::default();
        while let Some(word) = words.next() {
            let word = word?;
            if word == "--help" || word == "-h" {
                given.help = true;
            } else if word == "--" {
                if !self.rest {
                    return Err(format!("--: {} runs no command", self.name));
                }
                given.rest = Some(words.by_ref().collect::<Result<_, _>>()?);
            } else if let Some(letters) = self.letters(&word) {
                for letter in letters {
                    self.flag(letter, &mut words, &mut given)?;
                }
            } else if word.len() > 1 && word.starts_with('-') {
                self.flag(&word, &mut words, &mut given)?;
            } else {
                given.plain.push(word);
            }
        }
        if given.help {
            return Ok(given);
        }
        let (least, most) = self.plain;
        if given.plain.len() > most {
            let more = if self.rest { "; a command follows --" } else { "" };
            return Err(format!("{:?} is too much: {} {} is right{more}", given.plain[most], self.name, self.operands));
        }
        let no_command = self.operands.contains(" -- ") && given.rest.as_ref().is_none_or(Vec::is_empty);
        if given.plain.len() < least || no_command {
            return Err(format!("something is missing: write {} {}", self.name, self.operands));
        }
        Ok(given)
    }

    /// Several flags of one letter in one word, as in `-it`; only such that take nothing.
    fn letters(&self, word: &str) -> Option<Vec<&'static str>> {
        let letters = word.strip_prefix('-').filter(|letters| letters.len() > 1 && !letters.starts_with('-'))?;
        let of = |letter: char| {
            self.flags
                .iter()
                .find(|flag| flag.takes.is_empty() && flag.short.strip_prefix('-').is_some_and(|short| short.chars().eq([letter])))
        };
        letters.chars().map(|letter| of(letter).map(|flag| flag.name)).collect()
    }

    fn flag(&self, word: &str, words: &mut dyn Iterator<Item = Result<String, String>>, given: &mut Given) -> Result<(), String> {
        let (name, joined) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let Some(flag) = self.flags.iter().find(|flag| flag.name == name || (!flag.short.is_empty() && flag.short == name)) else {
            let nearest =
                self.flags.iter().map(|flag| flag.name).min_by_key(|known| enclos_sandbox::spec::policy::edit_distance(known, name));
            let hint = nearest.map(|nearest| format!(": did you mean {nearest}?")).unwrap_or_default();
            return Err(format!("{name} is not known to {}{hint}", self.name));
        };
        let value = match (flag.takes.is_empty(), joined) {
            (true, None) => String::new(),
            (true, Some(_)) => return Err(format!("{name} takes no value")),
            (false, Some(value)) => value,
            (false, None) => words.next().ok_or_else(|| format!("{name}: the value is missing: write {name} {}", flag.takes))??,
        };
        let values = given.flags.entry(flag.name).or_default();
        if !values.is_empty() && !flag.often {
            return Err(format!("{name} is given twice"));
        }
        values.push(value);
        Ok(())
    }

    /// Its help.
    pub fn text(&self) -> String {
        let mut text = format!("{}.\n\nenclos agent {} {}\n", self.help, self.name, self.operands);
        if !self.flags.is_empty() {
            text.push('\n');
        }
        for flag in self.flags {
            let often = if flag.often { "…" } else { "" };
            let short = if flag.short.is_empty() { String::new() } else { format!("{}, ", flag.short) };
            text += &format!("  {:<24} {}\n", format!("{short}{} {}{often}", flag.name, flag.takes), flag.help);
        }
        text
    }
}

impl Given {
    /// Whether a flag is there.
    pub fn on(&self, flag: &Flag) -> bool {
        self.flags.contains_key(flag.name)
    }

    /// The value of a flag.
    pub fn one(&self, flag: &Flag) -> Option<&str> {
        self.all(flag).last().map(String::as_str)
    }

    /// The values of a flag.
    pub fn all(&self, flag: &Flag) -> &[String] {
        self.flags.get(flag.name).map_or(&[], Vec::as_slice)
    }

    /// As a number of bytes.
    pub fn size(&self, flag: &Flag) -> Result<Option<u64>, String> {
        let read = |text: &str| text.parse::<Size>().map(Size::bytes).map_err(|error| format!("{}: {error}", flag.name));
        self.one(flag).map(read).transpose()
    }

    /// As a span of time.
    pub fn span(&self, flag: &Flag) -> Result<Option<Duration>, String> {
        let read = |text: &str| text.parse::<Span>().map(|span| span.0).map_err(|error| format!("{}: {error}", flag.name));
        self.one(flag).map(read).transpose()
    }

    /// As a number.
    pub fn count(&self, flag: &Flag) -> Result<Option<u64>, String> {
        let read = |text: &str| text.parse().map_err(|_| format!("{}: {text:?} is not a number: write e.g. 64", flag.name));
        self.one(flag).map(read).transpose()
    }

    /// As one of these words.
    pub fn word<T: Copy>(&self, flag: &Flag, words: &[(&str, T)]) -> Result<Option<T>, String> {
        let read = |text: &str| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("{}: {text:?} is not one: write {}", flag.name, known.join(", "))
            })
        };
        self.one(flag).map(read).transpose()
    }

    /// As pairs `NAME=VALUE`.
    pub fn pairs(&self, flag: &Flag) -> Result<BTreeMap<String, String>, String> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(format!("{}: {text:?} is not right: write {} {}", flag.name, flag.name, flag.takes)),
        };
        self.all(flag).iter().map(pair).collect()
    }
}
