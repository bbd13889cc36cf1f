//! Answers: what is said to a client, and with which status.
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

/// Type of every answer's body.
pub const JSON: &str = "application/json";
/// Whether results of accepted records are left out: the client sent `Prefer: return=minimal`.
pub const MINIMAL: &str = "return=minimal";
/// A full queue has room again within about this time.
const RETRY_SOON_SECONDS: u64 = 1;
/// A broker is not back before.
const RETRY_LATER_SECONDS: u64 = 5;

/// Declares the errors once: variant, text form and status, so that the OpenAPI document can be compared with the code.
macro_rules! errors {
    ($($variant:ident $text:literal $status:ident $description:literal;)+) => {
        /// Why a request is not answered with 200. The text form is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $(#[doc = $description] $variant,)+ }
        impl ErrorCode {
            /// Text form, snake_case.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)+ } }
            /// Status of the answer.
            pub fn status(self) -> StatusCode { match self { $(Self::$variant => StatusCode::$status,)+ } }
            /// All of them.
            #[cfg(test)]
            pub fn all() -> &'static [Self] { &[$(Self::$variant,)+] }
        }
    };
}

errors! {
    MalformedRequest "malformed_request" BAD_REQUEST "A header or the body as a whole cannot be understood; nothing of the request is in Kafka.";
    RecordsRefused "records_refused" BAD_REQUEST "Some records are refused; the results say which.";
    Unauthorized "unauthorized" UNAUTHORIZED "There is no token, or none that is known.";
    Forbidden "forbidden" FORBIDDEN "The token does not give the right to write this topic.";
    NotFound "not_found" NOT_FOUND "There is no such topic or path.";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "The path does not have this method.";
    RequestTimeout "request_timeout" REQUEST_TIMEOUT "The request took too long to arrive; nothing of it is in Kafka.";
    TooLarge "too_large" PAYLOAD_TOO_LARGE "The body is too long or holds too many records; nothing of it is in Kafka.";
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body's type or encoding is not supported.";
    Overloaded "overloaded" TOO_MANY_REQUESTS "There is no room now; nothing of the request is in Kafka.";
    Unavailable "unavailable" SERVICE_UNAVAILABLE "Kafka or the topic's schema cannot be had; nothing of the request is in Kafka.";
    NotAcknowledged "not_acknowledged" SERVICE_UNAVAILABLE "Kafka did not acknowledge all records in time; some may get there yet.";
}

/// An error as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which one.
    pub code: ErrorCode,
    /// For people.
    pub detail: String,
    /// The rest of the request is not read: the connection ends with the answer.
    pub close: bool,
    /// Methods that the path has, with 405.
    pub allow: Option<&'static str>,
}

impl Fault {
    /// An error after which the connection goes on.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), close: false, allow: None }
    }

    /// The same, and the connection ends.
    pub fn closing(self) -> Self {
        Self { close: true, ..self }
    }

    /// The answer.
    pub fn answer(&self) -> Answer {
        let text = json!({ "error": self.code.as_str(), "detail": self.detail }).to_string();
        let mut response = json_response(self.code.status(), Bytes::from(text));
        let headers = response.headers_mut();
        match self.code {
            ErrorCode::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tributary\""));
            }
            ErrorCode::Overloaded => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SOON_SECONDS));
            }
            ErrorCode::Unavailable | ErrorCode::NotAcknowledged => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_LATER_SECONDS));
            }
            _ => {}
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// An answer with its whole body.
pub type Answer = Response<Full<Bytes>>;

/// An answer with a JSON body; never kept by caches.
pub fn json_response(status: StatusCode, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_headers_follow_the_code() {
        let of = |code| Fault::new(code, "text").answer();
        assert_eq!(of(ErrorCode::Unauthorized).headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"tributary\"");
        assert_eq!(of(ErrorCode::Overloaded).headers()[header::RETRY_AFTER], "1");
        for code in [ErrorCode::Unavailable, ErrorCode::NotAcknowledged] {
            assert_eq!(of(code).headers()[header::RETRY_AFTER], "5");
            assert_eq!(of(code).status(), 503);
        }
        let closing = Fault { allow: Some("POST"), ..Fault::new(ErrorCode::MethodNotAllowed, "x").closing() }.answer();
        assert_eq!(
            (&closing.headers()[header::ALLOW], &closing.headers()[header::CONNECTION]),
            (&"POST".parse().expect("text"), &"close".parse().expect("text"))
        );
        let mut names: Vec<_> = ErrorCode::all().iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::all().len(), "each has a name of its own");
    }
}
