//! The Integrations that alerts come to, by their tokens.
//!
//! ```text
//! watch of Integrations ─► SourceIndex ─► Sources ─► refer ─► secrets ─► secret_changed ─► SourceTokens
//! a token ─► find ─► the Integration │ Unread (503) │ Unknown (403)
//! ```
//! Until all tokens are read that were there before this process, none opens anything: a token counts for the namespace that has it,
//! and for none if there are two (see [`crate::source_tokens`]).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;
use tokio::sync::SetOnce;

use super::source::Source;
use crate::{
    kubernetes::{
        index::Index,
        lenient::Lenient,
        name::{NamespacedName, name_of},
        watch::log_unreadable,
    },
    memory::Shares,
    resources::Integration,
    secrets::{MissingSecret, Referrer, Secrets},
    source_tokens::{self, SourceToken, SourceTokens},
};

/// What a token opens.
#[derive(Debug)]
pub(super) enum Found {
    /// An Integration.
    Source(Arc<Source>),
    /// Nothing, but a token that is just being read may be this one.
    Unread,
    /// Nothing.
    Unknown,
}

/// All Integrations that are watched.
pub(crate) struct Sources {
    state: RwLock<State>,
    secrets: Secrets,
    /// Set when all tokens are read that were there before this process.
    settled: SetOnce<()>,
}

struct State {
    namespaces: HashMap<Arc<str>, Namespace>,
    tokens: SourceTokens,
    /// Those whose token is being read.
    unread: HashSet<NamespacedName>,
    shares: Shares,
    is_listed: bool,
}

#[derive(Default)]
struct Namespace {
    sources: HashMap<Arc<str>, Known>,
    /// How many alert groups of all of them are open.
    open: u64,
}

/// What is known of an Integration.
struct Known {
    source: Arc<Source>,
    bytes: u64,
    open: u32,
    /// What was told of its token.
    told: Option<String>,
}

impl Sources {
    /// Keeps up to `budget` bytes, and leaves out templates that are beyond.
    pub(super) fn new(secrets: Secrets, budget: u64) -> Self {
        let state = State {
            namespaces: HashMap::new(),
            tokens: SourceTokens::default(),
            unread: HashSet::new(),
            shares: Shares::new(budget),
            is_listed: false,
        };
        Self { state: RwLock::new(state), secrets, settled: SetOnce::new() }
    }

    /// Waits until all tokens are read that were there before this process.
    pub(crate) async fn ready(&self) {
        self.settled.wait().await;
    }

    /// The Integration that a token opens.
    pub(super) fn find(&self, token: &str) -> Found {
        let token = SourceToken::of(token);
        let state = self.state.read();
        if !self.settled.initialized() {
            return Found::Unread;
        }
        match state.tokens.opens(&token).and_then(|name| state.known(name)) {
            Some(known) => Found::Source(Arc::clone(&known.source)),
            None if state.unread.is_empty() => Found::Unknown,
            None => Found::Unread,
        }
    }

    /// How many alert groups of a namespace are open, as the statuses of its Integrations say.
    pub(super) fn open_alert_groups(&self, namespace: &str) -> u64 {
        self.state.read().namespaces.get(namespace).map_or(0, |known| known.open)
    }

    /// Takes in that what is known of a Secret has changed.
    pub(crate) fn secret_changed(&self, secret: &NamespacedName) {
        let mut state = self.state.write();
        let known = state.namespaces.get(&secret.namespace).into_iter().flat_map(|known| known.sources.values());
        let refers = |source: &Source| source.token.as_ref().is_some_and(|key| *key.name == *secret.name);
        let names: Vec<_> =
            known.filter(|known| refers(&known.source)).map(|known| known.source.name.clone()).collect();
        names.iter().for_each(|name| self.read_token(&mut state, name));
        self.settle(&mut state);
    }

    /// Takes in an Integration that is new or has changed.
    fn apply(&self, integration: &Integration) {
        if integration.metadata.deletion_timestamp.is_some() {
            return self.remove(&name_of(integration));
        }
        let open = integration.status.as_ref().map_or(0, |status| status.open_alert_groups);
        let mut state = self.state.write();
        let name = name_of(integration);
        let is_known = |known: &Known| {
            Some(&*known.source.uid) == integration.metadata.uid.as_deref()
                && known.source.generation == integration.metadata.generation
        };
        if state.known(&name).is_some_and(is_known) {
            // Most changes are to the status.
            return state.set_open(&name, open);
        }
        state.insert(Source::from(integration), open);
        let keys = state.known(&name).and_then(|known| known.source.token.clone()).into_iter().collect();
        self.secrets.refer(Referrer::Integration(name.clone()), keys);
        self.read_token(&mut state, &name);
        self.settle(&mut state);
    }

    fn remove(&self, name: &NamespacedName) {
        let mut state = self.state.write();
        state.forget(name);
        state.unread.remove(name);
        state.tokens.set(name, Vec::new());
        self.secrets.release(Referrer::Integration(name.clone()));
        self.settle(&mut state);
    }

