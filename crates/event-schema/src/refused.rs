//! Records of `<topic>.refused`: what the bridge could not take, raw as it came, with the reason and the source in headers.
//!
//! The bridge writes the headers and the lake-writer reads them into quarantine, so their names have their place here. All values are UTF-8 text.
use crate::{Refusal, RefusalCode};

/// Why: a code of [`RefusalCode`].
pub const REASON: &str = "tributary.reason";
/// Where and what, for people.
pub const DETAIL: &str = "tributary.detail";
/// Through which door it came: `mqtt` or `http`.
pub const SOURCE: &str = "tributary.source";
/// MQTT topic that it was published to.
pub const MQTT_TOPIC: &str = "tributary.mqtt_topic";
/// Who sent it: the name of the HTTP client's token, or the client id of the bridge's MQTT connection.
pub const CLIENT: &str = "tributary.client";
/// Id of the HTTP request: its `Idempotency-Key`, or one that the bridge made.
pub const REQUEST_ID: &str = "tributary.request_id";
/// Which record of the request, from 0.
pub const REQUEST_INDEX: &str = "tributary.request_index";
/// Id of the schema in the payload's header, where it has one.
pub const SCHEMA_ID: &str = "tributary.schema_id";
/// Bytes of the payload, where the value is only its head.
pub const SIZE_BYTES: &str = "tributary.size_bytes";
/// SHA-256 of the whole payload in hexadecimal, where the value is only its head.
pub const SHA256: &str = "tributary.sha256";

/// Longest text taken from a header, in bytes: headers come from outside.
const MAX_TEXT: usize = 1_024;

/// The refusal that the headers of a record in a `.refused` topic tell of. A reason that is no code of this version is one of
/// [`RefusalCode::BridgeRefused`], and stands in the detail.
pub fn refusal(headers: &[(String, Option<Vec<u8>>)]) -> Refusal {
    let text = |name: &str| {
        let value = headers.iter().find(|(key, _)| key == name)?.1.as_deref()?;
        Some(String::from_utf8_lossy(&value[..value.len().min(MAX_TEXT)]).into_owned())
    };
    let schema_id = text(SCHEMA_ID).and_then(|id| id.parse().ok());
    let detail = text(DETAIL).unwrap_or_default();
    let Some(reason) = text(REASON) else {
        return Refusal { code: RefusalCode::BridgeRefused, detail: format!("no header `{REASON}`"), schema_id };
    };
    match RefusalCode::parse(&reason) {
        Some(code) => Refusal { code, detail, schema_id },
        None if detail.is_empty() => Refusal { code: RefusalCode::BridgeRefused, detail: reason, schema_id },
        None => Refusal { code: RefusalCode::BridgeRefused, detail: format!("{reason}: {detail}"), schema_id },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &[u8]) -> (String, Option<Vec<u8>>) {
        (name.to_owned(), Some(value.to_vec()))
    }

    #[test]
    fn the_bridges_reason_is_the_refusals() {
        let headers = [header(REASON, b"wrong_type"), header(DETAIL, b"`a`: `1` is not a string"), header(SCHEMA_ID, b"7")];
        let expected = Refusal { code: RefusalCode::WrongType, detail: "`a`: `1` is not a string".to_owned(), schema_id: Some(7) };
        assert_eq!(refusal(&headers), expected);
    }

    #[test]
    fn a_reason_of_another_version_stands_in_the_detail() {
        let of = |headers: &[(String, Option<Vec<u8>>)]| {
            let refusal = refusal(headers);
            (refusal.code, refusal.detail)
        };
        let bridge = |detail: &str| (RefusalCode::BridgeRefused, detail.to_owned());
        assert_eq!(of(&[header(REASON, b"bad_mood"), header(DETAIL, b"monday")]), bridge("bad_mood: monday"));
        assert_eq!(of(&[header(REASON, b"bad_mood")]), bridge("bad_mood"));
        assert_eq!(of(&[]), bridge("no header `tributary.reason`"));
        assert_eq!(of(&[(REASON.to_owned(), None)]), bridge("no header `tributary.reason`"));
    }

    #[test]
    fn texts_from_outside_are_bounded() {
        assert_eq!(refusal(&[header(REASON, &[b'x'; 5_000])]).detail.len(), MAX_TEXT);
        assert_eq!(refusal(&[header(REASON, &[0xff])]).detail, "\u{fffd}");
        assert_eq!(refusal(&[header(SCHEMA_ID, b"-1")]).schema_id, None);
    }
}
