//! Whole numbers between bounds, refused by value and by what would be right.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The largest number that every JSON implementation keeps exactly: 2^53 - 1.
pub(super) const EXACT: u64 = (1 << 53) - 1;

/// A day.
pub(super) const DAY_MS: u64 = 24 * 3600 * 1000;

struct Bounds {
    low: u64,
    high: u64,
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.low, self.high)
    }
}

impl Bounds {
    fn check<E: Error>(&self, value: u64) -> Result<u64, E> {
        match (self.low..=self.high).contains(&value) {
            true => Ok(value),
            false => Err(E::invalid_value(Unexpected::Unsigned(value), self)),
        }
    }
}

impl serde::de::Expected for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Number(Bounds);

impl Visitor<'_> for Number {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        self.0.check(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
        let value = u64::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self.0))?;
        self.0.check(value)
    }

    /// To JSON, `1.0` and `1` are one number.
    fn visit_f64<E: Error>(self, value: f64) -> Result<u64, E> {
        if value.fract() == 0.0 && (0.0..=EXACT as f64).contains(&value) {
            return self.0.check(value as u64);
        }
        Err(E::invalid_value(Unexpected::Float(value), &self.0))
    }
}

struct Maybe(Bounds);

impl<'de> Visitor<'de> for Maybe {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or null", self.0)
    }

    fn visit_none<E: Error>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_u64(Number(self.0)).map(Some)
    }
}

/// A number from `LOW` to `HIGH`, or nothing.
pub(super) fn maybe<'de, D: Deserializer<'de>, const LOW: u64, const HIGH: u64>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_option(Maybe(Bounds { low: LOW, high: HIGH }))
}

/// A span in milliseconds, or nothing.
pub(super) fn ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    maybe::<D, 1, DAY_MS>(deserializer)
}

/// A size or count of at least one, or nothing.
pub(super) fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    maybe::<D, 1, EXACT>(deserializer)
}

/// How often to run.
pub(super) fn runs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_u64(Number(Bounds { low: 1, high: super::request::MOST_RUNS }))
}
