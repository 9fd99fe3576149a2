//! The subcommands for people, which end by themselves.
//!
//! | subcommand | module | needs a cluster |
//! |---|---|---|
//! | `template`, `render`, `send`, `lint` | [`offline`] | no |
//! | `crds`, `openapi` | [`generated`] | no |
//! | `token create` | [`token`] | yes, but for `--output yaml` |

pub mod generated;
pub mod offline;
mod output;
pub mod token;
