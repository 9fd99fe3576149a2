//! Resource definitions of other projects, for objects of theirs that the chart may make.
//!
//! They are files in the projects' Go modules, which Go downloads once, some megabytes each, and keeps. Versions and checksums are
//! pinned here.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A Go module with resource definitions in it.
#[derive(Debug)]
pub struct Definitions {
    module: &'static str,
    version: &'static str,
    /// Go's checksum of the module, as in a go.sum.
    checksum: &'static str,
    /// Paths in the module.
    files: &'static [&'static str],
}

/// The Gateway API: HTTPRoute. v1.6 is the last that this repository's Go takes.
pub const GATEWAY_API: Definitions = Definitions {
    module: "sigs.k8s.io/gateway-api",
    version: "v1.6.3",
    checksum: "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
    files: &["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
};

/// cert-manager: Certificate.
pub const CERT_MANAGER: Definitions = Definitions {
    module: "github.com/cert-manager/cert-manager",
    version: "v1.21.2",
    checksum: "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
    files: &["deploy/crds/cert-manager.io_certificates.yaml"],
};

/// The Prometheus operator: ServiceMonitor, PodMonitor, PrometheusRule.
pub const PROMETHEUS_OPERATOR: Definitions = Definitions {
    module: "github.com/prometheus-operator/prometheus-operator",
    version: "v0.85.0",
    checksum: "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    files: &[
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
};

impl Definitions {
    /// The files, downloaded if they have to be.
    ///
    /// # Errors
    /// There is no Go, the module can't be had, or it is not what it was when it was pinned.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let module = format!("{}@{}", self.module, self.version);
        let what = || format!("download Go module {module}");
        let mut go = Command::new("go");
        // In a folder that is no module's, so that no go.mod has a say.
        go.args(["mod", "download", "-json", &module]).current_dir("/").stdin(Stdio::null());
        let output = go.output().with_context(what)?;
        let answer: Value = serde_json::from_slice(&output.stdout).with_context(what)?;
        let text = |key: &str| answer[key].as_str().unwrap_or_default();
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {} {}", what(), text("Error"), complaint.trim());
        ensure!(text("Sum") == self.checksum, "{}: its checksum is {}, not {}", what(), text("Sum"), self.checksum);
        let folder = PathBuf::from(text("Dir"));
        Ok(self.files.iter().map(|file| folder.join(file)).collect())
    }
}
