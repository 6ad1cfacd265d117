//! The words of a command line.

use std::ffi::OsString;
use std::path::PathBuf;

use enclos_sandbox::spec::{Size, Span};

use crate::api::{Checker, Limits};

/// What is asked for.
#[derive(Debug, PartialEq)]
pub struct Arguments {
    /// The command.
    pub command: Command,
    /// `--json`.
    pub json: bool,
    /// `--languages`.
    pub directory: Option<PathBuf>,
    /// `--best-effort`.
    pub best_effort: bool,
}

/// A command.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// `languages`.
    Languages,
    /// `test`, of these or all.
    Test(Vec<String>),
    /// `benchmark`, of these or all.
    Benchmark(Vec<String>),
    /// `run`.
    Run(Box<Wanted>),
}

/// Of `run`.
#[derive(Debug, Default, PartialEq)]
pub struct Wanted {
    /// The program.
    pub file: PathBuf,
    /// Its language.
    pub language: Option<String>,
    /// What it reads.
    pub stdin: Option<PathBuf>,
    /// What it should print.
    pub expect: Option<PathBuf>,
    /// How that is compared.
    pub checker: Checker,
    /// Limits.
    pub limits: Limits,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Arguments {
    /// Reads them; `None`: help is asked for.
    ///
    /// # Errors
    /// One line that names the word and what would be right.
    pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
        let mut words = args.map(|word| word.into_string().map_err(|word| format!("{word:?} is no text")));
        let command = match words.next().transpose()? {
            None => return Err("the command is missing: write languages, test, benchmark or run (--help tells more)".to_owned()),
            Some(word) => word,
        };
        if matches!(&command[..], "--help" | "-h" | "help") {
            return Ok(None);
        }
        if !["languages", "test", "benchmark", "run"].contains(&&command[..]) {
            return Err(format!("{command:?} is not a command: write languages, test, benchmark or run"));
        }
        let mut out = Arguments { command: Command::Languages, json: false, directory: None, best_effort: false };
        let (mut plain, mut wanted) = (Vec::new(), Wanted { checker: Checker::Trimmed, ..Wanted::default() });
        let of_run = command == "run";
        while let Some(word) = words.next().transpose()? {
            let mut value = || words.next().transpose()?.ok_or_else(|| format!("{word} needs a value"));
            match &word[..] {
                "--help" | "-h" => return Ok(None),
                "--json" => out.json = true,
                "--best-effort" => out.best_effort = true,
                "--languages" => out.directory = Some(value()?.into()),
                "--" if of_run => wanted.arguments = words.by_ref().collect::<Result<_, _>>()?,
                flag if of_run && flag.starts_with("--") => wanted.flag(flag, value()?)?,
                flag if flag.starts_with('-') => return Err(format!("{flag} is not known here: enclos judge --help lists what is")),
                _ => plain.push(word),
            }
        }
        out.command = match &command[..] {
            "languages" if plain.is_empty() => Command::Languages,
            "languages" => return Err(format!("{:?} is too much: languages takes no names", plain[0])),
            "test" => Command::Test(plain),
            "benchmark" => Command::Benchmark(plain),
            _ => match <[String; 1]>::try_from(plain) {
                Ok([file]) => Command::Run(Box::new(Wanted { file: file.into(), ..wanted })),
                Err(plain) if plain.is_empty() => return Err("run: the file is missing".to_owned()),
                Err(plain) => return Err(format!("{:?} is too much: run takes one file; arguments of the program follow --", plain[1])),
            },
        };
        Ok(Some(out))
    }
}

impl Wanted {
    fn flag(&mut self, flag: &str, value: String) -> Result<(), String> {
        let size = |value: &str| value.parse::<Size>().map(|size| Some(size.bytes())).map_err(|error| format!("{flag}: {error}"));
        let span = |value: &str| value.parse::<Span>().map(|span| Some(span.0)).map_err(|error| format!("{flag}: {error}"));
        match flag {
            "--language" => self.language = Some(value),
            "--stdin" => self.stdin = Some(value.into()),
            "--expect" => self.expect = Some(value.into()),
            "--checker" => self.checker = checker(&value)?,
            "--cpu" => self.limits.cpu = span(&value)?,
            "--wall" => self.limits.wall = span(&value)?,
            "--memory" => self.limits.memory = size(&value)?,
            "--output" => self.limits.output = size(&value)?,
            "--processes" => {
                self.limits.processes = Some(value.parse().map_err(|_| format!("--processes: {value:?} is not a number: write e.g. 16"))?);
            }
            _ => return Err(format!("{flag} is not known here: enclos judge --help lists what is")),
        }
        Ok(())
    }
}

/// Tolerance of `float` on the command line.
const TOLERANCE: f64 = 1e-6;

fn checker(word: &str) -> Result<Checker, String> {
    Ok(match word {
        "exact" => Checker::Exact,
        "trimmed" => Checker::Trimmed,
        "tokens" => Checker::Tokens,
        "unordered" => Checker::Unordered,
        "float" => Checker::Float { absolute: TOLERANCE, relative: TOLERANCE },
        _ => return Err(format!("--checker: {word:?} is not one: write exact, trimmed, tokens, unordered or float")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(parse("test c python --json").unwrap().unwrap().command, Command::Test(vec!["c".to_owned(), "python".to_owned()]));
        assert_eq!(parse("--help").unwrap(), None);
        let run = parse("run a.py --stdin in --memory 64M --checker exact -- -x --json").unwrap().unwrap();
        assert!(!run.json);
        let Command::Run(wanted) = run.command else { panic!("{run:?}") };
        assert_eq!(
            (wanted.limits.memory, &wanted.checker, &wanted.arguments[..]),
            (Some(64 << 20), &Checker::Exact, &["-x".to_owned(), "--json".to_owned()][..])
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            ("", "the command is missing"),
            ("compile", "\"compile\" is not a command"),
            ("languages x", "\"x\" is too much"),
            ("run", "the file is missing"),
            ("run a b", "\"b\" is too much"),
            ("run a --memory much", "--memory: \"much\" is not a size"),
            ("run a --memory", "--memory needs a value"),
            ("run a --frobnicate 1", "--frobnicate is not known"),
            ("test --stdin x", "--stdin is not known here"),
            ("run a --checker eye", "--checker: \"eye\""),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }
}
