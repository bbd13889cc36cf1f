//! Filters of MQTT topics with names: `devices/{device_id}/telemetry`.
use std::fmt;

/// Longest filter; brokers take up to 65,535 bytes, AWS IoT Core 256.
const MAX_FILTER_BYTES: usize = 1_024;

/// A filter that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFilter {
    segments: Vec<Segment>,
}

/// One level of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Text(String),
    /// Any text, under a name.
    Name(String),
    /// `+`: any text.
    One,
    /// `#`: all levels from here, also none. Only at the end.
    Rest,
}

impl RouteFilter {
    /// Parses a filter.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_FILTER_BYTES {
            return Err(format!("a filter has 1 to {MAX_FILTER_BYTES} bytes"));
        }
        if text.starts_with("$share/") {
            return Err("`$share` is put before it by the bridge, with `mqtt.group`".to_owned());
        }
        let mut segments = Vec::new();
        for level in text.split('/') {
            if segments.last() == Some(&Segment::Rest) {
                return Err("`#` stands at the end only".to_owned());
            }
            segments.push(Segment::parse(level)?);
        }
        let filter = Self { segments };
        let names: Vec<&str> = filter.names().collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            Some((_, name)) => Err(format!("the name `{name}` stands twice")),
            None => Ok(filter),
        }
    }

    /// Its levels.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Its names, from left to right.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether a topic of these levels belongs to it; then the texts of its names are added to `values`, from left to right.
    pub fn matches<'t>(&self, topic: &'t str, values: &mut Vec<&'t str>) -> bool {
        values.clear();
        let mut levels = topic.split('/');
        for segment in &self.segments {
            let matched = match (segment, levels.next()) {
                (Segment::Rest, _) => return true,
                (Segment::Text(text), Some(level)) => text == level,
                (Segment::One, Some(_)) => true,
                (Segment::Name(_), Some(level)) => {
                    values.push(level);
                    true
                }
                (_, None) => false,
            };
            if !matched {
                return false;
            }
        }
        levels.next().is_none()
    }

    /// Whether some topic belongs to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(Segment::Rest), _) | (_, Some(Segment::Rest)) => return true,
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(Segment::Text(a)), Some(Segment::Text(b))) if a != b => return false,
                (Some(_), Some(_)) => {}
            }
        }
    }
}

/// As MQTT writes it, with `+` for names.
impl fmt::Display for RouteFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments.iter().enumerate() {
            let separator = if index == 0 { "" } else { "/" };
            let level = match segment {
                Segment::Text(text) => text,
                Segment::Name(_) | Segment::One => "+",
                Segment::Rest => "#",
            };
            write!(f, "{separator}{level}")?;
        }
        Ok(())
    }
}

impl Segment {
    fn parse(level: &str) -> Result<Self, String> {
        match level {
            "+" => return Ok(Self::One),
            "#" => return Ok(Self::Rest),
            _ => {}
        }
        if let Some(name) = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let mut bytes = name.bytes();
            let valid = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let wrong = || format!("`{}` is no name: use letters, digits and `_`", name.escape_debug());
            return valid.then(|| Self::Name(name.to_owned())).ok_or_else(wrong);
        }
        if level.contains(|c: char| matches!(c, '+' | '#' | '{' | '}') || c.is_control()) {
            return Err(format!("level `{}` is neither a text, nor a name in braces, nor `+` or `#` alone", level.escape_debug()));
        }
        Ok(Self::Text(level.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> RouteFilter {
        RouteFilter::parse(text).expect(text)
    }

    #[test]
    fn names_stand_for_one_level_and_are_handed_out() {
        let route = filter("devices/{device_id}/+/{kind}");
        assert_eq!(route.to_string(), "devices/+/+/+");
        let mut values = Vec::new();
        assert!(route.matches("devices/d 1/x/temperature", &mut values));
        assert_eq!(values, ["d 1", "temperature"]);
        assert!(route.matches("devices///", &mut values));
        assert_eq!(values, ["", ""]);
        for topic in ["devices/d/x", "devices/d/x/y/z", "device/d/x/y", "", "/devices/d/x/y"] {
            assert!(!route.matches(topic, &mut values), "{topic}");
        }
        assert!(filter("a/#").matches("a", &mut values) && filter("a/#").matches("a/b/c", &mut values));
    }

    #[test]
    fn what_is_no_filter_says_why() {
        for (text, part) in [
            ("", "1 to 1024 bytes"),
            ("a/#/b", "at the end only"),
            ("a+/b", "neither a text"),
            ("a/{b", "neither a text"),
            ("a/{}", "is no name"),
            ("a/{b c}", "is no name"),
            ("{a}/{a}", "stands twice"),
            ("$share/g/a", "put before it"),
            ("a/\u{0}", "neither a text"),
        ] {
            let what = RouteFilter::parse(text).expect_err(text);
            assert!(what.contains(part), "{text}: {what}");
        }
    }

    #[test]
    fn overlap_is_symmetric() {
        for (a, b, overlap) in [
            ("a/{x}/c", "a/b/+", true),
            ("a/{x}/c", "a/b/d", false),
            ("a/#", "a", true),
            ("a/#", "b/#", false),
            ("a/b", "a/b/c", false),
            ("#", "x/y/z", true),
            ("+/b", "a/+", true),
        ] {
            assert_eq!(filter(a).overlaps(&filter(b)), overlap, "{a} {b}");
            assert_eq!(filter(b).overlaps(&filter(a)), overlap, "{b} {a}");
        }
    }
}
