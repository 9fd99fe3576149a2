//! A real Kubernetes control plane on loopback, for tests, examples and benches.
//!
//! ```no_run
//! let cluster = cluster::Cluster::start()?;
//! cluster.kubectl().args(["get", "namespaces"]).status()?;
//! # anyhow::Ok(())
//! ```
//!
//! etcd, kube-apiserver and kube-controller-manager run as processes of this user, with real RBAC and without nodes: a
//! Deployment is accepted and makes no pod. The programs come from `KUBEBUILDER_ASSETS` or are built with Go, once. Any
//! number of clusters run side by side, and none outlives the process that started it. Servers can be ended and started
//! again with what they keep, and any process paused, to see what that does to those who use them. Other servers can be run in
//! the same way ([`Running`]), such as Alertmanager, which is built when it is asked for.

mod cluster;
mod definitions;
mod process_group;
mod programs;
mod running;
mod signal;

pub use self::{
    cluster::{Builder, Cluster, Server},
    definitions::{CERT_MANAGER, Definitions, GATEWAY_API, PROMETHEUS_OPERATOR},
    process_group::ProcessGroup,
    programs::{Programs, Prometheus},
    running::{PORT_ATTEMPTS, PORT_PATIENCE, Running, free_port},
    signal::Signal,
};
