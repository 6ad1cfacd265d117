//! Leftovers of dead makers are found, ended and removed; those of living ones are left alone.

use enclos_cgroup::{Controller, Group, Limits, Maker, Meters, Name, reap_orphans};

use crate::real::{Shell, hosts, make};

/// A name as a process made it that is not there any more: our own number, but another start.
fn name_of_a_dead_maker() -> Name {
    let me = Name::fresh().unwrap();
    let Maker { pid, start, pid_namespace } = me.maker();
    let number = me.as_str().rsplit_once('-').unwrap().1;
    Name::parse(&format!("enclos-{pid}-{}-{pid_namespace}-{number}", start + 1)).unwrap()
}

#[test]
fn a_leftover_is_ended_and_removed_and_a_living_group_is_not() {
    for host in hosts("a_leftover_is_ended_and_removed_and_a_living_group_is_not", &[Controller::CpuAcct]) {
        let can = |controller| host.place(controller).is_ok();
        let limits = Limits {
            memory: can(Controller::Memory).then_some(64 << 20),
            pids: can(Controller::Pids).then_some(20),
            freeze: can(Controller::Freezer),
            meters: Meters::ALL,
            ..Limits::default()
        };
        let mut living = make(&host, &limits);
        let dead = host.create(&name_of_a_dead_maker(), &limits).unwrap();
        let (name, paths): (_, Vec<_>) = (dead.name().clone(), dead.paths().collect());
        let mut shell = Shell::within(&dead, "sleep 60 & sleep 60");
        if limits.freeze {
            dead.freeze(std::time::Duration::from_secs(5)).unwrap();
        }
        std::mem::forget(dead);

        // Leftovers of others on this host are theirs to look at.
        let reaped = reap_orphans(&host, |maker| maker.is_alive() || maker != name.maker());
        assert!(reaped.failed.is_empty(), "{:?}", reaped.failed);
        let removed: Vec<_> = reaped.removed.iter().filter(|path| path.ends_with(name.as_str())).collect();
        assert_eq!(removed.len(), paths.len(), "{reaped:?}");
        assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
        assert!(!shell.wait().success());
        assert!(living.paths().all(|path| path.exists()));
        living.remove().unwrap();
    }
}

#[test]
fn a_group_that_somebody_keeps_is_no_leftover_until_let_go() {
    for host in hosts("a_group_that_somebody_keeps_is_no_leftover_until_let_go", &[Controller::CpuAcct]) {
        let can = |controller| host.place(controller).is_ok();
        let limits = Limits { memory: can(Controller::Memory).then_some(64 << 20), meters: Meters::ALL, ..Limits::default() };
        let group = host.create(&name_of_a_dead_maker(), &limits).unwrap();
        let (name, paths): (_, Vec<_>) = (group.name().clone(), group.paths().collect());
        let kept = group.keep().unwrap().unwrap();
        let nodes = group.kept_nodes();
        let mut shell = Shell::within(&group, "sleep 60");
        std::mem::forget(group);
        let reap = || reap_orphans(&host, |maker| maker.is_alive() || maker != name.maker());
        let copy = kept.try_clone().unwrap();
        drop(kept);
        assert!(reap().removed.is_empty());
        assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
        let adopted = Group::adopt(&name, &limits, nodes.clone()).unwrap();
        assert!(adopted.populated().unwrap());
        assert_eq!(adopted.paths().collect::<Vec<_>>(), paths);
        std::mem::forget(adopted);
        drop(copy);
        // A process that another test is just making has a copy until it executes.
        let removed =
            (0..500).map(|_| (reap().removed.len(), std::thread::sleep(std::time::Duration::from_millis(10)))).find(|(n, ())| *n > 0);
        assert_eq!(removed.map(|(n, ())| n), Some(paths.len()));
        assert!(!shell.wait().success());
        assert!(Group::adopt(&name, &limits, nodes).is_err());
    }
}
