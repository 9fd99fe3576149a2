//! The responses of webhooks, newest first. The order is kept for all of them, the texts for as many as memory is given; the
//! other texts are read when they are asked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::body::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::RwLock;
use quick_cache::{Weighter, sync::Cache};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::ApiError,
    permits::{Permit, Permits},
    python_time::python_time,
};
use crate::{
    core::webhook::TriggerType,
    kubernetes::{
        index::{Index, unlisted},
        name::{NamespacedName, name_of},
        objects::{self, Objects},
    },
    memory::{CACHE_ENTRY, cache},
    resources::{Webhook, WebhookResponse},
};

/// About how many bytes a text usually has.
const USUAL: u64 = 4 * 1024;
/// How many texts of one page are read at a time.
const READS: usize = 8;
/// How many pages with texts that had to be read are in memory at a time; and how many of one namespace.
const PAGES: (u32, u32) = (2, 1);

/// One run of a webhook, as `/api/v1/webhooks/{id}/responses` shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookResponse)]
pub(crate) struct ResponseBody<'a> {
    /// When the run ended.
    #[schema(format = DateTime)]
    timestamp: String,
    /// Where the request went, or `URL - ` and why there was none.
    #[schema(required)]
    url: Option<&'a str>,
    /// What the trigger template rendered to, or `Trigger - ` and why it did not.
    #[schema(required)]
    request_trigger: Option<&'a str>,
    /// The request's headers, a JSON object, secrets masked; or `Headers - ` and why there were none.
    #[schema(required)]
    request_headers: Option<&'a str>,
    /// The body as it was sent; or `Data - ` and why there was none. JSON of more than 200 000 bytes has its largest values cut,
    /// and a last key `…` that says so.
    #[schema(required)]
    request_data: Option<&'a str>,
    /// Status code of the answer.
    #[schema(required)]
    status_code: Option<u16>,
    /// Content of the answer, or why there was none.
    #[schema(required)]
    content: Option<&'a str>,
    /// The data as templates saw it, as JSON text. Of more than 200 000 bytes, its largest values are cut, and a last key `…` says
    /// so.
    #[schema(required)]
    event_data: Option<&'a str>,
}

/// A run that has ended.
#[derive(Clone, Debug)]
struct EndedRun {
    response: NamespacedName,
    trigger_type: TriggerType,
    /// Uid of the webhook that ran; None where the response names no owner.
    webhook_uid: Option<Arc<str>>,
}

/// Runs, by their end and the name of the response.
type RunsByEnd = BTreeMap<(Timestamp, Arc<str>), EndedRun>;

/// All runs that have ended, by webhook and in order.
#[derive(Default)]
struct EndedRuns {
    by_webhook: HashMap<NamespacedName, RunsByEnd>,
    /// The webhook of each response, and when the run ended.
    places: HashMap<NamespacedName, (NamespacedName, Timestamp)>,
}

#[derive(Clone)]
struct TextWeight;

impl Weighter<NamespacedName, Bytes> for TextWeight {
    fn weight(&self, response: &NamespacedName, text: &Bytes) -> u64 {
        CACHE_ENTRY + (response.namespace.len() + response.name.len() + text.len()) as u64
    }
}

/// All responses that are watched.
pub(crate) struct Responses {
    runs: RwLock<EndedRuns>,
    texts: Cache<NamespacedName, Bytes, TextWeight>,
    pages: Permits,
    objects: Objects,
}

/// A page of responses, newest first, as JSON texts.
pub(crate) struct ResponsePage {
    /// How many responses there are on all pages.
    pub(crate) count: usize,
    pub(crate) texts: Vec<Bytes>,
    /// Keep it as long as the texts, where some of these are in memory for this page alone.
    pub(crate) permit: Option<Permit>,
}

