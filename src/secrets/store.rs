//! Which keys of which Secrets are needed, what is known of them, and which Secrets are to be read: in turns by namespace.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};

use super::{Found, Referrer};
use crate::{
    core::webhook::SecretKey,
    kubernetes::{index::unlisted, name::NamespacedName, resource_version::ResourceVersion},
    memory::Shares,
};

/// How long a key stays after nothing refers to it: a request that is being made has the webhook as it was.
const STAYS: Duration = Duration::from_secs(60);

/// About how many bytes a key takes beside its value.
const ENTRY: u64 = 300;

/// What is known of a key.
#[derive(Debug)]
pub(super) enum Known {
    /// Nothing: its Secret is to be read.
    Unread,
    /// The API server refuses to show its Secret.
    Refused,
    /// There is no such Secret with the label.
    NoSecret,
    /// Its Secret has no such key.
    NoKey,
    /// The value is not UTF-8 text.
    NotText,
    /// The value has so many bytes, which are not within the namespace's share.
    NoRoom(u64),
    /// The value, without line breaks at its end.
    Text(SecretString),
}

impl Known {
    fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => ENTRY + text.expose_secret().len() as u64,
            _ => 0,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.expose_secret() == other.expose_secret(),
            (Self::NoRoom(one), Self::NoRoom(other)) => one == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

/// The values of a Secret. They are overwritten when they are dropped.
pub(super) struct Values(pub(super) BTreeMap<String, ByteString>);

/// A key that something refers to.
struct WantedKey {
    known: Known,
    /// How many times it is referred to.
    references: usize,
    /// Since when it is not.
    idle: Option<Instant>,
}

/// How far the reading of a Secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Idle,
    Queued,
    UnderWay,
    /// It has changed since the read that is under way began.
    UnderWayAndQueued,
}

/// A Secret with a key that something refers to.
struct WantedSecret {
    keys: BTreeMap<String, WantedKey>,
    /// The version that was read.
    version: Option<ResourceVersion>,
    reading: Reading,
}

/// The keys that are needed.
pub(super) struct Store {
    secrets: HashMap<NamespacedName, WantedSecret>,
    /// What each object refers to.
    referrers: HashMap<Referrer, Vec<SecretKey>>,
    shares: Shares,
    queue: Turns,
    /// Whether room was given back since keys without room were last read again.
    has_more_room: bool,
}

/// Names of Secrets to be read: one of each namespace in turn.
#[derive(Default)]
struct Turns {
    namespaces: VecDeque<Arc<str>>,
    names: HashMap<Arc<str>, VecDeque<NamespacedName>>,
}

impl Turns {
    fn push(&mut self, name: NamespacedName) {
        let names = self.names.entry(Arc::clone(&name.namespace)).or_default();
        if names.is_empty() {
            self.namespaces.push_back(Arc::clone(&name.namespace));
        }
        names.push_back(name);
    }

    fn pop(&mut self) -> Option<NamespacedName> {
        let namespace = self.namespaces.pop_front()?;
        let names = self.names.get_mut(&namespace)?;
        let name = names.pop_front();
        if names.is_empty() {
            self.names.remove(&namespace);
        } else {
            self.namespaces.push_back(namespace);
        }
        name
    }
}

impl Store {
    /// Keeps up to `budget` bytes.
    pub(super) fn new(budget: u64) -> Self {
        Self {
            secrets: HashMap::new(),
            referrers: HashMap::new(),
            shares: Shares::new(budget),
            queue: Turns::default(),
            has_more_room: false,
        }
    }

    /// What is known of a key; None if nothing refers to it.
    pub(super) fn get(&self, namespace: &str, key: &SecretKey) -> Option<&Known> {
        let name = NamespacedName::new(namespace, key.name.as_str());
        self.secrets.get(&name)?.keys.get(&key.key).map(|key| &key.known)
    }

    /// Takes in what an object refers to, in place of what it referred to before.
    pub(super) fn refer(&mut self, referrer: Referrer, keys: Vec<SecretKey>, now: Instant) {
        let namespace = Arc::clone(referrer.namespace());
        for key in &keys {
            let name = NamespacedName::new(Arc::clone(&namespace), key.name.as_str());
            let secret = self.secrets.entry(name.clone()).or_insert_with(|| WantedSecret {
                keys: BTreeMap::new(),
                version: None,
                reading: Reading::Idle,
            });
            let mut is_new = false;
            let wanted = secret.keys.entry(key.key.clone()).or_insert_with(|| {
                is_new = true;
                WantedKey { known: Known::Unread, references: 0, idle: None }
            });
            wanted.references += 1;
            wanted.idle = None;
            if is_new {
                self.read_again(&name);
            }
        }
        let before = match keys.is_empty() {
            true => self.referrers.remove(&referrer),
            false => self.referrers.insert(referrer, keys),
        };
        for key in before.into_iter().flatten() {
            let name = NamespacedName::new(Arc::clone(&namespace), key.name.as_str());
            let Some(wanted) = self.secrets.get_mut(&name).and_then(|secret| secret.keys.get_mut(&key.key)) else {
                continue;
            };
            wanted.references = wanted.references.saturating_sub(1);
            if wanted.references == 0 {
                wanted.idle = Some(now);
            }
        }
    }

