//! Programs that mean harm, each with the verdict it gets and a look at what it left.
//!
//! The programs are in `programs/`. Unless a test says otherwise they run with 1 s of CPU time, 64 MB, 20 processes, 1 MB of output, 16 MB of
//! disk, 1000 inodes. After each nothing of it is alive.
#![forbid(unsafe_code)]

mod aside;
mod calls;
mod case;
mod compilers;
mod files;
mod host;
mod memory;
mod mixed;
mod output;
mod processes;
mod time;
