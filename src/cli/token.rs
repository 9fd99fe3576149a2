//! `token create`: a name in; a Secret whose token opens the REST API out, in the cluster or as a manifest. The token is shown
//! once.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::{
    cluster::ClusterOptions,
    output::{complain, print},
    session::{Session, explain, name},
};
use crate::{
    resources::{API_TOKEN_LABEL, READ_ONLY_LABEL},
    rest::auth::{TOKEN_HASH, TokenHash},
};

/// An action on the tokens of the REST API.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token, which is shown once: the Secret holds its hash
    ///
    /// It opens the namespace of the Secret until the Secret is deleted. A manifest has a namespace only where `-n` names one.
    Create(Options),
}

/// Says which Secret to make.
#[derive(Debug, Args)]
pub struct Options {
    /// Name of the Secret
    #[arg(value_parser = secret_name)]
    name: String,
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Let it read, but not create, update or delete
    #[arg(long)]
    read_only: bool,
    /// Print the Secret's manifest in place of creating it, and the token on standard error; needs no cluster
    #[arg(short, long)]
    output: Option<Output>,
}

/// The form of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Yaml,
}

fn secret_name(text: &str) -> Result<String, String> {
    name(text, 253, true)
}

impl Command {
    /// The flags that say which cluster.
    pub fn cluster_mut(&mut self) -> &mut ClusterOptions {
        let Self::Create(options) = self;
        &mut options.cluster
    }
}

/// Runs a subcommand, with the cluster of the environment where one is needed.
///
/// # Errors
/// There is no cluster, or it does not take the Secret.
pub async fn run(command: &Command) -> Result<()> {
    let Command::Create(options) = command;
    let token = random_token()?;
    match options.output {
        Some(Output::Yaml) => {
            let secret = manifest(options, options.cluster.namespace.as_deref(), &token);
            print(&serde_saphyr::to_string(&secret).context("print a Secret")?)?;
            complain("The token, which is shown only now:");
            complain(&token);
        }
        None => {
            let Session { objects, namespace, .. } = Session::open(&options.cluster).await?;
            let secret = manifest(options, Some(&namespace), &token);
            let created = objects.create(&namespace, &options.name, &secret).await;
            created.map_err(|error| explain(&error))?;
            print(&format!("{token}\n"))?;
            let rights = if options.read_only { "reads" } else { "opens" };
            complain(&format!(
                "This token {rights} namespace {namespace} until Secret {namespace}/{} is deleted. It is shown only now. \
                 Send it as `Authorization: <token>`.",
                options.name
            ));
        }
    }
    Ok(())
}

/// Makes a token: `oncall_` and 64 hex digits. Scanners find it where it should not be, and it can't be taken for a JWT.
fn random_token() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow!("make a token: no random bytes: {error}"))?;
    Ok(bytes.iter().fold("oncall_".to_owned(), |text, byte| format!("{text}{byte:02x}")))
}

/// The Secret of a token. It holds the token's hash alone.
fn manifest(options: &Options, namespace: Option<&str>, token: &str) -> Secret {
    let labels = [(API_TOKEN_LABEL, true), (READ_ONLY_LABEL, options.read_only)];
    let labels = labels.into_iter().filter(|(_, set)| *set);
    Secret {
        metadata: ObjectMeta {
            name: Some(options.name.clone()),
            namespace: namespace.map(str::to_owned),
            labels: Some(labels.map(|(label, _)| (label.to_owned(), "true".to_owned())).collect()),
            ..ObjectMeta::default()
        },
        string_data: Some(BTreeMap::from([(TOKEN_HASH.to_owned(), TokenHash::of(token).text())])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_never_the_same_and_has_a_shape_that_scanners_find() {
        let (one, two) = (random_token().unwrap(), random_token().unwrap());
        assert_ne!(one, two);
        for token in [one, two] {
            let digits = token.strip_prefix("oncall_").unwrap();
            assert!(digits.len() == 64 && digits.bytes().all(|b| b"0123456789abcdef".contains(&b)), "{token}");
        }
    }

    #[test]
    fn a_secret_holds_the_hash_and_says_what_the_token_may_do() {
        let token = "oncall_0123456789";
        for (read_only, labels) in [
            (false, json!({"oncall.dev/api-token": "true"})),
            (true, json!({"oncall.dev/api-token": "true", "oncall.dev/read-only": "true"})),
        ] {
            let options =
                Options { name: "ci".to_owned(), cluster: ClusterOptions::default(), read_only, output: None };
            let expected = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "ci", "namespace": "team", "labels": labels},
                "stringData": {"tokenHash": TokenHash::of(token).text()},
            });
            assert_eq!(serde_json::to_value(manifest(&options, Some("team"), token)).unwrap(), expected);
        }
    }
}
