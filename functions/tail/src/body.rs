//! The body of an answer.

use std::convert::Infallible;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::Response;

/// What is answered, whole or piece by piece.
pub type Body = BoxStream<'static, Result<Bytes, Infallible>>;

/// A response whose body is at hand.
pub(crate) fn whole<B: AsRef<[u8]>>(response: Response<B>) -> Response<Body> {
    response.map(|body| {
        let body = Bytes::copy_from_slice(body.as_ref());
        stream::once(async { Ok(body) }).boxed()
    })
}
