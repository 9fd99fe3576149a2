//! The cluster that the quickstart uses: a control plane of its own, or one that the person has, as a guest.

use std::{
    env,
    ffi::OsString,
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, absolute},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, ProcessGroup};
use serde_json::{Value, json};
use support::{Installation, controller_args};
use tokio::task::spawn_blocking;

use crate::{
    Args,
    expected::KINDS,
    shell::Shell,
    terminal::{quoted, say, text, title},
};

/// The chart's release, and so its Deployment and its ServiceAccount.
const RELEASE: &str = "oncall-webhooks";

/// The receiver is in this program, and so is what a person starts to go on: on loopback, as localhost too, which is refused
/// otherwise.
const REACH: &str = "--set 'controller.allowAddresses={127.0.0.1,::1}'";

/// Label of what a run made in a cluster that is not its own, outside its namespace.
const MADE_BY: &str = "oncall.dev/quickstart";

/// A cluster, and the namespace in it that is used.
pub(crate) struct Site {
    ground: Ground,
    namespace: String,
    pub(crate) shell: Shell,
}

enum Ground {
    /// A control plane that this program started.
    Own(Box<Cluster>),
    /// A cluster of the person's. The folder has a kubeconfig that selects it and the namespace.
    Given(ProcessGroup),
}

