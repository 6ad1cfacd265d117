//! Colours and marks, where the reader is a terminal.

use std::io::IsTerminal;

/// How text for people may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours and bold may be used.
    pub colour: bool,
}

/// The few kinds of emphasis there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// None.
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// Less important.
    Dim,
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

impl Look {
    /// No colours.
    #[cfg(test)]
    pub const PLAIN: Look = Look { colour: false };

    /// Colours when `stream` is a terminal and `NO_COLOR` (<https://no-color.org>) is not set or empty.
    pub fn of(stream: &impl IsTerminal) -> Self {
        Look { colour: stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// `text` in a tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Heading => "1",
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "1;31",
        };
        if self.colour && !code.is_empty() && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text from somewhere else (a path, an argument), with control characters written out: it must not drive the reader's terminal.
pub fn tame(text: &str) -> String {
    let mut tamed = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() { tamed.extend(character.escape_default()) } else { tamed.push(character) }
    }
    tamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_allowed() {
        assert_eq!(Look::PLAIN.paint(Tone::Bad, "x"), "x");
        assert_eq!(Look { colour: true }.paint(Tone::Bad, "x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Look { colour: true }.paint(Tone::Plain, "x"), "x");
    }

    #[test]
    fn foreign_text_drives_no_terminal() {
        assert_eq!(tame("a\x1b]0;x\x07\nö"), "a\\u{1b}]0;x\\u{7}\\nö");
    }
}
