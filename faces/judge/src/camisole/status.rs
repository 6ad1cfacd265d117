//! The answers of `/languages` and `/system`.

use super::value::Value;
use crate::api::{LanguageStatus, SystemInfo};

/// Every language whose programs are installed; the others camisole did not know.
#[must_use]
pub fn languages(languages: &[LanguageStatus]) -> Value {
    Value::map(languages.iter().filter(|language| language.available).map(|language| (language.key.as_str(), self::language(language))))
}

fn language(language: &LanguageStatus) -> Value {
    let programs = language.programs.iter().map(|program| {
        let options = program.options.iter().cloned().map(Value::Text).collect();
        let version = Value::text_or_null(program.version.as_deref());
        (program.command.as_str(), Value::map([("version", version), ("opts", Value::List(options))]))
    });
    Value::map([("name", Value::Text(language.name.clone())), ("programs", Value::map(programs))])
}

/// The host.
#[must_use]
pub fn system(system: &SystemInfo) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    Value::map([
        ("arch", text(&system.arch)),
        ("byte_order", text(&system.byte_order)),
        ("cpu_cache_L1d", Value::int_or_null(system.cache_l1d)),
        ("cpu_cache_L1i", Value::int_or_null(system.cache_l1i)),
        ("cpu_cache_L2", Value::int_or_null(system.cache_l2)),
        ("cpu_cache_L3", Value::int_or_null(system.cache_l3)),
        ("cpu_count", Value::Int(system.cpu_count.into())),
        ("cpu_mhz", system.cpu_mhz.map_or(Value::Null, Value::Float)),
        ("cpu_name", Value::text_or_null(system.cpu_name.as_deref())),
        ("kernel", text(&system.kernel)),
        ("kernel_release", text(&system.kernel_release)),
        ("kernel_version", text(&system.kernel_version)),
        ("memory", Value::Int(system.memory.into())),
    ])
}
