//! For fish.

use super::{NAMES, offers, words};
use crate::flags::Complete;

/// The script; it lies as `enclos.fish` in a `completions` directory of fish.
pub fn script() -> String {
    let mut out = String::from(HEAD) + &functions();
    for (name, summary) in words() {
        out += &format!("complete -c enclos -n __fish_use_subcommand -f -a {name} -d '{}'\n", quote(summary));
    }
    out.push('\n');
    for offer in offers() {
        let value = match (offer.placeholder.is_some(), offer.complete) {
            (false, _) => String::new(),
            // An optional value is always attached; fish then offers files by itself.
            (true, _) if offer.optional => String::new(),
            (true, Complete::Nothing) => " -x".to_owned(),
            (true, Complete::File) => " -r -F".to_owned(),
            (true, Complete::Directory) => " -x -a '(__fish_complete_directories)'".to_owned(),
            (true, Complete::Words(words)) => format!(" -x -a '{}'", words.join(" ")),
            (true, Complete::Variable) => " -x -a '(set --names --export)'".to_owned(),
        };
        out += &format!("complete -c enclos -n '__enclos_flags {}' -l {}{value} -d '{}'\n", offer.command, offer.flag, quote(offer.help));
    }
    out += "complete -c enclos -n '__enclos_flags run' -x -a '(__fish_complete_command)'\n";
    out += "complete -c enclos -n '__enclos_inner' -x -a '(__enclos_rest)'\n";
    out += "complete -c enclos -n '__fish_seen_subcommand_from doctor' -f\n";
    out += &format!("complete -c enclos -n '__fish_seen_subcommand_from completions' -f -a '{}'\n", NAMES.join(" "));
    out += "complete -c enclos -n '__fish_seen_subcommand_from man' -x -a '(__fish_complete_directories)'\n";
    out
}

const HEAD: &str = r#"# Completions of enclos for fish, written by `enclos completions fish`.

"#;

/// Two questions about the words before the cursor. They walk them as the program's own parser does.
fn functions() -> String {
    let valued: Vec<String> = offers().iter().filter(|o| o.placeholder.is_some() && !o.optional).map(|o| format!("--{}", o.flag)).collect();
    format!(
        r#"# Where the operands of `enclos COMMAND` begin (the index of a word), or nothing while the cursor is among the flags.
function __enclos_operands
    set -l words (commandline -opc)
    set -l at 3
    while test $at -le (count $words)
        switch $words[$at]
            case --
                echo (math $at + 1)
                return
            case {}
                set at (math $at + 2)
            case '-*'
                set at (math $at + 1)
            case '*'
                echo $at
                return
        end
    end
end

function __enclos_flags -a command
    set -l words (commandline -opc)
    test (count $words) -ge 2 -a "$words[2]" = $command -a -z "$(__enclos_operands)"
end

function __enclos_inner
    set -l words (commandline -opc)
    test (count $words) -ge 2 -a "$words[2]" = run -a -n "$(__enclos_operands)"
end

function __enclos_rest
    set -l words (commandline -opc) (commandline -ct)
    __fish_complete_subcommand --commandline $words[(__enclos_operands)..]
end

"#,
        valued.join(" ")
    )
}

fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
