//! What a request is made of.

use bytes::{BufMut as _, BytesMut};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use jiff::Timestamp;

use super::sent::Marked;
use super::signature::{Key, sign};
use super::Config;
use crate::sink::{Item, ItemId};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What all requests to one receiver have in common.
#[derive(Debug)]
pub(super) struct Template {
    url: Uri,
    headers: HeaderMap,
    keys: Vec<Key>,
}

impl Template {
    pub(super) fn new(config: Config) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, config.content_type);
        headers.insert(USER_AGENT, HeaderValue::from_static("tidegate"));
        headers.extend(config.headers);
        Self { url: config.url, headers, keys: config.keys }
    }

    /// The request of an item.
    pub(super) fn request(
        &self,
        id: ItemId,
        now: Timestamp,
        item: &Item,
        body: Marked,
    ) -> Request<Marked> {
        let mut text = BytesMut::with_capacity(36);
        text.put_slice(id.to_string().as_bytes());
        let id = HeaderValue::from_maybe_shared(text.freeze()).expect("a UUID is a header's value");
        let second = now.as_second();
        let mut headers = self.headers.clone();
        if !self.keys.is_empty() {
            let signature = sign(&self.keys, id.as_bytes(), second, &item.body);
            let signature = HeaderValue::try_from(signature).expect("base64 is a header's value");
            headers.insert(WEBHOOK_SIGNATURE, signature);
        }
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(second));
        headers.insert(IDEMPOTENCY_KEY, id.clone());
        headers.insert(WEBHOOK_ID, id);
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        *request.headers_mut() = headers;
        request
    }
}
