//! End-to-end tests of the command line tool: what `enclos run` promises a user, seen from outside.
//!
//! Each test written with [`both!`] runs as root and as an ordinary user. No test judges speed: figures have a benchmark of their own.

#![forbid(unsafe_code)]

use enclos_testkit::{HostState, Outcome, Run, Who, World};

/// Makes `NAME::as_root` and `NAME::as_user` of one test. The body gets a [`World`]; afterwards nothing of it may be left on the host.
#[macro_export]
macro_rules! both {
    ($(fn $name:ident($world:ident) $body:block)+) => {
        $(mod $name {
            #[allow(unused_imports, reason = "not every body needs all that its file imports")]
            use super::*;
            fn test($world: &enclos_testkit::World) $body
            #[test]
            fn as_root() {
                $crate::act(enclos_testkit::Who::Root, concat!(module_path!(), "::as_root"), test);
            }
            #[test]
            fn as_user() {
                $crate::act(enclos_testkit::Who::User, concat!(module_path!(), "::as_user"), test);
            }
        })+
    };
}

/// Runs `test` in a world of its own as `who`, and checks what it leaves.
///
/// # Panics
/// If the test does, or leaves anything.
pub fn act(who: Who, name: &str, test: fn(&World)) {
    if !Who::all_here().contains(&who) {
        enclos_testkit::skip(name, "not root");
        return;
    }
    let world = World::new(who);
    let before = HostState::take(&world.mark);
    test(&world);
    if let Err(left) = before.settled(&world.mark) {
        panic!("left behind: {}", left.join("; "));
    }
}

/// Runs a shell script with these options.
#[must_use]
pub fn sh(world: &World, flags: &[&str], script: &str) -> Outcome {
    Run::new(world).flags(flags.iter().copied()).sh(script).output()
}

/// What the script printed, trimmed.
///
/// # Panics
/// If it did not end with status 0.
#[must_use]
pub fn printed(world: &World, flags: &[&str], script: &str) -> String {
    let outcome = sh(world, flags, script);
    assert_eq!(outcome.code, Some(0), "{flags:?} {script}\n{}", outcome.describe());
    outcome.out().trim().to_owned()
}

/// Checks a refusal: status 125, one line on stderr with `part` in it, nothing on stdout.
///
/// # Panics
/// If it was not one.
pub fn assert_refused(outcome: &Outcome, part: &str) {
    let message = outcome.err();
    assert_eq!(outcome.code, Some(125), "{}", outcome.describe());
    assert_eq!(message.trim_end().lines().count(), 1, "one line, please: {message}");
    assert!(message.contains(part), "{part:?} is not named in: {message}");
    assert!(outcome.stdout.is_empty(), "{}", outcome.describe());
}
