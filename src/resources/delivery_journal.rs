//! `DeliveryJournal`: a segment of the operator's journal.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Records of deliveries that are not in their own objects yet.
#[derive(CustomResource, JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "oncall.dev",
    version = "v1alpha1",
    kind = "DeliveryJournal",
    doc = "Internal: records of deliveries that the operator has not written into WebhookResponses yet. Never changed; deleted when \
           that is done. What it alone holds is sent again if it is deleted while no operator runs.",
    namespaced,
    printcolumn(
        name = "Records",
        type_ = "integer",
        json_path = ".spec.records",
        description = "How many deliveries it tells of."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryJournalSpec {
    /// How many deliveries it tells of.
    pub records: u32,
    /// The records: base64 of gzip of lines of JSON, each a WebhookResponse as it is to be, secrets masked.
    #[schemars(length(max = 1000000))]
    pub data: String,
}
