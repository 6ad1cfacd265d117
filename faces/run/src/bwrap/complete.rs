//! Shell completions, made from the flags' records.

use std::fmt::Write;

use super::capability::NAMES;
use super::flag::Value;
use super::table::flags;

/// Completion for bash.
#[must_use]
pub fn bash() -> String {
    let names: Vec<&str> = flags().map(|flag| flag.name).collect();
    let mut text = String::from(
        "# Completion of bwrap for bash, made from the flags' records.\n_bwrap() {\n    local word=\"${COMP_WORDS[COMP_CWORD]}\"\n",
    );
    text.push_str("    local flag back\n    for back in 1 2 3; do\n        flag=\"${COMP_WORDS[COMP_CWORD-back]}\"\n        case \"$back $flag\" in\n");
    for back in 1..=3 {
        for value in [Value::Path, Value::Fd, Value::Capability, Value::Text] {
            let who: Vec<String> = flags()
                .filter(|flag| flag.arguments.get(back - 1).is_some_and(|argument| argument.value == value))
                .map(|flag| format!("\"{back} {}\"", flag.name))
                .collect();
            if !who.is_empty() {
                let _ =
                    writeln!(text, "            {})\n                {}\n                return ;;", who.join(" | "), bash_words(value));
            }
        }
    }
    text.push_str("        esac\n    done\n    if [[ $word == -* ]]; then\n");
    let _ = writeln!(text, "        COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))", names.join(" "));
    text.push_str("    else\n        COMPREPLY=($(compgen -c -- \"$word\"))\n    fi\n}\ncomplete -F _bwrap bwrap\n");
    text
}

fn bash_words(value: Value) -> String {
    match value {
        Value::Path => "COMPREPLY=($(compgen -f -- \"$word\"))".to_owned(),
        Value::Fd => "COMPREPLY=($(compgen -W \"0 1 2 3 4 5 6 7 8 9\" -- \"$word\"))".to_owned(),
        Value::Capability => format!("COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))", capabilities()),
        Value::Text => "COMPREPLY=()".to_owned(),
    }
}

/// Completion for zsh.
#[must_use]
pub fn zsh() -> String {
    let mut text = String::from("#compdef bwrap\n# Completion of bwrap for zsh, made from the flags' records.\n_arguments -S \\\n");
    for flag in flags() {
        let arguments: String = flag.arguments.iter().map(|a| format!(":{}:{}", a.name, zsh_words(a.value))).collect();
        let _ = writeln!(text, "    '*{}[{}]{arguments}' \\", flag.name, zsh_quote(flag.help));
    }
    text.push_str("    '(-)1:command:_command_names -e' '*::arguments:_normal'\n");
    text
}

fn zsh_words(value: Value) -> String {
    match value {
        Value::Path => "_files".to_owned(),
        Value::Fd => "(0 1 2 3 4 5 6 7 8 9)".to_owned(),
        Value::Capability => format!("({})", capabilities()),
        Value::Text => " ".to_owned(),
    }
}

fn zsh_quote(text: &str) -> String {
    text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

/// Completion for fish.
#[must_use]
pub fn fish() -> String {
    let mut text = String::from(
        "# Completion of bwrap for fish, made from the flags' records.\ncomplete -c bwrap -f -a '(__fish_complete_subcommand)'\n",
    );
    for flag in flags() {
        let name = flag.name.trim_start_matches('-');
        let words = match flag.arguments.first().map(|argument| argument.value) {
            None => String::new(),
            Some(Value::Path) => " -r -F".to_owned(),
            Some(Value::Capability) => format!(" -x -a '{}'", capabilities()),
            Some(Value::Fd | Value::Text) => " -x".to_owned(),
        };
        let _ = writeln!(text, "complete -c bwrap -l {name}{words} -d '{}'", flag.help.replace('\\', "\\\\").replace('\'', "\\'"));
    }
    text
}

fn capabilities() -> String {
    let names = NAMES.iter().map(|name| format!("CAP_{}", name.to_uppercase()));
    std::iter::once("ALL".to_owned()).chain(names).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_knows_every_flag() {
        for flag in flags() {
            assert!(bash().contains(flag.name), "bash: {}", flag.name);
            assert!(zsh().contains(&format!("*{}[", flag.name)), "zsh: {}", flag.name);
            assert!(fish().contains(&format!("-l {} ", flag.name.trim_start_matches('-'))), "fish: {}", flag.name);
        }
    }

    #[test]
    fn bash_takes_the_completion() {
        let outcome = std::process::Command::new("bash").args(["-n", "-c", &bash()]).output();
        match outcome {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => eprintln!("SKIP: bash_takes_the_completion: bash: {error}"),
        }
    }
}
