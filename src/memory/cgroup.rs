//! What Linux says about the memory that this process may have.
//!
//! The files are those of <https://docs.kernel.org/admin-guide/cgroup-v2.html> (`memory.max`) and
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html> (`memory.limit_in_bytes`). A container sees its own group as the
//! root of /sys/fs/cgroup, or under its path on the host, or both: the least limit on the way up is the one that holds.

use std::{fs, path::Path};

/// What version 1 says where there is no limit is about this, less a page.
const UNLIMITED: u64 = 1 << 62;

/// The least limit of the control groups that this process is in, in bytes, as the files below `root` say it; None if there is
/// none.
pub(super) fn limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if controllers.is_empty() {
            // Where both versions are in use, the second has a folder of its own.
            let mounts = [mounts.clone(), mounts.join("unified")];
            return mounts.iter().filter_map(|mount| least(mount, path, "memory.max")).min();
        }
        let is_memory = controllers.split(',').any(|controller| controller == "memory");
        is_memory.then(|| least(&mounts.join("memory"), path, "memory.limit_in_bytes"))?
    });
    limits.min()
}

/// The least limit in the files of this name, in `path` below `mount` and in each folder above it.
fn least(mount: &Path, path: &str, file: &str) -> Option<u64> {
    let path = Path::new(path.trim_start_matches('/'));
    let limits = path.ancestors().filter_map(|group| {
        let text = fs::read_to_string(mount.join(group).join(file)).ok()?;
        // "max" stands for none.
        text.trim().parse::<u64>().ok().filter(|limit| *limit < UNLIMITED)
    });
    limits.min()
}

/// How much memory the machine has, in bytes, as the files below `root` say it; None where that is not known.
pub(super) fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
