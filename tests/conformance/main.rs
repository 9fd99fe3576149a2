//! Cases that were recorded from OnCall, through the code that does the same here. No cluster is needed.

#![expect(clippy::unwrap_used, reason = "what a test can't go on without")]

mod deliveries;
mod receiver;
mod templates;
