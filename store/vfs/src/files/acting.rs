//! Acting with other rights for a moment.

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid};

use crate::VfsError;
use crate::error::During;

/// Does something in a thread of its own that has these ids on the host, so that the kernel judges it as it judges a command with them. `rights`:
/// with the caller's capabilities all the same, as root would that is called by another number. The thread ends with it: nothing is given back,
/// so nothing can fail to be.
///
/// Real and saved ids stay the caller's: nobody with the ids taken may signal or trace this process for that.
///
/// # Errors
/// The kernel's: only root may take the ids of others.
pub fn acting_as<T: Send>(user: u32, group: u32, rights: bool, act: impl FnOnce() -> Result<T, VfsError> + Send) -> Result<T, VfsError> {
    let take = || {
        let had = capabilities(None)?;
        let (own_user, own_group) = (rustix::process::getuid(), rustix::process::getgid());
        set_thread_res_gid(own_group, Gid::from_raw(group), own_group)?;
        // Of the effective capabilities this leaves none (capabilities(7)).
        set_thread_res_uid(own_user, Uid::from_raw(user), own_user)?;
        let effective = if rights { had.effective } else { CapabilitySet::empty() };
        set_capabilities(None, rustix::thread::CapabilitySets { effective, ..had })
    };
    let run = || {
        take().during("taking", "the ids of the sandbox")?;
        act()
    };
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
