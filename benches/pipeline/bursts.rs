//! Many events at once: while an operator works, while none runs, and before one starts.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use support::{Operator, Received, Samples, ms};

use crate::{
    bare::Window,
    ground::{Candidate, Ground, at_once, stop},
    report::{Figures, quantiles},
    scene::{Created, Load, Scene},
    usage::Usage,
};

/// What a phase of many events came to.
pub(crate) struct Burst {
    load: Load,
    /// Events taken by the API server in a second.
    created: f64,
    /// From the beginning to the first request, in milliseconds.
    first: f64,
    /// Requests a second, from the beginning to the last of them.
    pub(crate) requests: f64,
    /// Deliveries a second, from the beginning until the last of them was recorded and every event completed.
    recorded: f64,
    /// Milliseconds from the call that created an event to its requests; none where the events were there before.
    latencies: Samples,
    used: Usage,
    /// The requests that kube-apiserver got.
    pub(crate) calls: BTreeMap<String, f64>,
}

/// When a burst began, and what had been used and called until then.
struct Beginning {
    at: Instant,
    used: Usage,
    calls: BTreeMap<String, f64>,
}

impl Beginning {
    async fn now(ground: &Ground<'_>, operator: Option<&Operator>) -> Result<Self> {
        let calls = ground.calls().await?;
        Ok(Self { calls, used: ground.usage(operator)?, at: Instant::now() })
    }

    /// Waits for the end.
    async fn measure(
        self,
        ground: &Ground<'_>,
        operator: &Operator,
        scene: &Scene,
        events: &[Created],
    ) -> Result<Burst> {
        let received = scene.arrived().await?;
        let recorded = scene.recorded(events).await?;
        let used = ground.usage(Some(operator))? - self.used;
        let calls = ground.calls_since(&self.calls).await?;
        let time = |arrival: Option<&Received>| arrival.map(|request| request.at.duration_since(self.at));
        let first = time(received.iter().min_by_key(|request| request.at)).context("no requests")?;
        let last = time(received.iter().max_by_key(|request| request.at)).context("no requests")?;
        let (load, deliveries) = (scene.load, scene.load.deliveries() as f64);
        Ok(Burst {
            load,
            created: load.events as f64 / took(events).as_secs_f64(),
            first: ms(first),
            requests: deliveries / last.as_secs_f64(),
            recorded: deliveries / recorded.duration_since(self.at).as_secs_f64(),
            latencies: scene.latencies(events, &received)?,
            used,
            calls,
        })
    }
}

/// From the first call to the last answer.
fn took(events: &[Created]) -> Duration {
    let first = events.iter().map(|event| event.called).min();
    let last = events.iter().map(|event| event.returned).max();
    first.zip(last).map(|(first, last)| last.duration_since(first)).unwrap_or_default()
}

/// Creates the events while an operator works on them.
pub(crate) async fn storm(ground: &Ground<'_>, candidate: &Candidate, scene: &Scene) -> Result<Burst> {
    let operator = ground.start(candidate).await?;
    scene.until_ready().await?;
    let beginning = Beginning::now(ground, Some(&operator)).await?;
    let events = scene.create_events().await?;
    let burst = beginning.measure(ground, &operator, scene, &events).await?;
    stop(operator)?;
    scene.verify(&events).await?;
    Ok(burst)
}

/// Starts an operator that finds all the events there. It knows the webhooks from before.
pub(crate) async fn backlog(ground: &Ground<'_>, candidate: &Candidate, scene: &Scene) -> Result<Burst> {
    let operator = ground.start(candidate).await?;
    scene.until_ready().await?;
    stop(operator)?;
    let events = scene.create_events().await?;
    let beginning = Beginning::now(ground, None).await?;
    let operator = ground.start(candidate).await?;
    let burst = beginning.measure(ground, &operator, scene, &events).await?;
    stop(operator)?;
    scene.verify(&events).await?;
    Ok(Burst { latencies: Samples::default(), ..burst })
}

/// Creates events while no operator runs. Returns how many the API server took in a second.
pub(crate) async fn limit(scene: &Scene) -> Result<f64> {
    let events = at_once(0..scene.load.events, |number| scene.create_event(number)).await?;
    Ok(events.len() as f64 / took(&events).as_secs_f64())
}

impl Burst {
    /// Beside the bare writes around it, and the rate at which such events are created with no operator, if that is known.
    pub(crate) fn figures(mut self, bare: Window, limit: Option<f64>) -> Figures {
        let Self { load, used, .. } = self;
        let each = |cpu: f64| format!("{:.2}", cpu / load.deliveries() as f64);
        let allowed = bare.pairs * 2.0 / load.writes;
        let needed = load.writes * bare.api_server * load.deliveries() as f64;
        let mut figures = vec![
            ("bare pairs/s before and after", format!("{:.0}", bare.pairs)),
            ("requests/s", format!("{:.0}", self.requests)),
            ("requests/s ÷ bare pairs/s", format!("{:.2}", self.requests / bare.pairs)),
        ];
        if let Some(limit) = limit.filter(|_| load.webhooks == 1) {
            figures.push(("requests/s ÷ the limit", format!("{:.2}", self.requests / limit)));
        }
        if self.latencies.0.is_empty() {
            figures.push(("start of the process → first request, ms", format!("{:.0}", self.first)));
        } else {
            figures.push(("events created/s", format!("{:.0}", self.created)));
            figures.push(("create call → request, p50 / p99 / max, ms", quantiles(&mut self.latencies)));
        }
        figures.extend([
            ("recorded/s, to the last record", format!("{:.0}", self.recorded)),
            ("recorded ÷ what bare writes allow", format!("{:.2}", self.recorded / allowed)),
            ("operator's CPU a delivery, ms", each(used.operator)),
            ("kube-apiserver's CPU a delivery, ms", each(used.api_server)),
            ("kube-apiserver's CPU ÷ that of the bare writes it needs", format!("{:.2}", used.api_server / needed)),
            (
                "CPU a delivery of etcd / this program / all else, ms; idle",
                format!(
                    "{} / {} / {}; {:.0} %",
                    each(used.etcd),
                    each(used.own),
                    each(used.rest()),
                    used.idle_percent()
                ),
            ),
        ]);
        figures
    }

    /// The API calls of a delivery, in words.
    pub(crate) fn calls(&self) -> String {
        let each = |(call, count): (&String, &f64)| format!("{call} {:.2}", count / self.load.deliveries() as f64);
        self.calls.iter().map(each).collect::<Vec<_>>().join(", ")
    }
}
