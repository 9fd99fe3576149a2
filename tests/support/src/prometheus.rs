//! A real Prometheus on loopback, and its promtool.
//!
//! In go the addresses of what it scrapes, several times a second; out comes what it answers to queries.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use axum::http::Method;
use cluster::{PORT_ATTEMPTS, ProcessGroup, Programs, Running, free_port};
use serde_json::{Value, json};

use crate::http::Endpoint;

/// One process that is scraped at `/metrics`.
#[derive(Debug, Clone)]
pub struct Scraped {
    /// The label `job`.
    pub job: String,
    /// Such as `127.0.0.1:40123`: the label `instance`.
    pub address: String,
}

/// A running Prometheus. Dropped, it is killed, and its data is removed.
#[derive(Debug)]
pub struct Prometheus {
    // Ended before its folder is removed.
    running: Running,
    _group: ProcessGroup,
    api: Endpoint,
}

impl Prometheus {
    /// Starts one that scrapes these, and waits until it is ready. Labels of theirs stand as they are (`honor_labels`), as where the
    /// chart's monitors are used.
    ///
    /// The first start on a machine builds it, see [`Programs::prometheus`].
    ///
    /// # Errors
    /// It can't be found or built, or it ends or isn't ready in time; the error then shows the end of its log.
    pub async fn start(scraped: &[Scraped]) -> Result<Self> {
        let programs = tokio::task::spawn_blocking(Programs::prometheus).await.context("find Prometheus")??;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut prometheus = launch(&programs.server, scraped).context("start Prometheus")?;
            match prometheus.ready().await {
                Ok(()) => return Ok(prometheus),
                // Somebody else was faster with its port.
                Err(_) if attempts < PORT_ATTEMPTS && prometheus.running.port_is_taken()? => {}
                Err(error) => return Err(error.context("start Prometheus")),
            }
        }
    }

    async fn ready(&mut self) -> Result<()> {
        let began = Instant::now();
        while self.api.call(Method::GET, "/-/ready", None).await.is_err() {
            self.running.check(began.elapsed())?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The samples of an instant vector that a query gives now, each with `metric` (its labels) and `value` (a time, and a text).
    ///
    /// # Errors
    /// It does not answer, refuses the query, or gives something else.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.api.get(&format!("/api/v1/query?query={encoded}")).await;
        let mut answer = answer.with_context(|| format!("query {query}"))?;
        let result = answer["data"]["result"].take();
        result.as_array().cloned().ok_or_else(|| anyhow!("query {query}: {answer} has no samples"))
    }
}

fn launch(program: &Path, scraped: &[Scraped]) -> Result<Prometheus> {
    let group = ProcessGroup::new("oncall-prometheus-")?;
    let jobs = scraped.iter().map(|Scraped { job, address }| {
        json!({"job_name": job, "honor_labels": true, "static_configs": [{"targets": [address]}]})
    });
    let config = json!({
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms"},
        "scrape_configs": jobs.collect::<Vec<_>>(),
    });
    // JSON is YAML.
    let file = group.dir().join("prometheus.yml");
    fs::write(&file, config.to_string()).with_context(|| format!("write {}", file.display()))?;
    let address = format!("{}:{}", Ipv4Addr::LOCALHOST, free_port()?);
    let mut command = Command::new(program);
    command
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"])
        .arg(format!("--web.listen-address={address}"));
    let running = Running::start("prometheus", &group, command)?;
    Ok(Prometheus { running, _group: group, api: Endpoint::new("Prometheus", format!("http://{address}")) })
}

/// Runs promtool in `folder`, and returns what it printed. The first run on a machine builds it.
///
/// # Errors
/// It can't be found or built, or fails; the error shows what it said.
pub fn promtool(folder: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(Programs::prometheus()?.promtool).args(args).current_dir(folder).output();
    let output = output.context("run promtool")?;
    // What does not hold is told of on its standard output.
    let [printed, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    ensure!(output.status.success(), "promtool {}: {}\n{printed}\n{said}", args.join(" "), output.status);
    Ok(printed.into_owned())
}
