/// Milliseconds since 1970 from RFC 3339 text with an offset, or from such a number itself.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no time");
    let milliseconds = match text.parse::<i64>() {
        Ok(milliseconds) => milliseconds,
        Err(_) => text.parse::<jiff::Timestamp>().map_err(|_| wrong())?.as_millisecond(),
    };
    if milliseconds < 0 {
        return Err(format!("`{text}` is before 1970, which Kafka timestamps cannot be"));
    }
    Ok(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_with_an_offset_and_milliseconds() {
        assert_eq!(parse("2013-01-01T06:00:00Z"), Ok(1_357_020_000_000));
        assert_eq!(parse("2013-01-01T08:00:00.5+02:00"), Ok(1_357_020_000_500));
        assert_eq!(parse("1357020000000"), Ok(1_357_020_000_000));
        for text in ["", "2013-01-01T06:00:00", "yesterday", "-1", "1969-12-31T23:59:59Z"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
