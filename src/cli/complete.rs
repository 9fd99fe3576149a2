//! Completions of names: a word's beginning in; the names in the cluster that begin so out. Where the cluster does not answer soon,
//! there are none, and nothing is said.
//!
//! ```text
//! a shell's script  ─► CompleteEnv (main) ─┐
//!                                          ├─► arguments ─► webhooks, alert_groups, … ─► the API server
//! kubectl_complete-oncall ─► for_kubectl ──┘
//! ```

use std::{
    env,
    ffi::{OsStr, OsString},
    future::Future,
    time::Duration,
};

use anyhow::{Context, Result};
use clap_complete::engine::{self, CompletionCandidate};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Namespace};
use kube::{Api, Resource, ResourceExt, api::ListParams, config::Kubeconfig};

use super::{cluster::ClusterOptions, output::print, session::Session, table::shortened};
use crate::{
    kubernetes::{objects::TABLE, table::Table},
    resources::{AlertGroup, Integration, Webhook, WebhookResponse},
};

/// The variable of the environment with which a shell's script asks for completions.
pub const VARIABLE: &str = "ONCALL_WEBHOOKS_COMPLETE";

/// How long the cluster may take: somebody waits with a finger on a key.
const PATIENCE: Duration = Duration::from_secs(2);
/// With more names than these, nobody chooses among them.
const MOST: usize = 500;

/// Names of webhooks.
pub(super) fn webhooks(current: &OsStr) -> Vec<CompletionCandidate> {
    names::<Webhook, 1>(current, ListParams::default(), ["Trigger"])
}

/// Names of integrations.
pub(super) fn integrations(current: &OsStr) -> Vec<CompletionCandidate> {
    names::<Integration, 1>(current, ListParams::default(), ["Type"])
}

/// Names of alert groups: of those that are open, or for `unresolve` of those that are not.
pub(super) fn alert_groups(current: &OsStr) -> Vec<CompletionCandidate> {
    let is = if words().iter().any(|word| word == "unresolve") { "=" } else { "!=" };
    let which = ListParams::default().fields(&format!("status.state{is}resolved"));
    names::<AlertGroup, 2>(current, which, ["State", "Title"])
}

/// Names of responses that did not succeed.
pub(super) fn responses(current: &OsStr) -> Vec<CompletionCandidate> {
    let which = ListParams::default().fields("status.phase!=Succeeded");
    names::<WebhookResponse, 2>(current, which, ["Webhook", "Phase"])
}

/// Names of namespaces.
pub(super) fn namespaces(current: &OsStr) -> Vec<CompletionCandidate> {
    let found = in_time(async |session| {
        let most = ListParams::default().limit(u32::try_from(MOST)?);
        let found = Api::<Namespace>::all(session.client).list_metadata(&most).await?;
        Ok(found.items.iter().map(|namespace| CompletionCandidate::new(namespace.name_any())).collect())
    });
    beginning(current, found)
}

/// Names of the kubeconfig's contexts.
pub(super) fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let kubeconfig = match cluster(&words()).kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let contexts = kubeconfig.map(|kubeconfig| kubeconfig.contexts).unwrap_or_default();
    beginning(current, contexts.into_iter().map(|context| CompletionCandidate::new(context.name)).collect())
}

/// The names of a kind's objects that begin so, each with the texts of these columns.
fn names<K, const N: usize>(current: &OsStr, which: ListParams, columns: [&'static str; N]) -> Vec<CompletionCandidate>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let found = in_time(async |session| {
        let mut found = Vec::new();
        let mut pages = session.pages::<K>(Some(&session.namespace), Some(TABLE), which);
        while let Some(page) = session.objects.next_page::<Table>(&mut pages).await? {
            let rows = page.rows(columns)?.filter_map(|(metadata, texts)| {
                let help = shortened(&texts.join(": "), 60);
                Some(CompletionCandidate::new(metadata.name?).help(Some(help.into())))
            });
            found.extend(rows);
            if found.len() >= MOST {
                break;
            }
        }
        Ok(found)
    });
    beginning(current, found)
}

fn beginning(current: &OsStr, mut candidates: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    let begin = current.to_string_lossy();
    candidates.retain(|candidate| candidate.get_value().to_string_lossy().starts_with(&*begin));
    candidates
}

