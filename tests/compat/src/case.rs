//! One case of the table.

/// A script and what must come of it. In `out` and `err`, `{uid}`, `{gid}` and `{w}` stand for the user's ids and the case's directory.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, unique in its topic.
    pub name: &'static str,
    /// Run by `sh`, see [`crate::place`] for what it finds.
    pub script: &'static str,
    /// As whom.
    pub users: Users,
    /// Standard output, exactly.
    pub out: &'static str,
    /// How each line on standard error begins; as many lines as there are.
    pub err: &'static [&'static str],
    /// Exit status.
    pub status: i32,
    /// What the incumbent has to do with it.
    pub incumbent: Incumbent,
    /// A program the script needs beside those every Debian has.
    pub needs: Option<&'static str>,
    /// It calls programs of PyPI: `$PROGRAMS/bin/python3 -m NAME`.
    pub with_programs: bool,
}

/// As whom a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Root and an ordinary user, each for itself.
    Both,
    /// Root.
    Root,
    /// An ordinary user.
    Ordinary,
}

/// What the incumbent has to do with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incumbent {
    /// It meets the expectation.
    Agrees,
    /// Skipped where it is older than this version: the expectation is the manual's words.
    Since(&'static str),
    /// We do something else on purpose; the reason.
    Differs(&'static str),
}

impl Case {
    /// A case that prints nothing and succeeds, for both users.
    #[must_use]
    pub const fn new(name: &'static str, script: &'static str) -> Case {
        Case {
            name,
            script,
            users: Users::Both,
            out: "",
            err: &[],
            status: 0,
            incumbent: Incumbent::Agrees,
            needs: None,
            with_programs: false,
        }
    }
    /// What it prints.
    #[must_use]
    pub const fn out(self, out: &'static str) -> Case {
        Case { out, ..self }
    }
    /// How the lines on standard error begin.
    #[must_use]
    pub const fn err(self, err: &'static [&'static str]) -> Case {
        Case { err, ..self }
    }
    /// How it ends.
    #[must_use]
    pub const fn status(self, status: i32) -> Case {
        Case { status, ..self }
    }
    /// A refusal: status 1 and these lines.
    #[must_use]
    pub const fn refused(self, err: &'static [&'static str]) -> Case {
        Case { err, status: 1, ..self }
    }
    /// Only as root.
    #[must_use]
    pub const fn root(self) -> Case {
        Case { users: Users::Root, ..self }
    }
    /// Only as an ordinary user.
    #[must_use]
    pub const fn user(self) -> Case {
        Case { users: Users::Ordinary, ..self }
    }
    /// Newer than the incumbent.
    #[must_use]
    pub const fn since(self, version: &'static str) -> Case {
        Case { incumbent: Incumbent::Since(version), ..self }
    }
    /// Ours on purpose.
    #[must_use]
    pub const fn differs(self, reason: &'static str) -> Case {
        Case { incumbent: Incumbent::Differs(reason), ..self }
    }
    /// Needs the programs of PyPI.
    #[must_use]
    pub const fn with_programs(self) -> Case {
        Case { with_programs: true, ..self }
    }
    /// Needs this program.
    #[must_use]
    pub const fn needs(self, program: &'static str) -> Case {
        Case { needs: Some(program), ..self }
    }
}
