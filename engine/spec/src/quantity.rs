//! Sizes (`64M`, `1GiB`), time spans (`500ms`, `2s`, `1m`) and bounds that may be lifted (`unlimited`).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is no quantity; the message says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {kind}: {wanted}")]
pub struct QuantityError {
    value: String,
    kind: &'static str,
    wanted: &'static str,
}

/// A number of bytes. Text: digits and an optional unit; `K`, `M`, `G`, `T` (and `KiB` …, `k` …) count in 1024s, `kB`/`KB`, `MB`,
/// `GB`, `TB` in 1000s, as in `dd(1)` and `systemd.resource-control(5)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

impl Size {
    /// `n` mebibytes.
    #[must_use]
    pub const fn mib(n: u64) -> Self {
        Size(n << 20)
    }
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const SIZE_WANTED: &str = "write bytes or a unit, e.g. 65536, 64M, 1GiB, 500MB";

impl FromStr for Size {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError { value: text.to_owned(), kind: "size", wanted: SIZE_WANTED };
        let (number, unit) = split_unit(text).ok_or_else(error)?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "K" | "k" | "KiB" => 1 << 10,
            "M" | "m" | "MiB" => 1 << 20,
            "G" | "g" | "GiB" => 1 << 30,
            "T" | "t" | "TiB" => 1 << 40,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(error()),
        };
        scale(number, factor).map(Size).ok_or_else(error)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 >= 1 << shift && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// A span of time. Text: digits and a unit `us`, `ms`, `s`, `m` or `h`; a bare number is seconds, as for `timeout(1)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

const SPAN_WANTED: &str = "write a number and a unit, e.g. 500ms, 2s, 1.5s, 1m";

impl FromStr for Span {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError { value: text.to_owned(), kind: "time span", wanted: SPAN_WANTED };
        let (number, unit) = split_unit(text).ok_or_else(error)?;
        let nanos: u64 = match unit {
            "us" => 1_000,
            "ms" => 1_000_000,
            "" | "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(error()),
        };
        scale(number, nanos).map(|n| Span(Duration::from_nanos(n))).ok_or_else(error)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (unit_nanos, unit) in [(60_000_000_000, "m"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
            if nanos > 0 && nanos.is_multiple_of(unit_nanos) {
                return write!(f, "{}{unit}", nanos / unit_nanos);
            }
        }
        write!(f, "{}us", nanos / 1_000)
    }
}

/// A share of CPU time, in thousandths of one CPU. Text: a number of CPUs, e.g. `0.5`, `2`; not below `0.01`, the least that the kernel takes (`cpu.max`, cgroups(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuQuota(pub u64);

const QUOTA_WANTED: &str = "write a number of CPUs, from 0.01 to 10000, e.g. 0.5";

impl CpuQuota {
    /// CPU time in each tenth of a second, µs.
    #[must_use]
    pub const fn usec_per_period(self) -> u64 {
        self.0 * 100
    }
}

impl FromStr for CpuQuota {
    type Err = QuantityError;
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError { value: text.to_owned(), kind: "number of CPUs", wanted: QUOTA_WANTED };
        let (number, unit) = split_unit(text).ok_or_else(error)?;
        let thousandths = scale(number, 1000).filter(|_| unit.is_empty()).ok_or_else(error)?;
        if (10..=10_000_000).contains(&thousandths) { Ok(CpuQuota(thousandths)) } else { Err(error()) }
    }
}

impl fmt::Display for CpuQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        if rest == 0 { write!(f, "{whole}") } else { write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0')) }
    }
}

/// Splits `1.5GiB` into `1.5` and `GiB`; `None` unless it starts with a digit.
fn split_unit(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number.starts_with(|c: char| c.is_ascii_digit()).then_some((number, unit.trim_start_matches(' ')))
}

