//! What the command sees of each level: owner and permission bits.
//!
//! With two owners the kernel itself tells the levels apart: what belongs to the command it may change, what belongs to root it may read.
//!
//! | | file | directory |
//! |---|---|---|
//! | `write` | the command's, its own bits and `rw` for the owner | wholly `write`: the command's, its own bits and `rwx` for the owner |
//! | | | things can be made in it, and some of what it holds is protected: root's, `1777`: the sticky bit keeps what belongs to others |
//! | `read` | root's, `0644` or `0755` | root's, `0755` |
//! | `view` | root's, `0000`, holes of the right size | as `read` |
//! | `none` | a whiteout | a whiteout, unless something below is shown |
//!
//! With one owner (a server that is not root and has no second id) bits alone stand between `read` and `write`, and the owner of a file can
//! change its bits. A second wall, Landlock, must hold then, and the commit still lets nothing through.

use enclos_cas::{Attributes, Entry};

use crate::Level;

/// Time of last change of everything shown: 2000-01-01T00:00:00Z. Trees keep no times, and equal ones are equal in every sandbox.
pub(crate) const TIME: i64 = 946_684_800;

/// Who owns what on disk. Ids are those inside a sandbox when layers are mounted with a map, as the engine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// What may be changed belongs to the command, everything else to root.
    Two {
        /// User and group of what is protected.
        root: (u32, u32),
        /// User and group of the command.
        command: (u32, u32),
    },
    /// Everything belongs to whoever runs this program.
    One,
}

impl Ownership {
    /// Root is 0, and the command is 1000, as `enclos` has it.
    pub const USUAL: Ownership = Ownership::Two { root: (0, 0), command: (1000, 1000) };

    fn of(self, command: bool) -> Option<(u32, u32)> {
        match self {
            Ownership::Two { root, command: own } => Some(if command { own } else { root }),
            Ownership::One => None,
        }
    }

    /// Part of the names of cached layers.
    pub(crate) fn tag(self) -> String {
        match self {
            Ownership::Two { root, command } => format!("{}.{}.{}.{}", root.0, root.1, command.0, command.1),
            Ownership::One => "one".to_owned(),
        }
    }
}

/// What a directory allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Everything: all of it is `write`.
    Whole,
    /// To make things in it; some of what it holds is protected.
    Open,
    /// To look.
    Closed,
}

pub(crate) fn file_mode(level: Level, mode: u32, ownership: Ownership) -> u32 {
    let runs = mode & 0o111 != 0;
    match (level, ownership) {
        (Level::Write, _) => mode | 0o600,
        (Level::Read, Ownership::Two { .. }) => 0o644 | if runs { 0o111 } else { 0 },
        (Level::Read, Ownership::One) => 0o444 | if runs { 0o111 } else { 0 },
        (Level::View | Level::None, _) => 0,
    }
}

pub(crate) fn directory(shape: Shape, mode: u32, ownership: Ownership) -> Attributes {
    let mode = match (shape, ownership) {
        (Shape::Whole, _) => mode | 0o700,
        (Shape::Open, Ownership::Two { .. }) => 0o1777,
        (Shape::Open, Ownership::One) | (Shape::Closed, Ownership::Two { .. }) => 0o755,
        (Shape::Closed, Ownership::One) => 0o555,
    };
    Attributes { mode, owner: ownership.of(shape == Shape::Whole), time: Some(TIME) }
}

/// What a file or link of this level looks like.
pub(crate) fn file(level: Level, entry: &Entry, ownership: Ownership) -> Attributes {
    let mode = if let Entry::File { mode, .. } = entry { file_mode(level, *mode, ownership) } else { 0o777 };
    Attributes { mode, owner: ownership.of(level == Level::Write), time: Some(TIME) }
}
