//! Numbers on the command line.
//!
//! bubblewrap reads them with `strtol(3)` and friends, so leading white space and a sign are let through here too. Where it silently takes a
//! number that does not fit for another one (`--uid 4294967296` is user 0), we refuse.

use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

/// The largest `--size`: bubblewrap's own bound.
pub const LARGEST_SIZE: u64 = i64::MAX as u64;

/// A decimal number that is not negative and fits `i32`: a descriptor or an id.
fn small(text: &OsStr) -> Option<i32> {
    let text = text.to_str()?.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i32>().ok().filter(|n| !negative || *n == 0)
}

/// A descriptor.
#[must_use]
pub fn fd(text: &OsStr) -> Option<RawFd> {
    small(text)
}

/// A user or group id.
#[must_use]
pub fn id(text: &OsStr) -> Option<u32> {
    small(text).and_then(|n| u32::try_from(n).ok())
}

/// Permission bits, octal, at most 07777.
#[must_use]
pub fn mode(text: &OsStr) -> Option<u32> {
    let text = text.to_str()?.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b');
    let digits = text.strip_prefix('+').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return None;
    }
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777)
}

/// What is wrong with a `--size`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeError {
    /// Not a number, or zero.
    NotANumber,
    /// More than [`LARGEST_SIZE`].
    TooLarge,
}

/// A number of bytes: decimal, `0x` hexadecimal or `0` octal, as `strtoull(3)` with base 0; it must start with a digit.
///
/// # Errors
/// [`SizeError`].
pub fn size(text: &OsStr) -> Result<u64, SizeError> {
    let bytes = text.as_bytes();
    if !bytes.first().is_some_and(u8::is_ascii_digit) {
        return Err(SizeError::NotANumber);
    }
    let text = text.to_str().ok_or(SizeError::NotANumber)?;
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // from_str_radix would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(SizeError::NotANumber);
    }
    match u64::from_str_radix(digits, radix).map_err(|_| SizeError::NotANumber)? {
        0 => Err(SizeError::NotANumber),
        bytes if bytes > LARGEST_SIZE => Err(SizeError::TooLarge),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_and_ids() {
        for (text, wanted) in [("0", 0), ("7", 7), ("010", 10), ("+5", 5), (" 3", 3), ("-0", 0), ("2147483647", i32::MAX)] {
            assert_eq!(fd(OsStr::new(text)), Some(wanted), "{text:?}");
        }
        for text in ["", " ", "+", "-", "-1", "3x", "3 ", "0x3", "--3", "2147483648", "4294967296", "99999999999999999999", "٣"] {
            assert_eq!(fd(OsStr::new(text)), None, "{text:?}");
            assert_eq!(id(OsStr::new(text)), None, "{text:?}");
        }
    }

    #[test]
    fn modes() {
        for (text, wanted) in [("0", 0), ("700", 0o700), ("0755", 0o755), ("07777", 0o7777), ("+700", 0o700), (" 700", 0o700)] {
            assert_eq!(mode(OsStr::new(text)), Some(wanted), "{text:?}");
        }
        for text in ["", "8", "10000", "-1", "0x1", "0o700", "700x", "700 "] {
            assert_eq!(mode(OsStr::new(text)), None, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, wanted) in [("1", 1), ("8192", 8192), ("0x1000", 4096), ("010000", 4096), ("9223372036854775807", LARGEST_SIZE)] {
            assert_eq!(size(OsStr::new(text)), Ok(wanted), "{text:?}");
        }
        for text in ["", "0", "00", "0x", "x", "-1", "+8192", " 8192", "10k", "1.5", "0x-1", "0+1", "99999999999999999999"] {
            assert_eq!(size(OsStr::new(text)), Err(SizeError::NotANumber), "{text:?}");
        }
        assert_eq!(size(OsStr::new("9223372036854775808")), Err(SizeError::TooLarge));
    }
}
