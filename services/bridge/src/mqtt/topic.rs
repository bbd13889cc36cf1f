//! Checks of MQTT topics and of the texts in them, before any of it becomes a key or a column.

/// Bounds of topics.
#[derive(Clone, Copy, Debug)]
pub struct TopicLimits {
    /// Longest topic.
    pub topic_bytes: usize,
    /// Longest text of a name.
    pub segment_bytes: usize,
}

/// The topic as text.
///
/// # Errors
/// What is wrong with it, without the bytes.
pub fn checked(topic: &[u8], limits: TopicLimits) -> Result<&str, String> {
    if topic.is_empty() {
        return Err("the topic is empty".to_owned());
    }
    if topic.len() > limits.topic_bytes {
        return Err(format!("the topic has {} bytes, the limit is {}", topic.len(), limits.topic_bytes));
    }
    let text = std::str::from_utf8(topic).map_err(|error| format!("the topic is not UTF-8 from byte {} on", error.valid_up_to()))?;
    match text.char_indices().find(|(_, c)| !is_allowed(*c)) {
        Some((at, c)) => Err(format!("the topic has the character `{}` at byte {at}", c.escape_unicode())),
        None => Ok(text),
    }
}

/// Whether the text of a name can be an identity.
///
/// # Errors
/// What is wrong with it.
pub fn check_segment(name: &str, text: &str, limits: TopicLimits) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("`{name}` in the topic is empty"));
    }
    if text.len() > limits.segment_bytes {
        return Err(format!("`{name}` in the topic has {} bytes, the limit is {}", text.len(), limits.segment_bytes));
    }
    if text == "." || text == ".." {
        return Err(format!("`{name}` in the topic is `{text}`"));
    }
    Ok(())
}

/// Neither wildcards, nor what cannot be seen or changes how the rest is seen.
fn is_allowed(c: char) -> bool {
    let changes_direction = matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let cannot_be_seen = matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E000}'..='\u{F8FF}');
    !(c.is_control() || matches!(c, '+' | '#') || changes_direction || cannot_be_seen || u32::from(c) & 0xFFFE == 0xFFFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: TopicLimits = TopicLimits { topic_bytes: 64, segment_bytes: 16 };

    #[test]
    fn usual_topics_pass_as_they_are() {
        for topic in ["devices/d-1/telemetry", "/a//b/", "Gerät/ä", "$aws/x", "a b", "%2F", "devices/😀/x"] {
            assert_eq!(checked(topic.as_bytes(), LIMITS), Ok(topic));
        }
    }

    #[test]
    fn hostile_topics_are_told() {
        let long = "x".repeat(65);
        for (topic, part) in [
            (&b""[..], "empty"),
            (long.as_bytes(), "65 bytes"),
            (b"a/\xff", "not UTF-8 from byte 2"),
            (b"a/\0b", "character `\\u{0}` at byte 2"),
            (b"a/+/b", "\\u{2b}"),
            (b"a/#", "\\u{23}"),
            (b"a\r\nb", "\\u{d}"),
            ("a/\u{202E}b".as_bytes(), "\\u{202e}"),
            ("a/\u{FEFF}b".as_bytes(), "\\u{feff}"),
            ("a/\u{1FFFF}".as_bytes(), "\\u{1ffff}"),
        ] {
            let what = checked(topic, LIMITS).expect_err("hostile");
            assert!(what.contains(part), "{topic:?}: {what}");
        }
    }

    #[test]
    fn segments_are_identities() {
        assert_eq!(check_segment("id", "d-1", LIMITS), Ok(()));
        assert_eq!(check_segment("id", "..%2Fx", LIMITS), Ok(()));
        for (text, part) in [("", "empty"), (".", "is `.`"), ("..", "is `..`"), ("12345678901234567", "17 bytes")] {
            assert!(check_segment("id", text, LIMITS).expect_err(text).contains(part), "{text}");
        }
    }
}
