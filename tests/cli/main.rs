//! The subcommands as a person runs them, where that needs no cluster.

#![expect(clippy::expect_used, reason = "what a test can't go on without")]

mod commands;
mod docs;
mod harness;
mod lint;
mod openapi;
mod program;
mod render;
mod send;
mod template;
mod token;
