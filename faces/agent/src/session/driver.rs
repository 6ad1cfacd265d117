//! What a shell is told, so that commands can be run in it one by one.
//!
//! ```text
//!   server ── one end of a socket ═══ the other end ── standard input of the shell: it reads its script there
//! ```
//!
//! Each command is one `eval` of one quoted word, so that what is left open in it (a quote, a here-document, an `if`) is a fault of that word and not
//! a wait for more; `command` keeps such a fault from ending the shell. The line after it sends the status back over the same socket. While a command
//! runs, standard input is `/dev/null`, and the shell's own copy of the socket is closed in everything it executes; a socket cannot be opened through
//! `/proc`, and the filter allows no `pidfd_getfd(2)`: no program can say how a command ended (W-35). Code that the shell itself runs can, as it can
//! end the shell: it is the shell.
//!
//! A line begins with a backslash where an alias could stand. Nothing is read by the line but by the word of a parser, so no prompt, no echo, no
//! terminal and no marker is involved, and output goes as it is written.

/// Said first. The answer is the shell's own process id.
///
/// The trap lets a loop that does not come to its end be left without the shell: it does nothing elsewhere.
pub const HELLO: &str = "__enclos_done() { \\printf '%d\\n' \"$1\" >&0; } 2>/dev/null\n\
__enclos_status() { return \"$1\"; }\n\
trap '\\break 9999 2>/dev/null' INT\n\
\\command eval '__enclos_done \"$$\"'\n";

/// What a shell says when it has come to [`MARK_LINE`]: no command ends with it.
pub const MARK: &str = "1000001\n";

/// Said first by a server that goes on with a shell of another.
pub const MARK_LINE: &str = "\\__enclos_done 1000001\n";

/// The lines for a command. `last`: what the one before ended with, which is what `$?` says at its beginning.
#[must_use]
pub fn lines(command: &str, last: i32) -> Vec<u8> {
    let mut text = Vec::with_capacity(command.len() + 96);
    if last != 0 {
        text.extend_from_slice(format!("\\__enclos_status {last}\n").as_bytes());
    }
    text.extend_from_slice(b"\\command eval '");
    text.extend_from_slice(command.replace('\'', "'\\''").as_bytes());
    text.extend_from_slice(b"' </dev/null\n\\__enclos_done \"$?\"\n");
    text
}

/// A number and the end of the line, as the shell answers.
#[must_use]
pub fn answer(bytes: &[u8]) -> Option<i32> {
    let line = bytes.strip_suffix(b"\n")?;
    let line = line.rsplit(|b| *b == b'\n').next()?;
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_word() {
        assert_eq!(lines("echo 'a b'\n", 0), b"\\command eval 'echo '\\''a b'\\''\n' </dev/null\n\\__enclos_done \"$?\"\n");
        assert!(lines("x", 3).starts_with(b"\\__enclos_status 3\n\\command eval 'x'"));
        assert_eq!((answer(b"42\n"), answer(b"4"), answer(b"x\n"), answer(b"")), (Some(42), None, None, None));
    }
}
