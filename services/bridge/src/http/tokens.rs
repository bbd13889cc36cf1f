//! Bearer tokens: whose they are and what their clients may write. Pure.
//!
//! ```yaml
//! tokens:
//!   - name: weather-stations
//!     sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//!     topics: [temperatures]
//!   - name: gateway
//!     token: 3e7c0a2f9d5b41b8a6b0c1d2e3f4a5b6
//!     topics: "*"
//! ```
//!
//! No message of this module holds a token: faults name places in the file, never what stands there.
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeSet, fmt};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// Shorter tokens can be guessed.
const MIN_TOKEN_BYTES: usize = 16;
/// Longer ones are no tokens; it also bounds what is hashed per request.
pub const MAX_TOKEN_BYTES: usize = 1_024;
const MAX_NAME_BYTES: usize = 64;
/// Stands for every topic.
const ALL_TOPICS: &str = "*";

/// Who sends requests, by its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Name in the file; part of each `message_id`, so it should stay the same when the token changes.
    pub name: String,
    rights: Rights,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rights {
    AllTopics,
    Topics(BTreeSet<String>),
}

/// All tokens of the file.
#[derive(Clone, Default)]
pub struct Tokens {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    digest: [u8; 32],
    client: Client,
}

impl Client {
    /// Whether it may write the topic.
    pub fn may_write(&self, topic: &str) -> bool {
        match &self.rights {
            Rights::AllTopics => true,
            Rights::Topics(topics) => topics.contains(topic),
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| &entry.client.name)).finish()
    }
}

