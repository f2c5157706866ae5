//! The part of HTTP/1.1 that the bench needs: heads with `httparse`, bodies with a length or in chunks.

use anyhow::{Context, Result, bail};

/// How the body after a head is framed.
pub struct Framing {
    /// Where the body starts.
    pub body_at: usize,
    length: Option<usize>,
    chunked: bool,
}

impl Framing {
    pub fn of(headers: &[httparse::Header<'_>], body_at: usize) -> Result<Self> {
        let mut framing = Self { body_at, length: None, chunked: false };
        for header in headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = str::from_utf8(header.value).ok().and_then(|length| length.trim().parse().ok());
                framing.length = Some(length.context("an unreadable Content-Length")?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                framing.chunked = true;
            }
        }
        Ok(framing)
    }

    /// The body, and where the next message starts, if the body is complete.
    pub fn body(&self, message: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
        if self.chunked {
            return chunks(message, self.body_at);
        }
        let end = self.body_at + self.length.unwrap_or(0);
        Ok(message.get(self.body_at..end).map(|body| (body.to_vec(), end)))
    }

    /// Where the next message starts, if the body is complete.
    pub fn end(&self, message: &[u8]) -> Result<Option<usize>> {
        if self.chunked {
            return Ok(chunks(message, self.body_at)?.map(|(_, end)| end));
        }
        let end = self.body_at + self.length.unwrap_or(0);
        Ok((message.len() >= end).then_some(end))
    }
}

fn chunks(message: &[u8], mut at: usize) -> Result<Option<(Vec<u8>, usize)>> {
    let mut body = Vec::new();
    loop {
        let Some(rest) = message.get(at..) else { return Ok(None) };
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => bail!("an unreadable chunk"),
        };
        let (from, to) = (at + start, at + start + usize::try_from(size)?);
        let Some(chunk) = message.get(from..to) else { return Ok(None) };
        if message.len() < to + 2 {
            return Ok(None);
        }
        body.extend_from_slice(chunk);
        at = to + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}
