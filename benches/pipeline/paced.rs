//! Events at a steady rate, and events whose receiver is away.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use support::{Footprint, Samples, ms};
use tokio::task::JoinSet;

use crate::{
    ground::{Candidate, Ground, stop},
    report::{Figures, quantiles},
    scene::{Created, Scene},
};

/// Time from one event to the next.
pub(crate) const STEADY: Duration = Duration::from_millis(50);
/// How long an operator is watched that has nothing to do.
const IDLE: Duration = Duration::from_secs(5);

/// Creates an event at a time, at a steady rate, for as long as `more` says of the number of the next one.
pub(crate) async fn paced(scene: &Scene, mut more: impl AsyncFnMut(usize) -> Result<bool>) -> Result<Vec<Created>> {
    let mut ticks = tokio::time::interval(STEADY);
    let mut calls = JoinSet::new();
    let mut number = 0;
    while more(number).await? {
        ticks.tick().await;
        calls.spawn(scene.create_event(number));
        number += 1;
    }
    let mut events = Vec::new();
    while let Some(ended) = calls.join_next().await {
        events.push(ended.context("join a writer")??);
    }
    Ok(events)
}

/// Events at 20 a second.
pub(crate) async fn steady(ground: &Ground<'_>, candidate: &Candidate, scene: &Scene) -> Result<Figures> {
    let operator = ground.start(candidate).await?;
    scene.until_ready().await?;
    let before = ground.usage(Some(&operator))?;
    tokio::time::sleep(IDLE).await;
    let idle = (ground.usage(Some(&operator))? - before).operator / IDLE.as_secs_f64();

    let before = ground.usage(Some(&operator))?;
    let events = paced(scene, async |number| Ok(number < scene.load.events)).await?;
    let received = scene.arrived().await?;
    scene.recorded(&events).await?;
    let used = ground.usage(Some(&operator))? - before;
    let footprint = Footprint::of(operator.pid())?;
    stop(operator)?;
    scene.verify(&events).await?;

    let mut from_called = scene.latencies(&events, &received)?;
    let writes = events.iter().map(|event| ms(event.returned.duration_since(event.called)));
    let mut writes = Samples(writes.collect());
    let each = |cpu: f64| format!("{:.2}", cpu / scene.load.deliveries() as f64);
    Ok(vec![
        ("create call → request, p50 / p99 / max, ms", quantiles(&mut from_called)),
        ("the create call itself, p50 / p99 / max, ms", quantiles(&mut writes)),
        ("operator's CPU a delivery, ms", each(used.operator)),
        ("kube-apiserver's CPU a delivery, ms", each(used.api_server)),
        ("operator's CPU in a second with nothing to do, ms", format!("{idle:.1}")),
        ("operator's memory, and the most it was, MiB", format!("{:.0}, {:.0}", footprint.resident, footprint.peak)),
    ])
}

/// Closes the receiver, creates the events, and opens it after `away`. `rate` is how many requests a second left in a storm.
pub(crate) async fn away(
    ground: &Ground<'_>,
    candidate: &Candidate,
    scene: &mut Scene,
    away: Duration,
    rate: Option<f64>,
) -> Result<Figures> {
    let operator = ground.start(candidate).await?;
    scene.until_ready().await?;
    scene.receiver.close().await?;
    let closed = Instant::now();
    let events = scene.create_events().await?;
    tokio::time::sleep(away.saturating_sub(closed.elapsed())).await;
    scene.receiver.open().await?;
    let back = Instant::now();
    let received = scene.arrived().await?;
    let recorded = scene.recorded(&events).await?;
    stop(operator)?;
    scene.verify(&events).await?;

    let arrivals = received.iter().map(|request| request.at.duration_since(back).as_secs_f64());
    let (first, last) = (arrivals.clone().fold(f64::INFINITY, f64::min), arrivals.fold(0.0, f64::max));
    let mut figures = vec![
        ("first request after its return, s", format!("{first:.2}")),
        ("last request after its return, s", format!("{last:.2}")),
        ("last record after its return, s", format!("{:.2}", recorded.duration_since(back).as_secs_f64())),
    ];
    if let Some(rate) = rate {
        let bound = 5.0 + scene.load.deliveries() as f64 / rate;
        figures.push(("5 s + what waited ÷ the storm's requests/s, s", format!("{bound:.2}")));
    }
    Ok(figures)
}
