//! A page of a list, up to its size.

use axum::response::Response;
use platform::http::PAGE_BYTES;
use serde::Serialize;

use crate::response::json;

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

    /// Takes an item; answers whether there was room for it. For the first there always is.
    pub(crate) fn add(&mut self, item: &impl Serialize) -> bool {
        // Texts and numbers, of which nothing can fail to be written.
        let json = serde_json::to_string(item).unwrap_or_default();
        if self.count > 0 {
            if self.body.len() + json.len() > PAGE_BYTES {
                return false;
            }
            self.body.push(',');
        }
        self.body.push_str(&json);
        self.count += 1;
        true
    }

    /// The page, and where the next one goes on, if there is one: a text that needs no escapes.
    pub(crate) fn finish(mut self, next: Option<String>) -> Response {
        self.body.push_str(r#"],"next":"#);
        match next {
            Some(next) => self.body.extend(["\"", &next, "\""]),
            None => self.body.push_str("null"),
        }
        self.body.push('}');
        json(self.body)
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
                return listing.finish(last);
            }
            last = Some(place);
        }
        listing.finish(rest)
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
