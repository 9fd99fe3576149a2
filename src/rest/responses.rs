//! What webhooks were answered, newest first. The order is kept for all, the texts for as many as memory is given;
//! the others are read when they are asked for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use axum::body::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{Timestamp, tz::TimeZone};
use kube::{ResourceExt, runtime::watcher::Event};
use parking_lot::RwLock;
use quick_cache::{Weighter, sync::Cache};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    refusal::Refusal,
    turns::{Turn, Turns},
    writes,
};
use crate::{
    core::webhook::TriggerType,
    kubernetes::objects::{self, Objects},
    resources::{Webhook, WebhookResponse},
};

/// Bound on the texts that are kept at hand, in bytes.
const TEXTS: u64 = 64 * 1024 * 1024;
/// How many texts of one page are read at a time.
const READS: usize = 8;
/// How many pages of which texts have to be read are in memory at a time; and how many of a namespace.
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
    /// The body as it was sent; or `Data - ` and why there was none.
    #[schema(required)]
    request_data: Option<&'a str>,
    /// Status code of the answer.
    #[schema(required)]
    status_code: Option<u16>,
    /// Content of the answer, or why there was none.
    #[schema(required)]
    content: Option<&'a str>,
    /// The data as templates saw it, as JSON text.
    #[schema(required)]
    event_data: Option<&'a str>,
}

/// Which response, or which webhook: its namespace and its name.
type Key = (Arc<str>, Arc<str>);

#[derive(Clone, Debug)]
struct Line {
    key: Key,
    trigger_type: TriggerType,
    /// Uid of the webhook that ran; unknown where nobody wrote it down.
    webhook_uid: Option<Arc<str>>,
}

/// By when the run ended, and the response's name.
type Lines = BTreeMap<(Timestamp, Arc<str>), Line>;

#[derive(Default)]
struct State {
    /// By webhook.
    lines: HashMap<Key, Lines>,
    /// The webhook of each response, and when it ended.
    places: HashMap<Key, (Key, Timestamp)>,
    /// What a list that is under way has named so far.
    listed: HashSet<Key>,
}

#[derive(Clone)]
struct Size;

impl Weighter<Key, Bytes> for Size {
    fn weight(&self, (namespace, name): &Key, text: &Bytes) -> u64 {
        (namespace.len() + name.len() + text.len()) as u64
    }
}

/// All responses that are watched.
pub(crate) struct Responses {
    state: RwLock<State>,
    texts: Cache<Key, Bytes, Size>,
    pages: Turns,
    objects: Objects,
}

/// A page of responses, newest first, as JSON texts.
pub(crate) struct Listed {
    /// How many there are on all pages.
    pub(crate) count: usize,
    pub(crate) texts: Vec<Bytes>,
    /// To be kept as long as the texts, where some are in memory for this page alone.
    pub(crate) turn: Option<Turn>,
}

impl Responses {
    pub(crate) fn new(objects: Objects) -> Self {
        Self {
            state: RwLock::default(),
            texts: Cache::with_weighter(10_000, TEXTS, Size),
            pages: Turns::new(PAGES.0, PAGES.1, "Too many pages of responses are being read: try again."),
            objects,
        }
    }

    /// Takes in what the watch says. Only runs that have ended are of interest.
    pub(crate) fn observe(&self, event: &Event<WebhookResponse>) {
        match event {
            Event::Init => self.state.write().listed.clear(),
            Event::InitApply(response) => {
                let key = key(response);
                self.insert(response);
                self.state.write().listed.insert(key);
            }
            Event::InitDone => {
                let mut state = self.state.write();
                let listed = std::mem::take(&mut state.listed);
                let gone: Vec<Key> = state.places.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                for key in gone {
                    state.remove(&key);
                    self.texts.remove(&key);
                }
            }
            Event::Apply(response) => self.insert(response),
            Event::Delete(response) => {
                let key = key(response);
                self.state.write().remove(&key);
                self.texts.remove(&key);
            }
        }
    }

    fn insert(&self, response: &WebhookResponse) {
        let key = key(response);
        let owner = response.owner_references().iter().find(|owner| owner.kind == "Webhook");
        let mut state = self.state.write();
        state.remove(&key);
        let Some((timestamp, text)) = text(response) else { return };
        let webhook = (Arc::clone(&key.0), Arc::from(response.spec.webhook_ref.name.as_str()));
        let line = Line {
            key: key.clone(),
            trigger_type: response.spec.trigger_type,
            webhook_uid: owner.map(|owner| Arc::from(owner.uid.as_str())),
        };
        state.lines.entry(webhook.clone()).or_default().insert((timestamp, Arc::clone(&key.1)), line);
        state.places.insert(key.clone(), (webhook, timestamp));
        drop(state);
        self.texts.insert(key, text);
    }

