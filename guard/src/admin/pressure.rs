//! How pressed the database is: once, as a stream, and as freno tells it to tools.

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use super::{Ops, failure};
use crate::control::PressureStatus;

/// The newest reading.
pub(super) async fn now(Shared(ops): Shared<Ops>) -> Response {
    Json(ops.pressure()).into_response()
}

/// Server-sent events, one for each reading; a reader that is slow misses some and gets the newest. Ends with the
/// guard, or when nothing could be written for as long as a request may take.
pub(super) async fn follow(Shared(ops): Shared<Ops>) -> Response {
    match ops.follow_pressure() {
        Ok(receiver) => Sse::new(events(receiver)).into_response(),
        Err(declined) => failure(StatusCode::SERVICE_UNAVAILABLE, &declined.to_string()),
    }
}

fn events(
    receiver: watch::Receiver<PressureStatus>,
) -> impl Stream<Item = Result<Event, axum::Error>> + Send {
    stream::unfold(receiver, |mut receiver| async move {
        receiver.changed().await.ok()?;
        let status = *receiver.borrow_and_update();
        let event = Event::default().event("pressure").id(status.number.to_string());
        Some((event.json_data(status), receiver))
    })
}

/// Whether a tool may write.
pub(super) async fn check(
    Shared(ops): Shared<Ops>,
    Path((application, store_type, store)): Path<(String, String, String)>,
) -> Response {
    let check = ops.check(&application, &store_type, &store);
    let status = StatusCode::from_u16(check.status_code);
    (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(check)).into_response()
}
