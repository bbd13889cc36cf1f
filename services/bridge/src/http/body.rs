//! The body of a request into a batch, within the limits.
use super::{
    answer::{ErrorCode, Fault},
    batch::Batch,
    lines::Lines,
};
use bytes::Bytes;
use event_schema::{RefusalCode, encode::split_array};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::Body;

/// How documents stand in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One document, or an array of them.
    Json,
    /// One document a line.
    Lines,
}

/// Media types and their forms.
pub const FORMS: [(&str, Form); 2] = [("application/json", Form::Json), ("application/x-ndjson", Form::Lines)];

impl Form {
    /// By the headers.
    ///
    /// # Errors
    /// A type or an encoding that is not supported.
    pub fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let unsupported = |detail: String| Fault::new(ErrorCode::UnsupportedMediaType, detail).closing();
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(unsupported("`Content-Encoding` is not supported: send the body as it is".to_owned()));
        }
        let mut types = headers.get_all(header::CONTENT_TYPE).iter();
        let media_type = types.next().filter(|_| types.next().is_none()).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let found = FORMS.iter().find(|(name, _)| name.eq_ignore_ascii_case(essence));
        let known = || FORMS.map(|(name, _)| format!("`{name}`")).join(" or ");
        found.map(|(_, form)| *form).ok_or_else(|| unsupported(format!("`Content-Type` must be {}", known())))
    }
}

/// Reads the body to its end. Returns how many bytes it had.
///
/// # Errors
/// It is longer than `max_bytes`, ends early, is no array where it begins as one, or holds more than the batch takes.
pub async fn read<B>(body: &mut B, form: Form, max_bytes: usize, batch: &mut Batch<'_>) -> Result<usize, Fault>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut read_bytes = 0;
    let mut lines = Lines::default();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Fault::new(ErrorCode::MalformedRequest, format!("the body cannot be read: {error}")).closing())?;
        let Ok(piece) = frame.into_data() else { continue };
        read_bytes += piece.len();
        if read_bytes > max_bytes {
            return Err(too_long(max_bytes));
        }
        match form {
            Form::Lines => lines.push(&piece, |line| batch.push(line)).map_err(Fault::closing)?,
            Form::Json => whole.extend_from_slice(&piece),
        }
    }
    match form {
        Form::Lines => lines.finish(|line| batch.push(line))?,
        Form::Json => documents(&whole, batch)?,
    }
    Ok(read_bytes)
}

/// The body is longer than it may be.
pub fn too_long(max_bytes: usize) -> Fault {
    Fault::new(ErrorCode::TooLarge, format!("the body has more than {max_bytes} bytes")).closing()
}

fn documents(body: &[u8], batch: &mut Batch<'_>) -> Result<(), Fault> {
    let body = body.trim_ascii();
    match body.first() {
        None => Ok(()),
        Some(b'[') => {
            let elements = split_array(body, batch.free_records()).map_err(|error| match error.code {
                RefusalCode::TooManyNodes => {
                    Fault::new(ErrorCode::TooLarge, format!("the request has more than {} records", batch.free_records()))
                }
                _ => Fault::new(ErrorCode::MalformedRequest, format!("the array is malformed: {error}")),
            })?;
            elements.into_iter().try_for_each(|element| batch.push(&body[element]))
        }
        Some(_) => batch.push(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(types: &[&str], encoding: Option<&str>) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        for media_type in types {
            headers.append(header::CONTENT_TYPE, media_type.parse().expect("a header"));
        }
        if let Some(encoding) = encoding {
            headers.append(header::CONTENT_ENCODING, encoding.parse().expect("a header"));
        }
        Form::of(&headers).map_err(|fault| fault.code.status().as_u16())
    }

    #[test]
    fn two_types_are_known() {
        assert_eq!(form(&["application/json"], None), Ok(Form::Json));
        assert_eq!(form(&["Application/JSON; charset=utf-8"], Some("identity")), Ok(Form::Json));
        assert_eq!(form(&["application/x-ndjson"], None), Ok(Form::Lines));
        for types in
            [&[][..], &["text/plain"], &["application/x-www-form-urlencoded"], &["application/jsonp"], &["application/json", "text/plain"]]
        {
            assert_eq!(form(types, None), Err(415), "{types:?}");
        }
        assert_eq!(form(&["application/json"], Some("gzip")), Err(415));
    }
}
