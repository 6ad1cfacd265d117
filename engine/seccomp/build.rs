//! Compiles the built-in policies, so that no program start pays for it: on the way of every `enclos run` it would cost more than installing
//! the filter. The compiler's modules are the library's own, included by path.

#![expect(dead_code, reason = "only what making the programs needs is used of the library's modules")]

use std::fmt::Write as _;
use std::path::Path;

#[path = "src/action.rs"]
mod action;
#[path = "src/arch.rs"]
mod arch;
#[path = "src/check.rs"]
mod check;
#[path = "src/compile/mod.rs"]
mod compile;
#[path = "src/data.rs"]
mod data;
#[path = "src/error.rs"]
mod error;
#[path = "src/policies/mod.rs"]
mod policies;
#[path = "src/policy.rs"]
mod policy;
#[path = "src/program.rs"]
mod program;
#[path = "src/table.rs"]
mod table;

use arch::Arch;
use policies::{Options, default_policy_for, narrow_policy_for, setup_policy_for};
use policy::Policy;

fn main() {
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo names the target");
    let Some(arch) = Arch::ALL.into_iter().find(|arch| arch.name() == target) else {
        println!("cargo::error=enclos-seccomp knows the system calls of x86_64 and aarch64, not of {target}");
        return;
    };
    let stages: [fn(Arch, &Options) -> Policy; 3] = [default_policy_for, setup_policy_for, narrow_policy_for];
    let mut source = String::from("static PROGRAMS: [[&[Instruction]; 8]; 3] = [\n");
    for stage in stages {
        source.push_str("[\n");
        for options in Options::all() {
            source.push_str(&literal(&stage(arch, &options)));
        }
        source.push_str("],\n");
    }
    source.push_str("];\n");
    let out = std::env::var("OUT_DIR").expect("cargo names the output directory");
    std::fs::write(Path::new(&out).join("programs.rs"), source).expect("the output directory can be written");
}

/// The program of a policy, as Rust source.
fn literal(policy: &Policy) -> String {
    let program = compile::compile(policy).expect("a built-in policy compiles");
    let mut text = String::from("&[");
    for i in program.instructions() {
        let _ = write!(text, "Instruction::new({}, {}, {}, {}),", i.code, i.jt, i.jf, i.k);
    }
    text.push_str("],\n");
    text
}
