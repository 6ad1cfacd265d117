//! Many makers at once, of which none knows of the others.

use enclos_cgroup::{Controller, Host, Limits, Meters, Name, ProcView, Restrict};

use crate::real::hosts;

#[test]
fn makers_that_come_and_go_do_not_disturb_each_other() {
    for host in hosts("makers_that_come_and_go_do_not_disturb_each_other", &[Controller::CpuAcct]) {
        let memory = host.place(Controller::Memory).is_ok();
        let pids = host.place(Controller::Pids).is_ok();
        let round = |host: &Host, number: usize| {
            // Different needs meet in the same node.
            let limits = Limits {
                memory: (memory && number.is_multiple_of(2)).then_some(1 << 24),
                pids: (pids && number.is_multiple_of(3)).then_some(5),
                meters: Meters { cpu: true, memory: false, pids: false },
                ..Limits::default()
            };
            let mut group = host.create(&Name::fresh().unwrap(), &limits).unwrap();
            assert_eq!(group.cpu_usec().unwrap(), 0);
            group.remove().unwrap();
        };
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (round, host) = (&round, &host);
                scope.spawn(move || {
                    // Half of them share a picture of the host, the others each have their own, as another process would.
                    let own = [Restrict::Nothing, Restrict::V1Only, Restrict::V2Only]
                        .into_iter()
                        .map(|restrict| Host::detect(&ProcView::read().unwrap().restricted(restrict)))
                        .find(|own| own.kind() == host.kind())
                        .unwrap();
                    let host = if thread % 2 == 0 { host } else { &own };
                    for number in 0..50 {
                        round(host, number + thread);
                    }
                });
            }
        });
    }
}
