//! The closed set of messages between a caller and the sandbox's init: one datagram each, fixed headers, no length that is trusted.
//!
//! The caller encodes requests and decodes replies; init decodes requests and encodes replies without allocating.

use std::ffi::CStr;

/// Largest datagram; a request whose strings do not fit travels in a memory file instead.
pub const DATAGRAM: usize = 32 * 1024;
/// Largest block of strings one command may have (the kernel's own bound on arguments and environment is 2 MiB by default).
pub const BLOCK: usize = 4 << 20;

const EXEC: u8 = 1;
const SIGNAL: u8 = 2;
const END: u8 = 3;
const RELEASE: u8 = 4;

/// Whom a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Target {
    /// The command's own process.
    Process = 0,
    /// Its process group.
    Group = 1,
    /// Every process of the sandbox but init.
    All = 2,
}

/// Flags of an exec request.
pub mod flag {
    /// Standard input comes from the private terminal.
    pub const TTY_STDIN: u8 = 1;
    /// Standard output goes to it.
    pub const TTY_STDOUT: u8 = 2;
    /// Standard error goes to it.
    pub const TTY_STDERR: u8 = 4;
    /// All three.
    pub const TTY: u8 = 7;
    /// The sandbox ends with this command.
    pub const LAST: u8 = 8;
    /// Report the start, not only the end.
    pub const ANNOUNCE: u8 = 16;
    /// The strings are in the memory file that is the last descriptor.
    pub const IN_FILE: u8 = 32;
    /// The first variables are alternatives, one for each working directory: the one entered counts (`PWD`).
    pub const PWD: u8 = 64;
    /// A script without `#!` is run by `/bin/sh` (`execvp(3)`, as bubblewrap does); else it is not executable.
    pub const SHELL: u8 = 128;
}

/// What else an exec request asks for: one more byte of flags.
mod more {
    /// The last string is a directory to hand over.
    pub const COLLECTS: u8 = 1;
    /// A socket for replies came along.
    pub const REPLIES: u8 = 2;
    /// See [`super::Exec::subreaper`].
    pub const SUBREAPER: u8 = 4;
    /// The number of extra descriptors, from this bit on.
    pub const EXTRAS: u8 = 3;
}

/// Most extra descriptors one command may have.
pub const MAX_EXTRAS: usize = 2;

/// A request, as init sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Run a command.
    Exec(Exec<'a>),
    /// Send a signal.
    Signal {
        /// Which command.
        id: u32,
        /// Which signal.
        signal: i32,
        /// Whom.
        target: Target,
    },
    /// End the sandbox.
    End,
    /// Go on with set-up (the id maps are written).
    Release,
}

/// A command to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec<'a> {
    /// The caller's name for it.
    pub id: u32,
    /// See [`flag`].
    pub flags: u8,
    /// Terminal rows and columns.
    pub window: (u16, u16),
    /// How many working directories to try, in order.
    pub directories: u16,
    /// How many files to try, in order.
    pub files: u16,
    /// How many arguments.
    pub arguments: u32,
    /// How many variables.
    pub variables: u32,
    /// How many sets of files to write first; their descriptors follow those of the streams.
    pub sets: u8,
    /// The last string is a directory to hand over when the sandbox has ended.
    pub collects: bool,
    /// Replies about this command go to a socket of its own, whose descriptor follows the extra ones.
    pub replies: bool,
    /// The command adopts its orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER).
    pub subreaper: bool,
    /// How many extra descriptors the command has, from 3 on; they follow those of the sets.
    pub extras: u8,
    /// Zero-terminated strings: directories, files, arguments, variables, the directory of each set of files, the directory to hand over. Empty with
    /// [`flag::IN_FILE`].
    pub block: &'a [u8],
}

/// Bytes before the block.
pub const EXEC_HEADER: usize = 24;
/// Most sets of files one command may bring.
pub const MAX_SETS: usize = 4;
/// Room for the path of a directory to hand over, its final zero included.
pub const MAX_COLLECTED: usize = 256;

