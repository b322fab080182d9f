//! Leaves the unwind tables out of the release binary, which aborts on a panic and never unwinds: 0.9 of 7.1 MB.
//!
//! Cargo's profiles can't ask for that: it takes a flag for the linker, here and not in a configuration of Cargo's, since
//! tests do unwind.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=no-unwind-tables.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}/no-unwind-tables.ld", env!("CARGO_MANIFEST_DIR"));
    }
}
