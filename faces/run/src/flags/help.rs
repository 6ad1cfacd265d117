//! The help, made from the records.

use super::parse::Length;
use super::{Command, Flag};
use crate::text::look::Tone;
use crate::text::{Look, wrap::wrap};

const WIDTH: usize = 96;
/// Where the words begin in the short form; a usage that is longer takes a line of its own.
const COLUMN: usize = 28;

/// The help of a command: a line per flag, or everything.
pub fn render<T>(command: &Command<T>, length: Length, look: Look) -> String {
    let flags = if command.flags().next().is_some() { " [FLAGS]" } else { "" };
    let operands = if command.operands.is_empty() { String::new() } else { format!(" {}", command.operands) };
    let mut out = format!("{}\n\n{} enclos {}{flags}{operands}\n", command.summary, look.paint(Tone::Heading, "Usage:"), command.name);
    if length == Length::Long {
        for paragraph in command.about {
            out.push('\n');
            push_lines(&mut out, paragraph, 0);
        }
    }
    for group in command.groups {
        out += &format!("\n{}\n", look.paint(Tone::Heading, &format!("{}:", group.title)));
        if length == Length::Long && !group.about.is_empty() {
            push_lines(&mut out, group.about, 2);
            out.push('\n');
        }
        for (at, flag) in group.flags.iter().enumerate() {
            match length {
                Length::Short => short(&mut out, flag),
                Length::Long => {
                    if at > 0 {
                        out.push('\n');
                    }
                    long(&mut out, flag, look);
                }
            }
        }
    }
    if length == Length::Short {
        out += "\n  -h, --help                This page; --help says everything\n";
    }
    out
}

fn push_lines(out: &mut String, text: &str, indent: usize) {
    for line in wrap(text, WIDTH - indent) {
        out.push_str(&" ".repeat(indent));
        out.push_str(&line);
        out.push('\n');
    }
}

fn short<T>(out: &mut String, flag: &Flag<T>) {
    let usage = format!("  {}", flag.usage());
    // A line per flag has room for a default that is a word of its own; the long form says them all.
    let tell = !flag.default.is_empty() && !flag.default.contains(' ') && flag.default != "unlimited";
    let default = if tell { format!(" [{}]", flag.default) } else { String::new() };
    let mut lead = usage;
    if lead.len() + 2 > COLUMN {
        out.push_str(&lead);
        out.push('\n');
        lead = String::new();
    }
    for line in wrap(&format!("{}{default}", flag.help), WIDTH - COLUMN) {
        *out += &format!("{lead:COLUMN$}{line}\n");
        lead.clear();
    }
}

fn long<T>(out: &mut String, flag: &Flag<T>, look: Look) {
    *out += &format!("  {}\n", look.paint(Tone::Heading, &flag.usage()));
    push_lines(out, &sentences(flag), 8);
}

/// All that is said about a flag, as sentences.
pub fn sentences<T>(flag: &Flag<T>) -> String {
    let mut text = format!("{}.", flag.help);
    for part in [flag.more, if flag.adds { "May be given more than once." } else { "" }] {
        if !part.is_empty() {
            text.push(' ');
            text.push_str(part);
        }
    }
    if !flag.default.is_empty() {
        text += &format!(" Default: {}.", flag.default);
    }
    text
}

/// The flags of a group as a table of the guide.
#[cfg(test)]
pub fn markdown<T>(group: &super::Group<T>) -> String {
    let mut out = String::from("| flag | what it does | without it |\n|---|---|---|\n");
    for flag in group.flags {
        let cell = |text: &str| text.replace('|', "\\|");
        let more = if flag.more.is_empty() { String::new() } else { format!(". {}", flag.more.trim_end_matches('.')) };
        out += &format!("| `{}` | {}{} | {} |\n", cell(&flag.usage()), cell(flag.help), cell(&more), cell(flag.default));
    }
    out
}
