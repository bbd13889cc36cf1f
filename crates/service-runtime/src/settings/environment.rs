//! `${NAME}` in text values. Replaced after parsing, in leaves only and once: a value from the environment can hold neither structure
//! nor further references.

/// Looks up an environment variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces each `${NAME}`; `$${` stands for a literal `${`. `None`: there was nothing to replace.
///
/// # Errors
/// What is wrong and a suggestion: variable not set, name malformed, brace missing.
pub(super) fn substitute(text: &str, lookup: Lookup<'_>) -> Result<Option<String>, (String, String)> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &reference[2..];
            continue;
        }
        out.push_str(before);
        let Some(end) = reference.find('}') else {
            return Err(("`${` has no closing brace".to_owned(), "write `${NAME}`, or `$${` for the two characters themselves".to_owned()));
        };
        let name = &reference[2..end];
        if !is_name(name) {
            return Err((format!("`${{{name}}}` is no name of an environment variable"), "names have letters, digits and `_`".to_owned()));
        }
        let value = lookup(name)
            .ok_or_else(|| (format!("environment variable `{name}` is not set"), format!("set `{name}` or write the value")))?;
        out.push_str(&value);
        rest = &reference[end + 1..];
    }
    out.push_str(rest);
    Ok(Some(out))
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Option<String>, String> {
        substitute(text, &|name| match name {
            "HOST" => Some("pod-1".to_owned()),
            "NESTED" => Some("${HOST}: [1]".to_owned()),
            _ => None,
        })
        .map_err(|(what, _)| what)
    }

    #[test]
    fn replaces_each_reference_once() {
        assert_eq!(check("plain $HOST"), Ok(None));
        assert_eq!(check("a-${HOST}-${HOST}"), Ok(Some("a-pod-1-pod-1".to_owned())));
        assert_eq!(check("${NESTED}"), Ok(Some("${HOST}: [1]".to_owned())));
        assert_eq!(check("$${HOST}"), Ok(Some("${HOST}".to_owned())));
    }

    #[test]
    fn unset_and_malformed_references_are_faults() {
        assert_eq!(check("${ABSENT}"), Err("environment variable `ABSENT` is not set".to_owned()));
        assert_eq!(check("${HOST:-x}"), Err("`${HOST:-x}` is no name of an environment variable".to_owned()));
        assert_eq!(check("${}"), Err("`${}` is no name of an environment variable".to_owned()));
        assert_eq!(check("x${HOST"), Err("`${` has no closing brace".to_owned()));
    }
}
