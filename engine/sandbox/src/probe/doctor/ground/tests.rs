use super::*;
use crate::{Failure, Stage};

const BINARY: &str = "/usr/local/bin/enclos";
const STATUS: &str = "Name:\tenclos\nUid:\t1000\t1000\t1000\t1000\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";
const MOUNTS: &str = "26 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n27 26 0:5 / /proc rw - proc proc rw\n";

fn host(files: &[(&str, &str)]) -> Ground {
    let base = [("/proc/self/status", STATUS), ("/proc/self/mountinfo", MOUNTS), ("/proc/sys/kernel/osrelease", "6.8.0-31-generic\n")];
    // Later entries win.
    let all: Vec<(&str, &str)> = base.iter().chain(files).rev().copied().collect();
    Ground::read(false, &|path| all.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned()))
}

fn ubuntu() -> Ground {
    host(&[
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "1\n"),
        ("/proc/sys/user/max_user_namespaces", "62881\n"),
        ("/sys/kernel/security/lsm", "lockdown,capability,landlock,yama,apparmor"),
    ])
}

fn debian_hardened() -> Ground {
    host(&[("/proc/sys/kernel/unprivileged_userns_clone", "0\n"), ("/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n")])
}

fn blame(ground: &Ground, refusal: &Refusal) -> (String, String) {
    ground.blame(refusal, "user", Path::new(BINARY))
}

#[test]
fn ubuntu_takes_capabilities_away_and_the_remedy_is_a_profile_for_the_program() {
    let ground = ubuntu();
    assert!(ground.apparmor_restricts && !ground.clone_forbidden && !ground.filtered && !ground.chrooted);
    assert_eq!((ground.version(), ground.limit("user")), ((6, 8), Some(62881)));
    assert_eq!(ground.modules.as_deref(), Some("lockdown,capability,landlock,yama,apparmor"));
    let maps = Refusal::Maps(Failure::about(Stage::MapIds, Errno::ACCESS, "uid_map"));
    for refusal in [Refusal::Act(Errno::PERM), Refusal::Clone(Errno::ACCESS), maps] {
        let (why, remedy) = blame(&ground, &refusal);
        assert!(why.contains("AppArmor"), "{why}");
        for part in ["userns,", BINARY, "/etc/apparmor.d/enclos", "apparmor_parser -r", "kernel.apparmor_restrict_unprivileged_userns = 0"]
        {
            assert!(remedy.contains(part), "{part} is not in: {remedy}");
        }
        assert!(!remedy.contains('\n'), "a remedy is one line: {remedy:?}");
    }
}

#[test]
fn the_profile_is_as_apparmor_d_5_has_it() {
    let profile = apparmor_profile(Path::new("/opt/my tools/enclos"));
    assert_eq!(
        profile,
        "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile enclos \"/opt/my tools/enclos\" flags=(unconfined) {\n  userns,\n}\n"
    );
}

#[test]
fn ubuntu_restricts_nobody_who_is_root() {
    let (why, _) = blame(&Ground { privileged: true, ..ubuntu() }, &Refusal::Act(Errno::PERM));
    assert!(!why.contains("AppArmor"), "{why}");
}

#[test]
fn debian_forbids_the_clone_by_a_sysctl() {
    let ground = debian_hardened();
    assert!(ground.clone_forbidden && !ground.apparmor_restricts);
    let (why, remedy) = blame(&ground, &Refusal::Clone(Errno::PERM));
    assert_eq!(why, "kernel.unprivileged_userns_clone is 0");
    assert_eq!(remedy, "as root: echo 'kernel.unprivileged_userns_clone = 1' >> /etc/sysctl.d/80-enclos.conf && sysctl --system");
}

#[test]
fn a_host_without_those_sysctls_is_neither() {
    let ground = host(&[]);
    assert!(!ground.clone_forbidden && !ground.apparmor_restricts && !ground.selinux_enforces);
    assert_eq!((ground.modules.as_deref(), ground.limit("user")), (None, None));
}

#[test]
fn a_limit_of_nought_is_named() {
    let ground = host(&[("/proc/sys/user/max_user_namespaces", "0\n")]);
    let (why, remedy) = blame(&ground, &Refusal::Clone(Errno::NOSPC));
    assert_eq!(why, "user.max_user_namespaces is 0");
    assert!(remedy.contains("user.max_user_namespaces = 15000"), "{remedy}");
    let (why, _) = ground.blame(&Refusal::Clone(Errno::NOSPC), "mnt", Path::new(BINARY));
    assert_eq!(why, "user.max_user_namespaces is 0", "the mount namespace failed for want of its user namespace");
    let (why, remedy) =
        host(&[("/proc/sys/user/max_net_namespaces", "60000")]).blame(&Refusal::Clone(Errno::NOSPC), "net", Path::new(BINARY));
    assert!(why.contains("around us") && remedy.contains("user.max_net_namespaces"), "{why}: {remedy}");
}

#[test]
fn a_container_is_known_by_its_filter() {
    let ground = host(&[("/proc/self/status", "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n")]);
    assert!(ground.filtered && ground.no_new_privileges);
    assert!(blame(&ground, &Refusal::Clone(Errno::PERM)).1.contains("--security-opt seccomp=unconfined"));
    assert!(blame(&ground, &Refusal::Killed(31)).1.contains("--security-opt seccomp=unconfined"));
    assert!(ground.missing_call("5.3").contains("seccomp filter"));
}

#[test]
fn a_chroot_is_known_by_the_mount_that_is_not_there() {
    let ground = host(&[("/proc/self/mountinfo", "27 26 0:5 / /proc rw - proc proc rw\n")]);
    assert!(ground.chrooted);
    assert!(blame(&ground, &Refusal::Clone(Errno::PERM)).0.contains("chroot"));
}

#[test]
fn every_refusal_has_a_remedy() {
    let grounds = [ubuntu(), debian_hardened(), host(&[]), host(&[("/sys/fs/selinux/enforce", "1")]), Ground::default()];
    for ground in &grounds {
        for number in 1..=133 {
            let errno = Errno::from_raw_os_error(number);
            let maps = Refusal::Maps(Failure::about(Stage::MapIds, errno, "uid_map"));
            for refusal in [Refusal::Clone(errno), Refusal::Act(errno), maps] {
                for kind in KINDS {
                    assert!(!ground.blame(&refusal, kind, Path::new(BINARY)).1.is_empty(), "{refusal:?}");
                }
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*|(Seccomp:|NoNewPrivs:|[0-9 /\\-\n\t])*") {
        let ground = Ground::read(false, &|_| Some(text.clone()));
        let _ = (ground.version(), ground.limit("user"));
    }
}
