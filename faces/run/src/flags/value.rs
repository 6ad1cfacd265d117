//! The values of flags: from what stands on the command line to what a policy holds. Every error says what is wrong and what would be right; the
//! parser puts the flag's name before it.

use std::ffi::OsStr;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use enclos_spec::{Bound, PolicyError};

use crate::run::paths::Anchor;

/// The value as text.
pub fn text(value: &OsStr) -> Result<&str, String> {
    value.to_str().ok_or_else(|| format!("{value:?} is not UTF-8"))
}

/// A quantity or `unlimited`.
pub fn bound<T: FromStr<Err: Display>>(value: &OsStr) -> Result<Option<Bound<T>>, String> {
    // The quantity's own message does not know that a limit may also be lifted.
    text(value)?.parse().map(Some).map_err(|wrong: T::Err| format!("{wrong}, or unlimited"))
}

/// A whole number or `unlimited`.
pub fn count(value: &OsStr) -> Result<Option<Bound<u64>>, String> {
    let text = text(value)?;
    text.parse().map(Some).map_err(|_| format!("{text:?} is not a count: write a whole number, e.g. 64, or unlimited"))
}

/// A weight of CPU time.
pub fn shares(value: &OsStr) -> Result<u64, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("{text:?} is not a weight: write a whole number from 2 to 262144"))
}

/// A user or group id.
pub fn id(value: &OsStr) -> Result<Option<u32>, String> {
    let text = text(value)?;
    text.parse().map(Some).map_err(|_| format!("{text:?} is not an id: write a number from 0 to 65532"))
}

/// A word or a list that the policy's own types read.
pub fn policy<T: FromStr<Err = PolicyError>>(value: &OsStr) -> Result<T, String> {
    text(value)?.parse().map_err(|wrong| match wrong {
        PolicyError::Value { value, wanted, .. } => format!("{value:?} is not allowed: {wanted}"),
        other => other.to_string(),
    })
}

/// A path, made absolute.
pub fn path(anchor: &Anchor, value: &OsStr) -> Result<PathBuf, String> {
    anchor.absolute(value.as_ref())
}

/// Splits at the first `:`.
pub fn pair(value: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let at = value.as_bytes().iter().position(|b| *b == b':')?;
    Some((OsStr::from_bytes(&value.as_bytes()[..at]), OsStr::from_bytes(&value.as_bytes()[at + 1..])))
}

/// `NAME=VALUE`.
pub fn assignment(value: &OsStr) -> Result<(String, String), String> {
    let text = text(value)?;
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not an assignment: write NAME=VALUE; to pass a variable of yours on, write --keep-env NAME")),
    }
}

/// The name of a variable.
pub fn variable(value: &OsStr) -> Result<String, String> {
    let text = text(value)?;
    if text.is_empty() || text.contains('=') {
        return Err(format!("{text:?} is not the name of a variable: write NAME; to set one, write --env NAME=VALUE"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use enclos_spec::policy::CpuList;
    use enclos_spec::{Net, Size, Span};

    use super::*;

    #[test]
    fn a_limit_is_a_quantity_or_lifted() {
        assert_eq!(bound::<Size>("64M".as_ref()), Ok(Some(Bound::At(Size::mib(64)))));
        assert_eq!(bound::<Span>("unlimited".as_ref()), Ok(Some(Bound::Unlimited)));
        assert_eq!(count("64".as_ref()), Ok(Some(Bound::At(64))));
    }

    #[test]
    fn each_wrong_value_says_what_would_be_right() {
        let lines = [
            bound::<Size>("64Q".as_ref()).unwrap_err(),
            bound::<Span>("1 day".as_ref()).unwrap_err(),
            count("-1".as_ref()).unwrap_err(),
            id("-1".as_ref()).unwrap_err(),
            id("root".as_ref()).unwrap_err(),
            policy::<Net>("internet".as_ref()).unwrap_err(),
            policy::<CpuList>("3-1".as_ref()).unwrap_err(),
            assignment("PATH".as_ref()).unwrap_err(),
            variable("A=1".as_ref()).unwrap_err(),
            text(OsStr::from_bytes(b"\xff")).unwrap_err(),
        ];
        assert_eq!(
            lines,
            [
                "\"64Q\" is not a size: write bytes or a unit, e.g. 65536, 64M, 1GiB, 500MB, or unlimited",
                "\"1 day\" is not a time span: write a number and a unit, e.g. 500ms, 2s, 1.5s, 1m, or unlimited",
                "\"-1\" is not a count: write a whole number, e.g. 64, or unlimited",
                "\"-1\" is not an id: write a number from 0 to 65532",
                "\"root\" is not an id: write a number from 0 to 65532",
                "\"internet\" is not allowed: write none or loopback or host",
                "\"3-1\" is not allowed: write CPU numbers below 1024 and ranges, e.g. 0-1,3",
                "\"PATH\" is not an assignment: write NAME=VALUE; to pass a variable of yours on, write --keep-env NAME",
                "\"A=1\" is not the name of a variable: write NAME; to set one, write --env NAME=VALUE",
                "\"\\xFF\" is not UTF-8",
            ]
        );
    }
}
