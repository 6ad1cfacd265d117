//! The man page, made from the flags' records.

use std::fmt::Write;

use super::table::SECTIONS;
use super::{BUBBLEWRAP, flag::Flag};

/// `bwrap(1)` in `man(7)` macros.
#[must_use]
pub fn page() -> String {
    let mut text = String::new();
    let _ = writeln!(text, ".TH BWRAP 1 \"\" \"enclos {}\" \"Enclos\"", env!("CARGO_PKG_VERSION"));
    text.push_str(NAME_AND_SYNOPSIS);
    let _ = writeln!(
        text,
        ".P\nThis is Enclos in the place of bubblewrap: the command line of bubblewrap {BUBBLEWRAP}, carried out by Enclos.\n\
         What is shared with the sandbox is exactly what the options share."
    );
    text.push_str(".SH OPTIONS\nWhere an option of which only one can hold is given again, the last one holds.\n");
    for section in SECTIONS {
        let _ = writeln!(text, ".SS {}", escape(section.title));
        for flag in section.flags {
            entry(&mut text, flag);
        }
    }
    text.push_str(AFTER_OPTIONS);
    text
}

fn entry(text: &mut String, flag: &Flag) {
    let arguments: String = flag.arguments.iter().map(|argument| format!(" \\fI{}\\fR", escape(argument.name))).collect();
    let _ = write!(text, ".TP\n\\fB{}\\fR{arguments}\n{}.", escape(flag.name), escape(flag.help));
    if !flag.more.is_empty() {
        let _ = write!(text, " {}", escape(flag.more));
    }
    if !["0.8", "enclos"].contains(&flag.since) {
        let _ = write!(text, " In bubblewrap since {}.", flag.since);
    }
    text.push('\n');
}

/// Characters with a meaning of their own in roff, and dashes that must stay dashes.
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const NAME_AND_SYNOPSIS: &str = r".SH NAME
bwrap \- run a command in namespaces and a file system of its own
.SH SYNOPSIS
.B bwrap
[\fIOPTION\fR...] [\fB\-\-\fR] \fICOMMAND\fR [\fIARGUMENT\fR...]
.br
.B enclos bwrap
[\fIOPTION\fR...] [\fB\-\-\fR] \fICOMMAND\fR [\fIARGUMENT\fR...]
.SH DESCRIPTION
The command starts in a new, empty file system on a tmpfs that nobody else sees and that goes away with its last process. Options fill it and say
which namespaces are new. Everyone but root gets a user namespace without asking.
";

const AFTER_OPTIONS: &str = r".SH ENVIRONMENT
.TP
\fBHOME\fR
Where the command starts when \fB\-\-chdir\fR was not given and the sandbox does not have the caller's directory.
.SH EXIT STATUS
That of the command; 128+n when signal n ended it; 1 when the sandbox could not be set up or the command not executed.
.SH SEE ALSO
.BR enclos (1),
.BR namespaces (7),
.BR capabilities (7),
.BR seccomp (2)
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bwrap::table::flags;

    #[test]
    fn the_page_names_every_flag() {
        let page = page();
        for flag in flags() {
            assert!(page.contains(&format!("\\fB{}\\fR", escape(flag.name))), "{}", flag.name);
        }
        assert!(page.lines().filter(|line| line.starts_with('.')).all(|line| line.len() >= 2), "an empty macro");
    }
}