    fn retain(&self, listed: &HashSet<NamespacedName>) {
        let known = self.state.read().names();
        known.iter().filter(|name| !listed.contains(name)).for_each(|name| self.remove(name));
        let mut state = self.state.write();
        state.is_listed = true;
        self.settle(&mut state);
    }

    /// Takes in the token of an Integration as far as it is read.
    fn read_token(&self, state: &mut State, name: &NamespacedName) {
        let Some(known) = state.known(name) else { return };
        let found = match &known.source.token {
            Some(key) if self.secrets.is_unread(&name.namespace, key) => {
                // Until then, those that it had are valid.
                state.unread.insert(name.clone());
                return;
            }
            Some(key) => match self.secrets.get(&name.namespace, key) {
                Ok(text) => source_tokens::read(&text).map_err(|fault| fault.to_string()),
                // It may be what it was.
                Err(MissingSecret::Unread { .. }) => {
                    state.unread.remove(name);
                    return;
                }
                Err(missing) => Err(missing.to_string()),
            },
            None => Ok(Vec::new()),
        };
        state.unread.remove(name);
        let (tokens, fault) = found.map_or_else(|fault| (Vec::new(), Some(fault)), |tokens| (tokens, None));
        for shared in state.tokens.set(name, tokens).begun {
            let (namespace, integration) = (&*shared.integration.namespace, &*shared.integration.name);
            tracing::warn!(namespace, integration, "{shared}");
        }
        if let Some(known) = state.known_mut(name)
            && known.told != fault
        {
            if let Some(fault) = &fault {
                tracing::warn!(
                    namespace = &*name.namespace,
                    integration = &*name.name,
                    fault,
                    "an Integration takes no alerts: its token can't be used"
                );
            }
            known.told = fault;
        }
    }

    fn settle(&self, state: &mut State) {
        if state.is_listed && state.unread.is_empty() && !self.settled.initialized() {
            state.tokens.settle();
            // Nobody else sets it: this one has the state.
            let _ = self.settled.set(());
        }
    }
}

impl State {
    fn known(&self, name: &NamespacedName) -> Option<&Known> {
        self.namespaces.get(&name.namespace)?.sources.get(&name.name)
    }

    fn known_mut(&mut self, name: &NamespacedName) -> Option<&mut Known> {
        self.namespaces.get_mut(&name.namespace)?.sources.get_mut(&name.name)
    }

    fn names(&self) -> Vec<NamespacedName> {
        let all = self.namespaces.values().flat_map(|known| known.sources.values());
        all.map(|known| known.source.name.clone()).collect()
    }

    /// Puts in an Integration in place of the one of its name.
    fn insert(&mut self, source: Source, open: u32) {
        let name = source.name.clone();
        let told = self.forget(&name).and_then(|known| known.told);
        let bytes = source.bytes();
        let (source, bytes) = if self.shares.take(&name.namespace, bytes) {
            (source, bytes)
        } else {
            tracing::warn!(
                namespace = &*name.namespace,
                integration = &*name.name,
                "the Integrations of this namespace have used up its share of memory: the templates of this one are read for each alert"
            );
            (source.shortened(), 0)
        };
        let namespace = self.namespaces.entry(Arc::clone(&name.namespace)).or_default();
        namespace.open += u64::from(open);
        namespace.sources.insert(Arc::clone(&name.name), Known { source: Arc::new(source), bytes, open, told });
    }

    fn set_open(&mut self, name: &NamespacedName, open: u32) {
        let Some(namespace) = self.namespaces.get_mut(&name.namespace) else { return };
        if let Some(known) = namespace.sources.get_mut(&name.name) {
            namespace.open = namespace.open.saturating_sub(u64::from(known.open)) + u64::from(open);
            known.open = open;
        }
    }

    fn forget(&mut self, name: &NamespacedName) -> Option<Known> {
        let namespace = self.namespaces.get_mut(&name.namespace)?;
        let known = namespace.sources.remove(&name.name)?;
        namespace.open = namespace.open.saturating_sub(u64::from(known.open));
        if namespace.sources.is_empty() {
            self.namespaces.remove(&name.namespace);
        }
        self.shares.give_back(&name.namespace, known.bytes);
        Some(known)
    }
}

/// Keeps them as the watch shows the Integrations.
pub(crate) struct SourceIndex(pub(crate) Arc<Sources>);

impl Index for SourceIndex {
    type Object = Lenient<Integration>;
    type Listed = NamespacedName;

    fn list(&mut self, object: &Lenient<Integration>) -> NamespacedName {
        self.apply(object);
        name_of(object)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        self.0.retain(&listed.into_iter().collect());
    }

    fn apply(&mut self, object: &Lenient<Integration>) {
        match &object.0 {
            Ok(integration) => self.0.apply(integration),
            // One that can't be read any more stays as it was.
            Err(unreadable) => log_unreadable::<Integration>(unreadable),
        }
    }

    fn delete(&mut self, object: &Lenient<Integration>) {
        self.0.remove(&name_of(object));
    }
}

#[cfg(test)]
mod tests;
