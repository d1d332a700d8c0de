//! What keeps out strangers, browsers that are used against the guard, and slow clients.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tracing::warn;

use super::access::{Access, Caller};
use super::{failure, login};

/// The header that requests which change something must carry, with any value.
pub const CHANGE_HEADER: &str = "x-tidegate";

/// How long a request may take, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(10);

/// Keeps what another site makes a browser send from doing anything.
///
/// Where no token is asked for, the `Host` must name the loopback: else another site's name could be made to lead
/// here. With a token it may be any, as a browser knows neither token nor cookie under another name. Whatever changes
/// something must say so, but for the login, which is a form, and must not be another site's.
pub(super) async fn of_this_site(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if access.is_open() && !host.is_some_and(is_loopback) {
        return failure(
            StatusCode::FORBIDDEN,
            "the Host header must name the loopback: localhost, 127.0.0.1 or [::1]",
        );
    }
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    let is_form = request.uri().path() == login::PATH;
    if is_change && !is_form && !request.headers().contains_key(CHANGE_HEADER) {
        return failure(
            StatusCode::FORBIDDEN,
            "the header X-Tidegate is missing; send X-Tidegate: 1",
        );
    }
    let is_own = |origin| host.is_some_and(|host| is_own(origin, access.scheme(), host));
    if is_change && !request.headers().get(header::ORIGIN).is_none_or(is_own) {
        return failure(StatusCode::FORBIDDEN, "the Origin header names another site");
    }
    next.run(request).await
}

/// Whether a browser's page at `origin` is one that was loaded from `host`.
fn is_own(origin: &HeaderValue, scheme: &str, host: &str) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix(scheme));
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// Lets only those pass who have shown the token, where there is one. A browser that wants a page is shown where it
/// can.
pub(super) async fn with_token(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let now = Instant::now();
    match access.caller(request.headers(), now) {
        Caller::Known => return next.run(request).await,
        Caller::Wrong if access.is_worth_telling(now) => {
            warn!("somebody asked the admin side with another token; told once a minute");
        }
        Caller::Wrong => {}
        Caller::Unknown if wants_page(&request) => {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, login::PATH)]).into_response();
        }
        Caller::Unknown => {}
    }
    let answer = failure(
        StatusCode::UNAUTHORIZED,
        "the token is missing or another one; send Authorization: Bearer with admin.token (tidegate's commands take \
         it from --admin-token-file or TIDEGATE_ADMIN_TOKEN)",
    );
    ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response()
}

/// Whether a person looks at what comes.
fn wants_page(request: &Request) -> bool {
    let accepted = request.headers().get(header::ACCEPT).and_then(|kinds| kinds.to_str().ok());
    *request.method() == Method::GET && accepted.is_some_and(|kinds| kinds.contains("text/html"))
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
