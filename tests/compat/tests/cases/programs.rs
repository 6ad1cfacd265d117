//! Programs of others that call `bwrap`, from PyPI, with the program under test first on their `PATH`.

use enclos_tests_compat::Case;

const BUILDSTREAM: &str = concat!(include_str!("../scripts/prelude.sh"), include_str!("../scripts/buildstream.sh"));
const ASV: &str = concat!(include_str!("../scripts/prelude.sh"), include_str!("../scripts/asv.sh"));

pub const CASES: &[Case] = &[
    // BuildStream 2.8: its buildbox-run calls bwrap once for every build. Debian's busybox-static is the root.
    Case::new("buildstream_builds_a_project", BUILDSTREAM)
        .out("hello\nuser 0\nhost buildbox\ninterfaces 1\nprocesses of others 0\nwithout capabilities 5\nfailed with exitcode 3\ncalled\n")
        .needs("busybox")
        .with_programs(),
    // asv-bwrap 0.1: benchmarks in a sandbox, results committed outside.
    Case::new("asv_bwrap_runs_its_sandbox", ASV)
        .user()
        .out("arguments run --quick\ndirectory /home/sandbox home /home/sandbox temporary /home/sandbox/tmp\nhost bench\nuser {uid}\nsession 1\nonce\ndata\npreamble1.sh\nrun1.sh\nprograms are read-only\nno directory of the host\nSeccomp:\t0\nparent 1\nNew results\nRegenerate HTML\nindex.html\nresults/seen\ncommand exit status 7\ncalled\n")
        .needs("git")
        .with_programs(),
    Case::new("asv_bwrap_refuses_root", concat!(include_str!("../scripts/prelude.sh"), "program 1 asv_bwrap config.toml run; cat log; ls out"))
        .root()
        .out("error: asv-bwrap should not be run as root\n")
        .with_programs(),
];
