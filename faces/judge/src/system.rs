//! The host, from `/proc` and `/sys`: no program is run, no text for people is parsed.

use std::fs;

use crate::api::SystemInfo;

/// Looks.
#[must_use]
pub fn look() -> SystemInfo {
    let name = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    SystemInfo {
        arch: text(name.machine()),
        byte_order: if cfg!(target_endian = "little") { "Little Endian" } else { "Big Endian" }.to_owned(),
        cache_l1d: cache("1", "Data"),
        cache_l1i: cache("1", "Instruction"),
        cache_l2: cache("2", "Unified"),
        cache_l3: cache("3", "Unified"),
        cpu_count: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        cpu_mhz: field(&cpu, "cpu MHz").and_then(|value| value.parse().ok()).or_else(frequency),
        cpu_name: field(&cpu, "model name").map(str::to_owned),
        kernel: text(name.sysname()),
        kernel_release: text(name.release()),
        kernel_version: text(name.version()),
        memory: fs::read_to_string("/proc/meminfo").ok().and_then(|text| kibibytes(field(&text, "MemTotal")?)).unwrap_or(0),
    }
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn kibibytes(value: &str) -> Option<u64> {
    value.strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Where `/proc/cpuinfo` tells no frequency (arm64).
fn frequency() -> Option<f64> {
    let khz: f64 = fs::read_to_string("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq").ok()?.trim().parse().ok()?;
    Some(khz / 1000.0)
}

/// Size of the first CPU's cache of this level and kind (`Documentation/ABI/testing/sysfs-devices-system-cpu`).
fn cache(level: &str, kind: &str) -> Option<u64> {
    (0..8).find_map(|index| {
        let read = |name: &str| fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}")).ok();
        if read("level")?.trim() != level || read("type")?.trim() != kind {
            return None;
        }
        size(read("size")?.trim())
    })
}

/// `64K`, `8M`.
fn size(text: &str) -> Option<u64> {
    let (number, factor) = match text.strip_suffix('K') {
        Some(number) => (number, 1 << 10),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, 1 << 20)),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described() {
        let system = look();
        assert_eq!(system.kernel, "Linux");
        assert!(system.memory > 1 << 20 && system.cpu_count >= 1 && !system.arch.is_empty());
    }

    #[test]
    fn values_are_read_as_written() {
        assert_eq!(field("a\t: 1\nmodel name\t: A: B\n", "model name"), Some("A: B"));
        assert_eq!((kibibytes("2 kB"), kibibytes("2"), kibibytes("x kB")), (Some(2048), None, None));
        assert_eq!((size("48K"), size("2M"), size("7"), size("K")), (Some(49152), Some(2 << 20), Some(7), None));
    }
}
