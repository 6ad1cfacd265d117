//! Mounting a workspace: an overlay whose layers are brought when the sandbox is made, not when it is planned.
//!
//! The set-up asks its control socket for one message ([`Brought`]). As root it carries detached trees, each shown with the ids it has on disk; an ordinary
//! user's set-up, which still sees the host, gets paths. The layers are attached beside each other on the private tmpfs, where kernels that refuse detached
//! layers find them, and named there.
//!
//! Set-id programs in the upper layer are nobody's danger here, so nothing looks for them ([`crate::plan`] does where a tree of the host is shown writable).
//! Inside, the overlay is `nosuid`. On the host nobody but its owner reaches the upper directory, which lies in one of mode 0700; and what is taken over from there
//! is written anew, without such bits, by the store.
//!
//! Child-safe.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsFd, OwnedFd};

use enclos_sys::clone::{Stack, Until, clone_sharing_memory};
use enclos_sys::mount::{Attributes, set_attributes};
use enclos_sys::{Errno, child::exit};
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{UnmountFlags, unmount};

use super::HIDDEN;
use super::mounts::Root;
use super::place::{Make, Place};
use super::program::HERE;
use crate::error::Stage;
use crate::init::{MAX_DESCRIPTORS, receive};

/// Most lower layers.
pub const MAX_LAYERS: usize = 7;
/// Names of the lower layers on the private tmpfs.
pub const LOWER: [&CStr; MAX_LAYERS] = [c"w0", c"w1", c"w2", c"w3", c"w4", c"w5", c"w6"];
/// Name there of the directory that holds upper and work.
pub const KEEP: &CStr = c"wk";
/// Most bytes of the message.
pub const MESSAGE: usize = 16 * 1024;

/// First byte of the message.
pub const WORKSPACE: u8 = b'W';
/// Second byte: there is none.
pub const NONE: u8 = 0;
/// Second byte: descriptors come along, that of the directory with upper and work first.
pub const BY_DESCRIPTOR: u8 = 1;
/// Second byte: paths follow, in that order.
pub const BY_PATH: u8 = 2;

/// The message, read. After the two bytes: 1 where nothing of it outlives a power failure, else 0; how many layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brought<'a> {
    /// Nothing needs to reach the disk.
    pub volatile: bool,
    /// How many lower layers.
    pub layers: usize,
    /// `lowerdir=`
    pub lower: &'a CStr,
    /// `upperdir=`
    pub upper: &'a CStr,
    /// `workdir=`
    pub work: &'a CStr,
    /// Paths of the trees; empty with descriptors.
    pub paths: &'a [u8],
}

impl<'a> Brought<'a> {
    /// Reads a message; `None` when it is none of these, `Some(None)` when there is no workspace.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Option<Brought<'a>>> {
        let (&[WORKSPACE, kind, volatile, layers], mut rest) = message.split_first_chunk::<4>()? else { return None };
        if kind == NONE {
            return Some(None);
        }
        let layers = usize::from(layers);
        if (kind != BY_DESCRIPTOR && kind != BY_PATH) || volatile > 1 || layers == 0 || layers > MAX_LAYERS {
            return None;
        }
        let mut next = || take(&mut rest);
        let (lower, upper, work) = (next()?, next()?, next()?);
        Some(Some(Brought { volatile: volatile == 1, layers, lower, upper, work, paths: if kind == BY_PATH { rest } else { &[] } }))
    }
}

/// Takes the first string off a block.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a CStr> {
    let text = CStr::from_bytes_until_nul(rest).ok()?;
    *rest = rest.get(text.to_bytes_with_nul().len()..)?;
    Some(text)
}

