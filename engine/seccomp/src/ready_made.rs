//! The built-in programs, made when this crate was compiled (`build.rs`): no work and no memory at run time.

use crate::policies::Options;
use crate::program::{Instruction, Program};

/// Which of the built-in programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// [`default_policy`](crate::default_policy), whole.
    Default,
    /// [`setup_policy`](crate::setup_policy).
    Setup,
    /// [`narrow_policy`](crate::narrow_policy), to be added to it.
    Narrow,
}

/// The program of a built-in policy for this machine. It borrows from the executable: nothing is compiled, copied or allocated.
#[must_use]
pub fn ready_made(stage: Stage, options: &Options) -> Program {
    Program::ready_made(PROGRAMS[stage as usize][options.index()])
}

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compile, default_policy, narrow_policy, setup_policy};

    #[test]
    fn they_are_what_the_compiler_makes_of_the_policies() {
        for options in Options::all() {
            let policies = [
                (Stage::Default, default_policy(&options)),
                (Stage::Setup, setup_policy(&options)),
                (Stage::Narrow, narrow_policy(&options)),
            ];
            for (stage, policy) in policies {
                assert_eq!(ready_made(stage, &options), compile(&policy).unwrap(), "{stage:?} {options:?}");
            }
        }
    }
}
