//! The OpenAPI document, held equal to the code by the tests here and to real answers by `tests/bridge_http`.
use bytes::Bytes;
use std::sync::LazyLock;

const TEXT: &str = include_str!("openapi.json");
/// Stands for the program's version.
const VERSION: &str = "@VERSION@";

/// The document in JSON.
pub fn document() -> Bytes {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(TEXT.replace(VERSION, env!("CARGO_PKG_VERSION"))));
    DOCUMENT.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{answer::ErrorCode, body::FORMS, message_id, routes::ROUTES};
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn parsed() -> Value {
        serde_json::from_slice(&document()).expect("JSON")
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn it_names_the_routes_that_there_are() {
        let document = parsed();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        let mut documented = BTreeSet::new();
        for path in keys(&document["paths"]) {
            for method in keys(&document["paths"][&path]) {
                documented.insert((method.to_uppercase(), path.clone()));
            }
        }
        let routes = ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(documented, routes);
        assert_eq!(document["security"][0]["token"], Value::Array(Vec::new()), "every route needs a token");
        for (method, path) in ROUTES {
            let operation = &document["paths"][path][method.to_lowercase()];
            assert!(operation.get("security").is_none(), "{path} must not loosen it");
            assert!(operation["responses"]["401"].is_object(), "{path}");
        }
    }

    #[test]
    fn it_names_the_types_and_headers_of_requests() {
        let document = parsed();
        let post = &document["paths"][ROUTES[0].1]["post"];
        let types: BTreeSet<String> = FORMS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(keys(&post["requestBody"]["content"]), types);
        let parameter = post["parameters"].as_array().expect("a list").iter().find(|p| p["name"] == "Idempotency-Key").expect("documented");
        assert_eq!(message_id::HEADER, "idempotency-key");
        // Two more for quotes around it.
        assert_eq!(parameter["schema"]["maxLength"], message_id::MAX_KEY_BYTES + 2);
    }

    #[test]
    fn it_names_the_errors_that_there_are() {
        let document = parsed();
        let schemas = &document["components"]["schemas"];
        let listed = |schema: &str| schemas[schema]["properties"]["error"]["enum"].as_array().expect("a list").clone();
        let documented: BTreeSet<String> =
            [listed("Error"), listed("RefusedResults")].concat().iter().map(|code| code.as_str().expect("text").to_owned()).collect();
        assert_eq!(documented, ErrorCode::all().iter().map(|code| code.as_str().to_owned()).collect());
        let mut statuses: BTreeSet<String> = ErrorCode::all().iter().map(|code| code.status().as_str().to_owned()).collect();
        // By hyper, before a request is one.
        statuses.insert("431".to_owned());
        statuses.insert("200".to_owned());
        assert_eq!(keys(&document["paths"][ROUTES[0].1]["post"]["responses"]), statuses);
    }
}
