//! The subcommands for people, which end by themselves.
//!
//! | subcommand | module | needs a cluster |
//! |---|---|---|
//! | `template`, `render`, `send`, `lint` | [`offline`] | no |
//! | `crds`, `openapi`, `completion`, `man` | [`generated`] | no |
//! | `token create` | [`token`] | yes, but for `--output yaml` |
//! | `ack`, `unack`, `resolve`, `unresolve`, `silence`, `unsilence`, `wipe` | [`alert_groups`] | yes |
//! | `emit` | [`emit`] | yes |
//! | `status` | [`status`] | yes |
//! | `responses` | [`responses`] | yes |
//! | `redeliver` | [`redeliver`] | yes |

pub mod alert_groups;
pub mod cluster;
pub mod complete;
pub mod emit;
pub mod generated;
pub mod offline;
mod output;
pub mod program_name;
mod progress;
pub mod redeliver;
pub mod responses;
mod session;
pub mod status;
mod table;
mod times;
pub mod token;
mod webhooks;

pub use self::output::report;