impl Site {
    /// Starts a control plane, or finds the one that the person names, in which nothing is changed yet.
    pub(crate) async fn find(args: &Args, receiver: &str) -> Result<Self> {
        let receiver = ("RECEIVER".into(), Some(receiver.into()));
        if args.kubeconfig.is_some() || args.context.is_some() {
            return Self::given(args, receiver).await;
        }
        title("A Kubernetes control plane on this machine: etcd, kube-apiserver, kube-controller-manager");
        let start = Instant::now();
        let cluster = spawn_blocking(Cluster::start).await.context("start a control plane")??;
        say(&format!("{} is ready after {:.1} s", cluster.api_server_url(), start.elapsed().as_secs_f64()));

        let (kubectl, helm) = (cluster.kubectl(), cluster.helm());
        let folders = [&kubectl, &helm].map(|program| Path::new(program.get_program()).parent().map(Path::to_owned));
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(folders.into_iter().flatten().chain(env::split_paths(&path)))?;
        let settings = kubectl.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)));
        let environment = settings.chain([("PATH".into(), Some(path)), receiver]).collect();
        let shell = Shell::new(environment)?;
        Ok(Self { ground: Ground::Own(Box::new(cluster)), namespace: "quickstart".to_owned(), shell })
    }

    async fn given(args: &Args, receiver: (OsString, Option<OsString>)) -> Result<Self> {
        for (program, address) in
            [("kubectl", "https://kubernetes.io/docs/tasks/tools"), ("helm", "https://helm.sh/docs/intro/install")]
        {
            ensure!(is_on_path(program), "{program} is not on the PATH: install it as {address} says");
        }
        let theirs = match (&args.kubeconfig, env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty())) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(paths)) => env::split_paths(&paths).collect(),
            (None, None) => vec![env::home_dir().context("find ~/.kube/config: HOME is not set")?.join(".kube/config")],
        };
        let theirs = theirs.into_iter().map(absolute).collect::<Result<Vec<_>, _>>()?;
        let folder = ProcessGroup::new("oncall-quickstart-")?;
        // Comes before theirs, and stays out of them.
        let ours = folder.dir().join("kubeconfig");
        let paths = env::join_paths([&ours].into_iter().chain(&theirs))?;
        let shell = Shell::new(vec![("KUBECONFIG".into(), Some(paths)), receiver])?;

        let mut view = shell.command("kubectl");
        view.args(["config", "view", "--minify", "--output=json"]);
        view.args(args.context.iter().map(|context| format!("--context={context}")));
        let view: Value = serde_json::from_str(&shell.finish(view).await.context("read the kubeconfig")?)?;
        let mut context = view["contexts"][0].clone();
        let namespace = format!("oncall-webhooks-quickstart-{:06x}", RandomState::new().build_hasher().finish() >> 40);
        title(&format!("Your cluster {}", text(&context["context"]["cluster"])));
        context["name"] = namespace.as_str().into();
        context["context"]["namespace"] = namespace.as_str().into();
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": namespace, "contexts": [context]});
        fs::write(&ours, config.to_string()).context("write a kubeconfig")?;
        Ok(Self { ground: Ground::Given(folder), namespace, shell })
    }

    /// The processes that end with this program, and its folder.
    pub(crate) fn processes(&self) -> &ProcessGroup {
        match &self.ground {
            Ground::Own(cluster) => cluster.processes(),
            Ground::Given(folder) => folder,
        }
    }

    /// Installs the chart and makes the namespace.
    pub(crate) async fn install(&self) -> Result<Installation> {
        let (shell, namespace) = (&self.shell, &self.namespace);
        match &self.ground {
            Ground::Own(cluster) => {
                title("The chart, and a namespace for the examples");
                say("Webhooks reach no private addresses, but for those that are allowed: here the receiver's.");
                let place = format!("--namespace {RELEASE} --create-namespace");
                shell.show(&format!("helm install {RELEASE} charts/oncall-webhooks {place} {REACH}")).await?;
                shell.run("kubectl wait --for=condition=Established --timeout=30s crd --all").await?;
                shell.show(&format!("kubectl create namespace {namespace}")).await?;
                shell.show(&format!("kubectl config set-context --current --namespace={namespace}")).await?;
                let deployments = format!("kubectl get deployments --namespace {RELEASE} -o json");
                let deployments: Value =
                    serde_json::from_str(&shell.run(&deployments).await?).context("parse the Deployments")?;
                let deployments = deployments["items"].as_array().map_or(&[][..], Vec::as_slice);
                Installation::of(deployments, |account| cluster.service_account_kubeconfig(RELEASE, account))
            }
            Ground::Given(folder) => self.install_as_guest(folder).await,
        }
    }

    /// In a cluster that is not ours: the definitions that are missing, and all else in a namespace that we can remove. No
    /// Deployment, as nobody there has the image.
    async fn install_as_guest(&self, folder: &ProcessGroup) -> Result<Installation> {
        let (shell, namespace) = (&self.shell, &self.namespace);
        self.refuse_a_second_operator().await?;
        say("Of what this makes there nothing stays: a namespace, and those resource definitions that are missing.");
        say(
            "Left out are the REST API and what Alertmanager sends: the process that takes both in reviews tokens for the whole cluster.",
        );
        for crd in KINDS.split(',').chain(["deliveryjournals.oncall.dev"]) {
            if shell.run(&format!("kubectl get crd {crd} --ignore-not-found -o name")).await?.is_empty() {
                let label = format!("kubectl label --local -f crds/{crd}.yaml {MADE_BY}={namespace} -o yaml");
                shell.show(&format!("{label} | kubectl create -f -")).await?;
                shell.run(&format!("kubectl wait --for=condition=Established crd/{crd} --timeout=30s")).await?;
            }
        }
        shell.show(&format!("kubectl create namespace {namespace}")).await?;

        let version: Value = serde_json::from_str(&shell.run("kubectl version -o json").await?)?;
        let version = text(&version["serverVersion"]["gitVersion"]);
        let template = format!(
            "helm template {RELEASE} charts/oncall-webhooks --namespace {namespace} --set watchNamespaces={{{namespace}}} \
             --set api.enabled=false {REACH} --kube-version {version}"
        );
        let rights = "-s templates/serviceaccount.yaml -s templates/rbac.yaml";
        shell.show(&format!("{template} {rights} | kubectl apply -f -")).await?;
        let deployment = shell.run(&format!("{template} -s templates/deployment.yaml")).await?;
        let deployment = serde_saphyr::from_str(&deployment).context("parse the Deployment")?;

        let token = shell.run(&format!("kubectl create token {RELEASE} --duration=24h")).await?;
        let config = shell.run("kubectl config view --raw --minify --flatten -o json").await?;
        let mut config: Value = serde_json::from_str(&config).context("parse the kubeconfig")?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let kubeconfig = folder.dir().join("operator.kubeconfig");
        fs::write(&kubeconfig, config.to_string()).context("write the operator's kubeconfig")?;
        // The operator alone, so it is asked for once.
        Installation::of(&[deployment], |_| Ok(kubeconfig.clone()))
    }

    /// An operator that works in all namespaces would send each request a second time.
    async fn refuse_a_second_operator(&self) -> Result<()> {
        let list = "kubectl get deployments --all-namespaces -l app.kubernetes.io/name=oncall-webhooks -o json";
        let list: Value =
            serde_json::from_str(&self.shell.run(list).await?).context("parse the list of Deployments")?;
        for deployment in list["items"].as_array().into_iter().flatten() {
            let (namespace, name) = (&deployment["metadata"]["namespace"], &deployment["metadata"]["name"]);
            let works_everywhere = |args: Vec<String>| !args.iter().any(|arg| arg.starts_with("--namespace="));
            ensure!(
                !controller_args(deployment).is_ok_and(works_everywhere),
                "Deployment {}/{} works in all namespaces of this cluster already: apply examples/ to see it work",
                text(namespace),
                text(name),
            );
        }
        Ok(())
    }

    /// Removes all that was made. What still runs of the shell's commands ends first.
    pub(crate) async fn remove(mut self) -> Result<()> {
        self.shell.end()?;
        let Ground::Given(_) = &self.ground else {
            say("\nRemoving the control plane.");
            return Ok(());
        };
        let (shell, namespace) = (&self.shell, &self.namespace);
        let left = format!("kubectl get namespace {namespace} --ignore-not-found -o name");
        if !shell.run(&left).await?.is_empty() {
            title("Removing what was made");
            shell.show(&format!("kubectl delete namespace {namespace} --timeout=120s")).await?;
        }
        let ours = format!("crd -l {MADE_BY}={namespace}");
        if shell.run(&format!("kubectl get {ours} -o name")).await?.is_empty() {
            return Ok(());
        }
        let objects = shell.run(&format!("kubectl get {KINDS} --all-namespaces -o name")).await;
        if objects.is_ok_and(|objects| objects.is_empty()) {
            shell.show(&format!("kubectl delete {ours}")).await?;
        } else {
            say(&format!("The resource definitions stay, as other namespaces use them: kubectl delete {ours}"));
        }
        Ok(())
    }

    /// The variables to `export` in a shell, to go on by hand.
    pub(crate) fn exports(&self) -> Vec<String> {
        let Shell { environment, .. } = &self.shell;
        let given = environment.iter().filter(|(name, _)| name == "KUBECONFIG" || name == "RECEIVER");
        let mut exports: Vec<String> = given
            .filter_map(|(name, value)| Some(format!("{}={}", name.display(), quoted(value.as_ref()?.to_str()?))))
            .collect();
        if let Ground::Own(cluster) = &self.ground {
            let missing = [("kubectl", cluster.kubectl()), ("helm", cluster.helm())].into_iter();
            let folders: Vec<String> = missing
                .filter(|(name, _)| !is_on_path(name))
                .filter_map(|(_, program)| Some(Path::new(program.get_program()).parent()?.display().to_string()))
                .collect();
            if !folders.is_empty() {
                exports.push(format!("PATH=\"$PATH:{}\"", folders.join(":")));
            }
        }
        exports
    }
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
