//! OnCall's REST API over the same objects.

pub(crate) mod refusal;
