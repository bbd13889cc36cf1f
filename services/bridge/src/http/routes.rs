//! The paths, and what answers them.
use super::{
    Intake,
    answer::{Answer, ErrorCode, Fault, json_response},
    guard, openapi, records,
};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use hyper::body::Body;

/// All routes: method, path as in the OpenAPI document.
#[cfg(test)]
pub const ROUTES: [(&str, &str); 2] = [("POST", "/v1/topics/{topic}/records"), ("GET", "/v1/openapi.json")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    Records { topic: &'a str },
    OpenApi,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if path == "/v1/openapi.json" {
            return Some(Self::OpenApi);
        }
        let topic = path.strip_prefix("/v1/topics/")?.strip_suffix("/records")?;
        // Topics of the settings have none of these; nothing is decoded.
        (!topic.is_empty() && !topic.contains(['/', '%'])).then_some(Self::Records { topic })
    }

    /// Methods that it has, for the header `Allow`.
    fn methods(self) -> &'static str {
        match self {
            Self::Records { .. } => "POST",
            Self::OpenApi => "GET, HEAD",
        }
    }
}

/// Answers a request.
pub async fn respond<B>(intake: &Intake, request: Request<B>) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let tokens = intake.tokens.current();
    let answer = match guard::client(&tokens, request.headers()) {
        Err(fault) => Err(fault),
        Ok(client) => {
            let path = request.uri().path().to_owned();
            match (Route::of(&path), request.method()) {
                (Some(Route::Records { topic }), &Method::POST) => records::post(intake, client, topic, request).await,
                (Some(Route::OpenApi), &(Method::GET | Method::HEAD)) => Ok(json_response(StatusCode::OK, openapi::document())),
                (Some(route), _) => {
                    let detail = format!("the path has {}", route.methods());
                    Err(Fault { allow: Some(route.methods()), ..Fault::new(ErrorCode::MethodNotAllowed, detail).closing() })
                }
                (None, _) => Err(Fault::new(ErrorCode::NotFound, "there is no such path").closing()),
            }
        }
    };
    let answer = answer.unwrap_or_else(|fault| fault.answer());
    intake.metrics.answered(answer.status().as_u16());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are() {
        assert_eq!(Route::of("/v1/topics/a.b-c_d/records"), Some(Route::Records { topic: "a.b-c_d" }));
        assert_eq!(Route::of("/v1/openapi.json"), Some(Route::OpenApi));
        for path in [
            "",
            "/",
            "*",
            "/v1/topics//records",
            "/v1/topics/records",
            "/v1/topics/a/records/",
            "/v1/topics/a/b/records",
            "/v1/topics/../a/records",
            "/v1/topics/%61/records",
            "/v1/topics/a%2fb/records",
            "/V1/topics/a/records",
            "/v1/openapi.json/",
            "//v1/openapi.json",
        ] {
            assert_eq!(Route::of(path), None, "{path}");
        }
    }

    #[test]
    fn the_list_of_routes_is_what_is_answered() {
        for (method, path) in ROUTES {
            let path = path.replace("{topic}", "t");
            let route = Route::of(&path).expect("a route");
            assert!(route.methods().split(", ").any(|known| known == method), "{path}");
        }
    }
}
