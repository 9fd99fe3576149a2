//! Pages of lists, with the URLs of the pages before and after, as OnCall gives them.

use axum::body::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use url::form_urlencoded;

use crate::core::request_url::is_python_space;

/// Percent-encodes as Python's `quote_plus` does, but for the space, which becomes `+`.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b' ');

/// How many items a page has if the call does not say.
const PAGE_SIZE: usize = 50;
/// How many items a page has at most.
const MAX_PAGE_SIZE: usize = 100;

/// A page up to this size, in bytes, is put together in one piece. The texts of a larger one are not copied.
const ONE_PIECE: usize = 256 * 1024;

/// The parameters of a list, decoded, in their order.
pub(crate) struct QueryParams(Vec<(String, String)>);

impl QueryParams {
    pub(crate) fn new(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The last value of a parameter, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.all(key).last().filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The query with `page` set to a number, or left out; parameters in the order of their names, as OnCall gives them.
    fn with_page(&self, page: Option<usize>) -> String {
        let mut parameters: Vec<(String, String)> = self.0.iter().filter(|(name, _)| name != "page").cloned().collect();
        parameters.extend(page.map(|page| ("page".to_owned(), page.to_string())));
        // Stable: the values of one parameter stay in order.
        parameters.sort_by(|(a, _), (b, _)| a.cmp(b));
        let quoted = |text: &str| utf8_percent_encode(text, QUOTED).to_string().replace(' ', "+");
        let pairs: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect();
        pairs.join("&")
    }
}

/// Python's `int(text)` for digits of ASCII; the greatest number, or its negative, for one with more digits.
pub(crate) fn int(text: &str) -> Option<i64> {
    let text = text.trim_matches(is_python_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let group = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let number = digits.split('_').all(group).then(|| digits.replace('_', "").parse().unwrap_or(i64::MAX))?;
    Some(if negative { -number } else { number })
}

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    size: usize,
    number: usize,
    pages: usize,
    count: usize,
}

/// The members of a page before its results.
#[derive(Serialize)]
struct Envelope {
    count: usize,
    next: Option<String>,
    previous: Option<String>,
}

impl Page {
    /// The page that `query` asks for of a list with `count` items: a number beyond the end gives the last page, a text
    /// that is no number the first.
    pub(crate) fn new(query: &QueryParams, count: usize) -> Self {
        let size = query.get("perpage").and_then(int).and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size > 0).map_or(PAGE_SIZE, |size| size.min(MAX_PAGE_SIZE));
        let pages = count.div_ceil(size).max(1);
        let number = match query.get("page") {
            None => 1,
            Some("last") => pages,
            Some(text) => match int(text).map(usize::try_from) {
                Some(Ok(number)) if (1..=pages).contains(&number) => number,
                Some(_) => pages,
                None => 1,
            },
        };
        Self { size, number, pages, count }
    }

