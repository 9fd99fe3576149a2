//! A line that is about an object has the field `namespace`: people find what is theirs by it, and of a storm the limit leaves out that
//! namespace's lines alone.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// How the messages begin that tell of the process, its ports, the cluster, or of many objects at a time.
const OF_NO_NAMESPACE: [&str; 57] = [
    "a call ended early and was answered with 500",
    "a part of the operator ended by itself",
    "a peer has as many connections as one may have",
    "admission webhook",
    "all connections that this port may have are open and in use",
    "another replica leads",
    "as many spans wait for the collector as may",
    "failed to accept a connection",
    "failed to add to the journal",
    "failed to ask the API server about a Kubernetes token",
    "failed to ask the API server for its addresses",
    "failed to ask the API server who reads the metrics",
    "failed to delete {refused}",
    "failed to give the Lease up",
    "failed to list DeliveryJournals",
    "failed to make the defaults of a webhook",
    "failed to read the addresses of all API servers",
    "failed to read the definitions of the custom resources",
    "failed to read the file with the log filter",
    "failed to read which name servers the system has",
    "failed to renew the Lease",
    "failed to send spans to the collector",
    "failed to serve /livez, /readyz and /metrics",
    "failed to set up what sends spans",
    "failed to take the Lease",
    "gave the Lease up for another replica",
    "how the memory limit is divided, in bytes",
    "judging for the admission webhook ended early",
    "nothing is sent",
    "ready",
    "removed objects that are not kept any more",
    "requests are refused",
    "sending goes on",
    "sending waits",
    "stopped before all deliveries under way were recorded",
    "stopped before all requests on these connections were answered",
    "stopped before all writes to the API server had ended",
    "stopped before the last spans were sent",
    "stopped before the statuses of all events that have ended were written",
    "stopping",
    "the API server answers again",
    "the API server does not answer within",
    "the Lease is renewed",
    "the REST API listens",
    "the TLS certificate has changed",
    "the admission webhook is not served",
    "the cluster lacks definitions",
    "the collector takes spans again",
    "the file has no log filter that can be used",
    "the files of the TLS certificate can't be used",
    "the health port listens",
    "the log filter changes to this",
    "the watch of the Lease failed",
    "there is no journal, so alert storms are slow",
    "this variable can't be used; nothing is traced",
    "took over what another process has left in the journal",
    "traces are on",
];

/// The files of Rust below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines that a source writes from `info` on: the text of their fields, and the message.
fn lines(source: &str) -> Vec<(&str, &str)> {
    let begins = ["error", "warn", "info"].map(|level| format!("tracing::{level}!("));
    let calls =
        begins.iter().flat_map(|begin| source.match_indices(begin.as_str()).map(|(at, begin)| at + begin.len()));
    let parts = calls.filter_map(|at| source[at..].split_once('"'));
    parts.map(|(fields, rest)| (fields, rest.split_once('"').map_or(rest, |(message, _)| message))).collect()
}

/// Whether the fields have one of this name.
fn has_field(fields: &str, name: &str) -> bool {
    fields.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}

#[test]
fn every_line_names_the_namespace_that_it_is_about() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut unnamed = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(file).unwrap();
        let of_none = lines(&source).into_iter().filter(|(fields, _)| !has_field(fields, "namespace"));
        unnamed.extend(of_none.map(|(_, message)| message.to_owned()));
    }
    let begins_so = |message: &String| OF_NO_NAMESPACE.iter().any(|begin| message.starts_with(begin));
    let forgotten: Vec<_> = unnamed.iter().filter(|message| !begins_so(message)).collect();
    assert_eq!(forgotten, Vec::<&String>::new(), "give them the field `namespace`");
    let is_used = |begin: &&&str| unnamed.iter().any(|message| message.starts_with(**begin));
    assert_eq!(OF_NO_NAMESPACE.iter().filter(|begin| !is_used(begin)).count(), 0, "no line begins so");
}
