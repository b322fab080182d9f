//! Builds programs of this workspace, as they are deployed.

use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

/// Builds a package, or a part of one, with the release profile. Returns the folder of the result.
///
/// # Errors
///
/// When it cannot be built.
pub fn build_release(args: &[&str]) -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    eprintln!("building the release of {}, which takes minutes the first time", args.join(" "));
    let status = cargo().args(["build", "--release", "--target-dir"]).arg(target).args(args).status()?;
    if status.success() { Ok(target.join("release")) } else { Err(io::Error::other("it could not be built")) }
}

/// Cargo without the variables that an outer cargo sets for the program that it runs: build scripts that watch them
/// would run again each time, and their dependents would be built again.
fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    let of_a_package = |name: &str| {
        name == "OUT_DIR"
            || ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|of| name.starts_with(of))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_a_package)) {
        cargo.env_remove(name);
    }
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_inherits_nothing_of_the_package_that_calls_it() {
        let removed: Vec<_> =
            cargo().get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name.to_owned()).collect();
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
            assert!(removed.iter().any(|of| of == name), "{name} is not in {removed:?}");
        }
        assert!(!removed.iter().any(|of| of == "CARGO_HOME" || of == "CARGO_TARGET_DIR"), "{removed:?}");
    }
}
