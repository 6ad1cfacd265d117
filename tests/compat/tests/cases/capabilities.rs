//! Capabilities of the command.

use enclos_tests_compat::Case;

pub const CASES: &[Case] = &[
    Case::new("a_user_has_none", "$B $RO --proc /proc grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status")
        .user()
        .out("CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n"),
    Case::new("a_user_with_dev_has_none", "$B $RO --proc /proc --dev /dev grep -E 'Cap(Eff|Bnd)' /proc/self/status")
        .user()
        .out("CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n"),
    Case::new("a_user_as_uid_0_has_none", "$B $RO --uid 0 --proc /proc grep -E 'Cap(Prm|Eff)' /proc/self/status")
        .user()
        .out("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"),
    Case::new("a_user_can_add_one", "$B $RO --cap-add CAP_KILL --proc /proc grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status")
        .user()
        .out("CapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\nCapBnd:\t0000000000000020\nCapAmb:\t0000000000000020\n"),
    Case::new("a_user_can_add_two", "$B $RO --cap-add CAP_KILL --cap-add cap_chown --proc /proc grep CapEff /proc/self/status")
        .user()
        .out("CapEff:\t0000000000000021\n"),
    Case::new("a_user_can_add_all", "$B $RO --cap-add ALL --proc /proc grep -c 'CapEff:.*ffffffff$' /proc/self/status").user().out("1\n"),
    Case::new("a_user_with_dev_can_add_one", "$B $RO --dev /dev --cap-add CAP_KILL --proc /proc grep CapEff /proc/self/status")
        .user()
        .out("CapEff:\t0000000000000020\n"),
    Case::new("root_keeps_its_own", "$B --bind / / grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status > o; grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | cmp - o")
        .root(),
    Case::new("root_drops_one", "$B --bind / / --cap-drop CAP_KILL sh -c 'grep CapEff /proc/self/status | grep -c \"df$\"; grep CapBnd /proc/self/status | grep -c \"ff$\"'")
        .root()
        .out("1\n1\n"),
    Case::new("root_drops_all", "$B --bind / / --cap-drop ALL grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status")
        .root()
        .out("CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"),
    Case::new("root_in_a_user_namespace_keeps_its_own", "$B --bind / / --unshare-user grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status > o; grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | cmp - o")
        .root(),
    Case::new("root_in_a_user_namespace_drops_one", "$B --bind / / --unshare-user --cap-drop CAP_KILL sh -c 'grep -cE \"Cap(Inh|Prm|Eff|Bnd|Amb):.*df$\" /proc/self/status'")
        .root()
        .out("5\n"),
    Case::new("root_as_another_user_has_none", "$B --bind / / --unshare-user --uid 5 grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status")
        .root()
        .out("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n"),
    Case::new("root_as_another_user_keeps_what_was_added", "$B --bind / / --unshare-user --uid 5 --cap-drop ALL --cap-add CAP_KILL grep CapEff /proc/self/status")
        .root()
        .out("CapEff:\t0000000000000020\n"),
    Case::new("in_any_case", "$B $RO --proc /proc --cap-drop all --cap-add Cap_Kill grep CapEff /proc/self/status").out("CapEff:\t0000000000000020\n"),
    Case::new("by_number", "$B $RO --proc /proc --cap-drop ALL --cap-add 5 --cap-add 0x0 grep CapEff /proc/self/status").out("CapEff:\t0000000000000021\n"),
    Case::new("dropping_what_one_lacks", "$B $RO --cap-drop CAP_KILL true"),
    Case::new("unknown", "$B $RO --cap-add kill true").refused(&["bwrap: unknown cap: kill"]),
    Case::new("unknown_to_drop", "$B $RO --cap-drop CAP_FOO true").refused(&["bwrap: unknown cap: CAP_FOO"]),
    Case::new("number_too_large", "$B $RO --cap-drop 64 true").refused(&["bwrap: unknown cap: 64"]),
    Case::new("empty", "$B $RO --cap-drop '' true").refused(&["bwrap: unknown cap: "]),
];
