//! The words that may follow `enclos`.

use crate::flags::parse::nearest;
use crate::text::{Grid, Look, look::Tone};

/// One command.
pub struct Entry {
    /// The word.
    pub name: &'static str,
    /// One line, no full stop.
    pub summary: &'static str,
    /// Who carries it out.
    pub kind: Kind,
}

/// Who carries a command out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This program, for people.
    Here,
    /// This program, for other parts of Enclos; not in the help.
    Internal,
    /// `enclos-server`, which lies next to this program.
    Server,
}

/// Every command, in the order of the help.
pub const COMMANDS: &[Entry] = &[
    Entry { name: "run", summary: "Run a command confined, limited and measured", kind: Kind::Here },
    Entry { name: "doctor", summary: "Say what this host can enforce, what is missing, and the remedy", kind: Kind::Here },
    Entry { name: "bwrap", summary: "Do what bubblewrap does, with its command line", kind: Kind::Here },
    Entry { name: "completions", summary: "Write completions for bash, zsh or fish: completions SHELL [DIR]", kind: Kind::Here },
    Entry { name: "man", summary: "Write the manual page, or all of them into a directory: man [DIR]", kind: Kind::Here },
    Entry { name: "launch", summary: "Make sandboxes for a server", kind: Kind::Internal },
    Entry { name: "serve", summary: "Serve every face", kind: Kind::Server },
    Entry { name: "judge", summary: "Serve programming contests and courses", kind: Kind::Server },
    Entry { name: "agent", summary: "Serve workspaces and shells for AI agents", kind: Kind::Server },
    Entry { name: "build", summary: "Run build actions", kind: Kind::Server },
    Entry { name: "bench", summary: "Benchmark every commit", kind: Kind::Server },
];

/// The commands of one kind.
pub fn of(kind: Kind) -> impl Iterator<Item = &'static Entry> {
    COMMANDS.iter().filter(move |entry| entry.kind == kind)
}

/// The help of `enclos` itself.
pub fn help(look: Look) -> String {
    let mut out = String::from("Runs code you do not trust, on Linux: confined, limited and measured.\n\n");
    out += &format!("{} enclos COMMAND ...\n", look.paint(Tone::Heading, "Usage:"));
    for (title, kind) in [("Commands:", Kind::Here), ("Commands of enclos-server, where it is installed:", Kind::Server)] {
        let mut grid = Grid::new();
        for entry in of(kind) {
            grid.row().cell(entry.name).cell(entry.summary);
        }
        out += &format!("\n{}\n{}", look.paint(Tone::Heading, title), grid.render(2, look));
    }
    out + "\nStart with: enclos run --report -- python3 -c 'print(6 * 7)'\nenclos COMMAND --help says everything about a command; enclos --version says which this is.\n"
}

/// The complaint about a word that is no command.
pub fn unknown(word: &str) -> String {
    let known = COMMANDS.iter().filter(|entry| entry.kind != Kind::Internal).map(|entry| entry.name);
    format!("{word:?} is not a command: did you mean {}?", nearest(word, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_word_names_the_nearest_command() {
        assert_eq!(unknown("rnu"), "\"rnu\" is not a command: did you mean run?");
        assert_eq!(unknown("doc"), "\"doc\" is not a command: did you mean doctor?");
    }
}
