//! What a template can render to, as far as its own text tells.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use crate::{
    environment::Template,
    syntax::program::{Const, Expr, For, Node},
};

impl Template {
    /// The text that it begins with, whatever its data is.
    ///
    /// ```
    /// let leading = |source: &str| Ok::<_, pyjinja::Error>(pyjinja::Environment::new().compile(source)?.leading_text());
    /// assert_eq!(leading("a{# b #}c {{- d }}e")?, "ac");
    /// assert_eq!(leading("{% set a = b %}c{% raw %}{{ d }}{% endraw %}{{ 'e' }}{{ f }}")?, "c{{ d }}e");
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn leading_text(&self) -> String {
        // Text that is the same escaped.
        let is_plain = |text: &str| !text.contains(['&', '<', '>', '"', '\'']);
        let texts = self.program.body.iter().map_while(|node| match node {
            Node::Raw(text) => Some(&**text),
            Node::Emit { value: Expr::Const(Const::Str(text)), .. } if is_plain(text) => Some(&**text),
            Node::Set { .. } | Node::SetBlock { .. } | Node::Macro(_) => Some(""),
            _ => None,
        });
        texts.collect()
    }

    /// Whether it may render to exactly `text`, in capitals or not, with some data: false only where its own text rules that out.
    /// `ignoring_space` leaves out the white space around its expressions and statements. `text` has less than 64 bytes, all of
    /// them ASCII in lower case.
    ///
    /// ```
    /// let template = pyjinja::Environment::new().compile("{% if a %}\n  true\n{% endif %}")?;
    /// assert!(!template.can_render("true", false));
    /// assert!(template.can_render("true", true));
    /// # Ok::<(), pyjinja::Error>(())
    /// ```
    pub fn can_render(&self, text: &str, ignoring_space: bool) -> bool {
        let Some(end) = 1_u64.checked_shl(u32::try_from(text.len()).unwrap_or(u32::MAX)) else { return true };
        Matcher { text, ignoring_space, loops: HashMap::new() }.body(&self.program.body, 1) & end != 0
    }
}

/// Follows the ways through a template that make a beginning of `text`. The places in it that they may have come to are a set: the
/// lowest bit is its beginning.
struct Matcher<'a> {
    text: &'a str,
    ignoring_space: bool,
    /// The places after one turn of a loop, by where the loop is and the place before: loops in loops would be followed again and
    /// again.
    loops: HashMap<(*const For, u32), u64>,
}

