//! For bash, without help of the bash-completion package.

use super::{NAMES, Offer, offers, words};
use crate::flags::Complete;

/// The script; it lies in `/usr/share/bash-completion/completions/enclos`, or is sourced.
pub fn script() -> String {
    let commands: Vec<&str> = words().map(|(name, _)| name).collect();
    let mut out = String::from(HEAD);
    out += &format!(
        "        mapfile -t COMPREPLY < <(compgen -W '{} --help --version' -- \"$cur\")\n        return\n    fi\n",
        commands.join(" ")
    );
    out += "    case ${COMP_WORDS[1]} in\n";
    for command in ["run", "doctor"] {
        let offers: Vec<Offer> = offers().into_iter().filter(|offer| offer.command == command).collect();
        out += &format!("    {command})\n");
        out += &one_command(&offers, command == "run");
        out += "        ;;\n";
    }
    out += &format!("    completions) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\") ;;\n", NAMES.join(" "));
    out += "    man) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n    esac\n}\n\ncomplete -o filenames -F _enclos enclos\n";
    out
}

const HEAD: &str = r#"# Completions of enclos for bash, written by `enclos completions bash`.

_enclos() {
    local cur prev at word attached=
    # Readline breaks words at "=": put "--flag=value" together again.
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $cur == "=" ]]; then
        cur=
        attached=1
    elif [[ $prev == "=" ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
        attached=1
    fi
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
"#;

fn one_command(offers: &[Offer], takes_a_command: bool) -> String {
    let spellings: Vec<String> = offers.iter().map(|offer| format!("--{}", offer.flag)).collect();
    let valued: Vec<String> = offers.iter().filter(|o| o.placeholder.is_some() && !o.optional).map(|o| format!("--{}", o.flag)).collect();
    let mut out = String::new();
    if takes_a_command {
        // The first word that is neither a flag nor a flag's value is the command; what follows is the command's own.
        out += &format!(
            "        at=2\n        while ((at < COMP_CWORD)); do\n            word=${{COMP_WORDS[at]}}\n            case $word in\n            --) at=$((at + 1)); break ;;\n\
             \x20           {}) [[ ${{COMP_WORDS[at + 1]}} == \"=\" ]] && at=$((at + 3)) || at=$((at + 2)) ;;\n\
             \x20           -*) [[ ${{COMP_WORDS[at + 1]}} == \"=\" ]] && at=$((at + 3)) || at=$((at + 1)) ;;\n\
             \x20           *) break ;;\n            esac\n        done\n",
            valued.join(" | ")
        );
        out += "        if ((at < COMP_CWORD)); then\n            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n            return\n        fi\n";
        out += "        if [[ ${COMP_WORDS[at - 1]} == \"--\" ]]; then\n            mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n            return\n        fi\n";
    }
    out += "        case $prev in\n";
    for (kind, action) in [(Complete::File, "-f"), (Complete::Directory, "-d"), (Complete::Variable, "-e")] {
        let flags: Vec<String> = offers.iter().filter(|o| o.complete == kind && !o.optional).map(|o| format!("--{}", o.flag)).collect();
        if !flags.is_empty() {
            out += &format!(
                "        {})\n            mapfile -t COMPREPLY < <(compgen {action} -- \"$cur\")\n            return\n            ;;\n",
                flags.join(" | ")
            );
        }
    }
    for offer in offers {
        if let Complete::Words(words) = offer.complete {
            out += &format!(
                "        --{})\n            mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n            return\n            ;;\n",
                offer.flag,
                words.join(" ")
            );
        }
    }
    let free: Vec<String> =
        offers.iter().filter(|o| o.placeholder.is_some() && o.complete == Complete::Nothing).map(|o| format!("--{}", o.flag)).collect();
    if !free.is_empty() {
        out += &format!("        {}) return ;;\n", free.join(" | "));
    }
    out += "        esac\n";
    for offer in offers.iter().filter(|o| o.optional) {
        out += &format!(
            "        if [[ $prev == --{} && -n $attached ]]; then\n            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n            return\n        fi\n",
            offer.flag
        );
    }
    let commands = if takes_a_command { " || mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")" } else { "" };
    out += &format!(
        "        [[ $cur == -* || -z $cur ]] && mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\"){commands}\n",
        spellings.join(" ")
    );
    out
}
