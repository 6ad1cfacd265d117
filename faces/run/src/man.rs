//! The manual pages, made from the records of the flags.

use enclos_spec::exit;

use crate::commands::{self, Kind};
use crate::flags::help::sentences;
use crate::flags::table::{DOCTOR, RUN};
use crate::flags::{Command, Flag};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every page: its file name and its text.
pub fn pages() -> Vec<(&'static str, String)> {
    vec![
        ("enclos.1", overview()),
        ("enclos-run.1", run()),
        ("enclos-doctor.1", command(&DOCTOR)),
        ("enclos-bwrap.1", crate::bwrap::man::page()),
    ]
}

/// `enclos-run(1)`.
pub fn run() -> String {
    let mut page = command(&RUN);
    page += &policy_file();
    page += VERDICTS;
    page += &exit_status();
    page += EXAMPLES;
    page += ".SH SEE ALSO\n.BR enclos (1),\n.BR enclos\\-doctor (1),\n.BR user_namespaces (7),\n.BR cgroups (7),\n.BR seccomp (2),\n.BR landlock (7)\n";
    page
}

fn overview() -> String {
    let mut page = header("enclos", "run code you do not trust");
    page += ".SH SYNOPSIS\n.B enclos\n.I COMMAND\n[\\fIARGUMENTS\\fR ...]\n";
    page += ".SH DESCRIPTION\nEnclos confines, limits and measures a process. The commands below are its faces.\n";
    page += ".SH COMMANDS\n";
    for entry in commands::of(Kind::Here).chain(commands::of(Kind::Server)) {
        page += &format!(".TP\n.B {}\n{}.\n", escape(entry.name), escape(entry.summary));
    }
    page += ".PP\nCalled as\n.BR bwrap ,\nthe program is\n.BR \"enclos bwrap\" .\nThe last five are carried out by\n.BR enclos\\-server ,\nwhich is looked for in the directory \
             where enclos lies.\n";
    page += &exit_status();
    page += ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nIf set and not empty, no text is coloured.\n";
    page += ".SH SEE ALSO\n.BR enclos\\-run (1),\n.BR enclos\\-doctor (1),\n.BR enclos\\-bwrap (1)\n";
    page
}

/// The page of one command, without what is peculiar to it.
fn command<T>(command: &Command<T>) -> String {
    let name = format!("enclos-{}", command.name);
    let mut page = header(&name, &lower_first(command.summary));
    page += &format!(".SH SYNOPSIS\n.B enclos {}\n[\\fIFLAGS\\fR]\n{}\n", command.name, escape(command.operands));
    page += ".SH DESCRIPTION\n";
    for paragraph in command.about {
        page += &format!(".PP\n{}\n", escape(paragraph));
    }
    page += ".SH OPTIONS\n";
    for group in command.groups {
        if command.groups.len() > 1 {
            page += &format!(".SS {}\n", escape(group.title));
        }
        if !group.about.is_empty() {
            page += &format!("{}\n", escape(group.about));
        }
        for flag in group.flags {
            page += &format!(".TP\n{}\n{}\n", usage(flag), escape(&sentences(flag)));
        }
    }
    page += ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nThe help: a line per flag, or everything.\n";
    page
}

fn header(name: &str, summary: &str) -> String {
    let title = name.to_uppercase().replace('-', "\\-");
    format!(".TH {title} 1 \"\" \"enclos {VERSION}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n", escape(name), escape(summary))
}

fn usage<T>(flag: &Flag<T>) -> String {
    let name = format!("\\fB\\-\\-{}\\fR", escape(flag.name));
    match (flag.takes, flag.takes.placeholder()) {
        (crate::flags::Takes::Optional(..), Some(value)) => format!("{name}[=\\fI{}\\fR]", escape(value)),
        (_, Some(value)) => format!("{name} \\fI{}\\fR", escape(value)),
        (_, None) => name,
    }
}

fn exit_status() -> String {
    let (failure, not_executable, not_found, signal) = (exit::FAILURE, exit::NOT_EXECUTABLE, exit::NOT_FOUND, exit::SIGNAL_BASE);
    format!(
        ".SH EXIT STATUS\nThe command's own status comes through. Beside it:\n\
         .TP\n.B {failure}\nEnclos itself failed: a wrong flag, a policy this host cannot enforce, a fault while the sandbox was built. One line on stderr \
         says why.\n\
         .TP\n.B {not_executable}\nThe command was found but cannot be executed.\n\
         .TP\n.B {not_found}\nThe command was not found inside the sandbox.\n\
         .TP\n.B {signal}+\\fIn\\fR\nSignal \\fIn\\fR ended the command. A limit that Enclos enforced by killing gives {}; the report's verdict tells the two apart.\n",
        signal + 9
    )
}

fn policy_file() -> String {
    let flags: Vec<String> = RUN.flags().filter(|flag| flag.key.is_none()).map(|flag| escape(&format!("--{}", flag.name))).collect();
    format!(
        ".SH POLICY FILE\nA TOML file. Its keys are the names of the flags above, all but {}. Flags that may be given more than once take a list, \
         and\n.B env\na table.\n.PP\n.nf\n.RS\nro = [\"/srv/data\"]\nnet = \"loopback\"\nmemory = \"256M\"\ncpu = \"2s\"\nprocesses = 64\nenv = {{ \
         MODE = \"test\" }}\n.RE\n.fi\n",
        flags.join(", ")
    )
}

const VERDICTS: &str = ".SH VERDICTS\nThe report says in one word how the command ended:\n.BR OK ,\n.B RUNTIME_ERROR\n(it exited with another status than 0),\n.B SIGNALED\n(a \
signal ended it that no limit caused),\n.B TIMED_OUT\n(\\-\\-cpu),\n.B IDLENESS\n(\\-\\-wall or \\-\\-idle),\n.B OUT_OF_MEMORY\n(\\-\\-memory),\n.B OUTPUT_LIMIT\n(\\-\\-output),\n.B \
DISK_LIMIT\n(\\-\\-disk or \\-\\-inodes),\n.B SECURITY\n(the system call filter killed it),\n.B INTERNAL_ERROR\n(Enclos failed).\n";

const EXAMPLES: &str = ".SH EXAMPLES\nA script with bounds, and what it used:\n.PP\n.nf\n.RS\nenclos run \\-\\-memory 256M \\-\\-cpu 2s \\-\\-report \\-\\- python3 \
script.py\n.RE\n.fi\n.PP\nA build that may write to its output directory only:\n.PP\n.nf\n.RS\nenclos run \\-\\-rw target \\-\\- make\n.RE\n.fi\n.PP\nA shell in a copy of the project \
that forgets all changes:\n.PP\n.nf\n.RS\nenclos run \\-\\-overlay . \\-\\- bash\n.RE\n.fi\n";

/// Text for roff: backslashes and dashes as they are, and no line that looks like a request.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_a_request() {
        assert_eq!(escape(".TH x"), "\\&.TH x");
        assert_eq!(escape("a-b\\c"), "a\\-b\\ec");
    }

    #[test]
    fn every_verdict_is_in_the_page() {
        for verdict in enclos_spec::Verdict::PRECEDENCE {
            assert!(VERDICTS.contains(verdict.as_str()), "{verdict}");
        }
    }

    #[test]
    fn every_flag_is_in_the_page() {
        let page = run();
        for flag in RUN.flags() {
            assert!(page.contains(&format!("\\fB{}\\fR", escape(&format!("--{}", flag.name)))), "{}", flag.name);
        }
    }
}