impl Root {
    /// Waits for the layers, and mounts the overlay of them. Its own function, so that nobody else has its stack: every page of it is a fault.
    #[inline(never)]
    pub(super) fn bring_workspace(&mut self, control: &OwnedFd, place: &Place, stack: &Stack) -> Result<(), (Stage, Errno)> {
        let mut message = [0u8; MESSAGE];
        let mut descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS] = [const { None }; MAX_DESCRIPTORS];
        let length = loop {
            match receive(control.as_fd(), &mut message, &mut descriptors) {
                Err(Errno::INTR) => {}
                // Nobody wants this sandbox any more.
                Ok(0) => exit(i32::from(enclos_spec::exit::FAILURE)),
                other => break other.map_err(|e| (Stage::Control, e))?,
            }
        };
        let brought = match Brought::decode(&message[..length]) {
            Some(Some(brought)) => brought,
            Some(None) => return Ok(()),
            None => exit(i32::from(enclos_spec::exit::FAILURE)),
        };
        let mut paths = brought.paths;
        for (index, name) in std::iter::once(KEEP).chain(LOWER).take(brought.layers + 1).enumerate() {
            let tree = match descriptors[index].take() {
                Some(tree) => tree,
                None => {
                    let path = take(&mut paths).ok_or((Stage::Control, Errno::INVAL))?;
                    let tree = self.exact_tree(path).map_err(|e| (Stage::Source, e))?;
                    let writable = Attributes::NO_SUID.and(Attributes::NO_DEVICES);
                    let attributes = if index == 0 { writable } else { writable.and(Attributes::READ_ONLY) };
                    set_attributes(&tree, attributes, true).map_err(|e| (Stage::Operation, e))?;
                    tree
                }
            };
            self.attach_layer(tree, name).map_err(|e| (Stage::Operation, e))?;
        }
        let merge = || {
            rustix::process::fchdir(self.scratch.as_ref().ok_or(Errno::INVAL)?)?;
            self.overlay(brought.lower, Some((brought.upper, brought.work)), brought.volatile)
        };
        let merged = merge().map_err(|e| (Stage::Operation, e))?;
        self.attach_in_place(&merged, place, Make::Directory(0o755))?;
        self.workspace = Some(merged);
        if self.built {
            // The overlay has mounts of its own of them. In a root that is being built these go with the old root.
            rustix::process::chdir(c"/").and_then(|()| forget_layers(stack)).map_err(|e| (Stage::Operation, e))?;
        }
        Ok(())
    }
}

/// Takes the private tmpfs, and the layers on it, out of the mount table of the sandbox; its places are mounts of their own. What is gone is gone at once, but who
/// asks for it must then wait until no processor looks at it any more, milliseconds on a busy machine: a process of its own does.
fn forget_layers(stack: &Stack) -> Result<(), Errno> {
    clone_sharing_memory(stack, Until::Cloned, detach_hidden, &())?;
    for _ in 0..ROUNDS {
        match openat(HERE, FIRST_LAYER, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno),
            Ok(_) => rustix::thread::sched_yield(),
        }
    }
    Err(Errno::BUSY)
}

/// Where the first layer is seen until it is forgotten.
const FIRST_LAYER: &CStr = c"/.enclos/wk";
/// How often is looked; each time others may run for a while.
const ROUNDS: usize = 1_000_000;

fn detach_hidden(_: &()) -> c_int {
    match unmount(HIDDEN, UnmountFlags::DETACH) {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_message_panics(bytes: Vec<u8>, kind in 0u8..4, layers in 0u8..12) {
            let _ = Brought::decode(&bytes);
            let mut message = vec![WORKSPACE, kind, 0, layers];
            message.extend(&bytes);
            if let Some(Some(brought)) = Brought::decode(&message) {
                prop_assert!(brought.layers <= MAX_LAYERS);
            }
        }
    }

    #[test]
    fn a_message_reads_back() {
        let message = b"W\x02\x00\x02w0:w1\0wk/upper\0wk/work\0/s/ws\0/s/mask\0/s/tree\0";
        let mut brought = Brought::decode(message).unwrap().unwrap();
        assert_eq!((brought.layers, brought.lower, brought.upper, brought.work), (2, c"w0:w1", c"wk/upper", c"wk/work"));
        assert_eq!(take(&mut brought.paths), Some(c"/s/ws"));
        assert_eq!(Brought::decode(b"W\0\0\0"), Some(None));
        assert_eq!(Brought::decode(b"\x03"), None);
        assert_eq!(Brought::decode(b"W\x02\x02\x02w0:w1\0wk/upper\0wk/work\0"), None);
    }
}
