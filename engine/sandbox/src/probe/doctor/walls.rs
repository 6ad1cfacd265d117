//! The filter and the second wall.

use enclos_sys::clone::NamespaceFlags;
use enclos_sys::landlock::{self, FileAccess, Handled};
use enclos_sys::{Errno, landlock::abi_version};

use super::acts;
use super::attempt::{Refusal, attempt};
use super::finding::Finding;
use super::ground::Ground;

/// seccomp and Landlock.
pub fn findings(ground: &Ground) -> Vec<Finding> {
    let refused = || landlock::create(&Handled { files: FileAccess::READ.known_to(1), tcp: false, scopes: false }).map(drop);
    vec![
        seccomp(attempt(NamespaceFlags::NONE, acts::filter), ground),
        actions(ground),
        wall(abi_version(), refused(), || attempt(NamespaceFlags::NONE, acts::landlock), ground),
    ]
}

fn seccomp(tried: Result<(), Refusal>, ground: &Ground) -> Finding {
    const SUBJECT: &str = "seccomp filters";
    match tried {
        Ok(()) if ground.filtered => Finding::ok(SUBJECT, "usable; we run under one of somebody else's, and both hold"),
        Ok(()) => Finding::ok(SUBJECT, "usable"),
        Err(refusal) => Finding::missing(
            SUBJECT,
            refusal.to_string(),
            "no sandbox can be made but with --seccomp none",
            if ground.filtered { ground.missing_call("3.17") } else { "run a kernel with CONFIG_SECCOMP_FILTER=y".to_owned() },
        ),
    }
}

/// What the built-in filter and `--seccomp log` answer with.
fn actions(ground: &Ground) -> Finding {
    const SUBJECT: &str = "seccomp actions";
    let has = |action: &str| ground.filter_actions.split_ascii_whitespace().any(|known| known == action);
    let lacking: Vec<&str> = ["errno", "kill_process", "log", "allow"].into_iter().filter(|action| !has(action)).collect();
    if lacking.is_empty() {
        return Finding::ok(SUBJECT, ground.filter_actions.replace(' ', ", "));
    }
    Finding::weak(
        SUBJECT,
        if ground.filter_actions.is_empty() {
            "/proc/sys/kernel/seccomp/actions_avail cannot be read".to_owned()
        } else {
            format!("not available: {}", lacking.join(", "))
        },
        "the kernel takes the strictest action it knows instead; --seccomp log may kill",
        "run Linux 4.14 or later, with /proc mounted",
    )
}

/// What each ABI brought, from the newest: (ABI, what a sandbox lacks below it, kernel).
const ABIS: [(u32, &str, &str); 5] = [
    (6, "abstract Unix sockets and signals are bounded by namespaces alone", "6.12"),
    (5, "commands to devices (ioctl) are not ruled", "6.10"),
    (4, "TCP is bounded by the network namespace alone", "6.7"),
    (3, "cutting a file short is not ruled", "6.2"),
    (2, "no file can be moved or linked from one directory to another inside", "5.19"),
];

fn wall(abi: u32, refused: Result<(), Errno>, tried: impl Fn() -> Result<(), Refusal>, ground: &Ground) -> Finding {
    const SUBJECT: &str = "Landlock";
    const COST: &str = "no second wall: mounts and namespaces alone confine the file system; runs say so in their report";
    if abi == 0 {
        let (detail, remedy) = match refused {
            Err(Errno::OPNOTSUPP) => ("built into the kernel, but off", enable(ground)),
            Err(Errno::NOSYS) if !ground.filtered => (
                "the kernel has none",
                format!("run Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK=y; if it is off: {}", enable(ground)),
            ),
            _ => ("its calls are refused", format!("{}; if it is off: {}", ground.missing_call("5.13"), enable(ground))),
        };
        return Finding::missing(SUBJECT, detail, COST, remedy);
    }
    if let Err(refusal) = tried() {
        return Finding::missing(
            SUBJECT,
            format!("ABI {abi}, but rules cannot be put in force: {refusal}"),
            COST,
            ground.missing_call("5.13"),
        );
    }
    let lacking: Vec<&str> = ABIS.iter().filter(|(since, _, _)| abi < *since).map(|(_, lack, _)| *lack).collect();
    match lacking.is_empty() {
        true => Finding::ok(SUBJECT, format!("ABI {abi}")),
        false => Finding::weak(SUBJECT, format!("ABI {abi}"), lacking.join("; "), format!("run Linux {} or later", ABIS[0].2)),
    }
}

/// How to switch it on at boot. The list replaces the kernel's own, so it must name the others too.
fn enable(ground: &Ground) -> String {
    let how = match &ground.modules {
        // capability is always first and must not be named.
        Some(modules) => {
            let others: Vec<&str> = modules.split(',').filter(|module| !matches!(*module, "capability" | "landlock")).collect();
            let list = std::iter::once("landlock").chain(others).collect::<Vec<_>>().join(",");
            format!("boot with the kernel parameter lsm={list}")
        }
        None => "boot with the kernel parameter lsm=landlock,LIST, where LIST is what the kernel has now: mount -t securityfs securityfs \
                 /sys/kernel/security && cat /sys/kernel/security/lsm"
            .to_owned(),
    };
    format!("{how} (Debian, Ubuntu: in GRUB_CMDLINE_LINUX of /etc/default/grub, then update-grub)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::doctor::State;

    fn with_modules(list: &str) -> Ground {
        Ground { modules: Some(list.to_owned()), ..Ground::default() }
    }

    #[test]
    fn landlock_that_is_off_is_switched_on_beside_what_is_on() {
        let found = wall(0, Err(Errno::OPNOTSUPP), || Ok(()), &with_modules("capability,yama,apparmor"));
        assert_eq!((found.state, found.detail.as_str()), (State::Missing, "built into the kernel, but off"));
        assert!(found.remedy.starts_with("boot with the kernel parameter lsm=landlock,yama,apparmor "), "{}", found.remedy);
        let found = wall(0, Err(Errno::OPNOTSUPP), || Ok(()), &Ground::default());
        assert!(found.remedy.contains("lsm=landlock,LIST"), "{}", found.remedy);
    }

    #[test]
    fn an_old_abi_says_what_it_lacks() {
        let at = |abi| wall(abi, Ok(()), || Ok(()), &Ground::default());
        assert_eq!(at(7), Finding::ok("Landlock", "ABI 7"));
        assert_eq!(at(6).state, State::Ok);
        assert_eq!(at(5).cost, "abstract Unix sockets and signals are bounded by namespaces alone");
        assert_eq!(at(1).cost.matches("; ").count(), 4);
        assert_eq!(at(1).remedy, "run Linux 6.12 or later");
    }

    #[test]
    fn a_kernel_without_landlock_and_a_container_that_hides_it() {
        let found = wall(0, Err(Errno::NOSYS), || Ok(()), &Ground::default());
        assert!(found.remedy.contains("CONFIG_SECURITY_LANDLOCK"), "{}", found.remedy);
        let filtered = Ground { filtered: true, ..Ground::default() };
        let found = wall(0, Err(Errno::PERM), || Ok(()), &filtered);
        assert!(found.remedy.contains("--security-opt"), "{}", found.remedy);
    }

    #[test]
    fn actions_by_name() {
        let of = |text: &str| actions(&Ground { filter_actions: text.to_owned(), ..Ground::default() });
        assert_eq!(of("kill_process kill_thread trap errno user_notif trace log allow").state, State::Ok);
        assert_eq!(of("kill_thread trap errno trace allow").detail, "not available: kill_process, log");
        assert!(of("").detail.contains("cannot be read"));
    }
}
