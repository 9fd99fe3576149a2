//! The subcommands for people, which end by themselves.
//!
//! | subcommand | module | needs a cluster |
//! |---|---|---|
//! | `template`, `render`, `send`, `lint` | [`offline`] | no |
//! | `crds`, `openapi` | [`generated`] | no |
//! | `token create` | [`token`] | yes, but for `--output yaml` |
//! | `ack`, `unack`, `resolve`, `unresolve`, `silence`, `unsilence` | [`alert_groups`] | yes |
//! | `emit` | [`emit`] | yes |

pub mod alert_groups;
pub mod emit;
pub mod generated;
pub mod offline;
mod output;
mod session;
pub mod token;
