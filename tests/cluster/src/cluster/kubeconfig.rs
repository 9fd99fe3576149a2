//! Kubeconfig files: in go a server, its certificates and a token; out comes what kubectl, helm and kube-rs read.

use std::{
    fmt::Write,
    fs::{self, File},
    io::Read,
    path::Path,
};

use anyhow::{Context, Result};

/// Writes a kubeconfig at `path`, complete at any moment at which it can be read.
pub(super) fn write(path: &Path, url: &str, certificates: &Path, token: &str) -> Result<()> {
    let certificates = certificates.display().to_string().replace('\'', "''");
    let text = format!(
        "\
apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: {url}
    certificate-authority: '{certificates}'
users:
- name: test
  user:
    token: {token}
contexts:
- name: test
  context:
    cluster: test
    user: test
current-context: test
"
    );
    let temporary = path.with_extension(random_hex()?);
    fs::write(&temporary, text).with_context(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("rename {} to {}", temporary.display(), path.display()))
}

/// 32 hexadecimal digits that nobody can guess.
pub(super) fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context("read /dev/urandom")?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}
