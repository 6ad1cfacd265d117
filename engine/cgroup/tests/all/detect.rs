//! Which kind of host it is, and where each controller is, from texts and made-up trees.

use enclos_cgroup::{Controller, Host, Kind, Limits, Missing, Name, ProcView, Restrict, Version};

use crate::fixture::Fixture;

/// Where groups with `controller` would be made.
fn parent(fixture: &Fixture, host: &Host, controller: Controller) -> (Version, String) {
    let place = host.place(controller).unwrap_or_else(|missing| panic!("{controller}: {missing}"));
    (place.version, fixture.inside(&place.parent))
}

/// Our node, as it is called for the user who runs the tests.
fn node(path: &str) -> String {
    format!("{}/enclos.{}", path.trim_end_matches('/'), rustix::process::geteuid().as_raw())
}

#[test]
fn no_cgroup_file_system_is_the_kind_none() {
    let fixture = Fixture::new();
    let host = fixture.host();
    assert_eq!(host.kind(), Kind::None);
    for controller in Controller::ALL {
        assert_eq!(host.place(controller), Err(Missing::NotMounted));
    }
    let bare = Host::detect(&ProcView::default());
    assert_eq!(bare.kind(), Kind::None, "a host that shows nothing at all is one without");
}

#[test]
fn a_named_hierarchy_alone_gives_nothing() {
    let mut fixture = Fixture::new();
    fixture.mount("cg/systemd", "/", "cgroup cgroup rw,name=systemd", "rw");
    fixture.member("1:name=systemd:/init.scope");
    assert_eq!(fixture.host().kind(), Kind::None);
}

#[test]
fn v1_groups_go_below_our_own_in_each_hierarchy() {
    let fixture = Fixture::new().v1("cg/memory", "memory", "/a/b").v1("cg/cpu,cpuacct", "cpu,cpuacct", "/c").v1("cg/pids", "pids", "/");
    let host = fixture.host();
    assert_eq!(host.kind(), Kind::V1);
    assert_eq!(parent(&fixture, &host, Controller::Memory), (Version::V1, "/cg/memory/a/b".into()));
    assert_eq!(parent(&fixture, &host, Controller::CpuAcct), (Version::V1, "/cg/cpu,cpuacct/c".into()));
    assert_eq!(parent(&fixture, &host, Controller::Pids), (Version::V1, "/cg/pids".into()));
    assert_eq!(host.place(Controller::Freezer), Err(Missing::NotMounted));
}

#[test]
fn a_hybrid_host_has_each_controller_where_it_is_bound() {
    let fixture =
        Fixture::new().v1("cg/memory", "memory", "/own").v1("cg/cpuacct", "cpuacct", "/").v2("cg/unified", "/", &[("/", "hugetlb", "")]);
    let host = fixture.host();
    assert_eq!(host.kind(), Kind::Hybrid);
    assert_eq!(parent(&fixture, &host, Controller::Memory), (Version::V1, "/cg/memory/own".into()));
    assert_eq!(
        parent(&fixture, &host, Controller::CpuAcct),
        (Version::V2, "/cg/unified".into()),
        "every v2 group counts CPU time by itself"
    );
    assert_eq!(parent(&fixture, &host, Controller::Freezer), (Version::V2, "/cg/unified".into()));
    let missing = host.place(Controller::Pids).unwrap_err();
    assert_eq!(missing, Missing::NotAvailable { controller: Controller::Pids, dir: fixture.path("cg/unified") });
    assert!(missing.to_string().starts_with("v2 pids: not in cgroup.controllers of "), "{missing}");
}

#[test]
fn a_hybrid_host_may_have_some_controllers_in_v2() {
    let groups = [("/", "memory pids", "memory pids")];
    let fixture = Fixture::new().v1("cg/cpuset", "cpuset", "/").v2("cg/unified", "/", &groups);
    let host = fixture.host();
    assert_eq!(host.kind(), Kind::Hybrid);
    assert_eq!(parent(&fixture, &host, Controller::CpuSet), (Version::V1, "/cg/cpuset".into()));
    assert_eq!(parent(&fixture, &host, Controller::Memory), (Version::V2, node("/cg/unified")));
}

#[test]
fn restricting_shows_what_a_lesser_host_would_have() {
    let fixture = Fixture::new().v1("cg/memory", "memory", "/own").v2("cg/unified", "/", &[("/", "pids", "pids")]);
    let kinds =
        [(Restrict::Nothing, Kind::Hybrid), (Restrict::V1Only, Kind::V1), (Restrict::V2Only, Kind::V2), (Restrict::NoCgroups, Kind::None)];
    for (restrict, kind) in kinds {
        assert_eq!(Host::detect(&fixture.view().restricted(restrict)).kind(), kind, "{restrict:?}");
    }
}

