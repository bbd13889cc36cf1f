//! `Idempotency-Key` and place in the request → `message_id`. Pure: the bridge remembers no request.
use http::{HeaderMap, HeaderName};
use std::fmt::Write as _;

/// The request's header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The record's header that holds the `message_id`.
pub const RECORD_HEADER: &str = "tributary.message_id";
/// Longest key.
pub const MAX_KEY_BYTES: usize = 200;

/// Ids of the records of one request: `<client>/<key>/<index>`.
///
/// The client's name is part of it, so that nobody's records can be taken for duplicates of another's. It holds no `/` and the index is the
/// last part, so different requests never share an id.
#[derive(Clone, Debug)]
pub struct MessageIds {
    text: String,
    fixed_bytes: usize,
}

impl MessageIds {
    /// Of a request; `None` without the header.
    ///
    /// # Errors
    /// What is wrong with the header.
    pub fn of_request(headers: &HeaderMap, client: &str) -> Result<Option<Self>, String> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err("`Idempotency-Key` is given twice".to_owned());
        }
        // The draft of the standard has it in quotes; many clients leave them out.
        let key = value.as_bytes();
        let key = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
        let allowed = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
        let key =
            std::str::from_utf8(key).ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()) && key.as_bytes().iter().all(allowed));
        let key = key.ok_or_else(|| {
            format!(
                "`Idempotency-Key` must have 1 to {MAX_KEY_BYTES} visible ASCII characters without quotes and backslashes, such as a UUID"
            )
        })?;
        let text = format!("{client}/{key}/");
        Ok(Some(Self { fixed_bytes: text.len(), text }))
    }

    /// The id of one record. Needs no escape in JSON.
    pub fn of(&mut self, index: usize) -> &str {
        self.text.truncate(self.fixed_bytes);
        let _ = write!(self.text, "{index}");
        &self.text
    }

    /// The key, as the client sent it.
    pub fn key(&self) -> &str {
        let after_client = self.text.find('/').map_or(0, |at| at + 1);
        &self.text[after_client..self.fixed_bytes - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn ids(keys: &[&[u8]]) -> Result<Option<MessageIds>, String> {
        let mut headers = HeaderMap::new();
        for key in keys {
            headers.append(HEADER, HeaderValue::from_bytes(key).expect("a header"));
        }
        MessageIds::of_request(&headers, "gateway")
    }

    #[test]
    fn the_same_request_has_the_same_ids() {
        assert!(ids(&[]).expect("allowed").is_none());
        let mut made = ids(&[b"0b6c-1"]).expect("valid").expect("given");
        assert_eq!(
            (made.of(0).to_owned(), made.of(10).to_owned(), made.of(9)),
            ("gateway/0b6c-1/0".into(), "gateway/0b6c-1/10".into(), "gateway/0b6c-1/9")
        );
        assert_eq!(made.key(), "0b6c-1");
        assert_eq!(ids(&[b"\"0b6c-1\""]).expect("valid").expect("given").of(0), "gateway/0b6c-1/0", "quotes are not part of it");
        let mut slashes = ids(&[b"a/1"]).expect("valid").expect("given");
        assert_eq!((slashes.of(2).to_owned(), slashes.key()), ("gateway/a/1/2".to_owned(), "a/1"));
        assert!(ids(&[&[b'x'; MAX_KEY_BYTES]]).is_ok());
    }

    #[test]
    fn other_headers_are_refused() {
        for keys in [vec![&b""[..]], vec![b"\"\""], vec![b"a b"], vec![b"a\"b"], vec![b"a\\b"], vec!["ä".as_bytes()], vec![b"a", b"a"]] {
            assert!(ids(&keys).is_err(), "{keys:?}");
        }
        assert!(ids(&[&[b'x'; MAX_KEY_BYTES + 1]]).is_err());
    }
}
