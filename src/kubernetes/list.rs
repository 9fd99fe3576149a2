//! Lists in pages that are bounded in bytes, however large the objects are.
//!
//! ```text
//! limit=100 ─► page of less than the bound ─► the next page has as many objects as fill half of it
//!      └─────► more than that: broken off, and asked for again with a quarter of the objects, down to 1
//! ```
//! Kubernetes counts the objects of a page; what one has is up to whoever may write it, from a few hundred bytes to more than
//! a megabyte. Small objects come by the hundreds, so that a list of many takes no longer than it must.

use http::{HeaderValue, Request, Response, header::ACCEPT};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::{
    Client, Error,
    api::ListParams,
    client::Body,
    core::{self, Status},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// How many objects the first page has.
const FIRST: u32 = 100;
/// How many objects a page has at most.
const MOST: u32 = 500;
/// Bound on the text of one object, in bytes: several times what etcd takes.
pub(crate) const ONE_OBJECT: usize = 8 * 1024 * 1024;
/// Bound on what is read of the answer where the API server refuses, in bytes.
const REFUSAL: usize = 64 * 1024;

/// One page, as it is read.
pub(crate) trait Page: DeserializeOwned {
    /// How many objects it has.
    fn count(&self) -> usize;
    /// The token that asks for the next page; None at the end.
    fn next_page(&self) -> Option<String>;
}

/// A page of objects that are read one by one, later: as text they take the least.
#[derive(Deserialize)]
pub(crate) struct Texts {
    metadata: ListMetadata,
    /// None where the list is empty, of some kinds.
    items: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
    resource_version: Option<String>,
}

impl Texts {
    /// The version of the list; None where the API server does not say.
    pub(crate) fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref().filter(|version| !version.is_empty())
    }

    /// The objects, as JSON texts.
    pub(crate) fn into_items(self) -> Vec<Box<RawValue>> {
        self.items.unwrap_or_default()
    }
}

impl Page for Texts {
    fn count(&self) -> usize {
        self.items.as_ref().map_or(0, Vec::len)
    }

    fn next_page(&self) -> Option<String> {
        self.metadata.next.clone().filter(|token| !token.is_empty())
    }
}

/// Reads a list page by page.
pub(crate) struct Pages {
    client: Client,
    path: String,
    accept: Option<HeaderValue>,
    params: ListParams,
    /// Bound on the text of one page, in bytes.
    bound: usize,
    /// How many objects the next page is asked for.
    limit: u32,
    is_at_end: bool,
}

impl Pages {
    /// A list of what is at `path`, in the form that `accept` names, in pages of up to `bound` bytes of text. `params` may
    /// select objects.
    pub(crate) fn new(
        client: &Client,
        path: String,
        accept: Option<HeaderValue>,
        params: ListParams,
        bound: u64,
    ) -> Self {
        let bound = usize::try_from(bound).unwrap_or(usize::MAX);
        Self { client: client.clone(), path, accept, params, bound, limit: FIRST, is_at_end: false }
    }

    /// Reads the next page; None after the last one.
    ///
    /// # Errors
    /// The API server refuses it or does not answer, or the page can't be read. A list whose token has expired (410) begins
    /// anew with another `Pages`.
    pub(crate) async fn next<P: Page>(&mut self) -> Result<Option<P>, Error> {
        if self.is_at_end {
            return Ok(None);
        }
        let text = loop {
            let bound = if self.limit == 1 { self.bound.max(ONE_OBJECT) } else { self.bound };
            match self.read(bound).await? {
                Some(text) => break text,
                None if self.limit == 1 => {
                    let why = format!("an object of {} has more than {bound} bytes", self.path);
                    return Err(Error::Service(why.into()));
                }
                None => self.limit = fewer(self.limit),
            }
        };
        let page: P = serde_json::from_slice(&text).map_err(Error::SerdeError)?;
        self.limit = next_limit(page.count(), text.len(), self.bound);
        self.params.continue_token = page.next_page();
        self.is_at_end = self.params.continue_token.is_none();
        Ok(Some(page))
    }

    /// Asks for a page; None if it is larger than `bound`.
    async fn read(&self, bound: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut params = self.params.clone();
        params.limit = Some(self.limit);
        let mut request = core::Request::new(&self.path).list(&params).map_err(Error::BuildRequest)?;
        if let Some(accept) = &self.accept {
            request.headers_mut().insert(ACCEPT, accept.clone());
        }
        body(&self.client, request, bound).await
    }
}

/// Makes a call and reads the body of its answer; None if that is larger than `bound` bytes.
///
/// Unlike kube's, it writes no text of an answer to the log: that may be a Secret's.
pub(crate) async fn body(client: &Client, request: Request<Vec<u8>>, bound: usize) -> Result<Option<Vec<u8>>, Error> {
    let answer = client.send(request.map(Body::from)).await?;
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        let text = limited(answer, REFUSAL).await?.unwrap_or_default();
        let refusal = serde_json::from_slice::<Status>(&text).unwrap_or_else(|_| {
            Status::failure("the answer is not one of Kubernetes", "Unreadable").with_code(status.as_u16())
        });
        return Err(Error::Api(refusal.boxed()));
    }
    limited(answer, bound).await
}