/// A login of root under systemd: our own group has processes, our slice passes memory and pids on, cpuset only the root has.
fn systemd_login() -> Fixture {
    Fixture::new().v2(
        "cg",
        "/user.slice/user-0.slice/session-1.scope",
        &[
            ("/", "cpuset cpu io memory pids", "cpu io memory pids"),
            ("/user.slice", "cpu io memory pids", "memory pids"),
            ("/user.slice/user-0.slice", "memory pids", "memory pids"),
            ("/user.slice/user-0.slice/session-1.scope", "memory pids", ""),
        ],
    )
}

#[test]
fn a_v2_node_goes_below_the_nearest_group_that_passes_the_controllers_on() {
    let fixture = systemd_login();
    let host = fixture.host();
    assert_eq!(host.kind(), Kind::V2);
    assert_eq!(parent(&fixture, &host, Controller::Memory).1, node("/cg/user.slice/user-0.slice"));
    assert_eq!(parent(&fixture, &host, Controller::Pids).1, node("/cg/user.slice/user-0.slice"));
    assert_eq!(parent(&fixture, &host, Controller::Cpu).1, node("/cg"), "the nearest that passes cpu on");
    assert_eq!(parent(&fixture, &host, Controller::CpuSet).1, node("/cg"), "only the root can be made to pass cpuset on");
    assert_eq!(
        parent(&fixture, &host, Controller::CpuAcct).1,
        "/cg/user.slice/user-0.slice/session-1.scope",
        "what needs no controller stays with us"
    );
}

#[test]
fn a_container_full_of_processes_cannot_pass_controllers_on_and_says_so() {
    // The mount's root is our own group, which is not the root of the tree: it has a cgroup.type.
    let fixture = Fixture::new().v2("cg", "/", &[("/", "memory pids", "")]);
    fixture.write("cg/cgroup.type", "domain\n");
    let missing = fixture.host().place(Controller::Memory).unwrap_err();
    assert_eq!(missing, Missing::Populated { controller: Controller::Memory, dir: fixture.path("cg") });
    let text = missing.to_string();
    assert!(text.starts_with("v2 memory: not in cgroup.subtree_control of ") && text.contains("has processes of its own"), "{text}");

    fixture.write("cg/cgroup.procs", "");
    assert_eq!(parent(&fixture, &fixture.host(), Controller::Memory).1, node("/cg"), "without processes it can");
}

#[test]
fn a_threaded_group_takes_no_sandbox() {
    let fixture = Fixture::new().v2("cg", "/", &[("/", "pids", "pids")]);
    fixture.write("cg/cgroup.type", "domain threaded\n");
    let expected = Missing::Threaded { dir: fixture.path("cg"), kind: "domain threaded".into() };
    assert_eq!(fixture.host().place(Controller::CpuAcct), Err(expected.clone()));
    assert_eq!(fixture.host().place(Controller::Pids), Err(expected));
}

#[test]
fn a_mount_from_outside_our_cgroup_namespace_hides_our_group() {
    let mut fixture = Fixture::new();
    fixture.mount("cg/memory", "/../..", "cgroup cgroup rw,memory", "rw");
    fixture.mount("cg/unified", "/..", "cgroup2 cgroup2 rw", "rw");
    fixture.member("2:memory:/");
    fixture.member("0::/");
    let host = fixture.host();
    assert_eq!(host.kind(), Kind::Hybrid);
    let missing = host.place(Controller::Memory).unwrap_err();
    assert_eq!(missing, Missing::Hidden { point: fixture.path("cg/memory"), root: "/../..".into(), own: "/".into() });
    assert!(matches!(host.place(Controller::CpuAcct), Err(Missing::Hidden { .. })));

    // The usual remedy: mounted again from inside.
    fixture.mount("again", "/", "cgroup cgroup rw,memory", "rw");
    fixture.dir("again");
    assert_eq!(parent(&fixture, &fixture.host(), Controller::Memory), (Version::V1, "/again".into()));
}

#[test]
fn a_bind_mounted_group_is_found_by_the_root_of_its_mount() {
    let mut fixture = Fixture::new();
    fixture.mount("cg/memory", "/docker/f00", "cgroup cgroup rw,memory", "rw");
    fixture.mount("cg/pids", "/docker/other", "cgroup cgroup rw,pids", "rw");
    fixture.member("2:memory:/docker/f00/inner");
    fixture.member("3:pids:/docker/f00");
    fixture.dir("cg/memory/inner");
    let host = fixture.host();
    assert_eq!(parent(&fixture, &host, Controller::Memory).1, "/cg/memory/inner");
    assert!(matches!(host.place(Controller::Pids), Err(Missing::Hidden { .. })));
}

