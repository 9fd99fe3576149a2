//! Cases that were recorded from OnCall, through the code that does the same here. No cluster is needed.

mod deliveries;
mod receiver;
