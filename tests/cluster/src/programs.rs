//! Finds the control plane's programs, Alertmanager, Prometheus and helm-docs.
//!
//! In go `KUBEBUILDER_ASSETS` (the folder of setup-envtest), the user's cache folder, and the Go modules in `programs/`,
//! which pin every version and checksum. Out come paths; what is in neither folder is built into the cache first.

mod build;

use std::{
    env,
    path::{self, Path, PathBuf},
};

use anyhow::{Context, Result};

/// Paths of the programs that make and talk to a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The store.
    pub etcd: PathBuf,
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controllers: garbage collection, namespaces, ServiceAccounts.
    pub kube_controller_manager: PathBuf,
    /// The command line client.
    pub kubectl: PathBuf,
    /// The chart installer.
    pub helm: PathBuf,
}

impl Programs {
    /// Finds each program in `KUBEBUILDER_ASSETS` or in the user's cache, and builds with Go what neither has.
    ///
    /// Building all of them takes minutes and shows its progress on the standard error; it happens once, as the results
    /// stay in `oncall-webhooks/control-plane` of `$XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// When something has to be built and Go is missing, too old, or fails.
    pub fn find_or_build() -> Result<Self> {
        let places = Places::of_user()?;
        places.fill(&Program::CONTROL_PLANE)?;
        Ok(Self {
            etcd: places.path(&Program::ETCD)?,
            kube_apiserver: places.path(&Program::KUBE_APISERVER)?,
            kube_controller_manager: places.path(&Program::KUBE_CONTROLLER_MANAGER)?,
            kubectl: places.path(&Program::KUBECTL)?,
            helm: places.path(&Program::HELM)?,
        })
    }

    /// Finds Prometheus' Alertmanager in the same places, or builds it, in a minute. Only those who ask for it wait for that: a
    /// control plane needs none.
    ///
    /// # Errors
    /// As [`Programs::find_or_build`].
    pub fn alertmanager() -> Result<PathBuf> {
        let places = Places::of_user()?;
        places.fill(&[Program::ALERTMANAGER])?;
        places.path(&Program::ALERTMANAGER)
    }

    /// Finds helm-docs, which writes the README of a chart, in the same places, or builds it, in half a minute; as for
    /// [`Programs::alertmanager`], only those who ask for it wait for that.
    ///
    /// # Errors
    /// As [`Programs::find_or_build`].
    pub fn helm_docs() -> Result<PathBuf> {
        let places = Places::of_user()?;
        places.fill(&[Program::HELM_DOCS])?;
        places.path(&Program::HELM_DOCS)
    }

    /// Finds Prometheus and its promtool in the same places, or builds them, in three minutes. Only those who ask for them wait
    /// for that.
    ///
    /// # Errors
    /// As [`Programs::find_or_build`].
    pub fn prometheus() -> Result<Prometheus> {
        let places = Places::of_user()?;
        places.fill(&[Program::PROMETHEUS, Program::PROMTOOL])?;
        Ok(Prometheus { server: places.path(&Program::PROMETHEUS)?, promtool: places.path(&Program::PROMTOOL)? })
    }
}

/// Paths of the programs of Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    /// The server: scrapes, keeps and answers queries.
    pub server: PathBuf,
    /// Checks metrics and rules, and tests rules.
    pub promtool: PathBuf,
}

/// The folders that may have programs.
#[derive(Debug)]
struct Places {
    /// `KUBEBUILDER_ASSETS`: programs of whatever version the user chose.
    assets: Option<PathBuf>,
    /// One folder for each program and version.
    cache: PathBuf,
}

