//! What bubblewrap does not have.

use enclos_tests_compat::Case;

const OURS: &str = "an option of ours";

pub const CASES: &[Case] = &[
    Case::new("limit_open_files", "$B $RO --enclos-limits open-files=64 sh -c 'ulimit -n'").out("64\n").differs(OURS),
    Case::new("limit_file_size", "$B $RO --bind out /o --dev /dev --enclos-limits file-size=4096 sh -c 'head -c 9000 /dev/zero > /o/f' 2>/dev/null; stat -c %s out/f")
        .out("4096\n")
        .differs(OURS),
    Case::new("the_last_limit_of_a_kind_holds", "$B $RO --enclos-limits open-files=64 --enclos-limits open-files=32 sh -c 'ulimit -n'")
        .out("32\n")
        .differs(OURS),
    // Limits that need somebody who watches are refused by name, never dropped.
    Case::new("limits_that_need_a_watcher", "for l in wall=1s idle=1s cpu=1s memory=64M processes=9; do $B $RO --enclos-limits $l touch $W/ran 2>&1; done | grep -c 'is not watched; use enclos run'; test -e ran || echo none ran")
        .out("5\nnone ran\n")
        .differs(OURS),
    Case::new("limit_unknown", "$B $RO --enclos-limits memry=1M true")
        .refused(&["bwrap: --enclos-limits: \"memry\" is not one of "])
        .differs(OURS),
    Case::new("limit_without_value", "$B $RO --enclos-limits memory true")
        .refused(&["bwrap: --enclos-limits: \"memory\" is not KEY=VALUE, e.g. memory=64M"])
        .differs(OURS),
    Case::new("report_is_refused", "$B $RO --enclos-report $W/out/r true").refused(&["bwrap: --enclos-report: a sandbox made from bubblewrap's options is not measured"]).differs(OURS),
];
