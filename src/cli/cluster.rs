//! The flags that say which cluster, and which namespace in it: those of kubectl.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;

use super::{complete, session::namespace_name};

/// Where these flags stand in help.
const HEADING: &str = "Cluster";

/// Says which cluster and which namespace.
#[derive(Clone, Debug, Default, Args)]
pub struct ClusterOptions {
    /// Namespace to work in [default: the kubeconfig's]
    #[arg(short, long, help_heading = HEADING, value_parser = namespace_name, add = ArgValueCompleter::new(complete::namespaces))]
    pub(super) namespace: Option<String>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, help_heading = HEADING, value_name = "NAME", add = ArgValueCompleter::new(complete::contexts))]
    pub(super) context: Option<String>,
    /// Kubeconfig [default: $KUBECONFIG, ~/.kube/config or, in a pod, its ServiceAccount]
    #[arg(long, help_heading = HEADING, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) kubeconfig: Option<PathBuf>,
}

impl ClusterOptions {
    /// Whether anything is said.
    pub fn is_given(&self) -> bool {
        self.namespace.is_some() || self.context.is_some() || self.kubeconfig.is_some()
    }

    /// Takes what is not said here from `others`, which stood before the subcommand.
    pub fn or(&mut self, others: Self) {
        let Self { namespace, context, kubeconfig } = others;
        self.namespace = self.namespace.take().or(namespace);
        self.context = self.context.take().or(context);
        self.kubeconfig = self.kubeconfig.take().or(kubeconfig);
    }
}
