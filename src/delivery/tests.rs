//! Who is reached, tried through the real client: the receivers here count their connections.

mod addresses;
mod dns;
mod fixtures;
mod gate;
mod identities;
mod proxies;
mod responses;
mod spellings;
