//! Changes as text.

use std::io::Read;

use similar::TextDiff;

use super::{Side, State, Versions};

/// Most bytes of a file that is shown as text.
const MOST: u64 = 1 << 20;

/// A change as a unified diff; for what is no text, one line about it.
///
/// # Errors
/// One line.
pub fn unified(versions: &impl Versions, path: &str) -> Result<String, String> {
    let (base, now) = (side(versions, Side::Base, path)?, side(versions, Side::Now, path)?);
    let mut out = String::new();
    let mode = |side: &Shown| side.mode;
    if let (Some(before), Some(after)) = (mode(&base), mode(&now))
        && before != after
    {
        out += &format!("{path}: mode {before:04o} becomes {after:04o}\n");
    }
    match (&base.text, &now.text) {
        (Ok(before), Ok(after)) if before == after => {}
        (Ok(before), Ok(after)) => {
            let name = |side: &str, shown: &Shown| if shown.there { format!("{side}/{path}") } else { "/dev/null".to_owned() };
            let diff = TextDiff::from_lines(&before[..], &after[..]);
            out += &diff.unified_diff().header(&name("a", &base), &name("b", &now)).to_string();
        }
        (Err(why), _) | (_, Err(why)) => out += &format!("{path}: {why}\n"),
    }
    if out.is_empty() {
        out = format!("{path}: {}\n", if now.there { "a directory, or an empty file" } else { "removed" });
    }
    Ok(out)
}

struct Shown {
    there: bool,
    mode: Option<u32>,
    text: Result<String, String>,
}

fn side(versions: &impl Versions, side: Side, path: &str) -> Result<Shown, String> {
    let shown = |there, mode, text| Ok(Shown { there, mode, text });
    match versions.state(side, path)? {
        None => shown(false, None, Ok(String::new())),
        Some(State::Directory { mode }) => shown(true, Some(mode), Ok(String::new())),
        Some(State::Link { target }) => shown(true, None, Ok(format!("link to {}\n", target.display()))),
        Some(State::File { mode, size }) if size > MOST => shown(true, Some(mode), Err(format!("{size} bytes, too many to show"))),
        Some(State::File { mode, .. }) => {
            let mut bytes = Vec::new();
            versions.open(side, path)?.take(MOST).read_to_end(&mut bytes).map_err(|error| format!("{path}: {error}"))?;
            let text = match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Ok(text),
                Ok(text) => Err(format!("{} bytes that are no text", text.len())),
                Err(error) => Err(format!("{} bytes that are no text", error.as_bytes().len())),
            };
            shown(true, Some(mode), text)
        }
    }
}
