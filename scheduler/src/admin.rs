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
//! | `GET /api/v1/openapi.json` | all of this, for programs ([`openapi`]) |
//!
//! There is no password: the address must be a loopback address, the `Host` header must name the
//! loopback (DNS rebinding), and what changes something must carry `X-Tidegate`, which no form or image of
//! another site can send. Failures answer `{"error": "…"}`.

pub mod openapi;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::TcpListener;
use tracing::warn;

use crate::dispatch::Dispatcher;
use crate::dispatch::outlet::Gauges;
use crate::ledger::schedules::Standing;
use crate::ledger::{BatchState, LedgerError};
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

/// Every path, with the method that it takes. What there is of it for programs is in [`openapi`]; a test
/// compares the two.
fn routes() -> [(&'static str, Method, MethodRouter<Arc<Dispatcher>>); 9] {
    let document = async || Json(openapi::document());
    [
        ("/live", Method::GET, get(async || "live\n")),
        ("/ready", Method::GET, get(ready)),
        ("/metrics", Method::GET, get(metrics)),
        ("/api/v1/sinks", Method::GET, get(async |State(all): Shared| Json(sinks(&all)))),
        ("/api/v1/sinks/{name}/{order}", Method::POST, post(switch)),
        ("/api/v1/batches/{name}/{order}", Method::POST, post(order)),
        ("/api/v1/schedules", Method::GET, get(schedules)),
        ("/api/v1/schedules/{name}/{order}", Method::POST, post(order_schedule)),
        ("/api/v1/openapi.json", Method::GET, get(document)),
    ]
}

fn router(dispatcher: Arc<Dispatcher>) -> Router {
    let add = |router: Router<_>, (path, _, route)| router.route(path, route);
    let router = routes().into_iter().fold(Router::new(), add);
    router
        .fallback(async || failure(StatusCode::NOT_FOUND, "no such path"))
        .layer(middleware::from_fn(guarded))
        .with_state(dispatcher)
}

/// A batch that was told something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BatchTold {
    /// Its name.
    pub name: String,
    /// What it is now.
    pub state: BatchState,
}

/// A schedule that was told something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScheduleTold {
    /// Its name.
    pub name: String,
    /// Whether nothing of it is fired.
    pub paused: bool,
}

/// How far a schedule is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ScheduleStanding {
    /// Whether nothing of it is fired.
    pub paused: bool,
    /// All that was due up to this moment has been seen to, in RFC 3339.
    pub seen_to: String,
    /// The newest moment that was fired.
    pub fired: String,
    /// A moment that waits for the end of the batch before it.
    pub waiting: Option<String>,
    /// Who fires it now.
    pub planner: Option<String>,
}

/// Why something was not done.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// In words.
    pub error: String,
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
            Json(BatchTold { name, state: batch.state }).into_response()
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

fn told(standing: &Standing) -> ScheduleStanding {
    let Cursor { last, fired, waiting } = standing.cursor;
    ScheduleStanding {
        paused: standing.is_paused,
        seen_to: last.to_string(),
        fired: fired.to_string(),
        waiting: waiting.map(|waiting| waiting.to_string()),
        planner: standing.planner.clone(),
    }
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
            Json(ScheduleTold { name, paused: is_paused }).into_response()
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
    (status, Json(Failure { error: why.to_owned() })).into_response()
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
    use std::collections::BTreeSet;

    use super::{is_loopback, openapi, routes};

    #[test]
    fn every_route_is_in_the_document_and_no_other() {
        let document = openapi::document();
        let mut written = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            written.extend(methods.map(|method| (path.clone(), method.to_uppercase())));
        }
        let routes = routes().into_iter();
        let routes: BTreeSet<_> =
            routes.map(|(path, method, _)| (path.to_owned(), method.to_string())).collect();
        assert_eq!(written, routes);
    }

    #[test]
    fn only_the_loopback_is_local() {
        assert!(["localhost", "127.0.0.1:9308", "[::1]:9308"].into_iter().all(is_loopback));
        assert!(!["", "evil.example", "127.0.0.1.evil.example:9308"].into_iter().any(is_loopback));
    }
}
