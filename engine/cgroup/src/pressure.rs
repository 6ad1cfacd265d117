//! Pressure stall information of a group (Documentation/accounting/psi.rst): how long its tasks waited for a resource.

use crate::{CgroupError, Group, Version};

/// Time lost to one resource, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stall {
    /// At least one task waited.
    pub some: u64,
    /// All tasks that were not idle waited. For CPU a kernel before 5.13 does not say, and this is 0.
    pub full: u64,
}

impl Stall {
    fn since(self, before: Stall) -> Stall {
        Stall { some: self.some.saturating_sub(before.some), full: self.full.saturating_sub(before.full) }
    }
}

/// Pressure on a group. `None` where the kernel does not measure it (built without it, booted with `psi=0`, or on v1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Waiting for a CPU.
    pub cpu: Option<Stall>,
    /// Waiting for memory.
    pub memory: Option<Stall>,
    /// Waiting for block I/O.
    pub io: Option<Stall>,
}

impl Group {
    /// The pressure on the group so far. It needs no controller, only a directory in the v2 tree.
    ///
    /// # Errors
    /// Whatever reading gives, but for a kernel that does not measure pressure.
    pub fn pressure(&self) -> Result<Pressure, CgroupError> {
        let Some(node) = self.nodes.iter().find(|node| node.version == Version::V2) else { return Ok(Pressure::default()) };
        let stall = |file, before: Option<Stall>| {
            let counted = self.content(node, file)?.and_then(|content| parse(&content));
            Ok(counted.map(|counted| counted.since(before.unwrap_or_default())))
        };
        let Pressure { cpu, memory, io } = self.pressure_before;
        Ok(Pressure { cpu: stall("cpu.pressure", cpu)?, memory: stall("memory.pressure", memory)?, io: stall("io.pressure", io)? })
    }
}

/// Reads `some avg10=… avg60=… avg300=… total=N`, and the like for `full`.
fn parse(content: &[u8]) -> Option<Stall> {
    let text = std::str::from_utf8(content).ok()?;
    let total = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        line.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?.parse().ok()
    };
    Some(Stall { some: total("some ")?, full: total("full ").unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_and_a_missing_full_line_is_nought() {
        let text = b"some avg10=0.00 avg60=1.20 avg300=0.00 total=1234\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=56\n";
        assert_eq!(parse(text), Some(Stall { some: 1234, full: 56 }));
        assert_eq!(parse(b"some avg10=0.00 total=7\n"), Some(Stall { some: 7, full: 0 }));
        assert_eq!(parse(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(content: Vec<u8>) {
            let _ = parse(&content);
        }
    }
}