impl Matcher<'_> {
    fn body(&mut self, nodes: &[Node], from: u64) -> u64 {
        nodes.iter().fold(from, |places, node| self.node(node, places))
    }

    /// The places after any number of turns of a loop.
    fn turns(&mut self, node: &Arc<For>, from: u64) -> u64 {
        let (mut places, mut followed) = (from, 0);
        while places != followed {
            let place = (places & !followed).trailing_zeros();
            followed |= 1 << place;
            let key = (Arc::as_ptr(node), place);
            let after = match self.loops.get(&key) {
                Some(known) => *known,
                None => {
                    let after = self.body(&node.body, 1 << place);
                    self.loops.insert(key, after);
                    after
                }
            };
            places |= after;
        }
        places
    }

    fn node(&mut self, node: &Node, from: u64) -> u64 {
        match node {
            Node::Raw(text) if self.ignoring_space => {
                let words: String = text.split_whitespace().collect();
                self.fixed(&words, from)
            }
            Node::Raw(text) => self.fixed(text, from),
            Node::Emit { value, .. } => self.expression(value, from),
            Node::If { then, otherwise, .. } => self.body(then, from) | self.body(otherwise, from),
            Node::For(node) => self.turns(node, from) | self.body(&node.otherwise, from),
            Node::With { body, .. } | Node::AutoEscape { body, .. } => self.body(body, from),
            Node::Block(node) => self.body(&node.body, from),
            Node::Set { .. } | Node::SetBlock { .. } | Node::Macro(_) | Node::Missing { .. } => from,
            Node::FilterBlock { .. } | Node::CallBlock { .. } => self.anything(from),
        }
    }

    /// The places after a text.
    fn fixed(&self, text: &str, from: u64) -> u64 {
        // It can be longer in small letters, but then it is not ASCII.
        let text = if text.len() <= self.text.len() { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) };
        let places = (0..=self.text.len()).filter(|place| from & (1 << place) != 0);
        let after = places.filter(|place| self.text.as_bytes()[*place..].starts_with(text.as_bytes()));
        after.fold(0, |places, place| places | (1 << (place + text.len())))
    }

    /// The places after any text.
    fn anything(&self, from: u64) -> u64 {
        let all = u64::MAX >> (63 - self.text.len());
        if from == 0 { 0 } else { all & (u64::MAX << from.trailing_zeros()) }
    }

    fn expression(&self, expression: &Expr, from: u64) -> u64 {
        let one_of = |texts: &[&str]| texts.iter().fold(0, |places, text| places | self.fixed(text, from));
        match expression {
            Expr::Const(Const::Str(text)) => self.fixed(text, from),
            Expr::Const(Const::Bool(value)) => one_of(&[if *value { "true" } else { "false" }]),
            Expr::Const(Const::Int(number)) => self.fixed(&number.to_string(), from),
            Expr::Const(Const::None) => one_of(&["none"]),
            Expr::Not(_) | Expr::Compare(..) | Expr::Test { .. } => one_of(&["true", "false"]),
            Expr::And(pair) | Expr::Or(pair) => self.expression(&pair[0], from) | self.expression(&pair[1], from),
            Expr::Conditional { then, otherwise, .. } => {
                let otherwise = otherwise.as_deref().map_or(from, |otherwise| self.expression(otherwise, from));
                self.expression(then, from) | otherwise
            }
            Expr::Concatenate(values) => values.iter().fold(from, |places, value| self.expression(value, places)),
            _ => self.anything(from),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Environment;

    #[test]
    fn a_template_is_said_never_to_render_to_a_text_only_where_it_can_not() {
        // With its white space, and without.
        let cases: [(&str, [bool; 2]); 45] = [
            ("true", [true, true]),
            ("TRUE", [true, true]),
            ("true\n", [true, true]),
            ("true\n\n", [false, true]),
            (" true", [false, true]),
            ("", [false, false]),
            (" ", [false, false]),
            ("yes", [false, false]),
            ("{{ a }}", [true, true]),
            ("{{ a }} ", [false, true]),
            ("{{ a }}{{ b }}", [true, true]),
            ("{{ a }}e", [true, true]),
            ("{{ a }}x", [false, false]),
            ("t{{ a }}e", [true, true]),
            ("tr ue", [false, true]),
            ("{% if a %}true{% endif %}", [true, true]),
            ("{% if a %} true {% endif %}", [false, true]),
            ("{% if a %}\n{{ b }}\n{% endif %}", [false, true]),
            ("{%- if a -%}\n{{- b -}}\n{% endif %}", [true, true]),
            ("{% if a %}\nno\n{% else %}true{% endif %}", [true, true]),
            ("{% if a %}no{% else %}yes{% endif %}", [false, false]),
            ("{% if a %}no{% elif b %}true{% endif %}", [true, true]),
            ("{{ a == 'x' }}", [true, true]),
            ("{{ a == 'x' }} {{ b }}", [false, true]),
            ("{{ a is defined }}", [true, true]),
            ("{{ not a }}", [true, true]),
            ("{{ 'yes' if a else 'no' }}", [false, false]),
            ("{{ 'yes' if a else b }}", [true, true]),
            ("{{ 'true' if a }}", [true, true]),
            ("{{ 'True' if a else '' }}", [true, true]),
            ("{{ ' true ' if a }}", [false, false]),
            ("{{ true }}", [true, true]),
            ("{{ false }}{{ none }}", [false, false]),
            ("{{ 'tr' ~ 'ue' }}", [true, true]),
            ("{{ a and 'true' or 'no' }}", [true, true]),
            ("{{ 'no' or 'yes' }}", [false, false]),
            ("{{ [true] }}", [true, true]),
            ("{% for x in a %}{{ x }}{% endfor %}", [true, true]),
            ("{% for x in a %}t{% endfor %}rue", [true, true]),
            ("{% for x in a %} {% else %}true{% endfor %}", [true, true]),
            ("{% for x in a %}\n{% if x %}true{% endif %}\n{% endfor %}", [false, true]),
            ("{% set x = a %}\n{{ x }}", [false, true]),
            ("{% set x %} {{ a }} {% endset %}{{ x | trim }}", [true, true]),
            ("{% filter trim %} true {% endfilter %}", [true, true]),
            ("{# why #}\ntrue", [false, true]),
        ];
        for (source, expected) in cases {
            let template = Environment::new().compile(source).unwrap();
            let met = [false, true].map(|ignoring_space| template.can_render("true", ignoring_space));
            assert_eq!(met, expected, "{source:?}");
        }
        let one = |source: &str| Environment::new().compile(source).unwrap().can_render("1", false);
        assert_eq!(
            ["1", "{{ 1 }}", "{{ 10 }}", "{{ 1 if a else 0 }}", "{{ a }}0"].map(one),
            [true, true, false, true, false]
        );
    }

    #[test]
    fn loops_in_loops_are_followed_once() {
        let depth = 90;
        let opening: String = ["true", "t", "tru", "tr"]
            .iter()
            .cycle()
            .take(depth)
            .map(|text| format!("{{% for a in b %}}{text}"))
            .collect();
        let source = opening + &"{% if a %}x{% endif %}".repeat(500) + &"{% endfor %}".repeat(depth);
        assert!(Environment::new().compile(&source).unwrap().can_render("true", true));
    }
}
