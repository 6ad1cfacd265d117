//! Completions for shells, made from the records of the flags.

use crate::commands::{self, Kind};
use crate::flags::Complete;
use crate::flags::table::{DOCTOR, RUN};

mod bash;
mod fish;
mod zsh;

/// A shell there are completions for.
pub struct Shell {
    /// Its name.
    pub name: &'static str,
    /// The name the script has where the shell looks for it.
    pub file: &'static str,
    /// The script.
    pub script: fn() -> String,
}

/// Every one.
pub const SHELLS: [Shell; 3] = [
    Shell { name: "bash", file: "enclos.bash", script: bash::script },
    Shell { name: "zsh", file: "_enclos", script: zsh::script },
    Shell { name: "fish", file: "enclos.fish", script: fish::script },
];

/// The names of [`SHELLS`].
pub const NAMES: [&str; 3] = [SHELLS[0].name, SHELLS[1].name, SHELLS[2].name];

/// A flag as completions see it.
struct Offer {
    command: &'static str,
    flag: &'static str,
    placeholder: Option<&'static str>,
    /// A value may be left out, and only stands behind a `=`.
    optional: bool,
    complete: Complete,
    adds: bool,
    help: &'static str,
}

/// Every flag of every command.
fn offers() -> Vec<Offer> {
    fn of<T>(command: &crate::flags::Command<T>) -> impl Iterator<Item = Offer> {
        let name = command.name;
        let help = Offer {
            command: name,
            flag: "help",
            placeholder: None,
            optional: false,
            complete: Complete::Nothing,
            adds: false,
            help: "The whole help",
        };
        let flags = command.flags().map(move |flag| Offer {
            command: name,
            flag: flag.name,
            placeholder: flag.takes.placeholder(),
            optional: matches!(flag.takes, crate::flags::Takes::Optional(..)),
            complete: flag.takes.complete(),
            adds: flag.adds,
            help: flag.help,
        });
        flags.chain([help])
    }
    of(&RUN).chain(of(&DOCTOR)).collect()
}

/// The words after `enclos`.
fn words() -> impl Iterator<Item = (&'static str, &'static str)> {
    commands::of(Kind::Here).chain(commands::of(Kind::Server)).map(|entry| (entry.name, entry.summary))
}

#[cfg(test)]
mod tests;
