//! Figures as people read them.

/// `value` in `unit` (`us`, `bytes`, `count`) with three significant digits and a unit people know.
pub fn human(value: u64, unit: &str) -> String {
    match unit {
        "us" => time(value),
        "bytes" => bytes(value),
        "count" => value.to_string(),
        other => format!("{value} {other}"),
    }
}

fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..999_500 => format!("{} ms", three_digits(us as f64 / 1e3)),
        999_500..119_995_000 => format!("{} s", three_digits(us as f64 / 1e6)),
        // Beyond two minutes nobody divides by sixty gladly.
        _ => format!("{} m {:02} s", us / 60_000_000, us / 1_000_000 % 60),
    }
}

fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1023.5 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{} {unit}", three_digits(value)) }
}

/// 1.23, 12.3, 123; whole numbers without a point.
fn three_digits(value: f64) -> String {
    let places = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// How much of `limit` is `used`, in whole percent, rounded down so that 100 means reached.
pub fn percent(used: u64, limit: u64) -> u64 {
    if limit == 0 { 100 } else { u64::try_from(u128::from(used) * 100 / u128::from(limit)).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (value, unit, text) in [
            (0, "us", "0 us"),
            (999, "us", "999 us"),
            (1_000, "us", "1 ms"),
            (412_345, "us", "412 ms"),
            (999_600, "us", "1 s"),
            (1_500_000, "us", "1.5 s"),
            (61_000_000, "us", "61 s"),
            (150_000_000, "us", "2 m 30 s"),
            (0, "bytes", "0 B"),
            (1023, "bytes", "1023 B"),
            (1536, "bytes", "1.5 KiB"),
            (64 << 20, "bytes", "64 MiB"),
            ((1 << 30) - 1, "bytes", "1 GiB"),
            (u64::MAX, "bytes", "16777216 TiB"),
            (4096, "count", "4096"),
            (3, "pages", "3 pages"),
        ] {
            assert_eq!(human(value, unit), text, "{value} {unit}");
        }
    }

    #[test]
    fn a_hundred_percent_means_reached() {
        assert_eq!(percent(999, 1000), 99);
        assert_eq!(percent(1000, 1000), 100);
        assert_eq!(percent(u64::MAX, 1), u64::MAX);
        assert_eq!(percent(0, 0), 100);
    }
}
