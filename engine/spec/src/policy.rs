//! What a caller asks for: the same names as flags of `enclos run` and as keys of a TOML policy file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Bound, CpuQuota, Size, Span};

/// A policy. `Policy::default()` is what `enclos run` does without any option: safe, and useful for most programs.
///
/// Every key may be left out. Unknown keys are refused, with the nearest right one named ([`Policy::from_toml`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Policy {
    /// Host paths shown read-only at the same path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ro: Vec<PathBuf>,
    /// Host paths shown writable at the same path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rw: Vec<PathBuf>,
    /// Paths inside that are covered by nothing readable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hide: Vec<PathBuf>,
    /// Paths inside that are fresh, bounded and private.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<PathBuf>,
    /// Host paths shown writable at another path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<Binding>,
    /// A root file system of its own instead of the host's system directories, shown read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<PathBuf>,
    /// Host directories that look writable while the writes go to a layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlay: Vec<Layered>,
    /// Directory the command starts in. Without it: the caller's, where it is shown, else the private home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<PathBuf>,
    /// Show the caller's current directory read-only at the same path (the caller says which; the engine reads no environment).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_directory: Option<PathBuf>,
    /// Variables set for the command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Names of the caller's variables that pass through. The caller resolves them: the engine reads no environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_env: Vec<String>,
    /// Host name inside; default `enclos`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// User id inside; default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group id inside; default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Which host ids stand behind them.
    pub ids: Ids,
    /// Host devices shown, e.g. `/dev/kvm`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dev: Vec<PathBuf>,
    /// The network.
    pub net: Net,
    /// Wall clock of one command ([`Verdict::Idleness`](crate::Verdict::Idleness)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<Bound<Span>>,
    /// Longest time without any output and without any CPU use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Bound<Span>>,
    /// CPU time of the whole tree, dead children included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Bound<Span>>,
    /// Memory of the whole tree: anonymous, page cache, tmpfs, kernel and swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Bound<Size>>,
    /// Bytes of everything writable and private together (`/tmp`, home, overlays); default 1GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Bound<Size>>,
    /// Bytes on each output stream; the command is killed at the cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Bound<Size>>,
    /// Largest file (`RLIMIT_FSIZE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<Bound<Size>>,
    /// Stack of each process (`RLIMIT_STACK`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Bound<Size>>,
    /// Processes and threads alive at once; default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Bound<u64>>,
    /// Files and directories on everything writable and private together; default 262144.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<Bound<u64>>,
    /// Open files of each process (`RLIMIT_NOFILE`); default 4096.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<Bound<u64>>,
    /// CPUs the tree may use, e.g. `0-1,3`; the text form of `cpuset(7)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<CpuList>,
    /// CPU time in each tenth of a second, in CPUs, for the whole tree together; what wants more waits (`cpu.max`, `cpu.cfs_quota_us`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<Bound<CpuQuota>>,
    /// Weight against others where CPUs are short, 2 to 262144; without it 1024 (`cpu.shares`, `cpu.weight`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<u64>,
    /// A private terminal. `None`: the front decides (when stdin is one).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tty: Option<bool>,
    /// File the command reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<PathBuf>,
    /// File the command's output goes to, made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<PathBuf>,
    /// File the command's messages go to, made anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<PathBuf>,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// The second wall; default on.
    pub landlock: Switch,
    /// Weaken what this host cannot enforce instead of refusing, and say so in the report.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub best_effort: bool,
}

/// `SRC:DST`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Binding {
    /// The host's path.
    pub src: PathBuf,
    /// The path inside.
    pub dst: PathBuf,
}

/// `PATH` (writes are thrown away) or `PATH:LAYER` (writes are kept in the host directory `LAYER`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Layered {
    /// The host directory, shown at the same path.
    pub path: PathBuf,
    /// Where writes are kept.
    pub layer: Option<PathBuf>,
}

impl FromStr for Binding {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text.split_once(':') {
            Some((src, dst)) if src.starts_with('/') && dst.starts_with('/') => Ok(Binding { src: src.into(), dst: dst.into() }),
            _ => Err(PolicyError::value("bind", text, "write SRC:DST, both absolute, e.g. /srv/data:/data")),
        }
    }
}

impl FromStr for Layered {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let (path, layer) = text.split_once(':').map_or((text, None), |(path, layer)| (path, Some(layer)));
        if !path.starts_with('/') || layer.is_some_and(|l| !l.starts_with('/')) {
            return Err(PolicyError::value("overlay", text, "write PATH or PATH:LAYER, absolute, e.g. /srv/project:/tmp/changes"));
        }
        Ok(Layered { path: path.into(), layer: layer.map(Into::into) })
    }
}

/// A set of CPUs, as in `cpuset(7)`: `0-3,8`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CpuList(pub Vec<usize>);

impl FromStr for CpuList {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let error = || PolicyError::value("cpus", text, "write CPU numbers below 1024 and ranges, e.g. 0-1,3");
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<usize>().map_err(|_| error())?, last.parse::<usize>().map_err(|_| error())?);
            if first > last || last >= 1024 {
                return Err(error());
            }
            cpus.extend(first..=last);
        }
        cpus.sort_unstable();
        cpus.dedup();
        Ok(CpuList(cpus))
    }
}

macro_rules! text_in_a_policy {
    ($type:ty, |$value:ident| $text:expr) => {
        impl TryFrom<String> for $type {
            type Error = PolicyError;
            fn try_from(text: String) -> Result<Self, PolicyError> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from($value: $type) -> String {
                $text
            }
        }
    };
}