    /// Takes in that the watch shows this version of a Secret.
    pub(super) fn seen(&mut self, name: &NamespacedName, version: &ResourceVersion) {
        if self.secrets.get(name).is_some_and(|secret| secret.version.as_ref() != Some(version)) {
            self.read_again(name);
        }
    }

    /// Takes in that there are no other Secrets with the label than these.
    pub(super) fn retain(&mut self, listed: &[NamespacedName]) {
        let were_there = self.secrets.iter().filter(|(_, secret)| secret.version.is_some());
        let gone = unlisted(were_there.map(|(name, _)| name), listed);
        gone.iter().for_each(|name| self.read_again(name));
    }

    /// Has a Secret read, if something refers to it.
    pub(super) fn read_again(&mut self, name: &NamespacedName) {
        let Some(secret) = self.secrets.get_mut(name) else { return };
        secret.reading = match secret.reading {
            Reading::Idle => {
                self.queue.push(name.clone());
                Reading::Queued
            }
            Reading::Queued => Reading::Queued,
            Reading::UnderWay | Reading::UnderWayAndQueued => Reading::UnderWayAndQueued,
        };
    }

    /// The next Secret that is to be read.
    pub(super) fn begin_read(&mut self) -> Option<NamespacedName> {
        loop {
            let name = self.queue.pop()?;
            // Nothing may refer to it any more.
            if let Some(secret) = self.secrets.get_mut(&name) {
                secret.reading = Reading::UnderWay;
                return Some(name);
            }
        }
    }

    /// Takes in how a read came out. Returns whether that changes anything.
    pub(super) fn end_read(&mut self, name: &NamespacedName, found: Result<Found, ()>) -> bool {
        let Some(secret) = self.secrets.get_mut(name) else { return false };
        if secret.reading == Reading::UnderWayAndQueued {
            self.queue.push(name.clone());
            secret.reading = Reading::Queued;
        } else {
            secret.reading = Reading::Idle;
        }
        let values = match found {
            Ok(found) => {
                secret.version = found.as_ref().map(|(version, _)| version.clone());
                Ok(found.map(|(_, values)| values))
            }
            Err(()) => Err(()),
        };
        let mut has_changed = false;
        for (key, wanted) in &mut secret.keys {
            let known = match &values {
                // What was read before still counts.
                Err(()) if !matches!(wanted.known, Known::Unread) => continue,
                Err(()) => Known::Refused,
                Ok(None) => Known::NoSecret,
                Ok(Some(values)) => match values.0.get(key) {
                    None => Known::NoKey,
                    Some(value) => known(&value.0),
                },
            };
            let before = wanted.known.bytes();
            self.shares.give_back(&name.namespace, before);
            let after = match known {
                Known::Text(text) if !self.shares.take(&name.namespace, ENTRY + text.expose_secret().len() as u64) => {
                    Known::NoRoom(text.expose_secret().len() as u64)
                }
                known => known,
            };
            self.has_more_room |= after.bytes() < before;
            has_changed |= !after.is(&wanted.known);
            wanted.known = after;
        }
        has_changed
    }

    /// Forgets keys that nothing has referred to for a while, and has those read again for which there may be room now.
    pub(super) fn tend(&mut self, now: Instant) {
        let (shares, has_more_room) = (&mut self.shares, &mut self.has_more_room);
        self.secrets.retain(|name, secret| {
            secret.keys.retain(|_, wanted| {
                let stays = wanted.idle.is_none_or(|since| now.saturating_duration_since(since) < STAYS);
                if !stays {
                    shares.give_back(&name.namespace, wanted.known.bytes());
                    *has_more_room |= wanted.known.bytes() > 0;
                }
                stays
            });
            !secret.keys.is_empty()
        });
        if std::mem::take(&mut self.has_more_room) {
            let lacks_room =
                |secret: &WantedSecret| secret.keys.values().any(|key| matches!(key.known, Known::NoRoom(_)));
            let names = self.secrets.iter().filter(|(_, secret)| lacks_room(secret)).map(|(name, _)| name.clone());
            names.collect::<Vec<_>>().iter().for_each(|name| self.read_again(name));
        }
    }
}

fn known(value: &[u8]) -> Known {
    match std::str::from_utf8(value) {
        Ok(text) => Known::Text(SecretString::from(text.trim_end_matches(['\r', '\n']))),
        Err(_) => Known::NotText,
    }
}

#[cfg(test)]
mod tests;
