//! `--help`, made from the flags' records.

use std::fmt::Write;

use super::table::SECTIONS;

/// Where the descriptions begin.
const COLUMN: usize = 33;
/// No line is longer.
const WIDTH: usize = 100;

/// The help. `argv0` is what we were called as: scripts look for `usage: ` and that name.
#[must_use]
pub fn help(argv0: &str) -> String {
    let mut text = format!("usage: {argv0} [OPTIONS...] [--] COMMAND [ARGS...]\n\n");
    text.push_str("Runs COMMAND in a new, empty file system that the options fill, with the namespaces the options ask for.\n");
    for section in SECTIONS {
        let _ = write!(text, "\n{}:\n", section.title);
        for flag in section.flags {
            let usage = format!("    {}", flag.usage());
            let mut lines = wrap(flag.help, WIDTH - COLUMN).into_iter();
            if usage.len() + 1 < COLUMN {
                let _ = writeln!(text, "{usage:COLUMN$}{}", lines.next().unwrap_or_default());
            } else {
                let _ = writeln!(text, "{usage}");
            }
            for line in lines {
                let _ = writeln!(text, "{:COLUMN$}{line}", "");
            }
        }
    }
    text
}

/// Breaks a text at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bwrap::table::flags;

    #[test]
    fn help_begins_as_bubblewraps_and_names_every_flag() {
        let text = help("/usr/bin/bwrap");
        assert!(text.starts_with("usage: /usr/bin/bwrap [OPTIONS...] [--] COMMAND [ARGS...]\n\n"));
        for flag in flags() {
            assert!(text.contains(&format!("\n    {}", flag.usage())), "{}", flag.name);
        }
        assert!(text.lines().all(|line| line.len() <= 110), "{text}");
    }
}
