//! Recordings of the flight recorder: which there are, one of them, and to begin one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Ops, failure, parse};
use crate::control::RecordingOrder;

/// All, the newest first.
pub(super) async fn list(Shared(ops): Shared<Ops>) -> Response {
    // It may read files, so it may not hold up a worker.
    match tokio::task::spawn_blocking(move || ops.recorder().list()).await {
        Ok(heads) => Json(heads).into_response(),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the recordings could not be listed"),
    }
}

/// One of them.
pub(super) async fn one(Shared(ops): Shared<Ops>, Path(id): Path<String>) -> Response {
    match tokio::task::spawn_blocking(move || ops.recorder().find(&id)).await {
        Ok(Ok(json)) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(Err(declined)) => failure(StatusCode::NOT_FOUND, &declined.to_string()),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the recording could not be read"),
    }
}

/// Begins one, or notes in that which goes on that somebody asked.
pub(super) async fn begin(Shared(ops): Shared<Ops>, body: Bytes) -> Response {
    let order: RecordingOrder = match parse(&body) {
        Ok(order) => order,
        Err(answer) => return *answer,
    };
    match ops.recorder().begin(&order) {
        Ok(head) => Json(head).into_response(),
        Err(declined) => failure(StatusCode::CONFLICT, &declined.to_string()),
    }
}
