//! The launcher process: reads template requests, clones slots.

use std::os::fd::{AsFd, OwnedFd};

use enclos_spec::plan::Plan;
use enclos_sys::Errno;
use enclos_sys::clone::clone3;
use enclos_sys::pages::trim_heap;
use enclos_sys::signal::Blocked;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};

use super::slot::{self, SlotContext};
use crate::error::{Failure, Result, Stage};
use crate::init::receive;
use crate::launch::{idmap, namespace_flags};
use crate::sandbox::send;

/// How long a slot that has ended may be left as it is when nobody asks for another.
const IDLE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// What the caller asks for; travels as JSON in a memory file. The lease of its ids, where there is one, is the descriptor after that.
#[derive(Debug, Serialize, Deserialize)]
pub struct SlotRequest {
    /// What each sandbox is.
    pub plan: Plan,
    /// How many descriptors of control groups to enter come with each sandbox.
    pub groups: usize,
}

/// Answers requests on `socket` until the caller closes it. The process must have one thread and nothing to lose.
///
/// # Errors
/// When the socket fails.
pub fn serve(socket: &OwnedFd) -> Result<()> {
    let mut slots: Vec<OwnedFd> = Vec::new();
    let mut byte = [0u8; 8];
    loop {
        if !is_asked(socket, &slots) {
            reap(&mut slots);
            continue;
        }
        let mut descriptors: [Option<OwnedFd>; crate::init::MAX_DESCRIPTORS] = [const { None }; crate::init::MAX_DESCRIPTORS];
        match receive(socket.as_fd(), &mut byte, &mut descriptors) {
            Ok(0) | Err(Errno::CONNRESET) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(Failure::about(Stage::Control, errno, "launcher socket").into()),
            Ok(_) => {}
        }
        let [file, lease, ..] = descriptors;
        let answer = file
            .ok_or_else(|| Failure::about(Stage::Control, Errno::INVAL, "a request without its file").into())
            .and_then(|file| make_slot(file, lease));
        // A caller that is gone is noticed by the next receive.
        let _ = match answer {
            Ok(Made { pidfd, theirs, ids }) => {
                slots.push(pidfd);
                let descriptors: Vec<_> = std::iter::once(theirs.as_fd()).chain(ids.as_ref().map(AsFd::as_fd)).collect();
                send(socket, b"ok", &descriptors)
            }
            Err(error) => send(socket, error.to_string().as_bytes(), &[]),
        };
        reap(&mut slots);
    }
}

/// Waits for a request, or for the caller's end. `false`: there was none for [`IDLE`], while there are slots that may have ended.
fn is_asked(socket: &OwnedFd, slots: &[OwnedFd]) -> bool {
    let patience = (!slots.is_empty()).then_some(IDLE);
    // Whatever else is wrong with the socket, receiving from it tells.
    !matches!(poll(&mut [PollFd::new(socket, PollFlags::IN)], patience.as_ref()), Ok(0) | Err(Errno::INTR))
}

/// Takes away what is left of slots that have ended.
fn reap(slots: &mut Vec<OwnedFd>) {
    slots.retain(|pidfd| !matches!(enclos_sys::wait::wait_pidfd(pidfd, enclos_sys::wait::Wait::EndedAlready), Ok(Some(_))));
}

/// A slot just made.
struct Made {
    pidfd: OwnedFd,
    /// The caller's end of its socket.
    theirs: OwnedFd,
    /// Its user namespace, for those who show trees with its ids.
    ids: Option<OwnedFd>,
}

/// Clones one slot, which holds the lease of its ids.
fn make_slot(file: OwnedFd, lease: Option<OwnedFd>) -> Result<Made> {
    let file = std::fs::File::from(file);
    let malformed = |what: String| Failure::about(Stage::Control, Errno::INVAL, what);
    let text = read_from_start(&file).map_err(|e| malformed(e.to_string()))?;
    let SlotRequest { plan, groups } = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;
    drop((text, file));
    let (theirs, ours) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|e| Failure::about(Stage::Prepare, e, "slot socket"))?;
    let (namespaces, identity) = (slot::lasting(namespace_flags(&plan)), plan.identity.clone());
    let context = SlotContext::prepare(plan, groups, ours, lease)?;
    // What the preparations needed is no memory of the slot, nor of a sandbox made from it.
    trim_heap();
    let cloned = {
        let _blocked = Blocked::all();
        clone3(namespaces, None, slot::run, &context).map_err(|e| Failure::new(Stage::Clone, e))?
    };
    idmap::write_maps(cloned.pid, &identity, crate::launch::is_privileged())?;
    // Before it hides from those without rights over it.
    let ids = identity.setup.filter(|_| crate::launch::is_privileged()).map(|_| idmap::user_namespace_of(cloned.pid)).transpose()?;
    let go = crate::init::message::RELEASE_REQUEST;
    rustix::net::send(&theirs, &go, rustix::net::SendFlags::NOSIGNAL).map_err(|e| Failure::new(Stage::Control, e))?;
    Ok(Made { pidfd: cloned.pidfd, theirs, ids })
}

fn read_from_start(file: &std::fs::File) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
