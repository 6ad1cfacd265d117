//! Links `enclos` to a fixed address where it is static.
//!
//! A position-independent static program first writes to every page that holds a pointer: a third of a millisecond on the path of every `enclos run`, and
//! pages that every process made from it, so every parked sandbox, has for its own (SPECIFICATION.md, P1 and P5).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let of_target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    let is_static = of_target("FEATURE").split(',').any(|feature| feature == "crt-static");
    if is_static && of_target("OS") == "linux" && of_target("ENV") == "gnu" {
        // The compiler asks for -static-pie; the driver obeys the last word.
        println!("cargo:rustc-link-arg-bins=-no-pie");
        println!("cargo:rustc-link-arg-bins=-static");
    }
}
