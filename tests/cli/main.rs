//! The subcommands that need no cluster, run as a person runs them.

#![expect(clippy::expect_used, reason = "what a test can't go on without")]

mod docs;
mod harness;
mod lint;
mod openapi;
mod program;
mod render;
mod send;
mod template;
mod token;
