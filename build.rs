//! Leaves out of the release binary what only its start and its memory pay for. Cargo's profiles can't ask for that, and
//! a configuration of Cargo's would hold for the tests as well, which do unwind.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=no-unwind-tables.ld");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") {
        // Unwind tables, 0.9 MB: it aborts on a panic, and never unwinds.
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{}/no-unwind-tables.ld", env!("CARGO_MANIFEST_DIR"));
        // Relocations, 0.6 MB on disk and in memory: its own addresses are fixed. Those of stack, heap and libraries are
        // random nevertheless.
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
