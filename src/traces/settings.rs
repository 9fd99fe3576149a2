//! What the environment asks for, as far as it is not the SDK that reads it: whether anything is traced, and what can't be used.

use std::{path::PathBuf, time::Duration};

use opentelemetry_sdk::trace::{OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT};
use url::Url;

/// Bound on an export, where the environment has none.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the environment asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settings {
    /// Nothing is traced.
    Off,
    /// Traces, which can't be made: a variable has what can't be used.
    Unusable { variable: &'static str, why: &'static str },
    /// Traces.
    On(Sending),
}

/// How spans are to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sending {
    /// Bound on an export.
    pub(super) timeout: Duration,
    /// How many spans wait at most.
    pub(super) queue: usize,
    /// A file with the authorities that a collector's certificate is to be of, as PEM; None for those of the system.
    pub(super) authorities: Option<PathBuf>,
}

impl Settings {
    /// Reads the variables, of which that for traces alone goes before that for all signals.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let stated = |name: &'static str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        let is = |name, word: &str| stated(name).is_some_and(|(_, value)| value.eq_ignore_ascii_case(word));
        if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
            return Self::Off;
        }
        let first = |of_traces, of_all| stated(of_traces).or_else(|| stated(of_all));
        let endpoint = first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let Some((endpoint, url)) = endpoint else { return Self::Off };
        // It may have a password, and is not shown.
        if !Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return Self::Unusable { variable: endpoint, why: "it is no URL of http or https" };
        }
        let words = [
            (
                first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
                &["http/protobuf"][..],
                "spans are sent as http/protobuf alone, to port 4318 as a rule",
            ),
            (
                first("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
                &["none", "gzip"],
                "spans are sent as they are, or compressed by gzip",
            ),
        ];
        for (found, usable, why) in words {
            if let Some((variable, value)) = found
                && !usable.contains(&&*value)
            {
                return Self::Unusable { variable, why };
            }
        }
        let timeout = first("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = timeout.and_then(|(_, milliseconds)| milliseconds.parse().ok()).map(Duration::from_millis);
        let authorities = first("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
        let queue = stated(OTEL_BSP_MAX_QUEUE_SIZE).and_then(|(_, spans)| spans.parse().ok());
        Self::On(Sending {
            timeout: timeout.unwrap_or(TIMEOUT),
            queue: queue.unwrap_or(OTEL_BSP_MAX_QUEUE_SIZE_DEFAULT),
            authorities: authorities.map(|(_, file)| PathBuf::from(file)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Settings {
        Settings::of(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_traced_unless_there_is_an_endpoint() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318");
        let sending = |seconds| Sending { timeout: Duration::from_secs(seconds), queue: 2048, authorities: None };
        let on = |seconds| Settings::On(sending(seconds));
        let trusting = |file| Settings::On(Sending { authorities: Some(PathBuf::from(file)), ..sending(10) });
        let unusable = |variable, why| Settings::Unusable { variable, why };
        let cases: &[(&[(&str, &str)], Settings)] = &[
            (&[], Settings::Off),
            (&[("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_SERVICE_NAME", "oncall")], Settings::Off),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], Settings::Off),
            (&[endpoint], on(10)),
            (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://collector.example/v1/traces")], on(10)),
            (&[endpoint, ("OTEL_SDK_DISABLED", "True")], Settings::Off),
            (&[endpoint, ("OTEL_SDK_DISABLED", "false")], on(10)),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], Settings::Off),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "otlp")], on(10)),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")], on(2)),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_TIMEOUT", "2 s")], on(10)),
            (&[endpoint, ("OTEL_BSP_MAX_QUEUE_SIZE", "100")], Settings::On(Sending { queue: 100, ..sending(10) })),
            (&[endpoint, ("OTEL_BSP_MAX_QUEUE_SIZE", "many")], on(10)),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")], on(10)),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem")], trusting("/all.pem")),
            (
                &[
                    endpoint,
                    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
                    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
                ],
                trusting("/traces.pem"),
            ),
            (
                &[
                    endpoint,
                    ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
                    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "3000"),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
                    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
                ],
                on(3),
            ),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector.example:4318")],
                unusable("OTEL_EXPORTER_OTLP_ENDPOINT", "it is no URL of http or https"),
            ),
            (
                &[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
                unusable(
                    "OTEL_EXPORTER_OTLP_PROTOCOL",
                    "spans are sent as http/protobuf alone, to port 4318 as a rule",
                ),
            ),
            (
                &[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "zstd")],
                unusable("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "spans are sent as they are, or compressed by gzip"),
            ),
        ];
        for (variables, expected) in cases {
            assert_eq!(found(variables), *expected, "{variables:?}");
        }
    }
}
