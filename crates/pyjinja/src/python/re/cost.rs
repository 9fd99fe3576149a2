//! What a pattern takes in memory, found from its syntax before anything of it is compiled.
//!
//! `fancy_regex` tells nobody what it holds, and its own limits are for one part of a pattern each. So the parts are counted
//! here: [`Cost`] is an upper bound, which `tests/memory.rs` compares with what the allocator sees. What it says of the
//! automata is also their limit, so that they can't be larger.

use fancy_regex::{Assertion, Expr, LookAround};

use super::pattern::Anchor;

/// Bytes of one place of a pattern in its automata, forward and in reverse, with their least caches: for a character, for any
/// character, and for a class with the many ranges of Unicode.
const CHARACTER: usize = 512;
const ANY: usize = 4 << 10;
const FEW_RANGES: usize = 16 << 10;
const MANY_RANGES: usize = 80 << 10;
/// Bytes of a state of an automaton, at least.
const STATE: usize = 96;

/// Bytes of a pattern that has nothing in it, and of each part that the backtracking matcher hands to automata.
const BASE: usize = 24 << 10;
const PART: usize = 16 << 10;
/// Bytes that making automata takes for a while, whatever they are.
const WORKSHOP: usize = 360 << 10;
/// What automata with groups may keep for searches that need no others: the limit of `regex_automata`.
const ONE_PASS: usize = 1 << 20;
/// What a search with groups may note down: the limit of `regex_automata`.
const VISITED: usize = 256 << 10;

/// With so few places, automata never have more states than may be kept, and no other way is needed.
const FEW_PLACES: usize = 6;

/// Bound on the instructions of the backtracking matcher, which calls of groups multiply; and bytes of one.
const INSTRUCTIONS: usize = 5_000;
const INSTRUCTIONS_WITH_CALLS: usize = 400;
const INSTRUCTION: usize = 256;
/// Bytes of one note of where to go back to, on a stack that doubles when it grows.
const NOTE: usize = 48;

/// What there is in a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Bytes of its places, as often as they are repeated.
    places_bytes: usize,
    /// The places.
    places: usize,
    groups: usize,
    /// Alternatives, repeats and classes: where there are none, the pattern is a text.
    branches: usize,
    /// Parts that automata may be made of.
    parts: usize,
    /// Notes of where to go back to: for going through once, for each character of a loop, and for each character of a loop in
    /// what looks around.
    once: usize,
    each: usize,
    aside: usize,
    /// Whether it can match nothing.
    can_be_empty: bool,
    /// Whether repeats are counted.
    counts: bool,
    /// Whether automata alone can't match it.
    backtracks: bool,
    /// Whether it ends in a look-ahead, which needs no backtracking in a search.
    looks_ahead: bool,
    calls: bool,
    word_boundary: bool,
}

impl Cost {
    const NOTHING: Self = Self {
        places_bytes: 0,
        places: 0,
        groups: 0,
        branches: 0,
        parts: 0,
        once: 0,
        each: 0,
        aside: 0,
        can_be_empty: true,
        counts: false,
        backtracks: false,
        looks_ahead: false,
        calls: false,
        word_boundary: false,
    };

    /// One after the other. A character is taken by one of them.
    fn then(self, next: Self) -> Self {
        Self {
            places_bytes: self.places_bytes.saturating_add(next.places_bytes),
            places: self.places.saturating_add(next.places),
            groups: self.groups.saturating_add(next.groups),
            branches: self.branches.saturating_add(next.branches),
            parts: self.parts.saturating_add(next.parts),
            once: self.once.saturating_add(next.once),
            each: self.each.max(next.each),
            aside: self.aside.max(next.aside),
            can_be_empty: self.can_be_empty && next.can_be_empty,
            counts: self.counts || next.counts,
            backtracks: self.backtracks || next.backtracks,
            looks_ahead: self.looks_ahead || next.looks_ahead,
            calls: self.calls || next.calls,
            word_boundary: self.word_boundary || next.word_boundary,
        }
    }
}

/// Limits that `fancy_regex` is to keep for a pattern.
pub(super) struct BuildLimits {
    /// Bytes of one automaton.
    pub(super) automaton: usize,
    /// Bytes of the states of one that are kept between searches.
    pub(super) cache: usize,
    /// Instructions of the backtracking matcher.
    pub(super) instructions: usize,
}

