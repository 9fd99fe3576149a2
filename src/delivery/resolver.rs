//! A host's name in; its addresses out, if the policy allows all of them. This is the only place that looks names up: the
//! connection is made to an address that was judged here.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures::future::{BoxFuture, FutureExt};
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::LookupIpStrategy,
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, Record},
};
use http::uri::Authority;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{
    errors::{BoxError, Refusal, RefusedName, UnknownService, UnresolvedHost},
    explain::last_cause,
    ports::{Policies, ServiceLookup, ServiceTarget},
};
use crate::core::address::AddressPolicy;

/// How long at most it is believed that a name does not exist.
const NEGATIVE_TTL: Duration = Duration::from_secs(1);

/// Bound on the questions that a name server has at a time, over one connection. Requests in flight are bounded elsewhere.
const MAX_QUESTIONS: usize = 10_000;

/// Bound on the addresses of one host that a proxy is asked for, one after the other.
const MAX_TARGETS: usize = 4;

/// What a name server says of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct DnsAnswer {
    pub(super) addresses: Vec<IpAddr>,
    /// All names on the way to these: the one that was found, and those that it stands for (CNAME).
    pub(super) names: Vec<String>,
}

/// Looks up a host.
pub(super) type DnsLookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<DnsAnswer>> + Send + Sync>;

/// Looks names up as the system is configured to (resolv.conf and its hosts). A look-up ends with the request that needs it,
/// also where no name server answers.
pub(super) fn system_dns() -> DnsLookup {
    dns_of(TokioResolver::builder_tokio())
}

/// Looks names up at the name servers of `builder`.
pub(super) fn dns_of(builder: Result<ResolverBuilder<TokioRuntimeProvider>, NetError>) -> DnsLookup {
    let resolver = builder.and_then(|mut builder| {
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // What an alias leads to is judged too.
        options.preserve_intermediates = true;
        // A name that did not exist a moment ago may exist now: a Service of the same apply.
        options.negative_max_ttl = Some(NEGATIVE_TTL);
        options.try_tcp_on_error = true;
        options.max_active_requests = MAX_QUESTIONS;
        builder.build()
    });
    let resolver = resolver.map(Arc::new).inspect_err(|error| {
        tracing::error!(
            error = last_cause(error),
            "failed to read which name servers the system has; no host can be looked up"
        );
    });
    Arc::new(move |name| {
        let resolver = resolver.as_ref().map(Arc::clone).map_err(|error| io::Error::other(error.to_string()));
        async move {
            let found = resolver?.lookup_ip(name).await.map_err(io::Error::other)?;
            Ok(answer(found.as_lookup().answers()))
        }
        .boxed()
    })
}

fn answer(records: &[Record]) -> DnsAnswer {
    let mut names = BTreeSet::new();
    for record in records {
        names.insert(record.name.to_ascii());
        if let RData::CNAME(alias) = &record.data {
            names.insert(alias.0.to_ascii());
        }
    }
    let addresses = records.iter().filter_map(|record| record.data.ip_addr()).collect();
    DnsAnswer { addresses, names: names.into_iter().collect() }
}

/// Looks names up for one client, and refuses addresses that the client's namespace may not reach.
#[derive(Clone)]
pub(super) struct GuardedResolver {
    pub(super) policies: Policies,
    pub(super) services: ServiceLookup,
    pub(super) namespace: Arc<str>,
    pub(super) dns: DnsLookup,
}

impl GuardedResolver {
    /// The policy of the moment.
    pub(super) fn policy(&self) -> Arc<AddressPolicy> {
        Arc::clone(&self.policies.borrow())
    }

    /// The addresses of a name, none of which is refused. Their ports are the connector's to set.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<SocketAddr>, BoxError> {
        let addresses = match self.own_service(name).await? {
            Some(addresses) => addresses,
            None => self.answers(name).await?,
        };
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
    }

    /// The addresses that a name server gives.
    async fn answers(&self, name: &str) -> Result<Vec<IpAddr>, BoxError> {
        let DnsAnswer { addresses, names } = (self.dns)(name.to_owned()).await.unwrap_or_default();
        if addresses.is_empty() {
            return Err(UnresolvedHost.into());
        }
        let policy = self.policy();
        let closed = names.iter().try_for_each(|name| policy.judge_host(&self.namespace, name).map_err(Refusal::Host));
        // One refused address refuses the name, as in OnCall: whoever mixes such addresses in means no good.
        let judge = |address: &IpAddr| policy.judge(Some(&self.namespace), Some(name), *address, false);
        let judged = closed.and_then(|()| addresses.iter().try_for_each(judge).map_err(Refusal::Address));
        match judged {
            Ok(()) => Ok(addresses),
            Err(refusal) => Err(RefusedName { refusal, is_hidden: !policy.is_well_known(name) }.into()),
        }
    }

    /// The addresses of a Service of the client's own namespace, if the name is that of one. Its endpoints are judged too, since
    /// the cluster's network leads from the Service's address to them.
    async fn own_service(&self, name: &str) -> Result<Option<Vec<IpAddr>>, BoxError> {
        let Some(service) = self.policy().own_service(&self.namespace, name) else { return Ok(None) };
        let target = (self.services)(self.namespace.to_string(), service).await.map_err(UnknownService)?;
        let ServiceTarget::Cluster { addresses, endpoints } = target else { return Ok(None) };
        let policy = self.policy();
        let behind = endpoints.into_iter().try_for_each(|endpoint| policy.judge_endpoint(&self.namespace, endpoint));
        let judge = |address: &IpAddr| policy.judge(Some(&self.namespace), Some(name), *address, true);
        match behind.and_then(|()| addresses.iter().try_for_each(judge)) {
            Ok(()) if addresses.is_empty() => Err(UnresolvedHost.into()),
            Ok(()) => Ok(Some(addresses)),
            Err(refused) => Err(RefusedName { refusal: Refusal::Address(refused), is_hidden: false }.into()),
        }
    }

    /// The targets that a proxy is asked to connect to, one after the other until one works: addresses, so that it can be led
    /// nowhere else, but the name where the policy trusts that.
    pub(super) async fn targets(&self, host: &str, port: u16) -> Result<Vec<Authority>, BoxError> {
        let is_judged = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
        if is_judged || self.policy().trusts(Some(&self.namespace), host) {
            return Ok(vec![Authority::try_from(format!("{host}:{port}"))?]);
        }
        let addresses = self.addresses(host).await?.into_iter().map(|answer| answer.ip().to_canonical());
        let mut seen = BTreeSet::new();
        let different = addresses.filter(|address| seen.insert(*address)).take(MAX_TARGETS);
        different.map(|address| Ok(Authority::try_from(SocketAddr::new(address, port).to_string())?)).collect()
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move { Ok(Box::new(resolver.addresses(name.as_str()).await?.into_iter()) as Addrs) })
    }
}
