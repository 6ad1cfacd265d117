//! The repository's own commands: `cargo xtask COMMAND`.

#![forbid(unsafe_code)]

mod cargo;
mod checks;
mod child_check;
mod docs_check;
mod install;
mod lanes;
mod languages;
mod layers;
mod perf;
mod purity;
mod schemathesis;
mod serve;
mod source;
mod stage;
mod suite;
mod tally;
mod tree_check;
mod unsafe_check;
mod vm;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  serve [--listen ADDRESS] [--once]
                                  build everything, start the server, send one job through it
  test [--lane NAME]… [--list]    install what the tests need, run every lane, end with a line of counts
  layers                          who may depend on whom
  invariants [NAME]…              what the tree promises about itself
  check                           both
  perf [--only P1,P3] [--rounds N] [--json FILE]
                                  the promises of SPECIFICATION.md, measured side by side";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what was asked for held.
fn run(arguments: &[String]) -> Result<bool> {
    let (command, rest) = arguments.split_first().context(USAGE)?;
    match command.as_str() {
        "test" => lanes::test(rest),
        "layers" | "invariants" | "check" => checks::command(command, rest),
        "perf" => perf::perf(rest),
        "serve" => serve::serve(rest),
        // The inside of the lane `vm`; of no use anywhere else.
        "in-vm" => vm::inside(Path::new(rest.first().context("in-vm needs a folder")?)).map(|()| true),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(true)
        }
        other => bail!("unknown command {other}\n{USAGE}"),
    }
}
