//! Standard input.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use enclos_sandbox::Stdio;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// What a command reads.
#[derive(Debug)]
pub enum Input<'a> {
    /// These bytes, then the end.
    Bytes(&'a [u8]),
    /// These bytes, then what [`Controls`](crate::api::Controls) bring.
    Live(&'a [u8]),
    /// What another command writes.
    Pipe(OwnedFd),
}

impl Input<'_> {
    /// As a stream of a command.
    ///
    /// # Errors
    /// When there is no memory or no descriptor left.
    pub fn stdio(self) -> std::io::Result<Stdio> {
        Ok(match self {
            Input::Bytes([]) => Stdio::Null,
            Input::Bytes(bytes) => Stdio::Fd(sealed(bytes)?),
            Input::Live(_) => Stdio::Piped,
            Input::Pipe(fd) => Stdio::Fd(fd),
        })
    }
}

/// A file in memory that nobody can change any more, at its start.
fn sealed(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = memfd_create(c"stdin", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    std::io::Seek::rewind(&mut file)?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_sealed_input_is_read_from_its_start_and_never_written() {
        let mut file = File::from(sealed(b"one\ntwo\n").unwrap());
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        assert!(file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
    }
}
