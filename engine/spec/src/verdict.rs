//! How a run ended, in one word.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a sandboxed command ended. Faces map these to their own words.
///
/// At most one verdict holds; where several causes meet, the order of [`Verdict::precedence`] decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Exited by itself with status 0.
    Ok,
    /// Exited by itself with a status other than 0.
    RuntimeError,
    /// Ended by a signal that no limit of ours caused.
    Signaled,
    /// The CPU time of the whole tree reached its limit.
    TimedOut,
    /// The wall clock, or the idle clock (no output and no CPU used), reached its limit.
    Idleness,
    /// The kernel killed at least one process of the tree because the memory limit was reached.
    OutOfMemory,
    /// More bytes were written to an output stream than allowed; what came before is kept.
    OutputLimit,
    /// The writable file systems of the sandbox ran full and the command failed.
    DiskLimit,
    /// The system call filter killed the command.
    Security,
    /// Enclos failed; the command's own result is unknown.
    InternalError,
}

impl Verdict {
    /// Every verdict, most decisive first: when two causes meet (a command killed at its CPU limit is also signaled), the earlier wins.
    pub const PRECEDENCE: [Verdict; 10] = [
        Verdict::InternalError,
        Verdict::OutOfMemory,
        Verdict::TimedOut,
        Verdict::Idleness,
        Verdict::OutputLimit,
        Verdict::Security,
        Verdict::DiskLimit,
        Verdict::Signaled,
        Verdict::RuntimeError,
        Verdict::Ok,
    ];

    /// Rank in [`Verdict::PRECEDENCE`]; smaller is more decisive.
    #[must_use]
    pub fn precedence(self) -> usize {
        Self::PRECEDENCE.iter().position(|v| *v == self).unwrap_or(0)
    }

    /// The wire word, e.g. `OUT_OF_MEMORY`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::RuntimeError => "RUNTIME_ERROR",
            Verdict::Signaled => "SIGNALED",
            Verdict::TimedOut => "TIMED_OUT",
            Verdict::Idleness => "IDLENESS",
            Verdict::OutOfMemory => "OUT_OF_MEMORY",
            Verdict::OutputLimit => "OUTPUT_LIMIT",
            Verdict::DiskLimit => "DISK_LIMIT",
            Verdict::Security => "SECURITY",
            Verdict::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_rank_of_its_own() {
        for (rank, verdict) in Verdict::PRECEDENCE.iter().enumerate() {
            assert_eq!(verdict.precedence(), rank);
        }
    }

    #[test]
    fn wire_word_is_what_serde_writes() {
        for verdict in Verdict::PRECEDENCE {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
    }
}
