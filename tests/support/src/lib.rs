//! Helpers of tests, the quickstart and benches: a receiver, Alertmanager and Prometheus on loopback, and the operator and its REST API
//! as an installed chart runs them.

mod alertmanager;
mod build;
mod http;
mod measure;
mod operator;
mod prometheus;
mod proxy;
mod receiver;
mod tls;

pub use self::{
    alertmanager::{Alert, Alertmanager, config_to},
    build::{build_operator, built_operator, chart, operator, repository},
    measure::{Footprint, Samples, ms},
    operator::{Api, Installation, Operator, controller_args, output, pipe},
    prometheus::{Prometheus, Scraped, promtool},
    proxy::{Asked, Proxy},
    receiver::{Answer, Received, Receiver},
    tls::{Authority, Client, Issued, ReceivedOverTls, TlsFront, TlsReceiver},
};
