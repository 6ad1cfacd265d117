//! For zsh.

use super::{NAMES, Offer, offers, words};
use crate::flags::Complete;

/// The script; it lies as `_enclos` in a directory of `$fpath`.
pub fn script() -> String {
    let mut out = String::from("#compdef enclos\n# Completions of enclos for zsh, written by `enclos completions zsh`.\n\n_enclos() {\n");
    out += "    local context state state_descr line\n    typeset -A opt_args\n    if ((CURRENT == 2)); then\n        local -a commands\n        commands=(\n";
    for (name, summary) in words() {
        out += &format!("            '{name}:{}'\n", quote(summary));
    }
    out += "        )\n        _describe command commands\n        return\n    fi\n    local command=$words[2]\n    shift words\n    ((CURRENT--))\n    case $command in\n";
    for command in ["run", "doctor"] {
        out += &format!("    {command})\n        _arguments -s -S \\\n");
        for offer in offers().iter().filter(|offer| offer.command == command) {
            out += &format!("            {} \\\n", argument(offer));
        }
        out += if command == "run" {
            "            '(-):command: _command_names -e' \\\n            '*::arguments:_normal'\n"
        } else {
            "            '*:: :'\n"
        };
        out += "        ;;\n";
    }
    out += &format!(
        "    completions) _values shell {} ;;\n    man) _directories ;;\n    bwrap) _files ;;\n    esac\n}}\n\n_enclos \"$@\"\n",
        NAMES.join(" ")
    );
    out
}

fn argument(offer: &Offer) -> String {
    let repeat = if offer.adds { "*" } else { "" };
    let value = match (offer.placeholder, offer.optional) {
        (None, _) => String::new(),
        (Some(placeholder), optional) => {
            let action = match offer.complete {
                Complete::Nothing => String::new(),
                Complete::File => "_files".to_owned(),
                Complete::Directory => "_directories".to_owned(),
                Complete::Words(words) => format!("({})", words.join(" ")),
                Complete::Variable => "_parameters -g \"*export*\"".to_owned(),
            };
            format!("{}:{}:{action}", if optional { ":" } else { "" }, quote(placeholder).replace('[', "\\[").replace(']', "\\]"))
        }
    };
    // `=` lets the value come attached or as the next word; `=-` only attached.
    let joint = match (offer.placeholder, offer.optional) {
        (None, _) => "",
        (Some(_), true) => "=-",
        (Some(_), false) => "=",
    };
    format!("'{repeat}--{}{joint}[{}]{value}'", offer.flag, quote(offer.help).replace('[', "\\[").replace(']', "\\]"))
}

/// Text inside single quotes and between colons.
fn quote(text: &str) -> String {
    text.replace('\'', "'\\''").replace(':', "\\:")
}
