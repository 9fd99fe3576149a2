//! The flag that says in which namespaces a process works.

use super::namespace;

/// Says in which namespaces a process works.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WorkingNamespaces {
    /// A namespace to work in; may be given several times, or several with commas between them [default: all]
    #[arg(
        long = "namespace",
        env = "ONCALL_WEBHOOKS_NAMESPACE",
        value_delimiter = ',',
        value_name = "NAMESPACE",
        value_parser = namespace
    )]
    pub namespaces: Vec<String>,
}
