//! Carries what the [`Lifecycle`](crate::core::lifecycle) decides about alert groups to the API server, and reads back what templates
//! are to see of them.
//!
//! ```text
//! AlertGroups (watch) ──► Index ──► lifecycle: what is written, and what is deleted
//! lifecycle ──► WriteAlertGroup ──► Writer ──► AlertGroup (created once, then patched) ──► lifecycle: written
//!           └─► CreateTimerEvent ─► AlertGroupEvent
//! a wiped AlertGroup ──► Wiping ──► deletes its events and responses
//! a delivery ──► Payloads, AlertGroup ──► what templates see
//! ```

mod index;
mod payloads;
mod timers;
mod wiping;
mod writer;

pub(super) use self::{
    index::watch,
    payloads::AlertPayloads,
    timers::{create_event, heartbeat_event, timer_event},
    wiping::Wiping,
    writer::{AlertGroupWriter, REFUSED, Wanted, Written},
};
