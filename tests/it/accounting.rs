//! Small runs of tests/accounting: one of a minute in which every process is killed or restarted, one with a standby, and one with
//! alerts of a real Alertmanager.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "what a test can't go on without, and shows where it fails"
)]

use std::time::Duration;

use accounting::{
    AlertReport, AlertSettings, Duplicates, JournalFaults, OperatorUnderTest, Report, Settings, run, run_alerts,
};
use tokio::sync::Mutex;

/// Each takes all the cores.
static TURN: Mutex<()> = Mutex::const_new(());

fn operator() -> OperatorUnderTest {
    OperatorUnderTest { binary: env!("CARGO_BIN_EXE_oncall-webhooks").into(), other: None, chart: support::chart() }
}

/// Runs, and holds the report to all that is promised.
async fn account(settings: &Settings) -> Report {
    let _turn = TURN.lock().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let operator = operator();
    // Shown where the test fails.
    let report = run(&operator, settings, &|line| println!("{line}")).await.expect("run");
    println!("{report}");

    assert_eq!(report.broken(settings), Vec::<String>::new());
    // What differs from run to run is what was tried again, and what was in flight.
    let Report { retries, injected, overtaken, .. } = report;
    let Duplicates { at_kill, at_pause, at_hand_over, unread, .. } = report.duplicates;
    let all = at_kill + at_pause + at_hand_over + unread;
    let expected = Report {
        events: settings.all_events(),
        open: 0,
        deliveries: settings.deliveries(),
        requests: settings.deliveries() + retries + all,
        retries,
        injected,
        lost: 0,
        duplicates: Duplicates { all, at_kill, at_pause, at_hand_over, unread, unexplained: 0 },
        out_of_order: 0,
        overtaken,
        repeated_out_of_order: 0,
        segments_left: 0,
        segments_unnamed: 0,
        strange: 0,
        misrecorded: 0,
        faults: report.faults.clone(),
        cases: Vec::new(),
    };
    assert_eq!(report, expected);
    // Otherwise nothing was tried.
    assert!(retries > 0 && injected.errors > 0 && injected.silences > 0, "{report}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_nothing_is_lost_or_out_of_order_and_only_what_was_in_flight_is_repeated() {
    let settings = Settings {
        events: 300,
        webhooks: 10,
        fan_out: 2,
        seed: 6,
        writers: 16,
        backlog: 200,
        refused_per_mille: 60,
        burst: 60,
        kills: 2,
        pauses: 1,
        api_server_restarts: 1,
        etcd_restarts: 1,
        receiver_restarts: 2,
        journal: JournalFaults { kills_at_segments: 1, kills_at_write_out: 1, deletions: 1, broken: 1 },
        standby: false,
        lease_seconds: 15,
        patience: Duration::from_secs(60),
    };
    let Duplicates { at_pause, at_hand_over, .. } = account(&settings).await.duplicates;
    assert_eq!((at_pause, at_hand_over), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_replica_leads_nothing_is_lost_or_out_of_order_and_only_what_was_in_flight_is_repeated() {
    let settings = Settings {
        events: 200,
        webhooks: 10,
        fan_out: 2,
        seed: 6,
        writers: 16,
        backlog: 100,
        refused_per_mille: 60,
        burst: 60,
        kills: 1,
        pauses: 1,
        api_server_restarts: 0,
        etcd_restarts: 0,
        receiver_restarts: 1,
        journal: JournalFaults { kills_at_segments: 1, ..JournalFaults::default() },
        standby: true,
        lease_seconds: 4,
        patience: Duration::from_secs(60),
    };
    account(&settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_each_occurrence_of_an_alert_opens_and_resolves_one_alert_group() {
    let settings = AlertSettings {
        alertmanagers: 1,
        label_sets: 40,
        occurrences: 2,
        at_a_time: 16,
        seed: 6,
        refused_per_mille: 60,
        kills: 1,
        pauses: 0,
        api_kills: 1,
        api_server_restarts: 0,
        etcd_restarts: 0,
        receiver_restarts: 1,
        lease_seconds: 4,
        patience: Duration::from_secs(60),
    };
    let _turn = TURN.lock().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let operator = operator();
    // Shown where the test fails.
    let report = run_alerts(&operator, &settings, &|line| println!("{line}")).await.expect("run");
    println!("{report}");

    assert_eq!(report.broken(&settings), Vec::<String>::new());
    let groups = settings.label_sets * settings.occurrences;
    let AlertReport { alert_groups, created, resolved, ids, notifications, retries, .. } = report;
    assert_eq!((alert_groups, created, resolved, ids), (groups, groups, groups, 2 * groups));
    // Otherwise nothing was tried.
    assert!(notifications > 2 * groups && retries > 0, "{report}");
}
