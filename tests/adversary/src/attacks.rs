//! The attacks: what each needs, and what it does.
//!
//! An attack makes its objects or connections within 40 seconds, and returns what it got that it must not get. What has to go on
//! while the neighbour is watched is a task of its side.

mod decisions;
mod doors;
mod memory;
mod more;
mod work;

use std::fmt;

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::ground::Side;

/// What is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Operator,
    Api,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Operator => "operator",
            Self::Api => "api",
        })
    }
}

/// When the objects are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// While it runs.
    Running,
    /// Before it is started: it has to start among them.
    BeforeStart,
}

/// What the neighbour is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calm {
    /// The same objects and events, with webhooks that match nothing.
    SameEvents,
    /// Nothing: there are no webhooks in this attack.
    Nothing,
}

/// Makes the attack, and returns what it got that it must not get.
type Play = for<'a> fn(&'a Side) -> LocalBoxFuture<'a, Result<Vec<String>>>;

/// One attack.
pub(crate) struct Attack {
    /// How it is chosen.
    pub(crate) name: &'static str,
    /// What is done.
    pub(crate) what: &'static str,
    pub(crate) on: On,
    pub(crate) when: When,
    pub(crate) calm: Calm,
    /// Arguments that it needs beside the chart's.
    pub(crate) args: &'static [&'static str],
    pub(crate) play: Play,
}

impl Attack {
    /// One on the operator, by webhooks and events while it runs.
    const fn new(name: &'static str, what: &'static str, play: Play) -> Self {
        Self { name, what, on: On::Operator, when: When::Running, calm: Calm::SameEvents, args: &[], play }
    }

    const fn on_api(self) -> Self {
        Self { on: On::Api, ..self }
    }

    const fn before_start(self) -> Self {
        Self { when: When::BeforeStart, ..self }
    }

    const fn without_webhooks(self) -> Self {
        Self { calm: Calm::Nothing, ..self }
    }

    const fn with(self, args: &'static [&'static str]) -> Self {
        Self { args, ..self }
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Attack> {
    [memory::attacks(), work::attacks(), doors::attacks(), decisions::attacks(), more::attacks()]
        .into_iter()
        .flatten()
        .collect()
}

/// What most attacks come to if they come to anything: a process that ends, or a neighbour that waits.
pub(crate) const NOTHING: Vec<String> = Vec::new();

/// The URL of an endpoint, with a path.
fn at(url: &str, path: impl fmt::Display) -> String {
    format!("{url}/{path}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_attack_has_a_name_of_its_own() {
        let attacks = all();
        let names: BTreeSet<&str> = attacks.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), attacks.len());
        assert!(names.iter().all(|name| name.len() <= 24 && !name.contains(' ')), "{names:?}");
    }
}
