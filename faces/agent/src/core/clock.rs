//! The time of day, and names nobody can guess.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::api::{AgentError, Result};

/// Milliseconds since 1970.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A new name: prefix, `_`, 16 hexadecimal digits.
///
/// # Errors
/// When the kernel has no random numbers.
pub fn new_id(prefix: &str) -> Result<String> {
    let mut bytes = [0u8; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => Ok(format!("{prefix}_{:016x}", u64::from_ne_bytes(bytes))),
        _ => Err(AgentError::Internal("the kernel gives no random numbers".to_owned())),
    }
}

/// Whether a name is of this kind. What is none cannot be known, and never reaches a path.
#[must_use]
pub fn is_id(prefix: &str, id: &str) -> bool {
    let digits = id.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_'));
    digits.is_some_and(|d| d.len() == 16 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_prefix_and_digits() {
        let id = new_id("sb").unwrap();
        assert!(is_id("sb", &id) && !is_id("cb", &id), "{id}");
        for bad in
            ["sb_", "sb_0123456789abcde", "sb_0123456789abcdef0", "sb_0123456789ABCDEF", "../sb_0123456789abcdef", "sb-0123456789abcdef"]
        {
            assert!(!is_id("sb", bad), "{bad}");
        }
    }
}
