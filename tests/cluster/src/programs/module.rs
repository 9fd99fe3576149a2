//! Downloads a Go module for the files in it.
//!
//! In goes a folder in `programs/` whose go.mod requires one module, and whose go.sum has its checksum; out comes the folder in
//! Go's cache that has the module's files, read-only.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use super::{build::go, module_folder};

/// Downloads the one module that the go.mod in `folder` requires, unless Go has it already.
pub(super) fn download(folder: &str) -> Result<PathBuf> {
    let go_mod = module_folder(folder).join("go.mod");
    let go_mod = fs::read_to_string(&go_mod).with_context(|| format!("read {}", go_mod.display()))?;
    let required = go_mod.lines().find_map(|line| line.strip_prefix("require ")?.split_once(' '));
    let (module, version) = required.with_context(|| format!("find the module that {folder} requires"))?;
    // The first fetches it and checks it against go.sum, the second says where it is.
    output(go("mod", folder).args(["download", module])).with_context(|| format!("download {module} {version}"))?;
    let listed = output(go("list", folder).args(["-mod=readonly", "-m", "-f", "{{.Dir}}", module]));
    Ok(PathBuf::from(listed.with_context(|| format!("find {module} {version}"))?.trim()))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.env("GOWORK", "off").output().context("run go: is it installed, and on the PATH?")?;
    if !output.status.success() {
        bail!("go ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Programs;

    #[test]
    fn definitions_of_the_prometheus_operator_come_from_its_module() {
        let folder = Programs::prometheus_operator_crds().unwrap();
        for kind in ["servicemonitors", "podmonitors", "prometheusrules"] {
            let file = folder.join(format!("monitoring.coreos.com_{kind}.yaml"));
            assert!(fs::read_to_string(&file).unwrap().contains("kind: CustomResourceDefinition"), "{kind}");
        }
        assert!(download("helm").is_err());
    }
}