impl Cost {
    /// The cost of a pattern in the syntax of `fancy_regex`; None if it is none.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        Some(Self::of_whole(&Expr::parse_tree(pattern).ok()?.expr))
    }

    /// A look-ahead at the end, such as that of `$`, is made part of the automata.
    fn of_whole(expr: &Expr) -> Self {
        match expr {
            Expr::Concat(parts) if matches!(parts.last(), Some(Expr::LookAround(_, LookAround::LookAhead))) => {
                let (last, rest) = parts.split_last().unzip();
                let inner = last.into_iter().flat_map(Expr::children_iter);
                let sum = rest.into_iter().flatten().chain(inner).map(Self::of_part).fold(Self::NOTHING, Self::then);
                Self { looks_ahead: true, groups: sum.groups + 1, ..sum }
            }
            expr => Self::of_part(expr),
        }
    }

    fn of_part(expr: &Expr) -> Self {
        let inner = expr.children_iter().map(Self::of_part).fold(Self::NOTHING, Self::then);
        match expr {
            Expr::Literal { val, casei } => {
                let places = val.chars().count();
                // A letter may have three others in other cases.
                let places_bytes = places * CHARACTER * if *casei { 4 } else { 1 };
                Self { places, places_bytes, can_be_empty: places == 0, ..Self::NOTHING }
            }
            Expr::Any { .. } | Expr::GeneralNewline { .. } => Self::class(ANY),
            Expr::Delegate { inner, casei } => Self::class(class(inner, *casei)),
            Expr::Assertion(assertion) => {
                let plain = matches!(
                    assertion,
                    Assertion::StartText | Assertion::EndText | Assertion::StartLine { .. } | Assertion::EndLine { .. }
                );
                Self { places: 1, places_bytes: CHARACTER, word_boundary: !plain, parts: 1, ..Self::NOTHING }
            }
            Expr::Concat(_) | Expr::Empty => inner,
            Expr::Alt(ways) => {
                let can_be_empty = expr.children_iter().any(|way| Self::of_part(way).can_be_empty);
                inner.with_branch(ways.len(), can_be_empty)
            }
            Expr::Group(_) => Self { groups: inner.groups + 1, once: inner.once.saturating_add(2), ..inner },
            Expr::Repeat { lo, hi, .. } => inner.repeated(*lo, Some(*hi).filter(|hi| *hi != usize::MAX)),
            Expr::SubroutineCall(_) => Self { calls: true, ..inner.backtracking() },
            Expr::LookAround(..) => {
                let aside = inner.aside.saturating_add(inner.each);
                Self { aside, each: 0, can_be_empty: true, ..inner.backtracking() }
            }
            _ => inner.backtracking(),
        }
    }

    fn class(bytes: usize) -> Self {
        Self { places: 1, places_bytes: bytes, branches: 1, parts: 1, can_be_empty: false, ..Self::NOTHING }
    }

    fn with_branch(self, notes: usize, can_be_empty: bool) -> Self {
        let (branches, parts) = (self.branches.saturating_add(1), self.parts.saturating_add(1));
        Self { branches, parts, once: self.once.saturating_add(notes), can_be_empty, ..self }
    }

    fn backtracking(self) -> Self {
        let can_be_empty = self.can_be_empty;
        let own = Self { backtracks: true, parts: 1, once: 2, places: 1, places_bytes: CHARACTER, ..Self::NOTHING };
        Self { can_be_empty, ..self.then(own) }
    }

    fn repeated(self, least: usize, most: Option<usize>) -> Self {
        let times = most.unwrap_or(least).max(1);
        let notes = usize::from(most != Some(least));
        let once = self.once.saturating_add(notes);
        // A repeat that takes something takes a character each time.
        let (once, each) = match (most, self.can_be_empty) {
            (Some(_), true) => (once.saturating_mul(times), self.each),
            (Some(_), false) => (once, self.each.max(once)),
            (None, _) => (once.saturating_mul(least.max(1)), self.each.saturating_add(once)),
        };
        let repeated = Self {
            places: self.places.saturating_mul(times),
            places_bytes: self.places_bytes.saturating_mul(times),
            once,
            each,
            counts: self.counts || !matches!((least, most), (0 | 1, None) | (0, Some(1))),
            ..self
        };
        repeated.with_branch(0, self.can_be_empty || least == 0)
    }

    fn backtracks(&self, anchor: Anchor) -> bool {
        self.backtracks || anchor == Anchor::Further || (self.looks_ahead && anchor == Anchor::Start)
    }

    /// Whether a search may need another way than automata whose states are made as they are met.
    fn falls_back(&self) -> bool {
        self.groups > 0 || self.word_boundary || self.places > FEW_PLACES
    }

    /// How many automata there may be.
    fn automata(&self, anchor: Anchor) -> usize {
        match (self.backtracks(anchor), self.calls) {
            (false, _) => 1,
            (true, false) => self.parts.saturating_add(1),
            // Each call is a copy of the group.
            (true, true) => self.parts.saturating_add(INSTRUCTIONS_WITH_CALLS / 4),
        }
    }

    pub(super) fn limits(&self, anchor: Anchor) -> BuildLimits {
        BuildLimits {
            automaton: self.places_bytes.max(256 << 10),
            cache: if self.backtracks(anchor) { 16 << 10 } else { 64 << 10 },
            instructions: if self.calls { INSTRUCTIONS_WITH_CALLS } else { INSTRUCTIONS },
        }
    }

    /// Bytes of the compiled pattern.
    pub(super) fn compiled(&self, anchor: Anchor) -> usize {
        let by_groups = if self.groups > 0 || self.word_boundary {
            // A search that needs groups and no other way notes them down for each state.
            let slots = (self.places_bytes / STATE).saturating_mul((self.groups + 1).saturating_mul(32));
            slots.saturating_add(self.places_bytes.saturating_mul(8).min(ONE_PASS))
        } else {
            self.places_bytes / 3
        };
        let program = if self.backtracks(anchor) {
            let instructions = if self.calls { INSTRUCTIONS_WITH_CALLS } else { self.places.min(INSTRUCTIONS) };
            instructions * INSTRUCTION + self.automata(anchor).saturating_mul(PART)
        } else {
            0
        };
        BASE.saturating_add(program).saturating_add(self.places_bytes).saturating_add(by_groups)
    }

    /// Bytes that compiling takes in addition, for a while.
    pub(super) fn compiling(&self, anchor: Anchor) -> usize {
        if self.branches == 0 { 0 } else { self.compiled(anchor) / 4 * 3 + WORKSHOP }
    }

    /// Bytes that searching a text of `length` bytes adds, which are kept for the next search.
    pub(super) fn searching(&self, length: usize, anchor: Anchor) -> usize {
        if self.branches == 0 && !self.backtracks(anchor) {
            return 0;
        }
        let automata = self.automata(anchor);
        // A state is made at each character at most; there is an automaton for each direction, and for a prefix.
        let states = self.limits(anchor).cache.min((length + 16) << 10).saturating_mul(3);
        let (visited, stack) = match self.backtracks(anchor) || self.falls_back() {
            true => {
                ((self.places_bytes / STATE).saturating_mul(length / 8 + 1).min(VISITED), self.notes(length, anchor))
            }
            false => (0, 0),
        };
        let states = states.saturating_add(visited).saturating_mul(automata);
        states.saturating_add(stack.saturating_mul(NOTE))
    }

    /// How many notes a search in a text of `length` bytes has at a time.
    fn notes(&self, length: usize, anchor: Anchor) -> usize {
        let each = self.each.saturating_add(self.aside);
        let each = match self.backtracks(anchor) {
            // Counters are noted too.
            true if self.counts => each.saturating_mul(3),
            // What is called is in a loop.
            true if self.calls => each.saturating_add(self.once),
            _ => each,
        };
        each.saturating_mul(length).saturating_add(self.once)
    }

    /// Steps for searching a text of `length` bytes: in the worst case each place is tried at each character.
    pub(super) fn steps(&self, length: usize) -> usize {
        length / 64 + self.places.saturating_mul(length) / 1000 + 1
    }
}

/// Bytes of a set or another class of characters.
fn class(text: &str, casei: bool) -> usize {
    let (mut bytes, mut ranges, mut wide) = (0_usize, 0_usize, !text.is_ascii());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        bytes += match c {
            '\\' => match chars.next() {
                Some('w' | 'W' | 'p' | 'P') => MANY_RANGES,
                Some('d' | 'D' | 's' | 'S') => FEW_RANGES,
                Some('x') => {
                    let digits = chars.by_ref().take_while(|c| *c != '}').count();
                    // The brace, and two digits.
                    wide |= digits > 3;
                    2 * CHARACTER
                }
                _ => 2 * CHARACTER,
            },
            '^' => ANY,
            '-' => {
                ranges += 1;
                2 * CHARACTER
            }
            '[' | ']' => 0,
            _ => 2 * CHARACTER,
        };
    }
    match casei {
        // Such a range may become one for each of its characters.
        true if wide => bytes * 4 + ranges * MANY_RANGES,
        true => bytes * 2,
        false => bytes,
    }
}
