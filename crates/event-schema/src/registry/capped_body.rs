//! The bound on an answer's bytes, counted as they arrive: what an answer says of its own length is not believed.
use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next};

/// An answer of too many bytes.
#[derive(Debug, thiserror::Error)]
#[error("the answer has more than `{limit_bytes}` bytes")]
pub(super) struct AnswerTooLarge {
    limit_bytes: usize,
}

/// Reads each answer whole, but not further than the limit, and hands it on from memory.
#[derive(Debug)]
pub(super) struct CappedBody {
    pub(super) limit_bytes: usize,
}

#[async_trait]
impl Middleware for CappedBody {
    async fn handle(&self, request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response, Error> {
        let mut response = next.run(request, extensions).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Error::Reqwest)? {
            if body.len() + chunk.len() > self.limit_bytes {
                return Err(Error::middleware(AnswerTooLarge { limit_bytes: self.limit_bytes }));
            }
            body.extend_from_slice(&chunk);
        }
        let mut whole = http::Response::new(body);
        *whole.status_mut() = response.status();
        Ok(whole.into())
    }
}