impl Places {
    fn of_user() -> Result<Self> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME")
            .or_else(|| Some(env::home_dir()?.join(".cache")))
            .context("find the user's cache folder: neither XDG_CACHE_HOME nor HOME is set")?;
        Ok(Self {
            assets: env::var_os("KUBEBUILDER_ASSETS").and_then(|assets| path::absolute(assets).ok()),
            cache: cache.join("oncall-webhooks/control-plane"),
        })
    }

    /// Builds those of `programs` that neither folder has.
    fn fill(&self, programs: &[Program]) -> Result<()> {
        let missing = programs.iter().filter(|program| self.find(program).is_none());
        build::build(&missing.collect::<Vec<_>>(), self)
    }

    fn path(&self, program: &Program) -> Result<PathBuf> {
        self.find(program).with_context(|| format!("find {}", program.name))
    }

    fn find(&self, program: &Program) -> Option<PathBuf> {
        let in_assets = self.assets.as_ref().map(|assets| assets.join(program.name));
        in_assets.into_iter().chain([self.cached(program)]).find(|path| path.is_file())
    }

    /// Where the program is, or will be once it is built.
    fn cached(&self, program: &Program) -> PathBuf {
        let version = program.version();
        self.cache.join(format!("{}-{version}", program.name)).join(program.name)
    }
}

/// A program, and where its source comes from.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: &'static str,
    /// The folder in `programs/` whose go.mod and go.sum pin it.
    folder: &'static str,
    /// The path of that go.mod.
    go_mod: &'static str,
    /// The Go module of its release: its version is the program's.
    module: &'static str,
    /// The main package inside the module.
    package: &'static str,
}

impl Program {
    const CONTROL_PLANE: [Self; 5] =
        [Self::ETCD, Self::KUBE_APISERVER, Self::KUBE_CONTROLLER_MANAGER, Self::KUBECTL, Self::HELM];

    const ETCD: Self = Self {
        name: "etcd",
        folder: "etcd",
        go_mod: include_str!("../programs/etcd/go.mod"),
        module: "go.etcd.io/etcd/server/v3",
        package: "",
    };
    const KUBE_APISERVER: Self = Self::kubernetes("kube-apiserver", "/cmd/kube-apiserver");
    const KUBE_CONTROLLER_MANAGER: Self = Self::kubernetes("kube-controller-manager", "/cmd/kube-controller-manager");
    const KUBECTL: Self = Self::kubernetes("kubectl", "/cmd/kubectl");
    const HELM: Self = Self {
        name: "helm",
        folder: "helm",
        go_mod: include_str!("../programs/helm/go.mod"),
        module: "helm.sh/helm/v4",
        package: "/cmd/helm",
    };
    const ALERTMANAGER: Self = Self {
        name: "alertmanager",
        folder: "alertmanager",
        go_mod: include_str!("../programs/alertmanager/go.mod"),
        module: "github.com/prometheus/alertmanager",
        package: "/cmd/alertmanager",
    };
    const HELM_DOCS: Self = Self {
        name: "helm-docs",
        folder: "helm-docs",
        go_mod: include_str!("../programs/helm-docs/go.mod"),
        module: "github.com/norwoodj/helm-docs",
        package: "/cmd/helm-docs",
    };
    const PROMETHEUS: Self = Self::of_prometheus("prometheus", "/cmd/prometheus");
    const PROMTOOL: Self = Self::of_prometheus("promtool", "/cmd/promtool");

    const fn kubernetes(name: &'static str, package: &'static str) -> Self {
        Self {
            name,
            folder: "kubernetes",
            go_mod: include_str!("../programs/kubernetes/go.mod"),
            module: "k8s.io/kubernetes",
            package,
        }
    }

    const fn of_prometheus(name: &'static str, package: &'static str) -> Self {
        Self {
            name,
            folder: "prometheus",
            go_mod: include_str!("../programs/prometheus/go.mod"),
            module: "github.com/prometheus/prometheus",
            package,
        }
    }

