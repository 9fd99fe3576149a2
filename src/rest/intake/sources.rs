//! The Integrations that alerts come to, by their tokens.
//!
//! ```text
//! watch of Integrations ─► SourceIndex ─► Sources ─► refer ─► secrets ─► secret_changed ─► SecretTokens
//! a token ─► find ─► the Integration │ Unread (503) │ Unknown (403)
//! ```
//! Until all tokens are read that were there before this process, none opens anything: a token counts for the namespace that has it,
//! and for none if there are two (see [`crate::source_tokens`]).

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;
use tokio::sync::SetOnce;

use super::source::Source;
use crate::{
    kubernetes::{
        index::{Index, unlisted},
        lenient::Lenient,
        name::{NamespacedName, name_of},
        scope::Scope,
        watch::log_unreadable,
    },
    memory::Shares,
    resources::Integration,
    secrets::{MissingSecret, Secrets},
    source_tokens::{SecretTokens, SourceToken, TokenTrouble, TokensChange},
};

/// What a token opens.
#[derive(Debug)]
pub(super) enum Found {
    /// An Integration.
    Source(Arc<Source>),
    /// Nothing, but a token that is just being read, or can't be read, may be this one.
    Unread,
    /// Nothing.
    Unknown,
}

/// All Integrations that are watched.
pub(crate) struct Sources {
    state: RwLock<State>,
    /// The namespaces that are watched; what is in those that are closed is not known.
    scope: Scope,
    /// Set when all tokens are read that were there before this process.
    settled: SetOnce<()>,
}

struct State {
    namespaces: HashMap<Arc<str>, Namespace>,
    tokens: SecretTokens,
    shares: Shares,
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
    pub(super) fn new(secrets: Secrets, scope: Scope, budget: u64) -> Self {
        let state =
            State { namespaces: HashMap::new(), tokens: SecretTokens::new(secrets), shares: Shares::new(budget) };
        Self { state: RwLock::new(state), scope, settled: SetOnce::new() }
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
            None if state.tokens.awaits_any() || self.scope.is_partly_closed() => Found::Unread,
            None => Found::Unknown,
        }
    }

    /// How many alert groups of a namespace are open, as the statuses of its Integrations say.
    pub(super) fn open_alert_groups(&self, namespace: &str) -> u64 {
        self.state.read().namespaces.get(namespace).map_or(0, |known| known.open)
    }

    /// Takes in that what is known of a Secret has changed.
    pub(crate) fn secret_changed(&self, secret: &NamespacedName) {
        let mut state = self.state.write();
        let change = state.tokens.secret_changed(secret);
        self.tokens_changed(&mut state, change);
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
        let change = state.tokens.refer(&name, integration.token_key());
        self.tokens_changed(&mut state, change);
    }

    fn remove(&self, name: &NamespacedName) {
        let mut state = self.state.write();
        state.forget(name);
        let change = state.tokens.refer(name, None);
        self.tokens_changed(&mut state, change);
    }

    fn retain(&self, listed: &[NamespacedName]) {
        let gone = unlisted(self.state.read().names(), listed);
        gone.iter().for_each(|name| self.remove(name));
        let mut state = self.state.write();
        state.tokens.listed();
        self.tokens_changed(&mut state, TokensChange::default());
    }

    /// Tells of tokens that open nothing since a change, and lets tokens open something once all are read.
    fn tokens_changed(&self, state: &mut State, change: TokensChange) {
        for shared in change.begun {
            let (namespace, integration) = (&*shared.integration.namespace, &*shared.integration.name);
            tracing::warn!(namespace, integration, "{shared}");
        }
        for name in change.affected {
            state.tell_fault(&name);
        }
        if state.tokens.is_settled() && !self.settled.initialized() {
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

    /// Writes to the log why the token of an Integration can't be used, once.
    fn tell_fault(&mut self, name: &NamespacedName) {
        let fault = match self.tokens.trouble(name) {
            // It may be what it was.
            Some(TokenTrouble::Missing(MissingSecret::Unread { .. })) => return,
            Some(TokenTrouble::Missing(missing)) => Some(missing.to_string()),
            Some(TokenTrouble::Invalid(_, fault)) => Some(fault.to_string()),
            // That is told of all who have it.
            Some(TokenTrouble::Shared(_)) | None => None,
        };
        let Some(known) = self.known_mut(name).filter(|known| known.told != fault) else { return };
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

    fn names(&self) -> impl Iterator<Item = &NamespacedName> {
        let all = self.namespaces.values().flat_map(|known| known.sources.values());
        all.map(|known| &known.source.name)
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
        self.0.retain(&listed);
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
