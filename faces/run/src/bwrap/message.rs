//! What is said on standard error, in bubblewrap's words: scripts match them.

use std::fmt;

/// Severity of `syslog(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Level {
    /// `LOG_ERR`: the run ends.
    Error = 3,
    /// `LOG_WARNING`: it goes on.
    Warning = 4,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How bad.
    pub level: Level,
    /// The line without prefix.
    pub text: String,
    /// `--level-prefix` came before it.
    pub prefixed: bool,
}

impl Message {
    /// The run ends.
    #[must_use]
    pub fn error(text: impl Into<String>, prefixed: bool) -> Self {
        Message { level: Level::Error, text: text.into(), prefixed }
    }
    /// The run goes on.
    #[must_use]
    pub fn warning(text: impl Into<String>, prefixed: bool) -> Self {
        Message { level: Level::Warning, text: text.into(), prefixed }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefixed {
            write!(f, "<{}>", self.level as u8)?;
        }
        write!(f, "bwrap: {}", self.text)
    }
}

/// The system's text for an error number, as `strerror(3)` gives it.
#[must_use]
pub fn system_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_its_level_where_asked() {
        assert_eq!(Message::error("Invalid fd: x", false).to_string(), "bwrap: Invalid fd: x");
        assert_eq!(Message::warning("w", true).to_string(), "<4>bwrap: w");
        assert_eq!(Message::error("e", true).to_string(), "<3>bwrap: e");
    }

    #[test]
    fn system_texts_have_no_number() {
        assert_eq!(system_text(2), "No such file or directory");
    }
}
