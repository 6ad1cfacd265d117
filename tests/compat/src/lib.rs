//! The same commands under bubblewrap and under `enclos bwrap`, as root and as an ordinary user.
//!
//! A [`Case`] is a short shell script with what it must print, how it must end and what it may say on standard error. The script calls `$B`: a link
//! called `bwrap` that leads to Debian's bubblewrap (the *incumbent*) in one run and to our program in the other, so even the messages that name the
//! program are the same. Both runs must meet the expectation, and so agree.
//!
//! A case whose option is newer than the incumbent, or where we follow the manual and the incumbent does not, says so ([`Incumbent`]). The
//! incumbent runs it all the same, and if it meets the expectation the test fails: the mark is out of date.
//!
//! | variable | meaning |
//! |---|---|
//! | `ENCLOS_BIN` | our program; without it the one built beside the tests |
//! | `ENCLOS_BWRAP` | the incumbent; without it `/usr/bin/bwrap` |
//! | `ENCLOS_BWRAP_NEW` | a bubblewrap of 0.11 as a second incumbent: it must meet what the first one is too old for |
//! | `ENCLOS_PROGRAMS` | a Python environment with BuildStream and asv-bwrap, which call `bwrap` |
//! | `ENCLOS_COMPAT=incumbent` | leave our program out: checks the table itself |

#![forbid(unsafe_code)]

pub mod case;
pub mod fuzz;
pub mod judge;
pub mod place;
pub mod programs;
pub mod races;
pub mod runner;

pub use case::{Case, Incumbent, Users};
