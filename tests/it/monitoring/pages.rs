//! Runbooks: one for each alert; and what rules, dashboard and pages name is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{ALERTS, DASHBOARD, rules, text};

/// What the names of ours begin with.
const PREFIX: &str = "oncall_webhooks_";

/// The runbooks: their texts by name.
fn runbooks() -> BTreeMap<String, String> {
    let folder = support::repository().join("docs/runbooks");
    let files = fs::read_dir(folder).expect("a folder of runbooks").map(|file| file.expect("a file").path());
    let pages = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".md")?.to_owned();
        Some((name, fs::read_to_string(&path).expect("a page")))
    });
    pages.filter(|(name, _)| name != "README").collect()
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let names = text.match_indices(PREFIX).map(|(start, _)| {
        let rest = &text[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    });
    names.filter(|name| *name != PREFIX).collect()
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let alerts: BTreeSet<String> = rules().iter().map(|rule| text(rule, "alert").to_owned()).collect();
    let pages = runbooks();
    assert_eq!(pages.keys().cloned().collect::<BTreeSet<_>>(), alerts);
    for (name, page) in &pages {
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, ["What it means", "What to type", "What to do", "When it ends"], "{name}");
        assert!(page.contains("\n```"), "{name} says nothing to type");
    }
    // The list of them has each.
    let list = fs::read_to_string(support::repository().join("docs/runbooks/README.md")).expect("a list");
    for name in alerts {
        assert!(list.contains(&format!("[{name}]({name}.md)")), "{name}");
    }
}

#[test]
fn each_metric_that_is_named_exists() {
    let page = |path: &str| fs::read_to_string(support::repository().join(path)).expect("a page");
    // Other tests compare it with what the program shows.
    let documented = page("docs/metrics.md");
    let known = metrics(&documented);
    let of_histogram = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].iter().filter_map(|part| name.strip_suffix(part));
        parts.into_iter().any(|name| known.contains(name))
    };
    let mut texts = vec![("alerts", ALERTS.to_owned()), ("dashboard", DASHBOARD.to_owned())];
    texts.push(("docs/operating.md", page("docs/operating.md")));
    let pages = runbooks();
    texts.extend(pages.iter().map(|(name, page)| (name.as_str(), page.clone())));
    for (of, text) in &texts {
        // The selector of the dashboard's variable names two.
        let text = text.replace("oncall_webhooks_(deliveries_total|alert_groups_open)", "");
        for name in metrics(&text) {
            assert!(known.contains(name) || of_histogram(name), "{name}, in {of}, is not in docs/metrics.md");
        }
    }
}
