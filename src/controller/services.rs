//! Where Services of the cluster lead, as the API server has them at the moment. A request goes to what is read here, and nobody
//! resolves the name once more: a Service that is changed leads nowhere else than it was judged to lead.
//!
//! ```text
//! Service, its EndpointSlices ──► ServiceTarget
//! ```

use std::{net::IpAddr, sync::Arc, time::Duration};

use futures::FutureExt;
use k8s_openapi::api::{
    core::v1::{Service, ServiceSpec},
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::Client;
use tokio::time::timeout;

use crate::{
    core::address::OwnService,
    delivery::{ServiceLookup, ServiceTarget},
    errors::error_chain,
    kubernetes::objects::Objects,
};

/// Bound on reading a Service and its EndpointSlices: a request waits for that.
const READ: Duration = Duration::from_secs(2);

/// Nothing is written.
const READER: &str = "";

/// The label of an EndpointSlice that holds the name of its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Makes the function that tells where a Service leads. It is read each time that a connection is made: an older answer may be
/// about addresses that are somebody else's by now.
pub(crate) fn services(client: &Client) -> ServiceLookup {
    // With a bound of its own on reads: requests do not wait for the reads of others.
    let objects = Objects::new(client.clone(), READER);
    Arc::new(move |namespace, service| {
        let objects = objects.clone();
        async move {
            let read = timeout(READ, read(&objects, &namespace, &service)).await;
            let read = read.unwrap_or_else(|_| Err(format!("no answer within {READ:?}")));
            read.map_err(|error| format!("It is not known where Service {} leads: {error}", service.name))
        }
        .boxed()
    })
}

/// Reads where a Service leads.
async fn read(objects: &Objects, namespace: &str, service: &OwnService) -> Result<ServiceTarget, String> {
    let found: Option<Service> = objects.get(namespace, &service.name).await.map_err(|error| error_chain(&error))?;
    let Some(spec) = found.and_then(|found| found.spec).filter(|spec| !is_external(spec)) else {
        return Ok(ServiceTarget::External);
    };
    let labels = format!("{SERVICE_LABEL}={}", service.name);
    let slices = objects.list::<EndpointSlice>(Some(namespace), &labels).await;
    let slices = slices.map_err(|error| format!("list EndpointSlices: {}", error_chain(&error)))?;
    Ok(target(&spec, &slices, service.pod.as_deref()))
}

fn is_external(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("ExternalName")
}

/// The target of a Service in the cluster, or of a `pod` behind it. As the cluster's name servers do, it leads to the Service's
/// own addresses, and without any, to the endpoints that are ready.
fn target(spec: &ServiceSpec, slices: &[EndpointSlice], pod: Option<&str>) -> ServiceTarget {
    let own = spec.cluster_ips.as_deref().unwrap_or(spec.cluster_ip.as_slice());
    let own: Vec<IpAddr> = own.iter().filter_map(|address| address.parse().ok()).collect();
    let ready = || {
        let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
        let endpoints = endpoints.filter(|endpoint| is_ready(endpoint) && pod.is_none_or(|pod| is_pod(endpoint, pod)));
        endpoints.flat_map(|endpoint| &endpoint.addresses).filter_map(|address| address.parse().ok())
    };
    let addresses = if own.is_empty() || pod.is_some() { ready().collect() } else { own };
    ServiceTarget::Cluster { addresses, endpoints: slices.iter().flat_map(addresses_of).collect() }
}

/// Unknown counts as ready, as the API says.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

/// Whether an endpoint is that of the pod: by its host name, or by its address with hyphens.
fn is_pod(endpoint: &Endpoint, pod: &str) -> bool {
    let is_address = |address: &String| address.replace(['.', ':'], "-").eq_ignore_ascii_case(pod);
    match &endpoint.hostname {
        Some(name) => name.eq_ignore_ascii_case(pod),
        None => endpoint.addresses.iter().any(is_address),
    }
}

/// The addresses of the endpoints of a slice.
pub(super) fn addresses_of(slice: &EndpointSlice) -> impl Iterator<Item = IpAddr> {
    let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    // Others are names, to which no cluster network leads.
    addresses.filter_map(|address| address.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_leads_to_its_own_addresses_or_to_the_pods_that_are_ready() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "metadata": {},
            "endpoints": [
                {"addresses": ["10.1.1.1"], "hostname": "pod-0"},
                {"addresses": ["10.1.1.2"], "hostname": "pod-1", "conditions": {"ready": false}},
                {"addresses": ["10.1.1.3"], "conditions": {"ready": true}},
            ],
        }))
        .unwrap();
        let both = json!({"clusterIP": "10.9.9.9", "clusterIPs": ["10.9.9.9", "fd00::9"]});
        let one = json!({"clusterIP": "10.9.9.9"});
        let headless = json!({"clusterIP": "None", "clusterIPs": ["None"]});
        for (spec, pod, expected) in [
            (&both, None, &["10.9.9.9", "fd00::9"][..]),
            (&one, None, &["10.9.9.9"]),
            (&headless, None, &["10.1.1.1", "10.1.1.3"]),
            (&headless, Some("POD-0"), &["10.1.1.1"]),
            (&headless, Some("pod-1"), &[]),
            (&headless, Some("10-1-1-3"), &["10.1.1.3"]),
            (&headless, Some("10-1-1-1"), &[]),
            (&both, Some("pod-0"), &["10.1.1.1"]),
            (&both, Some("_http._tcp"), &[]),
        ] {
            let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
            let expected = ServiceTarget::Cluster {
                addresses: ips(expected),
                endpoints: ips(&["10.1.1.1", "10.1.1.2", "10.1.1.3"]),
            };
            let spec: ServiceSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(target(&spec, std::slice::from_ref(&slice), pod), expected, "{spec:?} {pod:?}");
        }
    }
}
