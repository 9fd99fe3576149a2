//! What OnCall's outgoing webhooks do, as functions of values: no Kubernetes, no tasks, no sockets.
//!
//! ```text
//! EventData ─┐
//!            ├─► matching ─► request::prepare ─► Request ─► (sent elsewhere) ─► Outcome ─► response::finish ─► Record
//! Webhook  ──┘                      └─► Record of the field that failed                               └──► retry
//!
//! AlertGroupEvents, WebhookResponses ─► retention::plan ─► what is removed
//! ```

pub mod address;
pub mod delivery;
pub mod dispatch;
pub mod event;
pub mod id;
pub use pyjinja::json;
pub mod lifecycle;
pub mod matching;
pub mod name;
pub mod order;
pub mod request;
pub mod request_url;
pub mod response;
pub mod retention;
pub mod retry;
pub mod signing;
pub use pyjinja as template;
pub mod tls;
pub mod version;
pub mod webhook;
