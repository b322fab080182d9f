//! The share of a core that Lambda gives a function.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The memory with which a function has a whole core, in MB: "Configure Lambda function memory" in the AWS Lambda
/// Developer Guide.
const WHOLE_CORE_MB: u64 = 1_769;

/// The period in which a share is given out, 20 ms.
const PERIOD_US: u64 = 20_000;

/// A share of a core, for processes on Linux that root may limit.
#[derive(Clone, Copy, Debug)]
pub struct CpuShare {
    quota_us: u64,
    period_us: u64,
}

impl CpuShare {
    /// The share of a function with so much memory; `None` if processes can't be limited here.
    #[must_use]
    pub fn of_memory(memory_mb: u64) -> Option<Self> {
        Self::of_memory_within(memory_mb, PERIOD_US)
    }

    /// Like [`CpuShare::of_memory`], given out in periods of this length.
    #[must_use]
    pub fn of_memory_within(memory_mb: u64, period_us: u64) -> Option<Self> {
        let share = Self { quota_us: period_us * memory_mb / WHOLE_CORE_MB, period_us };
        Cgroup::new(share).ok().map(|_| share)
    }

    /// Limits a process for as long as the answer is held.
    pub(crate) fn hold(self, pid: u32) -> io::Result<Cgroup> {
        let cgroup = Cgroup::new(self)?;
        fs::write(cgroup.0.join("cgroup.procs"), pid.to_string())?;
        Ok(cgroup)
    }
}

/// A cgroup, which is removed once its process has ended.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    fn new(share: CpuShare) -> io::Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let CpuShare { quota_us, period_us } = share;
        let name = format!("standin-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let v1 = Path::new("/sys/fs/cgroup/cpu").join(&name);
        if fs::create_dir(&v1).is_ok() {
            let cgroup = Self(v1);
            fs::write(cgroup.0.join("cpu.cfs_period_us"), period_us.to_string())?;
            fs::write(cgroup.0.join("cpu.cfs_quota_us"), quota_us.to_string())?;
            return Ok(cgroup);
        }
        let cgroup = Self(Path::new("/sys/fs/cgroup").join(name));
        fs::create_dir(&cgroup.0)?;
        fs::write(cgroup.0.join("cpu.max"), format!("{quota_us} {period_us}"))?;
        Ok(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
