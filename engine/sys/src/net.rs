//! Network interfaces.

use std::os::fd::AsRawFd;

use linux_raw_sys::general::__NR_ioctl;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::Errno;
use crate::raw::syscall;

/// Brings `lo` up in this process's network namespace (`SIOCSIFFLAGS`, netdevice(7)); the kernel gives it its addresses then. Child-safe.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the namespace; else what ioctl(2) says.
pub fn loopback_up() -> Result<(), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all-zero is a valid value of this plain struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads one `ifreq`, which lives across the call.
    unsafe { syscall(__NR_ioctl, [socket.as_raw_fd() as usize, libc::SIOCSIFFLAGS as usize, &raw const request as usize, 0, 0, 0]) }
        .map(drop)
}