impl Responses {
    /// Keeps texts of up to `budget` bytes at hand.
    pub(crate) fn new(objects: Objects, budget: u64) -> Self {
        Self {
            runs: RwLock::default(),
            texts: cache(budget, USUAL, TextWeight),
            pages: Permits::new(PAGES.0, PAGES.1, "Too many pages of responses are being read: try again."),
            objects,
        }
    }

    /// Takes in a response. Only runs that have ended are of interest.
    fn insert(&self, response: &WebhookResponse) {
        let name = name_of(response);
        let owner = response.owner_references().iter().find(|owner| owner.kind == "Webhook");
        let mut runs = self.runs.write();
        runs.remove(&name);
        let Some((timestamp, text)) = text(response) else { return };
        let webhook = NamespacedName::new(Arc::clone(&name.namespace), response.spec.webhook_ref.name.as_str());
        let run = EndedRun {
            response: name.clone(),
            trigger_type: response.spec.trigger_type,
            webhook_uid: owner.map(|owner| Arc::from(owner.uid.as_str())),
        };
        runs.by_webhook.entry(webhook.clone()).or_default().insert((timestamp, Arc::clone(&name.name)), run);
        runs.places.insert(name.clone(), (webhook, timestamp));
        drop(runs);
        self.texts.insert(name, text);
    }

    /// One page of the responses that `webhook` has had under its present trigger: `page` tells for their number which range
    /// the page is.
    ///
    /// # Errors
    /// The text of one is not at hand and can't be read, or can't be now.
    pub(crate) async fn list(
        &self,
        webhook: &Webhook,
        page: impl FnOnce(usize) -> std::ops::Range<usize>,
    ) -> Result<ResponsePage, ApiError> {
        let of = name_of(webhook);
        let (count, names) = {
            let uid = webhook.metadata.uid.as_deref();
            let runs = self.runs.read();
            let newest_first = runs.by_webhook.get(&of).into_iter().flat_map(|runs| runs.values().rev());
            let own: Vec<&EndedRun> = newest_first
                .filter(|run| run.trigger_type == webhook.spec.trigger_type)
                // A webhook of the same name that was deleted may have left others.
                .filter(|run| run.webhook_uid.is_none() || run.webhook_uid.as_deref() == uid)
                .collect();
            let range = page(own.len());
            let page = own.iter().skip(range.start).take(range.len());
            (own.len(), page.map(|run| run.response.clone()).collect::<Vec<_>>())
        };
        let at_hand: Option<Vec<Bytes>> = names.iter().map(|name| self.texts.get(name)).collect();
        if let Some(texts) = at_hand {
            return Ok(ResponsePage { count, texts, permit: None });
        }
        let permit = self.pages.take(&of.namespace, 1).await?;
        let texts = stream::iter(names).map(|name| self.text(name)).buffered(READS).try_collect::<Vec<_>>().await;
        let texts = texts.map_err(|error| ApiError::from(&error))?;
        Ok(ResponsePage { count, texts: texts.into_iter().flatten().collect(), permit: Some(permit) })
    }

    /// The text of a response; None if it is gone.
    async fn text(&self, response: NamespacedName) -> Result<Option<Bytes>, objects::Error> {
        if let Some(text) = self.texts.get(&response) {
            return Ok(Some(text));
        }
        let found = self.objects.get::<WebhookResponse>(&response.namespace, &response.name).await?;
        let text = found.and_then(|response| text(&response)).map(|(_, text)| text);
        if let Some(text) = &text {
            self.texts.insert(response, text.clone());
        }
        Ok(text)
    }
}

impl EndedRuns {
    fn remove(&mut self, response: &NamespacedName) {
        let Some((webhook, timestamp)) = self.places.remove(response) else { return };
        if let Some(runs) = self.by_webhook.get_mut(&webhook) {
            runs.remove(&(timestamp, Arc::clone(&response.name)));
            if runs.is_empty() {
                self.by_webhook.remove(&webhook);
            }
        }
    }
}

