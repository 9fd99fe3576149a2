//! The behaviour of Grafana OnCall's outgoing webhooks, as functions of values. Nothing here waits, reads or writes:
//! events, webhooks and answers come in; what is to be sent, recorded, tried again or removed goes out.
//!
//! ```text
//! event ────┐
//!           ├─► matching ─► order ─► dispatch ─► request ─────────► PreparedRequest ─► (sent elsewhere)
//! webhook ──┘                           ▲           │ a field failed                          │
//!                                       │           ▼                                         ▼
//!                                       │     ResponseRecord ◄──── response ◄───────────── Outcome
//!                                       │                                                     │
//!                                       └───────────────────── retry ◄────────────────────────┘
//!                                               tried again
//!
//! what a source sent ─► intake ─► ReceivedAlert
//!
//! finished events and responses ─► retention ─► RemovalPlan
//! ```
//! [`lifecycle`] drives the first picture for all events at once.
//!
//! | module | concept |
//! |---|---|
//! | [`address`] | whether a request may go to an address |
//! | [`alert_groups`] | what alerts and people's changes make of alert groups |
//! | [`charset`] | the text of a body in the charset that a client names |
//! | [`delivery`] | one webhook's run for one event: its key, its attempts, its outcome |
//! | [`dispatch`] | which delivery goes out next: bounded, fair, held back from endpoints that are down |
//! | [`event`] | an event's data, as templates see it and as it is forwarded |
//! | [`hints`] | what people probably did not mean in a template |
//! | [`id`] | ids and names derived from other names |
//! | [`intake`] | what a source sent as an alert: its alert group, its title, and what it does to the alert group |
//! | [`json`] | JSON as Python reads and writes it |
//! | [`judgement`] | what is wrong with a webhook, told without an event |
//! | [`lifecycle`] | the life of events and their deliveries: inputs in, effects out |
//! | [`matching`] | which webhooks run for an event |
//! | [`name`] | names of objects within a cluster |
//! | [`order`] | the order of deliveries within an alert group |
//! | [`request`] | the request of a webhook for an event, and its redirects |
//! | [`request_url`] | URLs as OnCall checks them and Python's `requests` sends them |
//! | [`response`] | the record of what came of a request |
//! | [`retention`] | which finished events and responses are removed |
//! | [`retry`] | whether and when there is another attempt |
//! | [`shares`] | how much memory each namespace and webhook may hold |
//! | [`signing`] | signatures of Standard Webhooks |
//! | [`template`] | the templates of webhooks |
//! | [`tls`] | certificates that a webhook trusts and shows |
//! | [`version`] | resource versions, which order the states of objects |
//! | [`webhook`] | a webhook, its templates compiled |
//!
//! Rules: with default features, this crate depends on no kube, tokio, hyper, reqwest, axum, schemars or utoipa. The
//! feature `schema` adds the last two, for types that stand in custom resources and in the REST API's document. No two of
//! these modules need each other.

pub mod address;
pub mod alert_groups;
pub mod charset;
pub mod delivery;
pub mod dispatch;
pub mod event;
pub mod hints;
pub mod id;
pub mod intake;
pub mod json;
pub mod judgement;
pub mod lifecycle;
pub mod matching;
pub mod name;
pub mod order;
pub mod request;
pub mod request_url;
pub mod response;
pub mod retention;
pub mod retry;
pub mod shares;
pub mod signing;
pub mod template;
pub mod tls;
pub mod version;
pub mod webhook;
