//! Exit codes of `enclos run`: the command's own status comes through, and the codes below are ours.
//!
//! They are the ones `env(1)`, `nohup(1)` and `docker run` use, so that scripts already know them.

/// All went well.
pub const SUCCESS: u8 = 0;

/// Enclos itself failed: a bad flag, a policy this host cannot enforce, a fault while the sandbox was built.
pub const FAILURE: u8 = 125;
/// The command was found inside the sandbox but cannot be executed (`EACCES`, `ENOEXEC`, …).
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found inside the sandbox (`ENOENT`).
pub const NOT_FOUND: u8 = 127;
/// A command ended by signal `n` gives `SIGNAL_BASE + n`, as in every shell. A limit that Enclos enforced by killing gives
/// 128 + 9; the report's verdict tells the two apart.
pub const SIGNAL_BASE: u8 = 128;
