//! Stopping what a backend runs: an order over a reserved connection, and where none gets through, the
//! connection's own key.
//!
//! ```text
//! order over control ──► carried out
//!        │ refused, or not answered in time
//!        └─► CancelRequest ──► the server hangs up: the signal was sent
//! ```
//!
//! The order is the cheaper way: a CancelRequest costs the server a process for each, so few are made at once. But it
//! takes a reserved connection that works and whose account may: that of a superuser's backend is a superuser's. A key
//! needs no right.

use std::time::Duration;

use tokio::{
    sync::Semaphore,
    time::{error::Elapsed, timeout},
};
use tracing::warn;

use super::{
    Upstream,
    connect::{self, ConnectError},
    key::BackendKey,
};
use crate::upstream::{
    control::{Ask, ControlError, Told},
    target::Target,
};

/// CancelRequests under way at once, to all servers together.
const REQUESTS_MAX: usize = 4;

/// Turns of CancelRequests.
static REQUESTS: Semaphore = Semaphore::const_new(REQUESTS_MAX);

/// Gives the order, and sends a CancelRequest with `key` where it is refused or not answered within `patience`. Once
/// this has returned, nothing is on its way any more that could hit what comes next on that connection.
///
/// # Errors
/// [`ControlError::Refused`]: nothing was done. [`ControlError::Unavailable`]: it is not known whether something will
/// yet be.
///
/// Dropping the future leaves the order standing.
pub(super) async fn stop(
    upstream: &Upstream,
    ask: Ask,
    key: Option<&BackendKey>,
    patience: Duration,
) -> Result<Told, ControlError> {
    let mut order = std::pin::pin!(upstream.control().ask(ask));
    let told: Result<_, Elapsed> = timeout(patience, &mut order).await;
    if let Ok(Ok(told)) = told {
        return Ok(told);
    }
    let Some(key) = key else {
        return match told {
            Ok(told) => told,
            Err(_) => order.await,
        };
    };
    let backend = ask.backend().id;
    if let Err(error) = by_key(&upstream.target, key).await {
        warn!(backend, ?told, %error, "neither an order nor a CancelRequest got through");
        return Err(ControlError::Unavailable);
    }
    match told {
        Ok(Err(ControlError::Refused(why))) => {
            warn!(backend, why, "an order was refused; stopped by a CancelRequest");
            Ok(Told::Done)
        }
        Ok(told) => told,
        // It is still in line, and may hit what comes next.
        Err(_) => order.await,
    }
}

/// Sends a CancelRequest in its turn, and waits until the server hangs up.
///
/// # Errors
/// As [`connect::cancel`]. Dropping the future leaves unknown whether it was sent.
pub(super) async fn by_key(target: &Target, key: &BackendKey) -> Result<(), ConnectError> {
    let _turn = REQUESTS.acquire().await.expect("never closed");
    connect::cancel(target, key).await
}