/// `number` (decimal, at most nine places) times `factor`, exactly; `None` on overflow or a second point.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || !fraction.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let part =
        if fraction.is_empty() { 0 } else { fraction.parse::<u128>().ok()? * u128::from(factor) / 10u128.pow(fraction.len() as u32) };
    whole.checked_add(u64::try_from(part).ok()?)
}

/// A limit's value: a quantity, or the word `unlimited` (which lifts a default).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<T> {
    /// No limit, said explicitly.
    Unlimited,
    /// At most this much.
    At(T),
}

impl<T: Copy> Bound<T> {
    /// The quantity, unless lifted.
    pub fn value(self) -> Option<T> {
        match self {
            Bound::Unlimited => None,
            Bound::At(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for Bound<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "unlimited" { Ok(Bound::Unlimited) } else { text.parse().map(Bound::At) }
    }
}

impl<T: fmt::Display> fmt::Display for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Unlimited => f.write_str("unlimited"),
            Bound::At(value) => value.fmt(f),
        }
    }
}

/// Text or a bare number in a policy file; both mean what the same characters mean on the command line.
struct TextOrNumber<T>(std::marker::PhantomData<T>, &'static str);

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for TextOrNumber<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|e: T::Err| E::custom(e))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! serde_as_text {
    ($type:ty, $expecting:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextOrNumber(std::marker::PhantomData, $expecting))
            }
        }
    };
}

serde_as_text!(Size, "a size such as 64M or 1GiB");
serde_as_text!(Span, "a time span such as 500ms or 2s");
serde_as_text!(CpuQuota, "a number of CPUs such as 0.5");
serde_as_text!(Bound<CpuQuota>, "a number of CPUs such as 0.5, or \"unlimited\"");
serde_as_text!(Bound<Size>, "a size such as 64M, or \"unlimited\"");
serde_as_text!(Bound<Span>, "a time span such as 2s, or \"unlimited\"");
serde_as_text!(Bound<u64>, "a whole number, or \"unlimited\"");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_of_cpus_is_a_decimal_number() {
        for (text, thousandths, again) in [("0.5", 500, "0.5"), ("2", 2000, "2"), ("1.250", 1250, "1.25"), ("0.01", 10, "0.01")] {
            let quota: CpuQuota = text.parse().unwrap();
            assert_eq!((quota.0, quota.to_string().as_str()), (thousandths, again));
        }
        assert_eq!("0.5".parse::<CpuQuota>().unwrap().usec_per_period(), 50_000);
        for text in ["", "0", "0.001", "50%", "-1", "1e3", "10001", "half"] {
            assert!(text.parse::<CpuQuota>().unwrap_err().to_string().contains("0.01"), "{text}");
        }
    }

    #[test]
    fn sizes_people_write() {
        for (text, bytes) in [("0", 0), ("65536", 65_536), ("64M", 64 << 20), ("1GiB", 1 << 30), ("1.5K", 1536), ("500MB", 500_000_000)] {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "M", "-1", "64Q", "1..5G", "99999999999999999999", "16777216T", "0x10", "1e3"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_people_write() {
        for (text, ms) in [("500ms", 500), ("2s", 2_000), ("2", 2_000), ("1.5s", 1_500), ("1m", 60_000)] {
            assert_eq!(text.parse::<Span>(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
        assert_eq!(
            "1 day".parse::<Span>().unwrap_err().to_string(),
            "\"1 day\" is not a time span: write a number and a unit, e.g. 500ms, 2s, 1.5s, 1m"
        );
    }

    proptest! {
        #[test]
        fn a_size_reads_back_as_written(bytes: u64) {
            prop_assert_eq!(Size(bytes).to_string().parse::<Size>(), Ok(Size(bytes)));
        }
        #[test]
        fn a_span_reads_back_to_the_microsecond(us in 0u64..u64::MAX / 1000) {
            let span = Span(Duration::from_micros(us));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Bound<Size>>();
            let _ = text.parse::<Bound<Span>>();
        }
    }
}
