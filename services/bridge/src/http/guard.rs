//! Who sends a request. Every request passes here before its path is looked at, so no route can be left unguarded.
use super::{
    answer::{ErrorCode, Fault},
    tokens::{Client, Tokens},
};
use http::{HeaderMap, header};

const SCHEME: &[u8] = b"bearer ";

/// The client of a request, by its bearer token.
///
/// # Errors
/// There is none, or none that is known. The answer does not tell which.
pub fn client<'a>(tokens: &'a Tokens, headers: &HeaderMap) -> Result<&'a Client, Fault> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none());
    let token = value.and_then(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
    });
    let known = token.filter(|token| !token.is_empty()).and_then(|token| tokens.client(token));
    known.ok_or_else(|| Fault::new(ErrorCode::Unauthorized, "a bearer token that is known is needed").closing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_known_token_in_the_right_form_passes() {
        let tokens = Tokens::parse(b"tokens: [{name: a, token: right-token-0000000, topics: []}]").expect("valid");
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().expect("a header"));
            }
            client(&tokens, &headers).map(|client| client.name.clone()).map_err(|fault| (fault.code, fault.detail, fault.close))
        };
        assert_eq!(of(&["Bearer right-token-0000000"]), Ok("a".to_owned()));
        assert_eq!(of(&["bearer  right-token-0000000 "]), Ok("a".to_owned()));
        let refused = of(&[]).expect_err("no token");
        assert_eq!((refused.0, refused.2), (ErrorCode::Unauthorized, true));
        for values in [
            &[""][..],
            &["Bearer"],
            &["Bearer "],
            &["right-token-0000000"],
            &["Basic right-token-0000000"],
            &["Bearer wrong-token-0000000"],
            &["Bearer right-token-000000"],
            &["Bearer right-token-0000000", "Bearer right-token-0000000"],
            &["Bearer right-token-0000000, Bearer x"],
        ] {
            assert_eq!(of(values), Err(refused.clone()), "{values:?}");
        }
    }
}