    /// The range of the list's items that are on it.
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        let start = (self.number - 1) * self.size;
        start..(start + self.size).min(self.count)
    }

    /// The whole answer around results that are JSON text already: one piece, or those of a large page in their order.
    /// `address` is scheme, host and path of the call.
    pub(crate) fn answer(
        &self,
        query: &QueryParams,
        address: &str,
        results: impl IntoIterator<Item = Bytes>,
    ) -> Result<Vec<Bytes>, serde_json::Error> {
        let link = |page: Option<usize>| match query.with_page(page) {
            query if query.is_empty() => address.to_owned(),
            query => format!("{address}?{query}"),
        };
        let envelope = Envelope {
            count: self.count,
            next: (self.number < self.pages).then(|| link(Some(self.number + 1))),
            // The first page is the one without a number.
            previous: (self.number > 1).then(|| link((self.number > 2).then(|| self.number - 1))),
        };
        let mut head = serde_json::to_vec(&envelope)?;
        // The brace that closes it is written last.
        head.pop();
        head.extend_from_slice(b",\"results\":[");
        let mut pieces = vec![Bytes::from(head)];
        for (index, result) in results.into_iter().enumerate() {
            if index > 0 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(result);
        }
        let rest = format!(
            "],\"page_size\":{},\"current_page_number\":{},\"total_pages\":{}}}",
            self.size, self.number, self.pages
        );
        pieces.push(rest.into());
        if pieces.iter().map(Bytes::len).sum::<usize>() <= ONE_PIECE {
            pieces = vec![pieces.concat().into()];
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_the_one_asked_for_or_the_nearest() {
        let cases = [
            ("", 36, (50, 1, 1, 0..36)),
            ("", 0, (50, 1, 1, 0..0)),
            ("perpage=2&page=2", 36, (2, 2, 18, 2..4)),
            ("perpage=40&page=2", 36, (40, 1, 1, 0..36)),
            ("perpage=10&page=0", 36, (10, 4, 4, 30..36)),
            ("perpage=10&page=-1", 36, (10, 4, 4, 30..36)),
            ("perpage=10&page=99999999999999999999999", 36, (10, 4, 4, 30..36)),
            ("perpage=10&page=-99999999999999999999999", 36, (10, 4, 4, 30..36)),
            ("perpage=10&page=%2B2", 36, (10, 2, 4, 10..20)),
            ("perpage=10&page=+2%1C", 36, (10, 2, 4, 10..20)),
            ("perpage=1_0&page=0_2", 36, (10, 2, 4, 10..20)),
            ("perpage=10&page=2_", 36, (10, 1, 4, 0..10)),
            ("perpage=10&page=--2", 36, (10, 1, 4, 0..10)),
            ("perpage=10&page=2.0", 36, (10, 1, 4, 0..10)),
            ("perpage=10&page=2&page=3", 36, (10, 3, 4, 20..30)),
            ("perpage=10&page=", 36, (10, 1, 4, 0..10)),
            ("perpage=10&page=x", 36, (10, 1, 4, 0..10)),
            ("perpage=10&page=last", 36, (10, 4, 4, 30..36)),
            ("perpage=0", 36, (50, 1, 1, 0..36)),
            ("perpage=-3", 36, (50, 1, 1, 0..36)),
            ("perpage=x", 36, (50, 1, 1, 0..36)),
            ("perpage=99999999999999999999999", 136, (100, 1, 2, 0..100)),
            ("perpage=1000", 136, (100, 1, 2, 0..100)),
        ];
        for (query, count, expected) in cases {
            let page = Page::new(&QueryParams::new(query), count);
            assert_eq!((page.size, page.number, page.pages, page.range()), expected, "{query}");
        }
    }

    #[test]
    fn links_keep_the_other_parameters_in_the_order_of_their_names() {
        let links = |query: &str, count| {
            let query = QueryParams::new(query);
            let answer = Page::new(&query, count).answer(&query, "http://h/api/v1/webhooks/", []);
            let answer: serde_json::Value = serde_json::from_slice(&answer.unwrap().concat()).unwrap();
            (answer["next"].as_str().map(str::to_owned), answer["previous"].as_str().map(str::to_owned))
        };
        let at = |query: &str| Some(format!("http://h/api/v1/webhooks/{query}"));
        assert_eq!(links("", 50), (None, None));
        assert_eq!(links("", 51), (at("?page=2"), None));
        assert_eq!(links("page=2", 51), (None, at("")));
        assert_eq!(links("perpage=2&page=2", 36), (at("?page=3&perpage=2"), at("?perpage=2")));
        assert_eq!(links("perpage=2&page=3", 36), (at("?page=4&perpage=2"), at("?page=2&perpage=2")));
        assert_eq!(
            links("team_id=b+c&team_id=%C3%A4~*&perpage=1", 2),
            (at("?page=2&perpage=1&team_id=b+c&team_id=%C3%A4~%2A"), None)
        );
    }

    #[test]
    fn a_page_is_an_envelope_around_the_results() {
        let query = QueryParams::new("");
        let results = ["{\"a\":1}", "{}"].map(Bytes::from);
        let answer = Page::new(&query, 2).answer(&query, "http://h/", results).unwrap();
        assert_eq!(
            answer,
            [
                r#"{"count":2,"next":null,"previous":null,"results":[{"a":1},{}],"page_size":50,"current_page_number":1,"total_pages":1}"#
            ]
        );
    }

    #[test]
    fn the_texts_of_a_large_page_are_not_copied() {
        let query = QueryParams::new("");
        let text = Bytes::from("x".repeat(ONE_PIECE / 2));
        let answer = Page::new(&query, 2).answer(&query, "http://h/", [text.clone(), text.clone()]).unwrap();
        let around = [
            r#"{"count":2,"next":null,"previous":null,"results":["#,
            ",",
            r#"],"page_size":50,"current_page_number":1,"total_pages":1}"#,
        ];
        assert_eq!(answer, [around[0].as_bytes(), &text, around[1].as_bytes(), &text, around[2].as_bytes()]);
        assert_eq!([answer[1].as_ptr(), answer[3].as_ptr()], [text.as_ptr(); 2]);
    }
}
