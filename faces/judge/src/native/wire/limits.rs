//! Limits, with their units in their names.

use std::time::Duration;

use enclos_host::wire::{object, written};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bounded::{ms, some};
use crate::api;

object!(Limits);
written!(Limits);

/// Limits of a step. What is absent or null has the default of this server, which `GET /v1/info` tells together with the greatest that may
/// be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct Limits {
    /// CPU time of the whole process tree, milliseconds.
    #[serde(deserialize_with = "ms", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub cpu_ms: Option<u64>,
    /// The program is killed only when its CPU time exceeds both the CPU limit and this; the verdict is by the CPU limit. Milliseconds.
    #[serde(deserialize_with = "ms", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub extra_cpu_ms: Option<u64>,
    /// Wall clock, milliseconds.
    #[serde(deserialize_with = "ms", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub wall_ms: Option<u64>,
    /// Longest time with neither output nor CPU time, milliseconds.
    #[serde(deserialize_with = "ms", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 86_400_000)]
    pub idle_ms: Option<u64>,
    /// Memory of the whole process tree, bytes.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub memory_bytes: Option<u64>,
    /// Address space of each process, bytes.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub address_space_bytes: Option<u64>,
    /// Stack of each process, bytes.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub stack_bytes: Option<u64>,
    /// Largest file, bytes; standard output and error count as files of their own.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub file_size_bytes: Option<u64>,
    /// Processes and threads at once.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub processes: Option<u64>,
    /// Everything the program can write, bytes.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub disk_bytes: Option<u64>,
    /// Files and directories it can make.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub inodes: Option<u64>,
    /// Bytes on each of standard output and standard error; the program is killed at the cap.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub output_bytes: Option<u64>,
    /// Open files of each process.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub open_files: Option<u64>,
}

fn to_ms(span: Option<Duration>) -> Option<u64> {
    span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

impl From<Limits> for api::Limits {
    fn from(limits: Limits) -> Self {
        let span = |ms: Option<u64>| ms.map(Duration::from_millis);
        Self {
            cpu: span(limits.cpu_ms),
            extra_cpu: span(limits.extra_cpu_ms),
            wall: span(limits.wall_ms),
            idle: span(limits.idle_ms),
            memory: limits.memory_bytes,
            address_space: limits.address_space_bytes,
            stack: limits.stack_bytes,
            file_size: limits.file_size_bytes,
            processes: limits.processes,
            disk: limits.disk_bytes,
            inodes: limits.inodes,
            output: limits.output_bytes,
            open_files: limits.open_files,
        }
    }
}

impl From<&api::Limits> for Limits {
    fn from(limits: &api::Limits) -> Self {
        Self {
            cpu_ms: to_ms(limits.cpu),
            extra_cpu_ms: to_ms(limits.extra_cpu),
            wall_ms: to_ms(limits.wall),
            idle_ms: to_ms(limits.idle),
            memory_bytes: limits.memory,
            address_space_bytes: limits.address_space,
            stack_bytes: limits.stack,
            file_size_bytes: limits.file_size,
            processes: limits.processes,
            disk_bytes: limits.disk,
            inodes: limits.inodes,
            output_bytes: limits.output,
            open_files: limits.open_files,
        }
    }
}

impl Limits {
    /// The name over the wire of a limit of [`api::Limits`]; other names are given back as they are.
    #[must_use]
    pub fn wire_name(name: &str) -> &str {
        match name {
            "cpu" => "cpu_ms",
            "extra_cpu" => "extra_cpu_ms",
            "wall" => "wall_ms",
            "idle" => "idle_ms",
            "memory" => "memory_bytes",
            "address_space" => "address_space_bytes",
            "stack" => "stack_bytes",
            "file_size" => "file_size_bytes",
            "disk" => "disk_bytes",
            "output" => "output_bytes",
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_goes_there_and_back() {
        let most = api::LimitSettings::default().run;
        let there = Limits::from(&most);
        assert_eq!(api::Limits::from(there.clone()), most);
        let all: Limits = serde_json::from_str(
            r#"{"cpu_ms": 1, "extra_cpu_ms": 2, "wall_ms": 3, "idle_ms": 4, "memory_bytes": 5, "address_space_bytes": 6, "stack_bytes": 7,
            "file_size_bytes": 8, "processes": 9, "disk_bytes": 10, "inodes": 11, "output_bytes": 12, "open_files": 13.0}"#,
        )
        .unwrap();
        assert_eq!(Limits::from(&api::Limits::from(all.clone())), all);
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused_with_what_would_be_right() {
        for (bad, says) in [
            (r#"{"cpu_ms": 0}"#, "invalid value: integer `0`, expected a whole number from 1 to 86400000"),
            (r#"{"cpu_ms": -1}"#, "integer `-1`, expected a whole number from 1"),
            (r#"{"cpu_ms": 1.5}"#, "floating point `1.5`, expected a whole number from 1"),
            (r#"{"cpu_ms": "1"}"#, "invalid type: string \"1\", expected a whole number from 1"),
            (r#"{"cpu_ms": true}"#, "invalid type: boolean `true`, expected a whole number from 1"),
            (r#"{"memory_bytes": 1e300}"#, "expected a whole number from 1 to 9007199254740991"),
            (r#"{"cpu": 1}"#, "unknown field `cpu`, expected one of `cpu_ms`"),
        ] {
            let error = serde_json::from_str::<Limits>(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad}: {error}");
        }
        assert_eq!(serde_json::from_str::<Limits>(r#"{"cpu_ms": null}"#).unwrap(), Limits::default());
        // Found by schemathesis: a quick reading of floating point numbers makes a fraction of it.
        let exact: Limits = serde_json::from_str(r#"{"memory_bytes": 2006145629532585.0}"#).unwrap();
        assert_eq!(exact.memory_bytes, Some(2_006_145_629_532_585));
    }
}
