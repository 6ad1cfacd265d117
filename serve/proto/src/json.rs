//! Messages as JSON: the JSON mapping of protobuf (its guide, section "ProtoJSON Format") as grpc-gateway writes it.
//!
//! Names are lowerCamelCase and every field is written: `null` for a message that is not set, `""`, `0`, `[]` and `{}` else. 64-bit numbers are
//! text, values of an enum their whole name, times RFC 3339 in UTC, spans seconds with an `s`. Fractions have 0, 3, 6 or 9 digits.

use prost_types::{Duration, Timestamp};
use serde::{Serialize, Serializer};

use crate::sandbox_v1::{PatternType, Permission, RuntimeType, SandboxStatus, SessionStatus};

pub(crate) fn int64<S: Serializer>(value: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn timestamp<S: Serializer>(value: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(timestamp_text).serialize(serializer)
}

pub(crate) fn duration<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(duration_text).serialize(serializer)
}

/// Writers of enums. A number without a name is written as itself.
macro_rules! words {
    ($($writer:ident = $of:ident),+) => {$(
        pub(crate) fn $writer<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
            match $of::try_from(*value) {
                Ok(known) => serializer.serialize_str(known.as_str_name()),
                Err(_) => serializer.serialize_i32(*value),
            }
        }
    )+};
}

words!(
    permission = Permission,
    pattern_type = PatternType,
    sandbox_status = SandboxStatus,
    session_status = SessionStatus,
    runtime_type = RuntimeType
);

/// `1.500s`.
#[must_use]
pub fn duration_text(duration: &Duration) -> String {
    let sign = if duration.seconds < 0 || duration.nanos < 0 { "-" } else { "" };
    format!("{sign}{}{}s", duration.seconds.unsigned_abs(), fraction(duration.nanos.unsigned_abs()))
}

/// `2026-01-02T03:04:05.678Z`.
#[must_use]
pub fn timestamp_text(timestamp: &Timestamp) -> String {
    let (year, month, day) = civil(timestamp.seconds.div_euclid(86_400));
    let second = timestamp.seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}Z", fraction(timestamp.nanos.unsigned_abs()))
}

fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1000) => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    }
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar: eras of 400 years, years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::sandbox_v1::{ExecResult, PermissionRule, ResourceLimits, Sandbox};

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_399, 1_000_000, "2000-02-28T23:59:59.001Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_709_251_199, 1000, "2024-02-29T23:59:59.000001Z"),
            (4_107_542_400, 1, "2100-03-01T00:00:00.000000001Z"),
            (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(timestamp_text(&Timestamp { seconds, nanos }), text);
        }
    }

    #[test]
    fn spans_have_their_sign_and_three_digits_or_more() {
        for (seconds, nanos, text) in
            [(0, 0, "0s"), (1, 500_000_000, "1.500s"), (0, 1000, "0.000001s"), (-1, -500_000_000, "-1.500s"), (0, -1, "-0.000000001s")]
        {
            assert_eq!(duration_text(&Duration { seconds, nanos }), text);
        }
    }

    #[test]
    fn every_field_is_written_in_the_order_of_its_declaration() {
        assert_eq!(
            serde_json::to_string(&Sandbox::default()).unwrap(),
            "{\"id\":\"\",\"codebaseId\":\"\",\"permissions\":[],\"status\":\"SANDBOX_STATUS_UNSPECIFIED\",\"labels\":{},\"createdAt\":null,\
             \"startedAt\":null,\"stoppedAt\":null,\"expiresAt\":null,\"runtime\":\"RUNTIME_TYPE_UNSPECIFIED\",\"image\":\"\",\"resources\":null}"
        );
        let full = Sandbox {
            id: "sb_1".to_owned(),
            permissions: vec![PermissionRule { pattern: "<é\n".to_owned(), r#type: 3, permission: 99, priority: -1 }],
            labels: BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
            resources: Some(ResourceLimits { memory_bytes: i64::MAX, ..ResourceLimits::default() }),
            ..Sandbox::default()
        };
        let text = serde_json::to_string(&full).unwrap();
        assert!(
            text.contains("[{\"pattern\":\"<é\\n\",\"type\":\"PATTERN_TYPE_FILE\",\"permission\":99,\"priority\":-1}]")
                && text.contains("{\"a\":\"1\",\"b\":\"2\"}")
                && text.contains("{\"memoryBytes\":\"9223372036854775807\",\"cpuQuota\":\"0\",\"cpuShares\":\"0\",\"pidsLimit\":\"0\"}"),
            "{text}"
        );
        assert_eq!(
            serde_json::to_string(&ExecResult { exit_code: -1, ..ExecResult::default() }).unwrap(),
            "{\"stdout\":\"\",\"stderr\":\"\",\"exitCode\":-1,\"duration\":null}"
        );
    }
}