async fn limited(answer: Response<Body>, bound: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut body = Limited::new(answer.into_body(), bound);
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default()),
            Err(error) if error.is::<LengthLimitError>() => return Ok(None),
            Err(error) => return Err(error.downcast::<Error>().map_or_else(Error::Service, |error| *error)),
        }
    }
    Ok(Some(text))
}

/// How many objects to ask for after a page of `limit` was too large.
fn fewer(limit: u32) -> u32 {
    (limit / 4).max(1)
}

/// How many objects to ask for after a page of `count` objects and `bytes` bytes: what fills half of `bound`, since others may
/// be larger.
fn next_limit(count: usize, bytes: usize, bound: usize) -> u32 {
    let each = bytes / count.max(1) + 1;
    u32::try_from(bound / 2 / each).unwrap_or(MOST).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::json;
    use tower::{BoxError, service_fn};

    use super::*;

    #[test]
    fn a_page_has_as_many_objects_as_fill_half_of_the_bound() {
        let mib = 1024 * 1024;
        for (count, bytes, bound, expected) in [
            (100, 200_000, 4 * mib, 500),
            (100, 2_000_000, 4 * mib, 104),
            (4, 4_000_000, 4 * mib, 2),
            (1, 1_500_000, 4 * mib, 1),
            (1, 7_000_000, 4 * mib, 1),
            (0, 100, 4 * mib, 500),
            (0, 0, 0, 1),
        ] {
            assert_eq!(next_limit(count, bytes, bound), expected, "{count} {bytes}");
        }
        assert_eq!([100, 25, 6, 4, 3, 1].map(fewer), [25, 6, 1, 1, 1, 1]);
    }

    /// Lists objects of these sizes in pages of up to 1000 bytes. Returns the sizes, and how many objects each call asked for.
    async fn listed(sizes: &'static [usize]) -> (Result<Vec<usize>, String>, Vec<String>) {
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&calls);
        let server = service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default();
            let value = |name: &str| {
                let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                found.map(|value| value.parse::<usize>().unwrap())
            };
            let (limit, start) = (value("limit").unwrap(), value("continue").unwrap_or(0));
            log.lock().push(format!("{start}+{limit}"));
            let end = (start + limit).min(sizes.len());
            let items: Vec<_> = sizes[start..end].iter().map(|size| "x".repeat(*size)).collect();
            let next = if end < sizes.len() { end.to_string() } else { String::new() };
            let items = if items.is_empty() { json!(null) } else { json!(items) };
            let list = json!({"metadata": {"continue": next, "resourceVersion": "7"}, "items": items});
            async move { Ok::<_, BoxError>(Response::new(Body::from(list.to_string().into_bytes()))) }
        });
        let client = Client::new(server, "team");
        let mut pages = Pages::new(&client, "/api/v1/things".to_owned(), None, ListParams::default(), 1000);
        let mut found = Vec::new();
        let result = loop {
            match pages.next::<Texts>().await {
                Ok(Some(page)) => {
                    assert_eq!(page.version(), Some("7"));
                    found.extend(page.into_items().iter().map(|item| item.get().len() - 2));
                }
                Ok(None) => break Ok(found),
                Err(error) => break Err(error.to_string()),
            }
        };
        let calls = calls.lock().clone();
        (result, calls)
    }

    #[tokio::test]
    async fn a_list_comes_whole_in_pages_of_no_more_than_the_bound() {
        let cases: [(&[usize], &[&str]); 4] = [
            (&[], &["0+100"]),
            (&[10; 5], &["0+100"]),
            // The first page would be too large. One of 25 is not, and says how large the objects are.
            (&[20; 60], &["0+100", "0+25", "25+19", "44+18"]),
            // Small ones, then large ones.
            (
                &[1, 1, 1, 1, 1, 1, 1, 400, 400, 400, 2_000, 3],
                &["0+100", "0+25", "0+6", "6+33", "6+8", "6+2", "8+2", "10+1", "11+1"],
            ),
        ];
        for (sizes, expected) in cases {
            let (found, calls) = listed(sizes).await;
            assert_eq!(found.as_deref(), Ok(sizes));
            assert_eq!(calls, expected, "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn an_object_larger_than_any_can_be_is_refused() {
        let (found, calls) = listed(&[9 * 1024 * 1024]).await;
        assert_eq!(found, Err("ServiceError: an object of /api/v1/things has more than 8388608 bytes".to_owned()));
        assert_eq!(calls, ["0+100", "0+25", "0+6", "0+1"]);
    }

    #[tokio::test]
    async fn a_refusal_is_told_as_the_api_server_says_it() {
        let answer = |code: u16, text: &'static str| {
            let server = service_fn(move |_: Request<Body>| async move {
                let mut response = Response::new(Body::from(text.as_bytes().to_vec()));
                *response.status_mut() = http::StatusCode::from_u16(code)?;
                Ok::<_, BoxError>(response)
            });
            Client::new(server, "team")
        };
        let expired =
            r#"{"kind": "Status", "status": "Failure", "message": "expired", "reason": "Expired", "code": 410}"#;
        for (code, text, expected) in
            [(410, expired, (410, "expired")), (502, "<html>", (502, "the answer is not one of Kubernetes"))]
        {
            let mut pages = Pages::new(&answer(code, text), "/x".to_owned(), None, ListParams::default(), 1000);
            let Err(Error::Api(status)) = pages.next::<Texts>().await else { panic!("{code} was no refusal") };
            assert_eq!((status.code, &*status.message), expected);
        }
    }
}