/// Keeps the responses as the watch shows them.
pub(crate) struct ResponseIndex(pub(crate) Arc<Responses>);

impl Index for ResponseIndex {
    type Object = WebhookResponse;
    type Listed = NamespacedName;

    fn list(&mut self, response: &WebhookResponse) -> NamespacedName {
        self.0.insert(response);
        name_of(response)
    }

    fn retain(&mut self, listed: Vec<NamespacedName>) {
        let mut runs = self.0.runs.write();
        for response in unlisted(runs.places.keys(), &listed) {
            runs.remove(&response);
            self.0.texts.remove(&response);
        }
    }

    fn apply(&mut self, response: &WebhookResponse) {
        self.0.insert(response);
    }

    fn delete(&mut self, response: &WebhookResponse) {
        let response = name_of(response);
        self.0.runs.write().remove(&response);
        self.0.texts.remove(&response);
    }
}

/// When the run ended, and the response as JSON text; None if the run has not ended.
fn text(response: &WebhookResponse) -> Option<(Timestamp, Bytes)> {
    let status = response.status.as_ref()?;
    let timestamp = status.timestamp?;
    let body = ResponseBody {
        timestamp: python_time(timestamp),
        url: status.url.as_deref(),
        request_trigger: status.request_trigger.as_deref(),
        request_headers: status.request_headers.as_deref(),
        request_data: status.request_data.as_deref(),
        status_code: status.status_code,
        content: status.content.as_deref(),
        event_data: status.event_data(),
    };
    // Texts and numbers always have a form in JSON.
    Some((timestamp, serde_json::to_vec(&body).unwrap_or_default().into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::{Request, Response, StatusCode};
    use kube::{Client, client::Body};
    use serde_json::json;
    use tower::{BoxError, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_page_of_texts_that_are_read_needs_a_permit_and_one_of_texts_at_hand_needs_none() {
        let found = json!({
            "apiVersion": "oncall.dev/v1alpha1",
            "kind": "WebhookResponse",
            "metadata": {"namespace": "team", "name": "run"},
            "spec": {"webhookRef": {"name": "w", "id": "WH"}, "eventRef": {"name": "e", "uid": "u"}, "alertGroupId": "I", "triggerType": "resolve"},
            "status": {"timestamp": "2023-08-18T16:38:23Z", "statusCode": 200},
        });
        let text = found.to_string();
        let server = service_fn(move |request: Request<Body>| {
            assert!(request.uri().path().ends_with("/namespaces/team/webhookresponses/run"), "{}", request.uri());
            let body = Body::from(text.clone().into_bytes());
            async { Ok::<_, BoxError>(Response::new(body)) }
        });
        let mut responses = Responses::new(Objects::new(Client::new(server, "default"), "test"), 1 << 20);
        responses.pages = Permits::new(1, 1, "busy").waiting(Duration::from_millis(20));
        responses.insert(&serde_json::from_value(found).unwrap());
        let webhook: Webhook = serde_json::from_value(json!({
            "metadata": {"namespace": "team", "name": "w"},
            "spec": {"url": "https://e", "httpMethod": "POST", "triggerType": "resolve"},
        }))
        .unwrap();
        let list = async || responses.list(&webhook, |count| 0..count).await;
        let outcome = |listed: Result<ResponsePage, ApiError>| {
            listed.map(|listed| (listed.count, listed.texts.len(), listed.permit.is_some()))
        };

        assert_eq!(outcome(list().await), Ok((1, 1, false)));
        responses.texts.clear();
        let read = list().await.unwrap();
        assert_eq!((read.texts.len(), read.permit.is_some()), (1, true));
        assert_eq!(outcome(list().await), Ok((1, 1, false)), "what was read is at hand");
        responses.texts.clear();
        let busy = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy").after(1);
        assert_eq!(outcome(list().await), Err(busy));
        drop(read);
        assert_eq!(outcome(list().await), Ok((1, 1, true)));
    }
}
