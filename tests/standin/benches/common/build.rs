//! The function as it is deployed, and its memory.

use std::{fs, path::PathBuf, process::Command};

use standin::Environment;

/// Builds as for a deployment; gives the folder.
pub(crate) fn build(package: &[&str]) -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--quiet", "--target-dir"]).arg(&target).args(package);
    assert!(cargo.status().unwrap().success());
    target.join("release")
}

/// The most memory that the process has had resident.
pub(crate) fn peak_mb(function: &Environment) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", function.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e3
}
