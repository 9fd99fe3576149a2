//! Lists in the form that `kubectl get` asks for: the metadata of each object and the values of its columns, without the rest
//! of the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::Deserialize;
use serde_json::Value;

use super::{list::Page, slim::SlimMeta};

/// One page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    metadata: ListMeta,
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: SlimMeta,
}

/// The cluster's definition of the resource lacks a column.
#[derive(Debug, thiserror::Error)]
#[error("there is no column {0:?}: apply the definitions of this version")]
pub(crate) struct NoColumn(&'static str);

impl Page for Table {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn next_page(&self) -> Option<String> {
        self.metadata.continue_.clone().filter(|token| !token.is_empty())
    }
}

impl Table {
    /// The objects, each with the texts and numbers of these columns; a column without either is empty.
    ///
    /// # Errors
    /// There is no such column.
    pub(crate) fn rows<const N: usize>(
        self,
        columns: [&'static str; N],
    ) -> Result<impl Iterator<Item = (ObjectMeta, [String; N])>, NoColumn> {
        let mut places = [0; N];
        for (place, name) in places.iter_mut().zip(columns) {
            *place = self.column_definitions.iter().position(|column| column.name == name).ok_or(NoColumn(name))?;
        }
        Ok(self.rows.into_iter().map(move |row| {
            let text = |place: usize| match row.cells.get(place) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => String::new(),
            };
            (row.object.metadata.0, places.map(text))
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> Table {
        let table = json!({
            "kind": "Table",
            "metadata": {"resourceVersion": "7", "continue": "next"},
            "columnDefinitions": [{"name": "Name", "type": "string"}, {"name": "Phase", "type": "string"}, {"name": "Code"}],
            "rows": [
                {"cells": ["one", "Failed", 500], "object": {"kind": "PartialObjectMetadata", "metadata": {"name": "one"}}},
                {"cells": ["two", null, null], "object": {"metadata": {"name": "two"}}},
            ],
        });
        serde_json::from_value(table).unwrap()
    }

    #[test]
    fn a_row_is_metadata_and_the_texts_of_the_columns_that_were_asked_for() {
        let metadata = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let rows: Vec<_> = table().rows(["Phase", "Name", "Code"]).unwrap().collect();
        let texts = |phase: &str, name: &str, code: &str| [phase, name, code].map(str::to_owned);
        assert_eq!(rows, [(metadata("one"), texts("Failed", "one", "500")), (metadata("two"), texts("", "two", ""))]);
        assert_eq!(table().next_page().as_deref(), Some("next"));
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let error = table().rows(["Phase", "Event"]).map(|_| ()).unwrap_err().to_string();
        assert_eq!(error, "there is no column \"Event\": apply the definitions of this version");
    }
}
