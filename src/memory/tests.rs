use std::{
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// Paths, and the texts of their files.
type Files = &'static [(&'static str, &'static str)];

/// A folder with files, as the root of a system. Removed when it is dropped.
struct System(PathBuf);

impl System {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("oncall-memory-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_limit_is_the_least_of_the_control_groups_that_the_process_is_in() {
    let cases: [(&str, Files, Option<u64>); 9] = [
        ("no control groups", &[], None),
        (
            "version 2 in a container: its group is the root",
            &[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "536870912\n")],
            Some(512 * MIB),
        ),
        (
            "version 2 on a machine, without a limit",
            &[("proc/self/cgroup", "0::/user.slice\n"), ("sys/fs/cgroup/user.slice/memory.max", "max\n")],
            None,
        ),
        (
            "version 2, a limit above its own group",
            &[
                ("proc/self/cgroup", "0::/kubepods.slice/pod1.slice/c1\n"),
                ("sys/fs/cgroup/kubepods.slice/pod1.slice/c1/memory.max", "max\n"),
                ("sys/fs/cgroup/kubepods.slice/pod1.slice/memory.max", "268435456\n"),
                ("sys/fs/cgroup/kubepods.slice/memory.max", "1073741824\n"),
            ],
            Some(256 * MIB),
        ),
        (
            "version 1 under the path of the host",
            &[
                ("proc/self/cgroup", "5:cpu:/kubepods/c1\n4:memory:/kubepods/c1\n"),
                ("sys/fs/cgroup/memory/kubepods/c1/memory.limit_in_bytes", "134217728\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
            Some(128 * MIB),
        ),
        (
            "version 1 in a container: the path of the host is not there",
            &[
                ("proc/self/cgroup", "4:hugetlb,memory:/docker/c1\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"),
            ],
            Some(128 * MIB),
        ),
        (
            "version 1 without a limit",
            &[
                ("proc/self/cgroup", "4:memory:/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
            None,
        ),
        (
            "both versions",
            &[
                ("proc/self/cgroup", "4:memory:/a\n0::/b:c\n"),
                ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "268435456\n"),
                ("sys/fs/cgroup/unified/b:c/memory.max", "134217728\n"),
            ],
            Some(128 * MIB),
        ),
        ("what is not a limit", &[("proc/self/cgroup", "nonsense\n"), ("sys/fs/cgroup/memory.max", "12")], None),
    ];
    for (case, files, expected) in cases {
        assert_eq!(cgroup::limit(&System::new(files).0), expected, "{case}");
    }
}

#[test]
fn the_memory_of_the_machine_is_in_its_meminfo() {
    let cases = [
        ("MemTotal:       24683520 kB\nMemFree:  1 kB\n", Some(24_683_520 * 1024)),
        ("MemFree: 1 kB\n", None),
        ("MemTotal: lots\n", None),
    ];
    for (text, expected) in cases {
        assert_eq!(cgroup::machine(&System::new(&[("proc/meminfo", text)]).0), expected, "{text:?}");
    }
    assert_eq!(cgroup::machine(&System::new(&[]).0), None);
}

#[test]
fn the_flag_comes_first_then_the_control_group_then_the_machine_up_to_a_usual_size() {
    let mib = |mib: u64| Some(mib * MIB);
    let cases = [
        (mib(100), mib(512), mib(8192), Some((100, LimitSource::Flag))),
        (None, mib(512), mib(8192), Some((512, LimitSource::Cgroup))),
        (None, mib(512), None, Some((512, LimitSource::Cgroup))),
        (None, mib(9000), mib(8192), Some((1024, LimitSource::Machine))),
        (None, None, mib(8192), Some((1024, LimitSource::Machine))),
        (None, None, mib(600), Some((600, LimitSource::Machine))),
        (None, None, None, Some((1024, LimitSource::Machine))),
        (mib(64), None, None, Some((64, LimitSource::Flag))),
        (mib(16), mib(512), None, None),
        (None, mib(63), None, None),
    ];
    for (flag, cgroup, machine, expected) in cases {
        let found = MemoryLimit::of(flag, cgroup, machine).ok();
        let expected = expected.map(|(mib, source)| MemoryLimit { bytes: mib * MIB, source });
        assert_eq!(found, expected, "{flag:?} {cgroup:?} {machine:?}");
    }
}

#[test]
fn a_limit_that_is_too_small_is_refused_with_the_way_out() {
    let error = MemoryLimit::of(None, Some(16 * MIB), None).unwrap_err().to_string();
    assert_eq!(
        error,
        "the memory limit is 16777216 bytes (the container's limit (cgroup)): the least is 64 MiB; raise the container's \
         limit, or set --memory-limit"
    );
}

#[test]
fn the_parts_are_within_the_limit_and_grow_with_it() {
    let mut before: Option<(ControllerBudget, ApiBudget)> = None;
    for mib in [64, 65, 96, 128, 200, 256, 512, 1024, 4096, 1 << 20] {
        let limit = MemoryLimit { bytes: mib * MIB, source: LimitSource::Flag };
        let (controller, api) = (ControllerBudget::of(limit), ApiBudget::of(limit));
        let ControllerBudget {
            base,
            rendering,
            in_flight,
            waiting,
            webhooks,
            payloads,
            contents,
            journal,
            secrets,
            lists,
            ..
        } = controller;
        let parts = [in_flight, waiting, webhooks, payloads, contents, journal, secrets, lists];
        assert!(base + rendering + parts.iter().sum::<u64>() <= limit.bytes, "{controller:?}");
        assert!(parts.iter().all(|part| *part >= MIB), "{controller:?}");
        let ApiBudget { base, rendering, unauthenticated, bodies, catalog, sources, secrets, .. } = api;
        let ApiBudget { responses, alert_groups, integrations, credentials, lists, .. } = api;
        let parts = [unauthenticated, bodies, catalog, sources, secrets, responses, alert_groups, integrations];
        let parts: u64 = parts.into_iter().chain([credentials, lists]).sum();
        assert!(base + rendering + parts <= limit.bytes, "{api:?}");
        if let Some((smaller, smaller_api)) = before {
            assert!(smaller.rendering <= controller.rendering && smaller_api.rendering <= api.rendering, "{mib}");
        }
        before = Some((controller, api));
    }
}

#[test]
fn the_limits_of_the_chart_give_these_budgets() {
    let limit = |mib| MemoryLimit { bytes: mib * MIB, source: LimitSource::Cgroup };
    let mib = |bytes: u64| bytes / MIB;
    let controller = ControllerBudget::of(limit(512));
    let ControllerBudget { base, rendering, in_flight, waiting, webhooks, payloads, contents, .. } = controller;
    let parts = [base, rendering, in_flight, waiting, webhooks, payloads, contents].map(mib);
    assert_eq!(parts, [170, 72, 70, 43, 32, 26, 18]);
    let ControllerBudget { journal, secrets, lists, .. } = controller;
    assert_eq!([journal, secrets, lists].map(mib), [29, 21, 26]);
    let api = ApiBudget::of(limit(256));
    let ApiBudget { base, rendering, unauthenticated, bodies, catalog, sources, secrets, .. } = api;
    let parts = [base, rendering, unauthenticated, bodies, catalog, sources, secrets].map(mib);
    assert_eq!(parts, [85, 24, 21, 29, 23, 8, 2]);
    let ApiBudget { responses, alert_groups, integrations, credentials, lists, .. } = api;
    assert_eq!([responses, alert_groups, integrations, credentials, lists].map(mib), [19, 8, 2, 7, 21]);
    assert_eq!((ControllerBudget::of(limit(512)).renderings(), ApiBudget::of(limit(64)).renderings()), (3, 1));
}
