//! Plans which fault comes when, and describes those that came.

use std::{fmt, time::Duration};

use crate::Settings;

/// A fault: something that is done to the operator or to what it works with, or that happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The operator, or the leader, is killed with -9 and started again.
    Kill,
    /// It is stopped and continued; with a standby, when that has taken over.
    Pause,
    /// The API server is restarted.
    ApiServer,
    /// etcd is restarted.
    Etcd,
    /// The receiver is restarted.
    Receiver,
    /// A replica of the API that takes alerts is killed with -9 and started again.
    ApiReplica,
    /// The operator, or the leader, is killed with -9 when a segment of its journal appears, in a storm: others are being created.
    KilledAtSegment,
    /// The same when a segment is removed: others are being written out.
    KilledAtWriteOut,
    /// The segments are deleted as they appear, while a leader lives.
    SegmentsDeleted,
    /// A segment that can't be read is put among the others, and the operator is killed, so that another process finds it.
    BrokenSegment,
    /// The Lease went over while its holder ran: an outage took too long, or the machine was too busy. Nobody did this on purpose.
    HandOver,
    /// An operator ended by itself, and was started again. Nobody did this on purpose.
    Ended,
}

impl Fault {
    /// Whether the operator, or the leader, is killed.
    pub(crate) fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::KilledAtSegment | Self::KilledAtWriteOut | Self::BrokenSegment)
    }

    /// Whether it comes in a storm of its own, so that there is a journal.
    pub(crate) fn is_of_the_journal(self) -> bool {
        use Fault::{BrokenSegment, KilledAtSegment, KilledAtWriteOut, SegmentsDeleted};
        matches!(self, KilledAtSegment | KilledAtWriteOut | SegmentsDeleted | BrokenSegment)
    }

    /// All that are done on purpose, each with how often.
    pub(crate) fn planned(settings: &Settings) -> [(Self, usize); 9] {
        let journal = settings.journal;
        [
            (Self::Kill, settings.kills),
            (Self::Pause, settings.pauses),
            (Self::ApiServer, settings.api_server_restarts),
            (Self::Etcd, settings.etcd_restarts),
            (Self::Receiver, settings.receiver_restarts),
            (Self::KilledAtSegment, journal.kills_at_segments),
            (Self::KilledAtWriteOut, journal.kills_at_write_out),
            (Self::SegmentsDeleted, journal.deletions),
            (Self::BrokenSegment, journal.broken),
        ]
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "operator killed",
            Self::Pause => "operator paused",
            Self::ApiServer => "API server restarted",
            Self::Etcd => "etcd restarted",
            Self::Receiver => "receiver restarted",
            Self::ApiReplica => "api replica killed",
            Self::KilledAtSegment => "operator killed as a journal segment appeared",
            Self::KilledAtWriteOut => "operator killed as a journal segment was written out",
            Self::SegmentsDeleted => "journal segments deleted",
            Self::BrokenSegment => "broken journal segment put there, and operator killed",
            Self::HandOver => "Lease went over by itself",
            Self::Ended => "operator ended by itself",
        })
    }
}

/// A fault that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disturbance {
    pub(crate) fault: Fault,
    /// The last moment before it.
    pub(crate) from: Duration,
    /// When it was over for sure. For a kill or a pause: no request that the process sent before it arrives later, and none
    /// that another sends after it arrives sooner.
    pub(crate) to: Duration,
    /// When a paused process went on.
    pub(crate) resumed: Option<Duration>,
}

/// The faults, each with the number of deliveries, those of bursts aside, that have arrived before it comes. They come one after
/// another, between the first twentieth of these deliveries and the last fifth.
pub(crate) fn schedule(settings: &Settings, chance: &mut fastrand::Rng) -> Vec<(usize, Fault)> {
    spread(&Fault::planned(settings), settings.deliveries_aside(), chance)
}

/// Faults, each with how often it comes, spread over that many deliveries in the same way.
pub(crate) fn spread(planned: &[(Fault, usize)], deliveries: usize, chance: &mut fastrand::Rng) -> Vec<(usize, Fault)> {
    let mut faults: Vec<Fault> = planned.iter().flat_map(|(fault, count)| vec![*fault; *count]).collect();
    chance.shuffle(&mut faults);
    let (first, last) = (deliveries / 20, deliveries * 4 / 5);
    // One in each of as many equal parts: a machine that is slow to restart something has time for the others.
    let part = (last - first) as f64 / faults.len().max(1) as f64;
    let moments = (0..faults.len()).map(|number| first + ((number as f64 + chance.f64()) * part) as usize);
    moments.zip(faults).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JournalFaults;

    #[test]
    fn the_seed_decides_when_which_fault_comes_and_all_come_in_time() {
        let settings = Settings {
            events: 1000,
            webhooks: 10,
            fan_out: 2,
            seed: 1,
            writers: 4,
            backlog: 100,
            refused_per_mille: 50,
            burst: 100,
            kills: 5,
            journal: JournalFaults { kills_at_segments: 1, kills_at_write_out: 0, deletions: 2, broken: 0 },
            pauses: 2,
            api_server_restarts: 3,
            etcd_restarts: 1,
            receiver_restarts: 4,
            standby: false,
            lease_seconds: 15,
            patience: Duration::from_secs(60),
        };
        let of = |seed| schedule(&settings, &mut fastrand::Rng::with_seed(seed));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let moments: Vec<usize> = of(1).into_iter().map(|(moment, _)| moment).collect();
        assert!(moments.is_sorted() && moments[0] >= 100 && moments[17] <= 1600, "{moments:?}");
        let mut faults: Vec<Fault> = of(1).into_iter().map(|(_, fault)| fault).collect();
        faults.sort();
        let expected = [
            (Fault::Kill, 5),
            (Fault::Pause, 2),
            (Fault::ApiServer, 3),
            (Fault::Etcd, 1),
            (Fault::Receiver, 4),
            (Fault::KilledAtSegment, 1),
            (Fault::SegmentsDeleted, 2),
        ];
        assert_eq!(faults, expected.into_iter().flat_map(|(fault, count)| vec![fault; count]).collect::<Vec<_>>());
    }
}