impl<'a> Request<'a> {
    /// Reads a datagram; `None` if it is none of ours. Never allocates, never panics.
    #[must_use]
    pub fn decode(datagram: &'a [u8]) -> Option<Request<'a>> {
        let byte = |at: usize| datagram.get(at).copied();
        let u16_at = |at: usize| Some(u16::from_le_bytes(datagram.get(at..at + 2)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(datagram.get(at..at + 4)?.try_into().ok()?));
        match byte(0)? {
            EXEC => Some(Request::Exec(Exec {
                flags: byte(1)?,
                window: (u16_at(2)?, u16_at(4)?),
                directories: u16_at(6)?,
                id: u32_at(8)?,
                arguments: u32_at(12)?,
                variables: u32_at(16)?,
                files: u16_at(20)?,
                sets: byte(22).filter(|sets| usize::from(*sets) <= MAX_SETS)?,
                collects: byte(23)? & more::COLLECTS != 0,
                replies: byte(23)? & more::REPLIES != 0,
                subreaper: byte(23)? & more::SUBREAPER != 0,
                extras: Some(byte(23)? >> more::EXTRAS).filter(|extras| usize::from(*extras) <= MAX_EXTRAS)?,
                block: datagram.get(EXEC_HEADER..)?,
            })),
            SIGNAL => {
                let target = match byte(1)? {
                    0 => Target::Process,
                    1 => Target::Group,
                    2 => Target::All,
                    _ => return None,
                };
                let signal = i32::from(byte(2)?);
                (1..=64).contains(&signal).then_some(Request::Signal { id: u32_at(4)?, signal, target })
            }
            END => Some(Request::End),
            RELEASE => Some(Request::Release),
            _ => None,
        }
    }
}

/// Encodes a signal request.
#[must_use]
pub fn signal(id: u32, signal: i32, target: Target) -> [u8; 8] {
    let id = id.to_le_bytes();
    [SIGNAL, target as u8, signal.clamp(0, 255) as u8, 0, id[0], id[1], id[2], id[3]]
}

/// Encodes an end request.
pub const END_REQUEST: [u8; 1] = [END];
/// Encodes a release request.
pub const RELEASE_REQUEST: [u8; 1] = [RELEASE];

/// A command's strings and flags, encoded once.
#[derive(Clone, Debug, Default)]
pub struct ExecRequest {
    /// See [`flag`].
    pub flags: u8,
    /// Terminal rows and columns.
    pub window: (u16, u16),
    /// Working directories to try, in order.
    pub directories: Vec<std::ffi::CString>,
    /// Files to try, in order (the command's name looked up in `PATH`).
    pub files: Vec<std::ffi::CString>,
    /// Arguments, the first being the name.
    pub arguments: Vec<std::ffi::CString>,
    /// Environment.
    pub variables: Vec<std::ffi::CString>,
    /// Where each set of files is written; their descriptors follow those of the streams. At most [`MAX_SETS`].
    pub sets: Vec<std::ffi::CString>,
    /// Directory to hand over when the sandbox has ended; shorter than [`MAX_COLLECTED`].
    pub collect: Option<std::ffi::CString>,
    /// See [`Exec::replies`].
    pub replies: bool,
    /// See [`Exec::subreaper`].
    pub subreaper: bool,
    /// See [`Exec::extras`]; at most [`MAX_EXTRAS`].
    pub extras: u8,
}

impl ExecRequest {
    /// Header and block. With [`flag::IN_FILE`] set by the caller the block travels separately.
    #[must_use]
    pub fn encode(&self, id: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend([EXEC, self.flags]);
        bytes.extend(self.window.0.to_le_bytes());
        bytes.extend(self.window.1.to_le_bytes());
        bytes.extend((self.directories.len() as u16).to_le_bytes());
        bytes.extend(id.to_le_bytes());
        bytes.extend((self.arguments.len() as u32).to_le_bytes());
        bytes.extend((self.variables.len() as u32).to_le_bytes());
        bytes.extend((self.files.len() as u16).to_le_bytes());
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let more = flag(self.collect.is_some(), more::COLLECTS)
            | flag(self.replies, more::REPLIES)
            | flag(self.subreaper, more::SUBREAPER)
            | self.extras << more::EXTRAS;
        bytes.extend([self.sets.len() as u8, more]);
        for string in
            [&self.directories, &self.files, &self.arguments, &self.variables, &self.sets].into_iter().flatten().chain(&self.collect)
        {
            bytes.extend(string.as_bytes_with_nul());
        }
        bytes
    }
}

impl<'a> Exec<'a> {
    /// Splits `count` strings off the front of a block.
    #[must_use]
    pub fn skip(block: &'a [u8], count: usize) -> Option<&'a [u8]> {
        let mut rest = block;
        for _ in 0..count {
            let end = rest.iter().position(|b| *b == 0)?;
            rest = &rest[end + 1..];
        }
        Some(rest)
    }

    /// The directories of the sets of files, and after them that to hand over.
    #[must_use]
    pub fn sets_block(&self) -> Option<&'a [u8]> {
        let strings = usize::from(self.directories) + usize::from(self.files);
        Self::skip(Self::skip(Self::skip(self.block, strings)?, self.arguments as usize)?, self.variables as usize)
    }

    /// The first string of a block.
    #[must_use]
    pub fn first(block: &'a [u8]) -> Option<&'a CStr> {
        CStr::from_bytes_until_nul(block).ok()
    }
}

/// What init tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Set-up is done; requests are welcome. With a workspace its top comes along.
    Ready {
        /// Pid inside of the process that is parked; 0: there is none.
        parked: i32,
    },
    /// A step of set-up failed; init has ended.
    Failed {
        /// Which.
        stage: u8,
        /// Index of the operation, `u32::MAX` for none.
        op: u32,
        /// The kernel's answer.
        errno: i32,
    },
    /// A command runs. With a terminal its master side comes along.
    Started {
        /// The caller's name for it.
        id: u32,
        /// Its pid inside.
        pid: i32,
    },
    /// A command could not be started.
    NotStarted {
        /// The caller's name for it.
        id: u32,
        /// Which step.
        stage: u8,
        /// The kernel's answer.
        errno: i32,
    },
    /// A command ended.
    Ended {
        /// The caller's name for it.
        id: u32,
        /// Exit status, or minus the signal.
        status: i32,
        /// Its CPU time and that of the descendants it waited for, µs.
        cpu_us: u64,
        /// Largest resident set of any one process, bytes.
        max_resident: u64,
        /// Bytes in use on the private tmpfs, and whether bytes or inodes ran out there.
        disk: Disk,
    },
    /// A command was stopped by a signal.
    Stopped {
        /// The caller's name for it.
        id: u32,
        /// The signal.
        signal: i32,
    },
    /// A stopped command goes on.
    Continued {
        /// The caller's name for it.
        id: u32,
    },
    /// A slot has made a sandbox; its init's pidfd comes along.
    Born,
}

/// State of the private tmpfs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes in use.
    pub bytes: u64,
    /// Inodes in use.
    pub inodes: u64,
    /// No byte was left.
    pub full: bool,
    /// No inode was left.
    pub inodes_full: bool,
}

/// Bytes of a reply.
pub const REPLY: usize = 48;

impl Reply {
    /// As sent. Never allocates.
    #[must_use]
    pub fn encode(self) -> [u8; REPLY] {
        let mut bytes = [0; REPLY];
        let mut put = |kind: u8, a: u32, b: i32, c: u64, d: u64, disk: Disk, stage: u8| {
            bytes[0] = kind;
            bytes[1] = stage;
            bytes[2] = u8::from(disk.full) | u8::from(disk.inodes_full) << 1;
            bytes[4..8].copy_from_slice(&a.to_le_bytes());
            bytes[8..12].copy_from_slice(&b.to_le_bytes());
            bytes[16..24].copy_from_slice(&c.to_le_bytes());
            bytes[24..32].copy_from_slice(&d.to_le_bytes());
            bytes[32..40].copy_from_slice(&disk.bytes.to_le_bytes());
            bytes[40..48].copy_from_slice(&disk.inodes.to_le_bytes());
        };
        let none = Disk::default();
        match self {
            Reply::Ready { parked } => put(1, 0, parked, 0, 0, none, 0),
            Reply::Failed { stage, op, errno } => put(2, op, errno, 0, 0, none, stage),
            Reply::Started { id, pid } => put(3, id, pid, 0, 0, none, 0),
            Reply::NotStarted { id, stage, errno } => put(4, id, errno, 0, 0, none, stage),
            Reply::Ended { id, status, cpu_us, max_resident, disk } => put(5, id, status, cpu_us, max_resident, disk, 0),
            Reply::Stopped { id, signal } => put(6, id, signal, 0, 0, none, 0),
            Reply::Continued { id } => put(7, id, 0, 0, 0, none, 0),
            Reply::Born => put(8, 0, 0, 0, 0, none, 0),
        }
        bytes
    }

