//! The HTTP side of a running scheduler.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /live` | 200 while the process runs |
//! | `GET /ready` | 200 while the ledger answers, else 503 |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /api/v1/sinks` | each sink: why nothing goes, how many are under way |
//! | `POST /api/v1/sinks/{name}/off`, `…/on` | the kill switch of a sink, in this process |
//! | `POST /api/v1/batches/{name}/pause`, `…/resume`, `…/cancel` | that of a batch, for all schedulers |
//! | `GET /api/v1/schedules` | each schedule of the ledger: how far it is, what it waits for |
//! | `POST /api/v1/schedules/{name}/pause`, `…/resume` | the kill switch of a schedule, for all schedulers |
//!
//! There is no password: the address must be a loopback address, the `Host` header must name the
//! loopback (DNS rebinding), and what changes something must carry `X-Tidegate`, which no form or image of
//! another site can send. Failures answer `{"error": "…"}`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tracing::warn;

use crate::dispatch::Dispatcher;
use crate::dispatch::outlet::Gauges;
use crate::ledger::LedgerError;
use crate::ledger::schedules::Standing;
use crate::schedule::decide::Cursor;

/// The header that requests which change something must carry, with any value.
pub const CHANGE_HEADER: &str = "x-tidegate";
/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(10);

type Shared = State<Arc<Dispatcher>>;

/// Serves until the future is dropped.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, dispatcher: Arc<Dispatcher>) -> io::Result<()> {
    axum::serve(listener, router(dispatcher)).await
}

fn router(dispatcher: Arc<Dispatcher>) -> Router {
    Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/sinks", get(async |State(all): Shared| Json(sinks(&all))))
        .route("/api/v1/sinks/{name}/{order}", post(switch))
        .route("/api/v1/batches/{name}/{order}", post(order))
        .route("/api/v1/schedules", get(schedules))
        .route("/api/v1/schedules/{name}/{order}", post(order_schedule))
        .fallback(async || failure(StatusCode::NOT_FOUND, "no such path"))
        .layer(middleware::from_fn(guarded))
        .with_state(dispatcher)
}

async fn ready(State(dispatcher): Shared) -> Response {
    match (dispatcher.is_ready(), dispatcher.is_stopping()) {
        (true, _) => (StatusCode::OK, "ready\n"),
        (false, true) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "ledger-lost\n"),
    }
    .into_response()
}

async fn metrics(State(dispatcher): Shared) -> Response {
    let page = dispatcher.metrics().render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page).into_response()
}

fn sinks(dispatcher: &Dispatcher) -> BTreeMap<String, Gauges> {
    let gauges = |(name, outlet): (&String, &Arc<_>)| {
        (name.clone(), crate::dispatch::outlet::Outlet::gauges(outlet))
    };
    dispatcher.outlets().iter().map(gauges).collect()
}

async fn switch(
    State(dispatcher): Shared,
    Path((name, order)): Path<(String, String)>,
) -> Response {
    let Some(outlet) = dispatcher.outlets().get(&name) else {
        return failure(StatusCode::NOT_FOUND, "no such sink");
    };
    match order.as_str() {
        "on" => outlet.switch(true),
        "off" => outlet.switch(false),
        _ => return failure(StatusCode::NOT_FOUND, "a sink is switched on or off"),
    }
    warn!(sink = name, order, "a sink was switched");
    Json(sinks(&dispatcher)).into_response()
}

async fn order(State(dispatcher): Shared, Path((name, order)): Path<(String, String)>) -> Response {
    let ledger = dispatcher.ledger();
    let done = match order.as_str() {
        "pause" => ledger.pause(&name).await,
        "resume" => ledger.resume(&name).await,
        "cancel" => ledger.cancel(&name).await,
        _ => return failure(StatusCode::NOT_FOUND, "a batch is paused, resumed or cancelled"),
    };
    match done {
        Ok(batch) => {
            warn!(batch = name, order, "a batch was told");
            Json(serde_json::json!({ "name": name, "state": batch.state })).into_response()
        }
        Err(error) => refused(&error),
    }
}

async fn schedules(State(dispatcher): Shared) -> Response {
    match dispatcher.ledger().standings().await {
        Ok((_, standings)) => {
            let told: BTreeMap<&str, _> =
                standings.iter().map(|standing| (&*standing.name, told(standing))).collect();
            Json(told).into_response()
        }
        Err(error) => refused(&error),
    }
}

fn told(standing: &Standing) -> serde_json::Value {
    let Cursor { last, fired, waiting } = standing.cursor;
    serde_json::json!({ "paused": standing.is_paused, "seen_to": last.to_string(),
        "fired": fired.to_string(), "waiting": waiting.map(|waiting| waiting.to_string()),
        "planner": standing.planner })
}

async fn order_schedule(
    State(dispatcher): Shared,
    Path((name, order)): Path<(String, String)>,
) -> Response {
    let is_paused = match order.as_str() {
        "pause" => true,
        "resume" => false,
        _ => return failure(StatusCode::NOT_FOUND, "a schedule is paused or resumed"),
    };
    match dispatcher.ledger().pause_schedule(&name, is_paused).await {
        Ok(()) => {
            warn!(schedule = name, order, "a schedule was told");
            Json(serde_json::json!({ "name": name, "paused": is_paused })).into_response()
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &LedgerError) -> Response {
    let status = match error {
        LedgerError::UnknownBatch(_) | LedgerError::UnknownSchedule(_) => StatusCode::NOT_FOUND,
        LedgerError::Refused { .. } => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    failure(status, &error.to_string())
}

fn failure(status: StatusCode, why: &str) -> Response {
    (status, Json(serde_json::json!({ "error": why }))).into_response()
}

/// Lets only requests pass that name the loopback as host and, if they change something, say so; and ends
/// what takes too long.
async fn guarded(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_loopback) {
        let why = "the Host header must name the loopback: localhost, 127.0.0.1 or [::1]";
        return failure(StatusCode::FORBIDDEN, why);
    }
    let is_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    if is_change && !request.headers().contains_key(CHANGE_HEADER) {
        let why = "the header X-Tidegate is missing; send X-Tidegate: 1";
        return failure(StatusCode::FORBIDDEN, why);
    }
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
        assert!(["localhost", "127.0.0.1:9308", "[::1]:9308"].into_iter().all(is_loopback));
        assert!(!["", "evil.example", "127.0.0.1.evil.example:9308"].into_iter().any(is_loopback));
    }
}
