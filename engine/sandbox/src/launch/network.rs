//! A network namespace made beside the preparations, for it is the dearest part of a sandbox: a helper process that shares this one's memory makes it while the plan
//! is compiled, and the sandbox is born in it.
//!
//! It belongs to the launcher's user namespace, not to the sandbox's: whatever rights somebody inside might have, they are none over this network. So it is for launchers
//! with the host's rights, and for plans that leave the command no capability.

use std::ffi::c_int;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use enclos_spec::plan::Plan;
use enclos_spec::{Net, Policy};
use enclos_sys::clone::{Stack, Until, clone_sharing_memory};
use enclos_sys::signal::Blocked;
use enclos_sys::wait::{Wait, wait_pid};
use enclos_sys::{Errno, capability, fd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Pid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Failure, Stage};

/// A network namespace in the making.
#[derive(Debug)]
pub struct Network {
    helper: Option<Pid>,
    /// Boxed: the helper keeps its address.
    charge: Box<Charge>,
}

#[derive(Debug)]
struct Charge {
    loopback: bool,
    /// Descriptors that the helper opens in the shared table; -1: none. The network it found, which is the launcher's own, …
    own: AtomicI32,
    /// … and the new one.
    made: AtomicI32,
    stack: Stack,
}

/// Whether such a namespace serves for this plan, where one can be made.
pub fn suits(plan: &Plan) -> bool {
    let joins = plan.join.user.is_some() || plan.join.user_after.is_some() || plan.join.pid.is_some();
    let no_rights = plan.capabilities.as_ref().is_some_and(|capabilities| capabilities.keep.is_empty());
    plan.namespaces.net && plan.namespaces.user && !joins && no_rights
}

/// Whether this thread may enter another network and come back. Its own belongs to the first user namespace: from any other it may leave it, and never return.
fn can_change() -> bool {
    let first = |link: &std::path::Path| link.as_os_str() == FIRST_USER_NAMESPACE;
    super::is_privileged() && std::fs::read_link("/proc/self/ns/user").is_ok_and(|link| first(&link))
}

/// The kernel gives it a number of its own (`PROC_USER_INIT_INO`, linux/proc_ns.h).
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

impl Network {
    /// Begins, before there is a plan, if one made from this policy will have a network of its own, and this process may come back from it.
    pub fn ahead(policy: &Policy) -> Option<Network> {
        (policy.net != Net::Host && can_change()).then(|| Self::begin(policy.net == Net::Loopback)).flatten()
    }

    /// Whether it is what the plan asks for.
    pub fn has(&self, loopback: bool) -> bool {
        self.charge.loopback == loopback
    }

    /// Begins. `None` where the helper cannot be made: the sandbox then makes its network itself, or tells why it cannot.
    fn begin(loopback: bool) -> Option<Network> {
        let charge = Box::new(Charge { loopback, own: AtomicI32::new(-1), made: AtomicI32::new(-1), stack: Stack::new().ok()? });
        let _blocked = Blocked::all();
        let helper = clone_sharing_memory(&charge.stack, Until::ClonedWithDescriptors, make, &*charge).ok()?;
        Some(Network { helper: Some(helper), charge })
    }

    /// Waits for it; this process's own network and the new one, or `None` when that could not be made.
    fn finished(&mut self) -> Option<(OwnedFd, OwnedFd)> {
        let helper = self.helper.take()?;
        let _ = wait_pid(helper, Wait::Ended);
        let taken = |number: &AtomicI32| fd::adopt(number.swap(-1, Ordering::SeqCst)).ok();
        taken(&self.charge.own).zip(taken(&self.charge.made))
    }

    /// Runs `within` with this thread in the new network, and tells it whether there is one.
    ///
    /// # Errors
    /// What `within` says; a thread that does not come back to its own network.
    pub fn born_within<T>(mut self, within: impl FnOnce(bool) -> crate::Result<T>) -> crate::Result<T> {
        let Some((own, made)) = self.finished() else { return within(false) };
        let failed = |errno: Errno| Failure::about(Stage::Clone, errno, "network namespace");
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&made), kind).map_err(failed)?;
        let answer = within(true);
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&own), kind).map_err(failed)?;
        answer
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.finished());
    }
}

/// The helper's life. Child-safe: it shares memory and descriptors with a launcher that goes on.
fn make(charge: &Charge) -> c_int {
    let network = || openat(CWD, c"/proc/self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let made = || {
        let own = network()?;
        capability::new_network_namespace()?;
        if charge.loopback {
            enclos_sys::net::loopback_up()?;
        }
        Ok((own, network()?))
    };
    let made: Result<(OwnedFd, OwnedFd), Errno> = made();
    if let Ok((own, made)) = made {
        // The launcher's from here on.
        charge.own.store(own.into_raw_fd(), Ordering::SeqCst);
        charge.made.store(made.into_raw_fd(), Ordering::SeqCst);
    }
    0
}
