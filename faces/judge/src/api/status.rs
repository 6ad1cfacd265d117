//! What there is on this host.

/// A language that is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageStatus {
    /// Lower-cased display name, e.g. `c++`.
    pub key: String,
    /// Display name, e.g. `C++`.
    pub name: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Of its source files, with the dot.
    pub extension: String,
    /// Whether there is something to compile.
    pub compiled: bool,
    /// Whether every program it needs was found.
    pub available: bool,
    /// Programs it needs, in the order in which they are used.
    pub programs: Vec<ProgramStatus>,
    /// Debian packages that bring them; empty: Debian has none.
    pub packages: Vec<String>,
    /// One line for people, e.g. how to install what Debian does not have.
    pub note: Option<String>,
}

/// A program that a language needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramStatus {
    /// Its name, e.g. `gcc`.
    pub command: String,
    /// Whether it was found.
    pub found: bool,
    /// Numbers and points from what it says about its version; `None` when it was not found, or says none.
    pub version: Option<String>,
    /// The first lines of what it says, bounded.
    pub version_text: Option<String>,
    /// Options it is always called with.
    pub options: Vec<String>,
}

/// The host.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemInfo {
    /// E.g. `x86_64`.
    pub arch: String,
    /// `Little Endian` or `Big Endian`.
    pub byte_order: String,
    /// Cache sizes of the first CPU, bytes, where known.
    pub cache_l1d: Option<u64>,
    /// See `cache_l1d`.
    pub cache_l1i: Option<u64>,
    /// See `cache_l1d`.
    pub cache_l2: Option<u64>,
    /// See `cache_l1d`.
    pub cache_l3: Option<u64>,
    /// CPUs this process may use.
    pub cpu_count: u64,
    /// Clock of the first CPU, MHz.
    pub cpu_mhz: Option<f64>,
    /// Model name of the first CPU.
    pub cpu_name: Option<String>,
    /// `Linux`.
    pub kernel: String,
    /// E.g. `6.1.0-18-amd64`.
    pub kernel_release: String,
    /// E.g. `#1 SMP PREEMPT_DYNAMIC Debian`.
    pub kernel_version: String,
    /// Bytes of memory of the host.
    pub memory: u64,
}
