//! A process's memory.

use std::fs;

use standin::Environment;

/// The most memory that the process has had resident.
pub(crate) fn peak_mb(function: &Environment) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", function.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e3
}
