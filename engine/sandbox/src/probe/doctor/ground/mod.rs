//! What the texts of `/proc` and `/sys` say about the ground we stand on: settings that explain a refusal.

use std::path::Path;

use enclos_sys::Errno;

use super::attempt::Refusal;

/// Settings of this host and of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// The kernel's release, e.g. `6.1.0-18-amd64`.
    pub release: String,
    /// Root with the capabilities that set-up needs; most restrictions are for others.
    pub privileged: bool,
    /// This process runs under a seccomp filter of somebody else.
    pub filtered: bool,
    /// `no_new_privs` is set: setuid programs such as newuidmap have no effect.
    pub no_new_privileges: bool,
    /// The root is no mount point: the kernel refuses user namespaces in a chroot.
    pub chrooted: bool,
    /// `kernel.unprivileged_userns_clone` (Debian, Arch and others) is 0.
    pub clone_forbidden: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu 23.10 and later) is not 0.
    pub apparmor_restricts: bool,
    /// SELinux is enforcing.
    pub selinux_enforces: bool,
    /// The security modules in force, e.g. `lockdown,capability,landlock,yama`; `None` where securityfs is not mounted.
    pub modules: Option<String>,
    /// The actions a seccomp filter may answer with.
    pub filter_actions: String,
    /// Limits on namespaces, by the name of the sysctl's middle part, e.g. (`user`, 95000).
    pub limits: Vec<(&'static str, u64)>,
}

/// The kinds of `/proc/sys/user/max_*_namespaces` that a sandbox needs.
pub const KINDS: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// Below this many namespaces of a kind, a server of some size meets the limit.
pub const FEW: u64 = 256;

