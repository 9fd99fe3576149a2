//! What the API server asks (`admission.k8s.io/v1`), and what it is answered.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
    response::{StatusCause, StatusDetails, StatusSummary},
};
use serde::de::DeserializeOwned;

use super::judging::{Question, Subject, Told, Verdict};
use crate::resources::{Integration, Webhook};

/// What is asked.
#[derive(Debug)]
pub(super) struct Review(AdmissionRequest<DynamicObject>);

impl Review {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, in a sentence.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let review: AdmissionReview<DynamicObject> =
            serde_json::from_slice(text).map_err(|error| format!("It is no AdmissionReview: {error}"))?;
        let request = review.try_into().map_err(|_| "The AdmissionReview has no request.".to_owned())?;
        Ok(Self(request))
    }

    /// The answer. It refuses what has a fault.
    pub(super) fn answer(&self, verdict: Verdict) -> AdmissionReview<DynamicObject> {
        let Verdict { faults, warnings } = verdict;
        let mut response = AdmissionResponse::from(&self.0);
        response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
        if faults.is_empty() {
            return response.into_review();
        }
        let texts: Vec<String> = faults.iter().map(Told::to_string).collect();
        let mut response = response.deny(texts.join("; "));
        // As it is for what the schema refuses: kubectl shows each cause on a line of its own.
        let result = &mut response.result;
        (result.status, result.code, result.reason) = (Some(StatusSummary::Failure), 422, "Invalid".to_owned());
        let cause = |Told { field, place, message }| {
            let message = if place.is_empty() { message } else { format!("{place}: {message}") };
            StatusCause { reason: "FieldValueInvalid".to_owned(), message, field }
        };
        result.details = Some(StatusDetails {
            name: self.name(),
            group: self.0.kind.group.clone(),
            kind: self.0.kind.kind.clone(),
            uid: String::new(),
            causes: faults.into_iter().map(cause).collect(),
            retry_after_seconds: 0,
        });
        response.into_review()
    }

    /// The name of the object, or the beginning of one that the API server makes up.
    fn name(&self) -> String {
        let generated = || self.0.object.as_ref()?.metadata.generate_name.clone();
        Some(self.0.name.clone()).filter(|name| !name.is_empty()).or_else(generated).unwrap_or_default()
    }
}

/// What is to be judged; None if nothing is. A deletion, a status and a spec that stays as it was are none of its business, and neither
/// is an object that can't be read here: the schema has taken it.
pub(super) fn question(Review(request): &Review) -> Option<Question> {
    let is_whole = request.sub_resource.as_ref().is_none_or(String::is_empty);
    let object = request.object.as_ref().filter(|object| object.metadata.deletion_timestamp.is_none())?;
    let before = match request.operation {
        Operation::Create => None,
        Operation::Update => Some(request.old_object.as_ref()?),
        Operation::Delete | Operation::Connect => return None,
    };
    if !is_whole
        || request.kind.group != "oncall.dev"
        || before.is_some_and(|old| old.data.get("spec") == object.data.get("spec"))
    {
        return None;
    }
    let subject = |object| subject(&request.kind.kind, object);
    Some(Question { subject: subject(object)?, before: before.and_then(subject) })
}

fn subject(kind: &str, object: &DynamicObject) -> Option<Subject> {
    let ObjectMeta { name, namespace, .. } = &object.metadata;
    let metadata = ObjectMeta { name: name.clone(), namespace: namespace.clone(), ..ObjectMeta::default() };
    match kind {
        "Webhook" => Some(Subject::Webhook(Box::new(Webhook { metadata, spec: spec(object)?, status: None }))),
        "Integration" => {
            Some(Subject::Integration(Box::new(Integration { metadata, spec: spec(object)?, status: None })))
        }
        _ => None,
    }
}

fn spec<T: DeserializeOwned>(object: &DynamicObject) -> Option<T> {
    T::deserialize(object.data.get("spec")?).ok()
}
