//! Completions for shells, made from the records of the flags.

use crate::bwrap::complete as bwrap;
use crate::commands::{self, Kind};
use crate::flags::Complete;
use crate::flags::table::{DOCTOR, RUN};

mod bash;
mod fish;
mod zsh;

/// A script: the name it has where the shell looks for it, and its text.
pub type Script = (&'static str, fn() -> String);

/// A shell there are completions for.
pub struct Shell {
    /// Its name.
    pub name: &'static str,
    /// For `enclos`.
    pub own: Script,
    /// For the program called as `bwrap`.
    pub bwrap: Script,
}

/// Every one.
pub const SHELLS: [Shell; 3] = [
    Shell { name: "bash", own: ("enclos.bash", bash::script), bwrap: ("bwrap.bash", bwrap::bash) },
    Shell { name: "zsh", own: ("_enclos", zsh::script), bwrap: ("_bwrap", bwrap::zsh) },
    Shell { name: "fish", own: ("enclos.fish", fish::script), bwrap: ("bwrap.fish", bwrap::fish) },
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
