//! The other name of a file that older interfaces ask for.

use std::io::Read;

use md5::Digest as _;

/// A stream, and the MD5 of what was read from it. It names files for who expects that name, and nothing is trusted for it: contents are found and
/// compared by their SHA-256.
#[derive(Debug)]
pub struct Md5<R> {
    from: R,
    hasher: md5::Md5,
}

impl<R: Read> Md5<R> {
    /// Reads through it.
    #[must_use]
    pub fn of(from: R) -> Md5<R> {
        Md5 { from, hasher: md5::Md5::new() }
    }

    /// Of all that was read, as 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<R: Read> Read for Md5<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
