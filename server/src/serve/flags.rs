//! The command line of `enclos-server serve`.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--check-config`.
    pub check: bool,
    /// `--help`.
    pub help: bool,
    /// Keys and their values, in order: `--set KEY=VALUE` and flags that stand for a key.
    pub pairs: Vec<(String, String)>,
}

/// A flag, what it takes, and what it is for.
type Record = (&'static str, &'static str, &'static str);

const RECORDS: [Record; 6] = [
    ("--config", "FILE", "read this configuration (TOML); without it the defaults hold"),
    ("--check-config", "", "check the configuration and say what is wrong, one line each; starts nothing"),
    ("--listen", "ADDRESS", "listen here instead: 127.0.0.1:42920, [::1]:42920, unix:/path; several, with commas"),
    ("--log", "LEVEL", "off, error, warn, info or debug"),
    ("--set", "KEY=VALUE", "any key of the configuration, over what the file says; may be given often"),
    ("--help", "", "this text"),
];

/// What `--help` prints.
#[must_use]
pub fn help() -> String {
    let mut text = "Runs programs for whoever asks over HTTP. Listens on 127.0.0.1:42920 unless told otherwise.\n\n\
                    enclos serve [--config FILE] [--check-config] [--listen ADDRESS] [--log LEVEL] [--set KEY=VALUE]...\n\n"
        .to_owned();
    for (name, takes, what) in RECORDS {
        text += &format!("  {:<22} {what}\n", format!("{name} {takes}"));
    }
    text + "\nEvery key of the configuration: docs/guide/server-config.md\n"
}

impl Flags {
    /// Reads a command line; `--flag=value` is as good as `--flag value`.
    ///
    /// # Errors
    /// One line: which word, and what would be right.
    pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Flags, String> {
        let mut flags = Flags::default();
        let mut words = words.map(|word| word.into_string().map_err(|word| format!("{} is no text", word.display())));
        while let Some(word) = words.next() {
            let word = word?;
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.clone(), None),
            };
            let Some((_, takes, _)) = RECORDS.iter().find(|(known, ..)| *known == name) else {
                let nearest = RECORDS.iter().map(|(known, ..)| *known).min_by_key(|known| enclos_spec::policy::edit_distance(known, &name));
                return Err(format!("{word}: unknown flag: did you mean {}?", nearest.unwrap_or_default()));
            };
            let value = match (takes.is_empty(), joined) {
                (true, None) => String::new(),
                (true, Some(_)) => return Err(format!("{name} takes no value")),
                (false, Some(value)) => value,
                (false, None) => words.next().ok_or_else(|| format!("{name}: the value is missing: write {name} {takes}"))??,
            };
            flags.take(&name, value)?;
        }
        Ok(flags)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "--config" => self.config = Some(value.into()),
            "--check-config" => self.check = true,
            "--listen" => self.pairs.push(("server.listen".to_owned(), value)),
            "--log" => self.pairs.push(("log.level".to_owned(), value)),
            "--set" => match value.split_once('=') {
                Some((key, value)) => self.pairs.push((key.to_owned(), value.to_owned())),
                None => return Err(format!("--set: {value:?} is not right: write --set KEY=VALUE, e.g. --set log.format=json")),
            },
            _ => self.help = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Flags, String> {
        Flags::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn flags_are_read() {
        let flags =
            parse(&["--config", "/x", "--check-config", "--listen=localhost:1", "--set", "log.format=json", "--set=a=b=c"]).unwrap();
        let pairs = [("server.listen", "localhost:1"), ("log.format", "json"), ("a", "b=c")];
        assert_eq!((flags.config, flags.check), (Some("/x".into()), true));
        assert_eq!(flags.pairs, pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(parse(&[]).unwrap(), Flags::default());
    }

    #[test]
    fn what_is_wrong_is_told_in_one_line() {
        for (words, told) in [
            (&["--confg", "x"][..], "--confg: unknown flag: did you mean --config?"),
            (&["x"], "x: unknown flag: did you mean --log?"),
            (&["--config"], "--config: the value is missing: write --config FILE"),
            (&["--check-config=yes"], "--check-config takes no value"),
            (&["--set", "x"], "--set: \"x\" is not right: write --set KEY=VALUE, e.g. --set log.format=json"),
        ] {
            assert_eq!(parse(words).unwrap_err(), told, "{words:?}");
        }
    }

    #[test]
    fn help_names_every_flag() {
        for (name, ..) in RECORDS {
            assert!(help().contains(&format!("  {name}")), "{name}");
        }
    }
}
