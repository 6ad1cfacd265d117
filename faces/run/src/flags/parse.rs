//! From words to flags.
//!
//! `--flag VALUE`, `--flag=VALUE`; `--` ends the flags, and so does the first word that is none. A flag given twice counts the last time, or
//! adds where its record says so. Two passes: this one finds the flags and takes nothing on, so that the caller can read a policy file first and
//! let flags override it wherever they stand.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use enclos_spec::policy::edit_distance;

use super::{Command, Flag, Takes};

/// How long a help is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// `-h`: a line per flag.
    Short,
    /// `--help`: everything.
    Long,
}

/// What a command line says.
pub enum Parsed<T: 'static> {
    /// It asks for the help.
    Help(Length),
    /// It gives flags and what follows them.
    Given {
        /// The flags in order, with their value (empty where there is none).
        flags: Vec<(&'static Flag<T>, OsString)>,
        /// What follows the flags.
        operands: Vec<OsString>,
    },
}

/// Splits a command line.
///
/// # Errors
/// One line that names the wrong word and what would be right.
pub fn parse<T>(command: &Command<T>, args: impl IntoIterator<Item = OsString>) -> Result<Parsed<T>, String> {
    let mut args = args.into_iter();
    let mut flags = Vec::new();
    while let Some(word) = args.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            return Ok(Parsed::Given { flags, operands: args.collect() });
        }
        if bytes == b"-h" {
            return Ok(Parsed::Help(Length::Short));
        }
        if bytes == b"--help" {
            return Ok(Parsed::Help(Length::Long));
        }
        if !bytes.starts_with(b"-") || bytes == b"-" {
            return Ok(Parsed::Given { flags, operands: std::iter::once(word).chain(args).collect() });
        }
        let (name, attached) = match bytes.iter().position(|b| *b == b'=') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
            None => (bytes, None),
        };
        let found = command.flags().find(|flag| name.strip_prefix(b"--") == Some(flag.name.as_bytes()));
        let flag = found.ok_or_else(|| unknown(command, &String::from_utf8_lossy(name)))?;
        let value = match (flag.takes, attached) {
            (Takes::Nothing, Some(value)) => return Err(format!("--{}: takes no value, but {value:?} is given", flag.name)),
            (Takes::Nothing | Takes::Optional(..), None) => OsString::new(),
            (Takes::Value(..) | Takes::Optional(..), Some(value)) => value,
            (Takes::Value(..), None) => {
                args.next().ok_or_else(|| format!("--{}: the value is missing: write {}", flag.name, flag.usage()))?
            }
        };
        flags.push((flag, value));
    }
    Ok(Parsed::Given { flags, operands: Vec::new() })
}

/// Applies flags in order.
///
/// # Errors
/// One line that names the flag, the value and what would be right.
pub fn apply<T>(target: &mut T, flags: &[(&'static Flag<T>, OsString)]) -> Result<(), String> {
    for (flag, value) in flags {
        (flag.apply)(target, value).map_err(|wrong| format!("--{}: {wrong}", flag.name))?;
    }
    Ok(())
}

fn unknown<T>(command: &Command<T>, word: &str) -> String {
    let names = command.flags().map(|flag| flag.name).chain(["help"]);
    format!("{word}: unknown flag: did you mean --{}?", nearest(word.trim_start_matches('-'), names))
}

/// The name nearest to `word`: one that begins so, else the one with the fewest letters to change; of two equally near, the first.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> &'a str {
    names.min_by_key(|name| if !word.is_empty() && name.starts_with(word) { 0 } else { 1 + edit_distance(word, name) }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::{Complete, Group};
    use super::*;

    /// What the little command below was told.
    #[derive(Default, Debug, PartialEq)]
    struct Told(Vec<(&'static str, String)>);

    fn note(told: &mut Told, name: &'static str, value: &OsStr) -> Result<(), String> {
        if value == "wrong" {
            return Err("\"wrong\" is wrong: write right".to_owned());
        }
        told.0.push((name, value.to_string_lossy().into_owned()));
        Ok(())
    }

    macro_rules! flag {
        ($name:literal, $takes:expr) => {
            Flag { name: $name, takes: $takes, key: None, default: "", adds: false, help: "", more: "", apply: |t, v| note(t, $name, v) }
        };
    }

    const LITTLE: Command<Told> = Command {
        name: "little",
        operands: "COMMAND",
        summary: "",
        about: &[],
        groups: &[Group {
            title: "",
            about: "",
            flags: &[
                flag!("memory", Takes::Value("SIZE", Complete::Nothing)),
                flag!("report", Takes::Optional("FILE", Complete::File)),
                flag!("best-effort", Takes::Nothing),
            ],
        }],
    };

    fn told(words: &[&str]) -> Result<(Told, Vec<OsString>), String> {
        match parse(&LITTLE, words.iter().map(OsString::from))? {
            Parsed::Help(length) => panic!("asked for help: {length:?}"),
            Parsed::Given { flags, operands } => {
                let mut told = Told::default();
                apply(&mut told, &flags)?;
                Ok((told, operands))
            }
        }
    }

    #[test]
    fn values_come_attached_or_as_the_next_word() {
        let (seen, operands) =
            told(&["--memory", "64M", "--memory=1G", "--report", "--report=x=y", "--best-effort", "ls", "--memory"]).unwrap();
        let expected =
            [("memory", "64M"), ("memory", "1G"), ("report", ""), ("report", "x=y"), ("best-effort", "")].map(|(n, v)| (n, v.to_owned()));
        assert_eq!(seen.0, expected);
        assert_eq!(operands, ["ls", "--memory"]);
    }

    #[test]
    fn two_dashes_end_the_flags() {
        let (seen, operands) = told(&["--best-effort", "--", "--memory", "x"]).unwrap();
        assert_eq!(seen.0.len(), 1);
        assert_eq!(operands, ["--memory", "x"]);
        assert_eq!(told(&["--memory", "--", "ls"]).unwrap().0.0, [("memory", "--".to_owned())]);
        assert_eq!(told(&["-", "x"]).unwrap().1, ["-", "x"]);
    }

    #[test]
    fn help_wins_wherever_it_stands_among_the_flags() {
        assert!(matches!(parse(&LITTLE, ["--best-effort", "-h"].map(OsString::from)), Ok(Parsed::Help(Length::Short))));
        assert!(matches!(parse(&LITTLE, ["--help", "--nonsense"].map(OsString::from)), Ok(Parsed::Help(Length::Long))));
        assert_eq!(told(&["ls", "--help"]).unwrap().1, ["ls", "--help"]);
    }

    #[test]
    fn a_wrong_word_gives_one_line_that_names_it() {
        for (words, line) in [
            (&["--memry", "64M"][..], "--memry: unknown flag: did you mean --memory?"),
            (&["-report"], "-report: unknown flag: did you mean --report?"),
            (&["-m"], "-m: unknown flag: did you mean --memory?"),
            (&["--hepl"], "--hepl: unknown flag: did you mean --help?"),
            (&["--memory"], "--memory: the value is missing: write --memory SIZE"),
            (&["--best-effort=yes"], "--best-effort: takes no value, but \"yes\" is given"),
            (&["--memory", "wrong"], "--memory: \"wrong\" is wrong: write right"),
        ] {
            assert_eq!(told(words).unwrap_err(), line);
        }
    }
}
