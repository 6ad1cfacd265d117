//! Names of stored runs, which are also the right to read them.

use std::fmt;
use std::str::FromStr;

/// 128 random bits from the kernel, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(u128);

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 32 lower-case hexadecimal digits")]
pub struct BadToken;

impl Token {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The kernel gave no randomness (`getrandom(2)`); a guessable token would be worse than none.
    pub fn new() -> std::io::Result<Self> {
        let mut bytes = [0; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
        }
        Ok(Self(u128::from_ne_bytes(bytes)))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The first digits only: the whole would be the right to read the run, and logs are read by many.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:08x}…)", self.0 >> 96)
    }
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(digits) {
            return Err(BadToken);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| BadToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let token = Token::new().unwrap();
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!(Token(5).to_string(), "00000000000000000000000000000005");
        assert_ne!(Token::new().unwrap(), token);
        for bad in ["", "5", "0000000000000000000000000000000G", "+0000000000000000000000000000005", "0000000000000000000000000000000A"] {
            assert_eq!(bad.parse::<Token>(), Err(BadToken), "{bad}");
        }
    }

    #[test]
    fn a_log_shows_no_whole_token() {
        let token = Token::new().unwrap();
        assert!(!format!("{token:?}").contains(&token.to_string()));
    }
}
