//! Where Services of the cluster lead, as the API server has them. That decides whether a request may go there.
//!
//! ```text
//! Service, its EndpointSlices ──► cache ──► ServiceTarget
//! ```

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::Client;
use quick_cache::sync::Cache;
use tokio::time::timeout;

use crate::{
    delivery::{ServiceLookup, ServiceTarget},
    errors::error_chain,
    kubernetes::objects::Objects,
};

/// How long an answer counts: a change of the Service within that time is not seen.
const FRESH: Duration = Duration::from_secs(10);
/// Bound on reading a Service and its EndpointSlices: a request waits for that.
const READ: Duration = Duration::from_secs(2);
/// Bound on the number of Services that are known at a time.
const SERVICES: usize = 1000;

/// Nothing is written.
const READER: &str = "";

/// The label of an EndpointSlice that holds the name of its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Makes the function that tells where a Service leads.
pub(crate) fn services(client: &Client) -> ServiceLookup {
    // With a bound of its own on reads: requests do not wait for the reads of others.
    let objects = Objects::new(client.clone(), READER);
    let known: Arc<Cache<(String, String), (Instant, ServiceTarget)>> = Arc::new(Cache::new(SERVICES));
    Arc::new(move |namespace, name| {
        let (objects, known) = (objects.clone(), Arc::clone(&known));
        async move {
            let key = (namespace, name);
            let old = known.get(&key);
            if let Some((at, leads)) = &old
                && at.elapsed() < FRESH
            {
                return Ok(leads.clone());
            }
            let read = timeout(READ, read(&objects, &key.0, &key.1)).await;
            let leads = match (read.unwrap_or_else(|_| Err(format!("no answer within {READ:?}"))), old) {
                (Ok(leads), _) => leads,
                // While the API server is away, the last answer counts.
                (Err(error), Some((_, leads))) => {
                    tracing::warn!(namespace = key.0, service = key.1, error, "read where a Service leads");
                    leads
                }
                (Err(error), None) => {
                    return Err(format!("It is not known where Service {} leads: {error}", key.1));
                }
            };
            known.insert(key, (Instant::now(), leads.clone()));
            Ok(leads)
        }
        .boxed()
    })
}

/// Reads where a Service leads.
async fn read(objects: &Objects, namespace: &str, name: &str) -> Result<ServiceTarget, String> {
    let service: Option<Service> = objects.get(namespace, name).await.map_err(|error| error_chain(&error))?;
    let type_ = service.map(|service| service.spec.unwrap_or_default().type_.unwrap_or_default());
    if type_.is_none_or(|type_| type_ == "ExternalName") {
        return Ok(ServiceTarget::External);
    }
    let slices = objects.list::<EndpointSlice>(Some(namespace), &format!("{SERVICE_LABEL}={name}")).await;
    let slices = slices.map_err(|error| format!("list EndpointSlices: {}", error_chain(&error)))?;
    Ok(ServiceTarget::Endpoints(slices.iter().flat_map(addresses).collect()))
}

/// The addresses of the endpoints of a slice.
pub(super) fn addresses(slice: &EndpointSlice) -> impl Iterator<Item = IpAddr> {
    let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    // Others are names, to which no cluster network leads.
    addresses.filter_map(|address| address.parse().ok())
}
