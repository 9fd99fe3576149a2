//! The Kubernetes API as the controller and the REST API use it: calls with time limits, watches that outlive errors,
//! and indexes that follow them.
//!
//! ```text
//! client ─┬─► objects (get, list, create, patch, delete) ──► writes (when), table, resource_version
//!         ├─► watch (of lenient objects) ──► joined (those of several namespaces) ──► index
//!         ├─► list (pages of objects, for both)
//!         ├─► definitions (which custom resources there are)
//!         ├─► events (what people see of an object's changes)
//!         ├─► lease (which replica leads)
//!         └─► reviews (who somebody is) ──► readers (of metrics)
//! ```

pub(crate) mod backoff;
pub mod client;
pub(crate) mod definitions;
pub(crate) mod events;
pub(crate) mod index;
pub(crate) mod joined;
pub(crate) mod lease;
pub(crate) mod lenient;
pub(crate) mod list;
pub(crate) mod name;
pub(crate) mod objects;
pub(crate) mod probes;
pub(crate) mod readers;
pub(crate) mod resource_version;
pub(crate) mod reviews;
pub(crate) mod scope;
pub(crate) mod slim;
pub(crate) mod table;
pub(crate) mod watch;
pub(crate) mod writes;