text_in_a_policy!(Binding, |b| format!("{}:{}", b.src.display(), b.dst.display()));
text_in_a_policy!(Layered, |l| match l.layer {
    Some(layer) => format!("{}:{}", l.path.display(), layer.display()),
    None => l.path.display().to_string(),
});
text_in_a_policy!(CpuList, |c| c.0.iter().map(usize::to_string).collect::<Vec<_>>().join(","));

macro_rules! words {
    ($(#[$meta:meta])* $name:ident ($key:literal) { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }
        impl $name {
            /// Every word, as written on the command line and in a policy file.
            pub const WORDS: &[&str] = &[$($word),+];
            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
        impl FromStr for $name {
            type Err = PolicyError;
            fn from_str(text: &str) -> Result<Self, PolicyError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(PolicyError::value($key, text, &format!("write {}", Self::WORDS.join(" or ")))),
                }
            }
        }
        text_in_a_policy!($name, |v| v.as_str().to_owned());
    };
}

words! {
    /// What of the network the command sees.
    Net ("net") {
        /// A network namespace of its own, with `lo` down.
        #[default]
        None = "none",
        /// A network namespace of its own, with `lo` up.
        Loopback = "loopback",
        /// The host's network.
        Host = "host",
    }
}

words! {
    /// On or off.
    Switch ("landlock") {
        /// On.
        #[default]
        On = "on",
        /// Off.
        Off = "off",
    }
}

words! {
    /// Which host ids stand behind the ids inside.
    Ids ("ids") {
        /// As root: a range of its own. As an ordinary user: a range from `/etc/subuid` where there is one and nothing writable of the host is shown, else the user's own id.
        #[default]
        Auto = "auto",
        /// The caller's own id. Refused as root.
        Own = "own",
        /// A range of its own or nothing: refused where there is none.
        Range = "range",
    }
}

/// The system call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Seccomp {
    /// The built-in allowlist: what is not on it fails with an error.
    #[default]
    Default,
    /// What is not on the allowlist is logged by the kernel and let through.
    Log,
    /// No filter.
    None,
    /// Compiled classic BPF in a file, as `seccomp_export_bpf(3)` writes it.
    File(PathBuf),
}

impl FromStr for Seccomp {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        match text {
            "default" => Ok(Seccomp::Default),
            "log" => Ok(Seccomp::Log),
            "none" => Ok(Seccomp::None),
            file if file.contains('/') => Ok(Seccomp::File(file.into())),
            _ => Err(PolicyError::value("seccomp", text, "write default, log, none, or the path of a compiled filter with a / in it")),
        }
    }
}

text_in_a_policy!(Seccomp, |s| match s {
    Seccomp::Default => "default".to_owned(),
    Seccomp::Log => "log".to_owned(),
    Seccomp::None => "none".to_owned(),
    Seccomp::File(path) => path.display().to_string(),
});

/// A policy that makes no sense; one line that names the field, the value and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A value that its field does not take.
    #[error("{field}: {value:?} is not allowed: {wanted}")]
    Value {
        /// The field, as written in a policy file.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        wanted: String,
    },
    /// A policy file that cannot be read as one.
    #[error("policy line {line}: {message}")]
    File {
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

impl PolicyError {
    /// A value that its field does not take.
    #[must_use]
    pub fn value(field: &'static str, value: &str, wanted: &str) -> Self {
        PolicyError::Value { field, value: value.to_owned(), wanted: wanted.to_owned() }
    }
}

impl Policy {
    /// Reads a policy file (TOML).
    ///
    /// # Errors
    /// One line naming the line, the key and what would be right; an unknown key names the nearest known one.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
            PolicyError::File { line, message: nearest_key(error.message()) }
        })
    }
}

/// Shortens serde's list of all keys to the nearest one.
fn nearest_key(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.replace('\n', " ") };
    let Some((unknown, known)) = rest.split_once('`') else { return message.to_owned() };
    let nearest = known.split('`').skip(1).step_by(2).min_by_key(|key| edit_distance(unknown, key)).unwrap_or("");
    format!("unknown key `{unknown}`: did you mean `{nearest}`?")
}

/// Levenshtein distance in characters.
#[must_use]
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = Policy::from_toml("net = \"none\"\nmemry = \"64M\"\n").unwrap_err();
        assert_eq!(error.to_string(), "policy line 2: unknown key `memry`: did you mean `memory`?");
    }

    #[test]
    fn a_wrong_value_names_what_would_be_right() {
        let error = Policy::from_toml("net = \"internet\"").unwrap_err().to_string();
        assert!(error.contains("net: \"internet\" is not allowed: write none or loopback or host"), "{error}");
        let error = Policy::from_toml("memory = \"much\"").unwrap_err().to_string();
        assert!(error.contains("\"much\" is not a size"), "{error}");
    }

    #[test]
    fn a_policy_survives_a_round_trip() {
        let text = r#"
            ro = ["/srv"]
            bind = ["/a:/b"]
            overlay = ["/c", "/d:/e"]
            env = { A = "1" }
            net = "loopback"
            cpu = "2s"
            memory = "64M"
            processes = "unlimited"
            open-files = 64
            cpus = "0-1,3"
            seccomp = "log"
            landlock = "off"
            best-effort = true
        "#;
        let policy = Policy::from_toml(text).unwrap();
        assert_eq!(policy.cpus, Some(CpuList(vec![0, 1, 3])));
        assert_eq!(policy.processes, Some(Bound::Unlimited));
        let again = Policy::from_toml(&toml::to_string(&policy).unwrap()).unwrap();
        assert_eq!(policy, again);
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = Policy::from_toml(&text);
        }
        #[test]
        fn no_key_and_value_panics(key in "[a-z-]{1,12}", value: String) {
            let _ = Policy::from_toml(&format!("{key} = {value:?}"));
        }
    }
}
