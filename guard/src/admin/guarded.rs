//! What keeps browsers and slow clients out.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::failure;

/// The header that requests which change something must carry, with any value.
pub const CHANGE_HEADER: &str = "x-tidegate";

/// How long a request may take, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Lets only requests pass that name the loopback as host and, if they change something, say so, and are not
/// another site's.
pub(super) async fn local_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| is_loopback(host)) else {
        return failure(
            StatusCode::FORBIDDEN,
            "the Host header must name the loopback: localhost, 127.0.0.1 or [::1]",
        );
    };
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    if is_change && !request.headers().contains_key(CHANGE_HEADER) {
        return failure(
            StatusCode::FORBIDDEN,
            "the header X-Tidegate is missing; send X-Tidegate: 1",
        );
    }
    if is_change && !request.headers().get(header::ORIGIN).is_none_or(|origin| is_own(origin, host))
    {
        return failure(StatusCode::FORBIDDEN, "the Origin header names another site");
    }
    next.run(request).await
}

/// Whether a browser's page at `origin` is one that was loaded from `host`.
fn is_own(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// Ends a request that takes too long.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => failure(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

/// Whether `host[:port]` names the loopback. A name is not resolved: that is how rebinding works.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_the_loopback_is_local() {
        for host in ["localhost", "LOCALHOST:9307", "127.0.0.1", "127.0.0.1:9307", "[::1]:9307"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9307",
            "10.0.0.1",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