/// Reads from the cluster that the command line names; nothing if that fails, or takes too long.
fn in_time<F>(read: impl FnOnce(Session) -> F) -> Vec<CompletionCandidate>
where
    F: Future<Output = Result<Vec<CompletionCandidate>>>,
{
    // The first provider that is installed stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let reading = async {
        let session = Session::open(&cluster(&words())).await?;
        read(session).await
    };
    let found = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
        let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, reading).await });
        runtime.shutdown_background();
        found
    });
    // Whoever completes a word has no use for what went wrong.
    found.map(|found| found.map(Result::unwrap_or_default).unwrap_or_default()).unwrap_or_default()
}

/// The words of the command line that is completed: behind `--` where a shell's script asks.
fn words() -> Vec<String> {
    let words: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match words.split_first() {
        Some((first, others)) if first == "--" => others.to_vec(),
        _ => words,
    }
}

/// The flags among the words that say which cluster. What is wrong with others does not matter yet.
fn cluster(words: &[String]) -> ClusterOptions {
    let value = |short: Option<&str>, long: &str| {
        let mut words = words.iter().map(String::as_str);
        let mut found = None;
        while let Some(word) = words.next() {
            let joined = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
            let joined =
                joined.or_else(|| short.and_then(|short| word.strip_prefix(short)).filter(|rest| !rest.is_empty()));
            if let Some(value) = joined {
                found = Some(value.trim_start_matches('=').to_owned());
            } else if word == long || Some(word) == short {
                found = words.next().map(str::to_owned);
            }
        }
        found.filter(|value| !value.is_empty())
    };
    ClusterOptions {
        namespace: value(Some("-n"), "--namespace"),
        context: value(None, "--context"),
        kubeconfig: value(None, "--kubeconfig").map(Into::into),
    }
}

/// Prints the completions of the last argument as kubectl reads them of a plugin: a word and what it means on each line, and what is to
/// be done with them on the last.
///
/// # Errors
/// Standard output can't be written to.
pub fn for_kubectl(mut plugin: clap::Command) -> Result<()> {
    let mut args: Vec<OsString> = vec![plugin.get_name().into()];
    args.extend(env::args_os().skip(1));
    let last = args.len().saturating_sub(1);
    let current = env::current_dir().ok();
    let is_flag = |word: &OsStr| word.to_string_lossy().starts_with('-');
    let asks_for_flags = args.last().is_some_and(|word| is_flag(word));
    let completed = engine::complete(&mut plugin, args, last, current.as_deref());
    let mut candidates = completed.context("complete the command")?;
    // As kubectl's own commands: flags where one is begun.
    candidates.retain(|candidate| asks_for_flags || !is_flag(candidate.get_value()));
    print(&told(&candidates))
}

/// No names of files, and a blank behind the word; or no blank, where it goes on.
const WORD: u8 = 4;
const GOES_ON: u8 = 2;

fn told(candidates: &[CompletionCandidate]) -> String {
    let mut told = String::new();
    for candidate in candidates.iter().filter(|candidate| !candidate.is_hide_set()) {
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().map(|line| format!("\t{line}")).unwrap_or_default();
        told.push_str(&format!("{}{help}\n", candidate.get_value().to_string_lossy()));
    }
    let goes_on = |candidate: &CompletionCandidate| candidate.get_value().to_string_lossy().ends_with(['/', '=']);
    let directive = if candidates.iter().any(goes_on) { WORD + GOES_ON } else { WORD };
    format!("{told}:{directive}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_found_among_words_that_are_not_all_written() {
        for (line, expected) in [
            ("ack", [None, None, None]),
            ("ack -n team", [Some("team"), None, None]),
            ("-nteam responses --context=prod", [Some("team"), Some("prod"), None]),
            ("status --namespace=a --namespace b --kubeconfig /k --frob", [Some("b"), None, Some("/k")]),
            ("status --context", [None, None, None]),
            ("status -n", [None, None, None]),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let ClusterOptions { namespace, context, kubeconfig } = cluster(&words);
            let kubeconfig = kubeconfig.map(|path| path.display().to_string());
            assert_eq!([namespace, context, kubeconfig], expected.map(|text| text.map(str::to_owned)), "{line}");
        }
    }

    #[test]
    fn kubectl_is_told_words_and_what_they_mean() {
        let candidate = |value: &str, help: &str| CompletionCandidate::new(value).help(Some(help.to_owned().into()));
        assert_eq!(told(&[]), ":4\n");
        assert_eq!(
            told(&[candidate("jira", "resolve"), CompletionCandidate::new("page")]),
            "jira\tresolve\npage\n:4\n"
        );
        assert_eq!(told(&[CompletionCandidate::new("docs/")]), "docs/\n:6\n");
    }
}
