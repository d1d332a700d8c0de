//! The HTTP side.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /live` | 200 while the process runs |
//! | `GET /ready` | 200 when it serves, else 503, with the state |
//! | `GET /metrics` | Prometheus' text format |
//! | `GET /check/APP/TYPE/STORE` | [`Check`](crate::control::Check), and its status code |
//! | `GET /api/v1/pressure` | [`PressureStatus`](crate::control::PressureStatus) |
//! | `GET /api/v1/pressure/stream` | server-sent events `pressure`, each a [`PressureStatus`](crate::control::PressureStatus) |
//! | `GET /` | the live page (`admin/page.rs`) |
//! | `GET /api/v1/snapshot` | [`Snapshot`](crate::control::Snapshot): all at a glance |
//! | `GET /api/v1/snapshot/stream` | server-sent events `snapshot`, one a second, each a [`Snapshot`](crate::control::Snapshot) |
//! | `GET /api/v1/history` | list of [`Sample`](crate::control::Sample), the last ten minutes |
//! | `GET /api/v1/status` | [`Status`] |
//! | `GET /api/v1/classes` | list of [`ClassStatus`](crate::control::ClassStatus) |
//! | `GET /api/v1/pins` | list of [`PinnedSession`](crate::control::PinnedSession) |
//! | `GET /api/v1/locks` | [`LocksStatus`](crate::control::LocksStatus) |
//! | `GET /api/v1/hot` | [`HotStatus`](crate::control::HotStatus) |
//! | `GET /api/v1/incidents` | list of [`Incident`](crate::control::Incident) |
//! | `GET /api/v1/recordings` | list of [`RecordingHead`](crate::control::RecordingHead) |
//! | `POST /api/v1/recordings` | takes a [`RecordingOrder`](crate::control::RecordingOrder), answers with the head |
//! | `GET /api/v1/recordings/ID` | [`Recording`](crate::control::Recording) |
//! | `GET /api/v1/switches` | list of [`SwitchStatus`](crate::control::SwitchStatus) |
//! | `POST /api/v1/switches` | takes a [`SwitchOrder`], answers with the list |
//! | `DELETE /api/v1/switches` | takes a [`SwitchClear`], answers with the list |
//! | `GET /api/v1/pause` | [`PauseStatus`](crate::control::PauseStatus) |
//! | `POST /api/v1/pause` | takes a [`PauseOrder`], answers with the status |
//! | `POST /api/v1/resume` | the status |
//! | `POST /api/v1/reload` | the warnings of the new configuration |
//! | `POST /api/v1/drain` | 202; the guard shuts down |
//! | `GET /login`, `POST /login` | the form that asks a browser for the token (`admin/login.rs`) |
//!
//! Who may: without `admin.token` whoever reaches it, so it must be a loopback address or a Unix socket of few; with one
//! whoever shows it (`admin/access.rs`), on any address that has TLS. Two checks keep a browser from being used
//! against it (`admin/guarded.rs`). Where there is no token the `Host` header must name the loopback (DNS rebinding), and
//! whatever changes something must carry [`CHANGE_HEADER`], which no form or image of another site can send
//! (cross-site requests), and come from this site where a browser says from which. Failures answer `{"error": "…"}`.

mod access;
mod bounded;
mod guarded;
mod line;
mod login;
mod page;
mod pressure;
mod recordings;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::{Operations, PauseOrder, State, Status, SwitchClear, SwitchOrder};

pub use self::access::Access;
pub use self::bounded::Bounded;
pub use self::guarded::CHANGE_HEADER;

/// The largest body of a request, in bytes; a larger one is answered with 413.
pub const BODY_MAX: usize = 16 * 1024;

/// What is spoken over TLS, by its name in ALPN.
pub const ALPN: &[u8] = b"http/1.1";

type Ops = Arc<dyn Operations>;

/// Everything, for `admin.address`, for whom `access` lets in.
pub fn router(operations: Ops, access: Arc<Access>) -> Router {
    let api = Router::new()
        .route("/snapshot", get(page::now))
        .route("/snapshot/stream", get(page::follow_snapshots))
        .route("/history", get(page::history))
        .route("/status", get(async |Shared(ops): Shared<Ops>| Json(ops.status())))
        .route("/classes", get(async |Shared(ops): Shared<Ops>| Json(ops.classes())))
        .route("/pins", get(async |Shared(ops): Shared<Ops>| Json(ops.pins())))
        .route("/locks", get(locks))
        .route("/hot", get(async |Shared(ops): Shared<Ops>| Json(ops.hot())))
        .route("/incidents", get(async |Shared(ops): Shared<Ops>| Json(ops.incidents())))
        .route("/recordings", get(recordings::list).post(recordings::begin))
        .route("/recordings/{id}", get(recordings::one))
        .route("/switches", get(list_switches).post(set_switch).delete(clear_switch))
        .route("/pause", get(async |Shared(ops): Shared<Ops>| Json(ops.pause_status())).post(pause))
        .route("/resume", post(resume))
        .route("/reload", post(reload))
        .route("/drain", post(drain));
    read_only()
        .nest("/api/v1", api)
        .merge(page::router())
        .layer(middleware::from_fn_with_state(Arc::clone(&access), guarded::with_token))
        .merge(login::router(Arc::clone(&access)))
        .layer(middleware::from_fn_with_state(access, guarded::of_this_site))
        .layer(middleware::from_fn(guarded::in_time))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(operations)
}

