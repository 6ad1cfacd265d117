//! The JSON documents of `--info-fd` and `--json-status-fd`, byte for byte as bubblewrap writes them: some readers are no JSON parsers.

use std::fmt::Write;

/// Namespaces in the order bubblewrap names them, with the name of their file in `/proc/PID/ns`.
pub const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

/// What is known once the sandbox's first process exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// Its process id, as the caller sees it.
    pub child_pid: u32,
    /// The new namespaces by name (see [`NAMESPACES`]) and inode number. Shared ones are not told, the user namespace never is.
    pub namespaces: Vec<(&'static str, u64)>,
}

impl Started {
    /// The document for `--info-fd`.
    #[must_use]
    pub fn info(&self) -> String {
        let mut text = format!("{{\n    \"child-pid\": {}", self.child_pid);
        for (name, inode) in &self.namespaces {
            let _ = write!(text, ",\n    \"{name}-namespace\": {inode}");
        }
        text.push_str("\n}\n");
        text
    }

    /// The first line for `--json-status-fd`.
    #[must_use]
    pub fn status(&self) -> String {
        let mut text = format!("{{ \"child-pid\": {}", self.child_pid);
        for (name, inode) in &self.namespaces {
            let _ = write!(text, ", \"{name}-namespace\": {inode}");
        }
        text.push_str(" }\n");
        text
    }
}

/// The last line for `--json-status-fd`. Written only when the command was executed.
#[must_use]
pub fn exit_code(code: u8) -> String {
    format!("{{ \"exit-code\": {code} }}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_bubblewraps_byte_for_byte() {
        let started = Started { child_pid: 42, namespaces: vec![("mnt", 4026532177), ("pid", 4026532178)] };
        assert_eq!(started.info(), "{\n    \"child-pid\": 42,\n    \"mnt-namespace\": 4026532177,\n    \"pid-namespace\": 4026532178\n}\n");
        assert_eq!(started.status(), "{ \"child-pid\": 42, \"mnt-namespace\": 4026532177, \"pid-namespace\": 4026532178 }\n");
        assert_eq!(exit_code(137), "{ \"exit-code\": 137 }\n");
    }

    #[test]
    fn documents_are_json() {
        let started = Started { child_pid: 1, namespaces: NAMESPACES.iter().map(|name| (*name, 7)).collect() };
        for text in [started.info(), started.status(), exit_code(0)] {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(value.is_object());
        }
    }
}
