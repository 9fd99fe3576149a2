//! The two collections in which OnCall's API shows the same webhooks, and how they differ: `/actions/` is a renaming of
//! `/webhooks/` with a few rules of its own. All other code knows the names of `/webhooks/` alone.

use super::rules::TextRules;

/// One of the two collections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collection {
    /// `/api/v1/webhooks/`
    Webhooks,
    /// `/api/v1/actions/`, the older one.
    Actions,
}

/// Fields that have another name in `/actions/`: the name in `/webhooks/`, then that in `/actions/`; None for a field
/// that `/actions/` does not have.
const ACTION_NAMES: [(&str, Option<&str>); 4] = [
    ("team", Some("team_id")),
    ("username", Some("user")),
    ("forward_all", Some("forward_whole_payload")),
    ("preset", None),
];

/// In `/actions/` the first of these fields stands before the second, which it follows in `/webhooks/`.
const MOVED: (&str, &str) = ("username", "data");

impl Collection {
    /// The name of a field of `/webhooks/` in this collection; None if it does not have the field.
    pub(super) fn field_name(self, field: &str) -> Option<&str> {
        let renamed = ACTION_NAMES.iter().find(|(name, _)| self == Self::Actions && *name == field);
        renamed.map_or(Some(field), |(_, name)| *name)
    }

    /// Fields of `/webhooks/` as this collection has them: its fields alone, under its names and in its order.
    pub(crate) fn arrange<T, Fields>(self, fields: impl IntoIterator<Item = (String, T)>) -> Fields
    where
        Fields: FromIterator<(String, T)>,
    {
        let mut fields: Vec<(String, T)> = fields.into_iter().collect();
        let position = |field| fields.iter().position(|(name, _)| name == field);
        if self == Self::Actions
            && let (Some(from), Some(to)) = (position(MOVED.0), position(MOVED.1))
            && to < from
        {
            fields[to..=from].rotate_right(1);
        }
        let named = |(field, value): (String, T)| Some((self.field_name(&field)?.to_owned(), value));
        fields.into_iter().filter_map(named).collect()
    }

    /// The rules of this collection for a text whose rules in `/webhooks/` are `rules`; `is_new` where a webhook is
    /// created.
    pub(super) fn text_rules(self, field: &str, rules: TextRules, is_new: bool) -> TextRules {
        match (self, field) {
            // A new action has a default, `POST`. Null passes here, to be told that it is no method.
            (Self::Actions, "http_method") => TextRules { required: false, null: is_new, ..rules },
            // A new action has a default, `escalation`.
            (Self::Actions, "trigger_type") => TextRules { required: false, ..rules },
            _ => rules,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_have_their_own_names_and_order() {
        let arranged = |collection: Collection, fields: &[&str]| -> Vec<String> {
            let fields: Vec<_> = collection.arrange(fields.iter().map(|field| ((*field).to_owned(), ())));
            fields.into_iter().map(|(field, ())| field).collect()
        };
        let all = ["name", "team", "data", "username", "password", "forward_all", "preset"];
        assert_eq!(arranged(Collection::Webhooks, &all), all);
        let expected = ["name", "team_id", "user", "data", "password", "forward_whole_payload"];
        assert_eq!(arranged(Collection::Actions, &all), expected);
        assert_eq!(arranged(Collection::Actions, &["name", "username", "url"]), ["name", "user", "url"]);
    }
}
