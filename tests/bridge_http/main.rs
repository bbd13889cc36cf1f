//! The bridge's HTTP side as clients see it: curl and Python's HTTP client on one side, a real broker on the other. Every answer that curl
//! gets is held against the OpenAPI document.
mod accepted;
mod contract;
mod curl;
mod limits;
mod outage;
mod reading;
mod refused;
mod rights;
mod scene;
mod tls;