    /// The responses that `webhook` has had under its present trigger: those of the range that `page` gives for their
    /// number.
    ///
    /// # Errors
    /// One that is not at hand can't be read, or not now.
    pub(crate) async fn list(
        &self,
        webhook: &Webhook,
        page: impl FnOnce(usize) -> std::ops::Range<usize>,
    ) -> Result<Listed, Refusal> {
        let of: Key = (Arc::from(webhook.namespace().unwrap_or_default()), Arc::from(webhook.name_any()));
        let (count, keys) = {
            let uid = webhook.metadata.uid.as_deref();
            let state = self.state.read();
            let lines = state.lines.get(&of).into_iter().flat_map(|lines| lines.values().rev());
            let own: Vec<&Line> = lines
                .filter(|line| line.trigger_type == webhook.spec.trigger_type)
                // Not what one of the same name left that is deleted.
                .filter(|line| line.webhook_uid.is_none() || line.webhook_uid.as_deref() == uid)
                .collect();
            let range = page(own.len());
            let keys: Vec<Key> = own.iter().skip(range.start).take(range.len()).map(|line| line.key.clone()).collect();
            (own.len(), keys)
        };
        let at_hand: Option<Vec<Bytes>> = keys.iter().map(|key| self.texts.get(key)).collect();
        if let Some(texts) = at_hand {
            return Ok(Listed { count, texts, turn: None });
        }
        let turn = self.pages.take(&of.0, 1).await?;
        let texts = stream::iter(keys).map(|key| self.text(key)).buffered(READS).try_collect::<Vec<_>>().await;
        let texts = texts.map_err(|error| writes::refusal(&error))?;
        Ok(Listed { count, texts: texts.into_iter().flatten().collect(), turn: Some(turn) })
    }

    async fn text(&self, key: Key) -> Result<Option<Bytes>, objects::Error> {
        if let Some(text) = self.texts.get(&key) {
            return Ok(Some(text));
        }
        let found = self.objects.get::<WebhookResponse>(&key.0, &key.1).await?;
        let text = found.and_then(|response| text(&response)).map(|(_, text)| text);
        if let Some(text) = &text {
            self.texts.insert(key, text.clone());
        }
        Ok(text)
    }
}

impl State {
    fn remove(&mut self, key: &Key) {
        let Some((webhook, timestamp)) = self.places.remove(key) else { return };
        if let Some(lines) = self.lines.get_mut(&webhook) {
            lines.remove(&(timestamp, Arc::clone(&key.1)));
            if lines.is_empty() {
                self.lines.remove(&webhook);
            }
        }
    }
}

fn key(response: &WebhookResponse) -> Key {
    (Arc::from(response.namespace().unwrap_or_default()), Arc::from(response.name_any()))
}

/// When the run ended, and the response as JSON text; None if it has not.
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
        event_data: status.event_data.as_deref(),
    };
    // Texts and a number: there is nothing that JSON could not hold.
    Some((timestamp, serde_json::to_vec(&body).unwrap_or_default().into()))
}

/// As Python's `isoformat` shows it: microseconds, or none.
fn python_time(time: Timestamp) -> String {
    let format = if time.subsec_microsecond() == 0 { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
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
    async fn a_page_of_texts_that_are_read_needs_a_turn_and_one_of_texts_at_hand_needs_none() {
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
        let mut responses = Responses::new(Objects::new(Client::new(server, "default"), "test"));
        responses.pages = Turns::new(1, 1, "busy").waiting(Duration::from_millis(20));
        responses.observe(&Event::Apply(serde_json::from_value(found).unwrap()));
        let webhook: Webhook = serde_json::from_value(json!({
            "metadata": {"namespace": "team", "name": "w"},
            "spec": {"url": "https://e", "httpMethod": "POST", "triggerType": "resolve"},
        }))
        .unwrap();
        let list = async || responses.list(&webhook, |count| 0..count).await;
        let turns = |listed: Result<Listed, Refusal>| {
            listed.map(|listed| (listed.count, listed.texts.len(), listed.turn.is_some()))
        };

        assert_eq!(turns(list().await), Ok((1, 1, false)));
        responses.texts.clear();
        let read = list().await.unwrap();
        assert_eq!((read.texts.len(), read.turn.is_some()), (1, true));
        assert_eq!(turns(list().await), Ok((1, 1, false)), "what was read is at hand");
        responses.texts.clear();
        let busy = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy").after(1);
        assert_eq!(turns(list().await), Err(busy));
        drop(read);
        assert_eq!(turns(list().await), Ok((1, 1, true)));
    }

    #[test]
    fn times_are_shown_as_python_shows_them() {
        for (time, expected) in [
            ("2023-08-18T16:38:23.106015Z", "2023-08-18T16:38:23.106015Z"),
            ("2023-08-18T16:38:23.5Z", "2023-08-18T16:38:23.500000Z"),
            ("2023-08-18T16:38:23Z", "2023-08-18T16:38:23Z"),
            ("1970-01-03T17:05:16.311077Z", "1970-01-03T17:05:16.311077Z"),
        ] {
            assert_eq!(python_time(time.parse().unwrap()), expected);
        }
    }
}
