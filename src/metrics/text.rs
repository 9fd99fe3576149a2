//! Prometheus' text format. The library writes OpenMetrics, which differs in a few words; not all that read the one read the other
//! (`promtool check metrics` takes counters of OpenMetrics for metrics without a type), and all read this one.

use prometheus_client::{encoding::text, registry::Registry};

/// The type of the content.
pub(super) const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of a registry.
pub(super) fn encode(registry: &Registry) -> String {
    let mut open_metrics = String::new();
    // Nothing can go wrong with a String.
    let _ = text::encode(&mut open_metrics, registry);
    from_open_metrics(&open_metrics)
}

/// Writes OpenMetrics as the older format: there a counter is described by the name that its samples have, and neither units nor
/// the end are marked. Braces without labels are left out.
fn from_open_metrics(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, help)) = help.take() {
                written.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            written.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if let Some((name, value)) =
            line.split_once('{').and_then(|(name, rest)| Some((name, rest.strip_prefix("} ")?)))
        {
            // No labels, in a family that could have some.
            written.extend([name, " ", value, "\n"]);
        } else if !line.starts_with('#') {
            written.extend([line, "\n"]);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_described_by_the_name_of_their_samples_and_series_without_labels_have_no_braces() {
        let open_metrics = "# HELP waiting Waiting.\n# TYPE waiting gauge\nwaiting{} 3\n\
                            # HELP calls Calls.\n# TYPE calls counter\ncalls_total{verb=\"get\"} 1\n\
                            # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 2.5\n\
                            # HELP took_seconds Time.\n# TYPE took_seconds histogram\ntook_seconds_sum 1.0\n\
                            took_seconds_count 1\ntook_seconds_bucket{le=\"+Inf\"} 1\n# EOF\n";
        let text = "# HELP waiting Waiting.\n# TYPE waiting gauge\nwaiting 3\n\
                    # HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{verb=\"get\"} 1\n\
                    # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 2.5\n\
                    # HELP took_seconds Time.\n# TYPE took_seconds histogram\ntook_seconds_sum 1.0\n\
                    took_seconds_count 1\ntook_seconds_bucket{le=\"+Inf\"} 1\n";
        assert_eq!(from_open_metrics(open_metrics), text);
    }
}
