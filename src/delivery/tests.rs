//! Tests through the real client of whom requests reach: the receivers here count their connections.

mod addresses;
mod dns;
mod fixtures;
mod gate;
mod identities;
mod knocks;
mod proxies;
mod responses;
mod spellings;
mod timeouts;
