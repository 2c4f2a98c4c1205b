//! A page of a list, up to its size.

use axum::response::Response;
use domain::EndpointId;
use platform::http::{HttpError, PAGE_BYTES};
use platform::parameters::{Parameters, bad};
use serde::Serialize;

use crate::response::json;

/// `after`: the endpoint with which the page before ended.
pub(crate) fn after(parameters: &Parameters<'_>) -> Result<Option<EndpointId>, HttpError> {
    let id = parameters.get("after").map(str::parse);
    id.transpose()
        .map_err(|_| bad("bad_cursor", "parameter `after` must be an endpoint id"))
}

/// A page that is being written.
#[derive(Debug)]
pub(crate) struct Listing {
    body: String,
    count: usize,
}

impl Listing {
    /// An empty page of a list of this name.
    pub(crate) fn of(name: &str) -> Listing {
        Listing {
            body: format!(r#"{{"{name}":["#),
            count: 0,
        }
    }

    /// How many items it has.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes an item; answers whether there was room for it. For the first there always is.
    pub(crate) fn add(&mut self, item: &impl Serialize) -> bool {
        // Texts and numbers, of which nothing can fail to be written.
        self.add_json(&serde_json::to_string(item).unwrap_or_default())
    }

    /// As [`add`](Listing::add), for an item that is JSON already.
    pub(crate) fn add_json(&mut self, json: &str) -> bool {
        if self.count > 0 {
            if self.body.len() + json.len() > PAGE_BYTES {
                return false;
            }
            self.body.push(',');
        }
        self.body.push_str(json);
        self.count += 1;
        true
    }

    /// The text of the page up to where the next one goes on, if there is one, which needs no escapes.
    /// Other fields may follow, and the closing brace.
    pub(crate) fn end(mut self, next: Option<&str>) -> String {
        self.body.push_str(r#"],"next":"#);
        match next {
            Some(next) => self.body.extend(["\"", next, "\""]),
            None => self.body.push_str("null"),
        }
        self.body
    }

    /// The page, and where the next one goes on, if there is one.
    pub(crate) fn finish(self, next: Option<&str>) -> Response {
        let mut body = self.end(next);
        body.push('}');
        json(body)
    }

    /// The page of these items, each with where a page goes on after it; `rest` is where the list
    /// goes on after all of them.
    pub(crate) fn page<I: Serialize>(
        name: &str,
        items: impl IntoIterator<Item = (I, String)>,
        rest: Option<String>,
    ) -> Response {
        let mut listing = Listing::of(name);
        let mut last = None;
        for (item, place) in items {
            if !listing.add(&item) {
                return listing.finish(last.as_deref());
            }
            last = Some(place);
        }
        listing.finish(rest.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    async fn read(response: Response) -> Value {
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn a_page_ends_at_its_size_and_says_where_to_go_on() {
        let item = |bytes: usize| "x".repeat(bytes);
        let items = [(item(10), "a".into()), (item(PAGE_BYTES), "b".into())];
        let page = read(Listing::page("things", items, Some("rest".into()))).await;
        assert_eq!(page, json!({ "things": [item(10)], "next": "a" }));
        let items = [(item(PAGE_BYTES), "a".into()), (item(1), "b".into())];
        let page = read(Listing::page("things", items, None)).await;
        assert_eq!(page["next"], "a");
        let items = [(item(1), "a".into()), (item(1), "b".into())];
        let page = read(Listing::page("things", items, None)).await;
        assert_eq!(page, json!({ "things": ["x", "x"], "next": null }));
        let none: [(String, String); 0] = [];
        let page = read(Listing::page("things", none, Some("rest".into()))).await;
        assert_eq!(page, json!({ "things": [], "next": "rest" }));
    }
}