#[test]
fn of_several_mounts_the_writable_one_that_shows_our_group_counts() {
    let mut fixture = Fixture::new();
    fixture.mount("good", "/", "cgroup cgroup rw,memory", "rw");
    fixture.mount("foreign", "/elsewhere", "cgroup cgroup rw,memory", "rw");
    fixture.mount("frozen", "/", "cgroup cgroup rw,memory", "ro,nosuid");
    fixture.member("2:memory:/");
    fixture.dir("good");
    assert_eq!(parent(&fixture, &fixture.host(), Controller::Memory).1, "/good");
}

#[test]
fn a_read_only_mount_is_named() {
    let mut fixture = Fixture::new();
    fixture.mount("cg", "/", "cgroup2 cgroup rw,nsdelegate", "ro,nosuid");
    fixture.member("0::/");
    let missing = fixture.host().place(Controller::Memory).unwrap_err();
    assert_eq!(missing, Missing::ReadOnly { point: fixture.path("cg") });
}

#[test]
fn odd_characters_in_mount_points_and_groups_are_followed() {
    let fixture = Fixture::new().v1("c g\t\\x/mem ory", "memory", "/a b:c\\d");
    assert_eq!(parent(&fixture, &fixture.host(), Controller::Memory).1, "/c g\t\\x/mem ory/a b:c\\d");
}

#[test]
fn a_group_deleted_under_us_is_named() {
    let mut fixture = Fixture::new();
    fixture.mount("cg", "/", "cgroup2 cgroup rw", "rw");
    fixture.member("0::/gone (deleted)");
    let missing = fixture.host().place(Controller::CpuAcct).unwrap_err();
    assert_eq!(missing, Missing::Deleted { own: "/gone (deleted)".into() });
}

#[test]
fn a_mount_point_covered_by_something_else_is_named() {
    let mut fixture = Fixture::new();
    fixture.mount("covered", "/", "cgroup cgroup rw,memory", "rw");
    fixture.member("2:memory:/");
    assert!(matches!(fixture.host().place(Controller::Memory), Err(Missing::Unreadable { .. })), "no such directory");

    // A directory that is no group: what we made in it is taken away again, and the error names the file.
    fixture.dir("covered");
    let error =
        fixture.host().create(&Name::fresh().unwrap(), &Limits { memory: Some(1 << 20), ..Limits::default() }).unwrap_err().to_string();
    assert!(error.starts_with("cannot write \"1048576\" to ") && error.contains("/memory.limit_in_bytes: "), "{error}");
    assert_eq!(std::fs::read_dir(fixture.path("covered")).unwrap().count(), 0, "nothing stays behind");
}

#[test]
fn the_doctor_names_every_controller_with_a_remedy_for_what_is_missing() {
    let fixture = systemd_login();
    let findings = fixture.host().findings();
    for controller in Controller::ALL {
        let finding = findings.iter().find(|f| f.subject == format!("{controller} controller")).unwrap();
        assert_eq!(finding.state, enclos_cgroup::State::Ok, "{finding:?}");
    }
    for finding in Fixture::new().host().findings() {
        assert_ne!(finding.state, enclos_cgroup::State::Ok, "{finding:?}");
        assert!(!finding.detail.is_empty() && !finding.cost.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
    }
    let populated = Fixture::new().v2("cg", "/", &[("/", "memory pids", "")]);
    populated.write("cg/cgroup.type", "domain\n");
    let findings = populated.host().findings();
    let memory = findings.iter().find(|f| f.subject == "memory controller").unwrap();
    assert!(memory.remedy.contains("Delegate=yes"), "{memory:?}");
}

proptest::proptest! {
    #[test]
    fn no_text_of_the_kernel_panics(
        mountinfo in proptest::collection::vec("[0-9]{1,2} 1 0:1 /[./a-z]{0,6} /[./a-z]{0,6} rw - cgroup2? x rw(,(memory|pids|ro))?", 0..5),
        cgroup in proptest::collection::vec("[0-9]:(memory|pids|name=x|):/[./:a-z]{0,8}", 0..5),
        noise: Vec<u8>,
    ) {
        let mut view = ProcView { mountinfo: mountinfo.join("\n").into_bytes(), cgroup: cgroup.join("\n").into_bytes(), ..ProcView::default() };
        view.mountinfo.extend(&noise);
        view.cgroup.extend(&noise);
        for restrict in [Restrict::Nothing, Restrict::V1Only, Restrict::V2Only, Restrict::NoCgroups] {
            let kind = Host::detect(&view.clone().restricted(restrict)).kind();
            proptest::prop_assert!(restrict != Restrict::NoCgroups || kind == Kind::None);
        }
    }
}