impl Ground {
    /// Reads it; `text` gives a file's content, `None` where there is no such file.
    pub fn read(privileged: bool, text: &dyn Fn(&str) -> Option<String>) -> Ground {
        let status = text("/proc/self/status").unwrap_or_default();
        let number = |path: &str| text(path).and_then(|content| content.trim().parse::<u64>().ok());
        Ground {
            release: text("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            privileged,
            filtered: field(&status, "Seccomp:") == Some("2"),
            no_new_privileges: field(&status, "NoNewPrivs:") == Some("1"),
            chrooted: text("/proc/self/mountinfo").is_some_and(|mounts| !has_root(&mounts)),
            clone_forbidden: number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0),
            apparmor_restricts: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_some_and(|value| value != 0),
            selinux_enforces: number("/sys/fs/selinux/enforce") == Some(1),
            modules: text("/sys/kernel/security/lsm").map(|list| list.trim().to_owned()).filter(|list| !list.is_empty()),
            filter_actions: text("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default().trim().to_owned(),
            limits: KINDS.iter().filter_map(|kind| Some((*kind, number(&format!("/proc/sys/user/max_{kind}_namespaces"))?))).collect(),
        }
    }

    /// Version and patch level of the kernel, e.g. (6, 1); zeros when the release is not of that form.
    pub fn version(&self) -> (u32, u32) {
        let mut numbers = self.release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// The limit on namespaces of a kind.
    pub fn limit(&self, kind: &str) -> Option<u64> {
        self.limits.iter().find(|(known, _)| *known == kind).map(|(_, limit)| *limit)
    }

    /// What stands behind a refusal of a namespace, or of something in one, and what to do: (why, remedy). `kind` is the sysctl's, `binary` the
    /// program that AppArmor is to allow.
    pub fn blame(&self, refusal: &Refusal, kind: &str, binary: &Path) -> (String, String) {
        match refusal {
            Refusal::Clone(Errno::NOSPC | Errno::USERS) | Refusal::Act(Errno::NOSPC | Errno::USERS) => self.blame_limit(kind),
            Refusal::Clone(Errno::AGAIN) => {
                ("a limit on processes is reached".to_owned(), "raise it: ulimit -u, or pids.max of the control group above".to_owned())
            }
            Refusal::Clone(Errno::NOSYS) => ("there is no clone3".to_owned(), self.missing_call("5.3")),
            Refusal::Clone(Errno::INVAL) => {
                (format!("the kernel is built without {kind} namespaces"), format!("run a kernel with CONFIG_{}_NS=y", config(kind)))
            }
            Refusal::Maps(failure) if failure.errno == Errno::NOENT => {
                ("there is no /proc".to_owned(), "mount -t proc proc /proc".to_owned())
            }
            refusal if refusal.is_denial() => self.blame_denial(binary),
            _ => (String::new(), format!("{REPORT} (kernel {})", self.release)),
        }
    }

    /// Which limit on namespaces is reached: the user namespace that everything needs may be the one.
    fn blame_limit(&self, kind: &str) -> (String, String) {
        let low = ["user", kind].into_iter().find(|kind| self.limit(kind).is_some_and(|limit| limit < FEW));
        let sysctl = format!("user.max_{}_namespaces", low.unwrap_or(kind));
        let why = match low.and_then(|kind| self.limit(kind)) {
            Some(limit) => format!("{sysctl} is {limit}"),
            None => format!("{sysctl} is reached, here or in the user namespace around us"),
        };
        (why, lasting_sysctl(&sysctl, "15000"))
    }

    /// Why a thing that every recent kernel can do is not allowed here.
    fn blame_denial(&self, binary: &Path) -> (String, String) {
        let (why, remedy) = match () {
            () if self.clone_forbidden && !self.privileged => {
                ("kernel.unprivileged_userns_clone is 0", lasting_sysctl("kernel.unprivileged_userns_clone", "1"))
            }
            () if self.apparmor_restricts && !self.privileged => {
                ("AppArmor restricts unprivileged user namespaces (Ubuntu)", apparmor_remedy(binary))
            }
            () if self.chrooted => {
                ("we are in a chroot, in which the kernel refuses user namespaces", "enter the tree by pivot_root instead, or run outside".to_owned())
            }
            () if self.filtered => ("we run under a seccomp filter, as in a container", CONTAINER.to_owned()),
            () if self.selinux_enforces => (
                "SELinux enforces",
                "see what it refused: ausearch -m avc -ts recent; allow it: ausearch -m avc -ts recent | audit2allow -M enclos && semodule -i enclos.pp"
                    .to_owned(),
            ),
            () => ("a security module or the policy of a container refuses", format!("see who refused: journalctl -k -n 50; {CONTAINER}")),
        };
        (why.to_owned(), remedy)
    }

    /// What to do about a system call that is not there.
    pub fn missing_call(&self, since: &str) -> String {
        if self.filtered {
            format!("we run under a seccomp filter, which may hide it: {CONTAINER}; else run Linux {since} or later")
        } else {
            format!("run Linux {since} or later")
        }
    }
}

/// For what nobody foresaw.
pub const REPORT: &str = "this is not known to happen: report it with the output of enclos doctor --json";

/// What a container needs so that sandboxes can be made in it.
pub const CONTAINER: &str = "in a container allow it: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
     --security-opt systempaths=unconfined (podman run --security-opt seccomp=unconfined --security-opt unmask=ALL)";

/// Sets a sysctl now and at every boot.
pub fn lasting_sysctl(name: &str, value: &str) -> String {
    format!("as root: echo '{name} = {value}' >> /etc/sysctl.d/80-enclos.conf && sysctl --system")
}

/// An AppArmor profile (ABI 4.0) under which `binary` may make user namespaces and is otherwise as free as before; to be kept as
/// `/etc/apparmor.d/enclos`. What confines the commands that `enclos` runs is Enclos itself.
#[must_use]
pub fn apparmor_profile(binary: &Path) -> String {
    format!("abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile enclos \"{}\" flags=(unconfined) {{\n  userns,\n}}\n", binary.display())
}

fn apparmor_remedy(binary: &Path) -> String {
    let profile = apparmor_profile(binary).replace("\n\n", "\n").replace('\n', "\\n");
    format!(
        "as root, a profile for the program: printf '{profile}' > /etc/apparmor.d/enclos && apparmor_parser -r /etc/apparmor.d/enclos; or for \
         every program: {}",
        lasting_sysctl("kernel.apparmor_restrict_unprivileged_userns", "0").trim_start_matches("as root: ")
    )
}

fn config(kind: &str) -> String {
    match kind {
        // There is no switch for mount namespaces, and the cgroup one hangs on control groups.
        "mnt" => "NAMESPACES=y, CONFIG_USER".to_owned(),
        "cgroup" => "CGROUPS=y, CONFIG_USER".to_owned(),
        kind => kind.to_uppercase(),
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Whether something is mounted on `/`, as `/proc/self/mountinfo` tells (proc_pid_mountinfo(5), field 5).
fn has_root(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/"))
}

#[cfg(test)]
mod tests;