/// Metrics, health and pressure only, for `admin.metrics_address`, which may be open to other hosts.
pub fn metrics_router(operations: Ops) -> Router {
    read_only()
        .layer(middleware::from_fn(guarded::in_time))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(operations)
}

/// Serves, within the bounds of [`Bounded`], until `shutdown` is over and the requests that were under way are answered.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    bounded: Bounded,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(bounded, router).with_graceful_shutdown(shutdown).await
}

fn read_only() -> Router<Ops> {
    Router::new()
        .route("/live", get(async || "live\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/check/{application}/{store_type}/{store}", get(pressure::check))
        .route("/api/v1/pressure", get(pressure::now))
        .route("/api/v1/pressure/stream", get(pressure::follow))
        .fallback(async || failure(StatusCode::NOT_FOUND, "no such path"))
        .method_not_allowed_fallback(async || {
            failure(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
}

async fn ready(Shared(ops): Shared<Ops>) -> Response {
    let Status { state, .. } = ops.status();
    match state {
        State::Ready => (StatusCode::OK, "ready\n"),
        State::UpstreamLost => (StatusCode::SERVICE_UNAVAILABLE, "upstream-lost\n"),
        State::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
    .into_response()
}

async fn metrics(Shared(ops): Shared<Ops>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], ops.metrics())
        .into_response()
}

/// How long a look at the database is waited for, and how often it is asked for meanwhile.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is there may be old, or nothing: whoever asks has the database looked at now.
async fn locks(Shared(ops): Shared<Ops>) -> Response {
    let asked = Instant::now();
    ops.look_closely();
    loop {
        let status = ops.locks();
        let waited = asked.elapsed();
        let is_new = status.seen_ms_ago.is_some_and(|ago| u128::from(ago) < waited.as_millis());
        if is_new || waited > LOOK_WITHIN {
            return Json(status).into_response();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn list_switches(Shared(ops): Shared<Ops>) -> Response {
    Json(ops.switches()).into_response()
}

async fn set_switch(Shared(ops): Shared<Ops>, body: Bytes) -> Response {
    let order: SwitchOrder = match parse(&body) {
        Ok(order) => order,
        Err(answer) => return *answer,
    };
    let target = order.target.to_string();
    let (keep_ratio, author) = (order.keep_ratio, order.author.clone());
    match ops.set_switch(order) {
        Ok(()) => {
            tracing::warn!(target, keep_ratio, author, "switch set");
            Json(ops.switches()).into_response()
        }
        Err(declined) => failure(StatusCode::UNPROCESSABLE_ENTITY, &declined.to_string()),
    }
}

async fn clear_switch(Shared(ops): Shared<Ops>, body: Bytes) -> Response {
    let SwitchClear { target } = match parse(&body) {
        Ok(clear) => clear,
        Err(answer) => return *answer,
    };
    match ops.clear_switch(&target.0) {
        Ok(()) => {
            tracing::warn!(target = %target, "switch cleared");
            Json(ops.switches()).into_response()
        }
        Err(declined) => failure(StatusCode::NOT_FOUND, &declined.to_string()),
    }
}

async fn pause(Shared(ops): Shared<Ops>, body: Bytes) -> Response {
    let order: PauseOrder = match parse(&body) {
        Ok(order) => order,
        Err(answer) => return *answer,
    };
    match ops.pause(order) {
        Ok(status) => Json(status).into_response(),
        Err(declined) => failure(StatusCode::UNPROCESSABLE_ENTITY, &declined.to_string()),
    }
}

async fn resume(Shared(ops): Shared<Ops>) -> Response {
    match ops.resume() {
        Ok(status) => Json(status).into_response(),
        Err(declined) => failure(StatusCode::CONFLICT, &declined.to_string()),
    }
}

async fn reload(Shared(ops): Shared<Ops>) -> Response {
    // It reads files, so it may not hold up a worker.
    match tokio::task::spawn_blocking(move || ops.reload()).await {
        Ok(Ok(warnings)) => Json(warnings).into_response(),
        Ok(Err(declined)) => failure(StatusCode::UNPROCESSABLE_ENTITY, &declined.to_string()),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the reload did not finish"),
    }
}

async fn drain(Shared(ops): Shared<Ops>) -> StatusCode {
    tracing::info!("drain asked for over http");
    ops.drain();
    StatusCode::ACCEPTED
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Response>> {
    serde_json::from_slice(body)
        .map_err(|error| Box::new(failure(StatusCode::BAD_REQUEST, &error.to_string())))
}

/// The body of every answer that is a failure.
#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(Failure { error })).into_response()
}

#[cfg(test)]
mod tests;
