//! Files a command brings along: written by its own process, with its own rights, before it executes; and the directory handed over at the end.
//!
//! A set of files is a sealed memory file of records: mode (`u32`), length of the path (`u32`), length of the contents (`u64`), the path and a zero,
//! the contents; all numbers little-endian. A mode with the directory bit makes a directory.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use enclos_sys::Errno;
use rustix::fs::{CWD, FileType, Mode, OFlags, fchmod, mkdirat, open, openat, sendfile};
use rustix::io::pread;

use super::message::MAX_COLLECTED;

/// Bytes before a record's path.
pub const RECORD: usize = 16;
/// Room for a record's path, its final zero included.
pub const MAX_PATH: usize = 1024;

/// Writes a set below a directory. Allocates nothing.
pub fn write_set(directory: &CStr, set: BorrowedFd<'_>) -> Result<(), Errno> {
    let base = open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let mut at = 0;
    let mut path = [0u8; MAX_PATH];
    loop {
        let mut header = [0u8; RECORD];
        if pread_all(set, &mut header, at)? == 0 {
            return Ok(());
        }
        let (mode, name) = (u32_of(&header[..4]), u32_of(&header[4..8]) as usize);
        let length = u64::from(u32_of(&header[8..12])) | u64::from(u32_of(&header[12..])) << 32;
        at += RECORD as u64;
        let room = path.get_mut(..name + 1).ok_or(Errno::NAMETOOLONG)?;
        if pread_all(set, room, at)? != room.len() {
            return Err(Errno::INVAL);
        }
        at += room.len() as u64;
        let name = CStr::from_bytes_with_nul(room).map_err(|_| Errno::INVAL)?;
        write_one(&base, name, mode, set, (at, length))?;
        at += length;
    }
}

fn write_one(base: &OwnedFd, name: &CStr, mode: u32, set: BorrowedFd<'_>, (mut at, mut left): (u64, u64)) -> Result<(), Errno> {
    let bits = Mode::from_raw_mode(mode & 0o777);
    if FileType::from_raw_mode(mode).is_dir() {
        match mkdirat(base, name, bits) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let made = openat(base, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        return fchmod(&made, bits);
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(base, name, flags, Mode::from_raw_mode(0o600))?;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
        match sendfile(&file, set, Some(&mut at), part) {
            Ok(0) => return Err(Errno::INVAL),
            Ok(sent) => left -= sent as u64,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    fchmod(&file, bits)
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Reads until the buffer is full or the file ends.
fn pread_all(file: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut done = 0;
    while done < buffer.len() {
        match pread(file, &mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}

/// Written by the command's process, which shares init's memory until it executes; read by init when the sandbox has ended.
static COLLECTED: [AtomicU8; MAX_COLLECTED] = [const { AtomicU8::new(0) }; MAX_COLLECTED];

/// Remembers the directory to hand over.
pub fn remember(directory: &CStr) -> Result<(), Errno> {
    let bytes = directory.to_bytes_with_nul();
    if bytes.len() > MAX_COLLECTED {
        return Err(Errno::NAMETOOLONG);
    }
    for (room, byte) in COLLECTED.iter().zip(bytes) {
        room.store(*byte, Ordering::Relaxed);
    }
    Ok(())
}

/// Opens the directory to hand over, with the sandbox's own rights: what is given out is only what the command could have read. For when nothing but
/// init is left; a directory that cannot be opened is not handed over.
pub fn collected() -> Option<OwnedFd> {
    let mut path = [0u8; MAX_COLLECTED];
    for (byte, room) in path.iter_mut().zip(&COLLECTED) {
        *byte = room.load(Ordering::Relaxed);
    }
    let path = CStr::from_bytes_until_nul(&path).ok().filter(|path| !path.is_empty())?;
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()
}