    /// The build tags. Prometheus has clients of two dozen clouds, to find there what it scrapes: without them it is built in half
    /// the time.
    const fn tags(&self) -> &'static str {
        match self.folder.as_bytes() {
            b"prometheus" => "remove_all_sd",
            _ => "",
        }
    }

    /// The version that go.mod requires, such as `v1.36.3`.
    fn version(&self) -> &'static str {
        required(self.go_mod, self.module)
    }

    /// The oldest Go that go.mod allows, such as `1.26.0`.
    fn go_version(&self) -> &'static str {
        required(self.go_mod, "go")
    }

    /// The variables that the linker sets in the program: Kubernetes' clients can't parse the server's version unless it is set,
    /// and Alertmanager and Prometheus name their own in each request.
    fn link_flags(&self) -> String {
        let version = self.version();
        let variables = match self.folder {
            "kubernetes" => {
                let mut numbers = version.trim_start_matches('v').split('.');
                let (major, minor) = (numbers.next().unwrap_or(""), numbers.next().unwrap_or(""));
                vec![("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)]
                    .into_iter()
                    .map(|(name, value)| format!("k8s.io/component-base/version.{name}={value}"))
                    .collect()
            }
            "helm" => vec![format!("{}/internal/version.version={version}", self.module)],
            "alertmanager" | "prometheus" => {
                vec![format!("github.com/prometheus/common/version.Version={}", version.trim_start_matches('v'))]
            }
            _ => vec![],
        };
        // -s -w: no symbol table and no DWARF, for smaller files.
        variables.iter().fold("-s -w".to_owned(), |flags, variable| format!("{flags} -X {variable}"))
    }
}

/// The word after `name` in go.mod: a module's version, or that of the language.
fn required<'a>(go_mod: &'a str, name: &str) -> &'a str {
    let mut lines = go_mod.lines().map(|line| line.trim().trim_start_matches("require "));
    let version = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    version.and_then(|rest| rest.split(' ').next()).unwrap_or("unknown")
}

/// The folder in `programs/` of this name.
fn module_folder(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs").join(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ProcessGroup;

    /// Folders `assets` and `cache`, each with a file for each of the programs named.
    fn places(dir: &Path, assets: &[&Program], cache: &[&Program]) -> Places {
        let places = Places { assets: Some(dir.join("assets")), cache: dir.join("cache") };
        let in_assets = assets.iter().map(|program| dir.join("assets").join(program.name));
        let in_cache = cache.iter().map(|program| places.cached(program));
        for path in in_assets.chain(in_cache) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        places
    }

    #[test]
    fn kubebuilder_assets_come_before_the_cache_for_each_program_on_its_own() {
        let scratch = ProcessGroup::new("cluster-test-").unwrap();
        let dir = scratch.dir();
        let places = places(dir, &[&Program::ETCD], &[&Program::ETCD, &Program::HELM]);

        assert_eq!(places.find(&Program::ETCD), Some(dir.join("assets/etcd")));
        assert_eq!(places.find(&Program::HELM), Some(places.cached(&Program::HELM)));
        assert_eq!(places.find(&Program::KUBECTL), None);
    }

    #[test]
    fn versions_come_from_go_mod() {
        let go_mod = "module a\n\ngo 1.26.0\n\nrequire b/c v1.2.3\n\nrequire (\n\td/e v4.5.6 // indirect\n)\n";
        assert_eq!(required(go_mod, "go"), "1.26.0");
        assert_eq!(required(go_mod, "b/c"), "v1.2.3");
        assert_eq!(required(go_mod, "d/e"), "v4.5.6");
        for program in
            Program::CONTROL_PLANE.iter().chain([&Program::ALERTMANAGER, &Program::HELM_DOCS, &Program::PROMETHEUS])
        {
            assert_ne!(program.version(), "unknown", "{}", program.name);
            assert_ne!(program.go_version(), "unknown", "{}", program.name);
            assert!(module_folder(program.folder).join("go.sum").is_file(), "{}", program.name);
        }
    }

    #[test]
    fn kubernetes_programs_are_linked_with_the_version_that_clients_parse() {
        let program = Program { go_mod: "k8s.io/kubernetes v1.36.3", ..Program::KUBECTL };
        assert_eq!(
            program.link_flags(),
            "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
             -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
        );
    }
}
