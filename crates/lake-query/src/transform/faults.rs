//! What is wrong with a transform's SQL, and where.
use datafusion::common::DataFusionError;
use std::fmt;

/// A fault of a transform's SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlFault {
    /// Line and column in the SQL, from 1; `None`: it has no one place.
    pub place: Option<(u64, u64)>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}

impl fmt::Display for SqlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " ({suggestion})"),
            None => Ok(()),
        }
    }
}

impl SqlFault {
    /// A fault of the whole statement.
    pub(crate) fn whole(what: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self { place: None, what: what.into(), suggestion: Some(suggestion.into()) }
    }

    /// A fault at the first place of a word in the SQL.
    pub(crate) fn at_word(sql: &str, word: &str, what: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self { place: find_word(sql, word), ..Self::whole(what, suggestion) }
    }

    /// What an error of the planner says; its place from the planner or, failing that, of the first quoted word that the SQL has.
    pub(crate) fn of(error: &DataFusionError, sql: &str) -> Self {
        let text = error.strip_backtrace();
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| (span.start.line, span.start.column));
        let (text, written) = split_place(&text);
        let quoted = || quoted_words(&text).find_map(|word| find_word(sql, word));
        let place = span.filter(|(line, _)| *line > 0).or(written).or_else(quoted);
        Self { place, what: plain(&text), suggestion: None }
    }
}

/// Takes ` at Line: 1, Column: 16` out of a message.
fn split_place(text: &str) -> (String, Option<(u64, u64)>) {
    let parse = || {
        let start = text.find(" at Line: ")?;
        let (line, rest) = text[start + " at Line: ".len()..].split_once(", Column: ")?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let place = (line.parse().ok()?, rest[..digits].parse().ok()?);
        Some((format!("{}{}", &text[..start], &rest[digits..]), place))
    };
    match parse() {
        Some((text, place)) => (text, Some(place)),
        None => (text.to_owned(), None),
    }
}

/// Without the names of the planner's own stages.
fn plain(text: &str) -> String {
    let mut text = text.trim();
    for stage in [
        "SQL error: ",
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "Optimizer rule 'type_coercion' failed\ncaused by\n",
    ] {
        text = text.strip_prefix(stage).unwrap_or(text);
    }
    let inner = text.strip_prefix("ParserError(\"").and_then(|rest| rest.strip_suffix("\")"));
    // One line: a list of faults has one a line.
    let lines = inner.unwrap_or(text).lines().map(|line| line.trim().trim_end_matches('.'));
    lines.collect::<Vec<_>>().join("; ").replace("\\\"", "\"")
}

/// Words in quotes of any kind.
fn quoted_words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\'', '"', '`']).skip(1).step_by(2).filter(|word| !word.is_empty() && !word.contains(char::is_whitespace))
}

/// Line and column, from 1, of the first place where the word stands alone; letter case does not matter.
fn find_word(sql: &str, word: &str) -> Option<(u64, u64)> {
    let word = word.rsplit('.').next()?.to_ascii_lowercase();
    let text = sql.to_ascii_lowercase();
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let stands_alone = |at: &usize| !is_part(text[..*at].chars().next_back()) && !is_part(text[at + word.len()..].chars().next());
    let at = text.match_indices(&word).map(|(at, _)| at).find(stands_alone)?;
    let before = &sql[..at];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() as u64 + 1;
    Some((line, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_where_it_stands_alone() {
        let sql = "SELECT values, avg(Value)\n  FROM readings";
        assert_eq!(find_word(sql, "value"), Some((1, 20)));
        assert_eq!(find_word(sql, "lake.readings"), Some((2, 8)));
        assert_eq!(find_word(sql, "other"), None);
    }

    #[test]
    fn a_place_in_a_message_is_taken_out_of_it() {
        let (text, place) = split_place("Expected: end, found: FORM at Line: 1, Column: 16");
        assert_eq!((text.as_str(), place), ("Expected: end, found: FORM", Some((1, 16))));
        assert_eq!(split_place("nothing").1, None);
    }
}