    /// Reads a datagram; `None` if it is none of ours.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Reply> {
        let bytes: &[u8; REPLY] = bytes.try_into().ok()?;
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let a = u32::from_le_bytes(bytes[4..8].try_into().ok()?);
        let b = i32::from_le_bytes(bytes[8..12].try_into().ok()?);
        let stage = bytes[1];
        Some(match bytes[0] {
            1 => Reply::Ready { parked: b },
            2 => Reply::Failed { stage, op: a, errno: b },
            3 => Reply::Started { id: a, pid: b },
            4 => Reply::NotStarted { id: a, stage, errno: b },
            5 => Reply::Ended {
                id: a,
                status: b,
                cpu_us: u64_at(16),
                max_resident: u64_at(24),
                disk: Disk { bytes: u64_at(32), inodes: u64_at(40), full: bytes[2] & 1 != 0, inodes_full: bytes[2] & 2 != 0 },
            },
            6 => Reply::Stopped { id: a, signal: b },
            7 => Reply::Continued { id: a },
            8 => Reply::Born,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::CString;

    #[test]
    fn an_exec_request_reads_back() {
        let strings = |texts: &[&str]| texts.iter().map(|t| CString::new(*t).unwrap()).collect::<Vec<_>>();
        let request = ExecRequest {
            flags: flag::LAST,
            window: (24, 80),
            directories: strings(&["/w"]),
            files: strings(&["/bin/a", "/usr/bin/a"]),
            arguments: strings(&["a", "", "b c"]),
            variables: strings(&["K=V"]),
            sets: strings(&["/box"]),
            collect: Some(c"/out".to_owned()),
            replies: true,
            subreaper: true,
            extras: 2,
        };
        let bytes = request.encode(7);
        let Some(Request::Exec(exec)) = Request::decode(&bytes) else { panic!("not an exec request") };
        assert_eq!((exec.id, exec.flags, exec.window), (7, flag::LAST, (24, 80)));
        assert_eq!((exec.directories, exec.files, exec.arguments, exec.variables), (1, 2, 3, 1));
        assert_eq!(Exec::first(exec.block).unwrap(), c"/w");
        let files = Exec::skip(exec.block, 1).unwrap();
        assert_eq!(Exec::first(Exec::skip(files, 1).unwrap()).unwrap(), c"/usr/bin/a");
        assert_eq!((exec.sets, exec.collects, exec.replies, exec.subreaper, exec.extras), (1, true, true, true, 2));
        let sets = exec.sets_block().unwrap();
        assert_eq!(Exec::first(sets).unwrap(), c"/box");
        assert_eq!(Exec::first(Exec::skip(sets, 1).unwrap()).unwrap(), c"/out");
        assert_eq!(Exec::skip(exec.block, 10), None);
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes: Vec<u8>) {
            if let Some(Request::Exec(exec)) = Request::decode(&bytes) {
                let _ = Exec::skip(exec.block, usize::from(exec.files));
            }
            let _ = Reply::decode(&bytes);
        }

        #[test]
        fn replies_read_back(id: u32, status: i32, cpu_us: u64, max_resident: u64, bytes: u64, inodes: u64, full: bool, inodes_full: bool) {
            let reply = Reply::Ended { id, status, cpu_us, max_resident, disk: Disk { bytes, inodes, full, inodes_full } };
            prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
            let reply = Reply::Failed { stage: 3, op: id, errno: status };
            prop_assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }

        #[test]
        fn signals_read_back(id: u32, number in 1i32..=64) {
            let bytes = signal(id, number, Target::Group);
            prop_assert_eq!(Request::decode(&bytes), Some(Request::Signal { id, signal: number, target: Target::Group }));
        }
    }
}
