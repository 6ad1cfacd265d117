//! Prints the built-in policies, or writes their programs.
//!
//! ```text
//! filter describe default|setup|narrow [nested] [fixed-cpus] [log]    one line for each rule
//! filter export   default|setup|narrow [nested] [fixed-cpus] [log]    the program, as seccomp_export_bpf(3) writes it
//! filter dump     default|setup|narrow [nested] [fixed-cpus] [log]    the program, one instruction a line
//! ```
//!
//! `bwrap --seccomp 9 ... 9< <(filter export default)` is one use.

use std::io::Write as _;

use enclos_seccomp::{Options, Stage, default_policy, narrow_policy, ready_made, setup_policy};

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [what, stage, switches @ ..] = words.as_slice() else { return Err(usage()) };
    let mut options = Options::default();
    for switch in switches {
        match *switch {
            "nested" => options.nested_user_namespaces = true,
            "fixed-cpus" => options.fixed_cpus = true,
            "log" => options.log = true,
            _ => return Err(usage()),
        }
    }
    let (stage, policy) = match *stage {
        "default" => (Stage::Default, default_policy(&options)),
        "setup" => (Stage::Setup, setup_policy(&options)),
        "narrow" => (Stage::Narrow, narrow_policy(&options)),
        _ => return Err(usage()),
    };
    let mut out = std::io::stdout().lock();
    match *what {
        "describe" => policy.describe().iter().try_for_each(|line| writeln!(out, "{line}")),
        "export" => out.write_all(&ready_made(stage, &options).to_bytes()),
        "dump" => ready_made(stage, &options)
            .instructions()
            .iter()
            .enumerate()
            .try_for_each(|(at, i)| writeln!(out, "{at:>4}  {:#06x}  {:>3} {:>3}  {:#x}", i.code, i.jt, i.jf, i.k)),
        _ => Err(usage()),
    }
}

fn usage() -> std::io::Error {
    std::io::Error::other("usage: filter describe|export|dump default|setup|narrow [nested] [fixed-cpus] [log]")
}
