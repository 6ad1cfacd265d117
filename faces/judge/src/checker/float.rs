//! Numbers that may differ a little.

/// Whether two words are the same, or both finite numbers that differ by at most `absolute`, or at most `relative` times the expected one.
#[must_use]
pub fn near(expected: &[u8], printed: &[u8], absolute: f64, relative: f64) -> bool {
    if expected == printed {
        return true;
    }
    let (Some(expected), Some(printed)) = (number(expected), number(printed)) else { return false };
    let difference = (expected - printed).abs();
    difference <= absolute || difference <= relative * expected.abs()
}

/// A finite decimal number as C and most languages print it. `nan`, `inf` and hexadecimal are words like any other.
fn number(word: &[u8]) -> Option<f64> {
    let plain = word.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    // Longer ones exist, but nobody needs 400 places, and parsing costs their length.
    if !plain || word.len() > 400 {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn near_enough_by_either_tolerance() {
        let near = |a: &str, b: &str| near(a.as_bytes(), b.as_bytes(), 1e-6, 1e-9);
        for (a, b) in
            [("1", "1.0"), ("0.5", ".5"), ("1e3", "1000"), ("0", "0.0000005"), ("1e12", "1000000000000.9"), ("nan", "nan"), ("x", "x")]
        {
            assert!(near(a, b), "{a} {b}");
        }
        for (a, b) in [("1", "1.1"), ("0", "0.00001"), ("1", "one"), ("nan", "NaN"), ("1e999", "2e999"), ("1", "inf"), ("", "0")] {
            assert!(!near(a, b), "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_near_itself_however_it_is_written(value in prop::num::f64::NORMAL) {
            let (plain, exponent) = (format!("{value}"), format!("{value:e}"));
            prop_assert!(near(plain.as_bytes(), exponent.as_bytes(), 0.0, 1e-12));
        }
        #[test]
        fn the_absolute_tolerance_is_held(value in -1e9..1e9f64, off in 2e-3..1.0f64) {
            let (expected, printed) = (value.to_string(), (value + off).to_string());
            let is_near = near(expected.as_bytes(), printed.as_bytes(), 1e-3, 0.0);
            prop_assert!(!is_near);
        }
        #[test]
        fn no_word_panics(a: Vec<u8>, b: Vec<u8>) {
            let _ = near(&a, &b, 1e-9, 1e-9);
        }
    }
}
