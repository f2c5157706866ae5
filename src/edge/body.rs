//! Reads a request's body, and buffers at most `MAX_BODY` bytes of it.

use futures_util::future::LocalBoxFuture;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::JsCast;
use web_sys::{ReadableStreamDefaultReader, Request};
use worker::js_sys::futures::JsFuture;

use crate::request::{Body, MAX_BODY};

/// How much of a body is read at most, bytes: Cloudflare's own limit on most plans.
const MAX_DRAINED: usize = 100_000_000;

pub async fn read(request: &Request, content_length: Option<&str>) -> Body {
    let body = match content_length.and_then(|length| length.parse::<usize>().ok()) {
        Some(0) => Some(Body::Read(Vec::new())),
        Some(length) if length > MAX_BODY => Some(Body::TooLarge),
        // HTTP limits the body to the announced length, so no more than that is buffered.
        Some(_) => whole(request).await,
        None => match request.body().map(|stream| stream.get_reader().dyn_into()) {
            Some(Ok(reader)) => {
                // Boxed, so that an isolate compiles it only when such a body arrives.
                let pieces: LocalBoxFuture<'_, _> = Box::pin(pieces(reader));
                pieces.await
            }
            Some(Err(_)) => None,
            None => Some(Body::Read(Vec::new())),
        },
    };
    body.unwrap_or(Body::Broken)
}

async fn whole(request: &Request) -> Option<Body> {
    let buffer = JsFuture::from(request.array_buffer().ok()?).await.ok()?;
    let bytes = Uint8Array::new(&buffer);
    let fits = usize::try_from(bytes.length()).is_ok_and(|length| length <= MAX_BODY);
    Some(if fits { Body::Read(bytes.to_vec()) } else { Body::TooLarge })
}

/// A body without `Content-Length` is read to its end, beyond what is buffered: some proxies lose a response that is
/// sent before the request has ended.
async fn pieces(reader: ReadableStreamDefaultReader) -> Option<Body> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(piece) = next(&reader).await? {
        length += usize::try_from(piece.length()).ok()?;
        if length <= MAX_BODY {
            kept.extend(piece.to_vec());
        } else if length > MAX_DRAINED {
            break;
        }
    }
    Some(if length <= MAX_BODY { Body::Read(kept) } else { Body::TooLarge })
}

/// The next chunk; `Some(None)` at the end, `None` if the connection broke.
async fn next(reader: &ReadableStreamDefaultReader) -> Option<Option<Uint8Array>> {
    let result = JsFuture::from(reader.read()).await.ok()?;
    if Reflect::get(&result, &"done".into()).ok()?.is_truthy() {
        return Some(None);
    }
    Reflect::get(&result, &"value".into()).ok()?.dyn_into().ok().map(Some)
}