impl Tokens {
    /// Reads the file's contents.
    ///
    /// # Errors
    /// What is wrong and where, without any token.
    pub fn parse(contents: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(contents).map_err(|_| "the file is not UTF-8".to_owned())?;
        let root = serde_saphyr::from_str::<Value>(text).map_err(|error| {
            // The error's own text may quote the file.
            let line = error.location().map(|location| format!(" (line {})", location.line()));
            format!("the file is not valid YAML{}", line.unwrap_or_default())
        })?;
        let object = object(&root, "the file", &["tokens"])?;
        let Some(Value::Array(list)) = object.get("tokens") else { return Err("`tokens` is missing or no list".to_owned()) };
        let mut entries: Vec<Entry> = Vec::with_capacity(list.len());
        for (index, item) in list.iter().enumerate() {
            let entry = parse_entry(item, &format!("tokens[{index}]"))?;
            if entries.iter().any(|known| known.digest == entry.digest) {
                return Err(format!("`tokens[{index}]` has the same token as one before it"));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// The client that a presented token belongs to. Takes the same time for every token of one length: hashes are compared, all of them,
    /// and each without an early end.
    pub fn client(&self, presented: &[u8]) -> Option<&Client> {
        if presented.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let mut found = u32::MAX;
        for (index, entry) in (0..u32::MAX).zip(&self.entries) {
            let equal: Choice = entry.digest.ct_eq(&digest);
            found.conditional_assign(&index, equal);
        }
        self.entries.get(usize::try_from(found).ok()?).map(|entry| &entry.client)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn object<'a>(value: &'a Value, at: &str, known: &[&str]) -> Result<&'a Map<String, Value>, String> {
    let Value::Object(object) = value else { return Err(format!("`{at}` is no map")) };
    match object.keys().position(|key| !known.contains(&key.as_str())) {
        // Not named: a token in the wrong place would be shown.
        Some(place) => Err(format!("`{at}` has an unknown entry (its {}.): known are {}", place + 1, known.join(", "))),
        None => Ok(object),
    }
}

fn parse_entry(item: &Value, at: &str) -> Result<Entry, String> {
    let object = object(item, at, &["name", "token", "sha256", "topics"])?;
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("`{at}.{key}` is no text: write it in quotes")),
    };
    let name = text("name")?.filter(|name| is_name(name));
    let name = name.ok_or_else(|| format!("`{at}.name` is missing or no name: use at most 64 letters, digits, `.`, `_` and `-`"))?;
    let digest = match (text("token")?, text("sha256")?) {
        (Some(token), None)
            if (MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            Sha256::digest(token).into()
        }
        (Some(_), None) => return Err(format!("`{at}.token` is no token: use 16 to 1024 visible ASCII characters")),
        (None, Some(hash)) => parse_hash(hash).ok_or_else(|| format!("`{at}.sha256` is no hash: write 64 hexadecimal digits"))?,
        _ => return Err(format!("`{at}` needs one of `token` and `sha256`")),
    };
    Ok(Entry { digest, client: Client { name: name.to_owned(), rights: parse_rights(object.get("topics"), at)? } })
}

fn parse_rights(topics: Option<&Value>, at: &str) -> Result<Rights, String> {
    let wrong = || format!("`{at}.topics` is missing or wrong: write a list of topics, or \"*\" for all");
    match topics {
        Some(Value::String(all)) if all == ALL_TOPICS => Ok(Rights::AllTopics),
        Some(Value::Array(list)) => {
            let names: Option<BTreeSet<String>> = list.iter().map(|name| name.as_str().map(str::to_owned)).collect();
            let names = names.ok_or_else(wrong)?;
            if names.contains(ALL_TOPICS) { Ok(Rights::AllTopics) } else { Ok(Rights::Topics(names)) }
        }
        _ => Err(wrong()),
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed)
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "3e7c0a2f9d5b41b8a6b0c1d2e3f4a5b6";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn tokens_are_told_by_their_hash_and_carry_rights() {
        let hash = hex(&Sha256::digest("other-token-of-32-characters----"));
        let text = format!(
            "tokens:\n- {{name: gateway, token: {PLAIN}, topics: \"*\"}}\n- {{name: station, sha256: {}, topics: [a, b]}}\n",
            hash.to_uppercase()
        );
        let tokens = Tokens::parse(text.as_bytes()).expect("valid");
        assert_eq!(tokens.len(), 2);
        let gateway = tokens.client(PLAIN.as_bytes()).expect("known");
        assert_eq!(gateway.name, "gateway");
        assert!(gateway.may_write("anything"));
        let station = tokens.client(b"other-token-of-32-characters----").expect("known");
        assert!(station.may_write("a") && station.may_write("b") && !station.may_write("c") && !station.may_write(""));
        for wrong in ["", "x", &PLAIN[1..], &format!("{PLAIN} "), &PLAIN.to_uppercase(), &hash] {
            assert_eq!(tokens.client(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(tokens.client(&vec![b'x'; MAX_TOKEN_BYTES + 1]), None);
        assert!(!format!("{tokens:?}").contains(PLAIN));
    }

    #[test]
    fn several_tokens_of_one_client_overlap_during_a_change() {
        let text = "tokens:\n- {name: a, token: first-token-0000000, topics: [t]}\n- {name: a, token: second-token-000000, topics: [t]}\n";
        let tokens = Tokens::parse(text.as_bytes()).expect("valid");
        for token in ["first-token-0000000", "second-token-000000"] {
            assert_eq!(tokens.client(token.as_bytes()).map(|client| client.name.as_str()), Some("a"));
        }
        assert_eq!(Tokens::parse(b"tokens: []").expect("nobody").client(b""), None);
    }

    #[test]
    fn faults_name_places_and_show_no_token() {
        let long = "x".repeat(MAX_TOKEN_BYTES + 1);
        for (text, part) in [
            ("", "is no map"),
            ("[]", "is no map"),
            ("tokens: {a: hunter2-hunter2-hunter2}", "no list"),
            ("tokens: [hunter2-hunter2-hunter2]", "tokens[0]"),
            ("tokens: [{name: a, token: hunter2, topics: [t]}]", "tokens[0].token"),
            ("tokens: [{name: a, token: 'hunter2 hunter2 hunter2', topics: [t]}]", "tokens[0].token"),
            (&format!("tokens: [{{name: a, token: {long}, topics: [t]}}]"), "tokens[0].token"),
            ("tokens: [{name: a, token: 1234567890123456789, topics: [t]}]", "in quotes"),
            ("tokens: [{name: a, sha256: hunter2, topics: [t]}]", "tokens[0].sha256"),
            ("tokens: [{name: a, token: hunter2-hunter2-hunter2, sha256: hunter2, topics: [t]}]", "one of"),
            ("tokens: [{name: a, topics: [t]}]", "one of"),
            ("tokens: [{token: hunter2-hunter2-hunter2, topics: [t]}]", "tokens[0].name"),
            ("tokens: [{name: a/b, token: hunter2-hunter2-hunter2, topics: [t]}]", "tokens[0].name"),
            ("tokens: [{name: a, token: hunter2-hunter2-hunter2}]", "tokens[0].topics"),
            ("tokens: [{name: a, token: hunter2-hunter2-hunter2, topics: t}]", "tokens[0].topics"),
            ("tokens: [{name: a, token: hunter2-hunter2-hunter2, topics: [1]}]", "tokens[0].topics"),
            ("tokens: [{name: a, hunter2-hunter2-hunter2: token, topics: []}]", "unknown entry"),
            (
                "tokens: [{name: a, token: hunter2-hunter2-hunter2, topics: []}, {name: b, token: hunter2-hunter2-hunter2, topics: []}]",
                "the same token",
            ),
            ("tokens: [{name: a, token: \"hunter2-hunter2-hunter2, topics: []}]", "not valid YAML"),
            ("tokens:\n- name: a\n  token: hunter2-hunter2-hunter2\n token: hunter2\n", "not valid YAML"),
        ] {
            let fault = Tokens::parse(text.as_bytes()).expect_err(text);
            assert!(fault.contains(part), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        assert!(Tokens::parse(&[0xff, 0xfe]).expect_err("not text").contains("UTF-8"));
    }
}
