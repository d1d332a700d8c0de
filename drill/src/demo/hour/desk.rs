//! Where the application takes reminders that come one by one, by webhook.
//!
//! It answers 204 when the notification is written; 503 when it is not, so that the reminder comes again; and 504
//! when nobody knows, which the scheduler lists as ambiguous.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Tally;
use crate::error::Error;
use crate::load::reminders::Worker;
use crate::load::{Fault, Target};

/// A desk that is open. Dropping it closes it to new connections.
#[derive(Debug)]
pub(super) struct Desk {
    addr: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Office {
    target: Target,
    /// As many workers as may be busy.
    free: Semaphore,
    idle: Mutex<Vec<Worker>>,
    tally: Arc<Tally>,
}

/// What a reminder says.
#[derive(Debug, Deserialize)]
struct Reminder {
    recipient: String,
}

impl Desk {
    /// Opens one on loopback, with so many workers.
    ///
    /// # Errors
    /// When there is no port.
    pub(super) async fn open(
        target: Target,
        workers: usize,
        tally: Arc<Tally>,
    ) -> Result<Self, Error> {
        let free = Semaphore::new(workers);
        let office = Office { target, free, idle: Mutex::default(), tally };
        let router = Router::new().route("/remind", post(take)).with_state(Arc::new(office));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { addr, server })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/remind", self.addr)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(
    State(office): State<Arc<Office>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    let name = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    let is_plain = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let name = name.filter(is_plain).ok_or(StatusCode::BAD_REQUEST)?;
    let told: Reminder = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let recipient = told.recipient.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    office.remind(name, recipient).await
}

impl Office {
    /// Dropping it drops the worker, whose connections may be in the middle of something.
    async fn remind(&self, name: &str, recipient: u64) -> Result<StatusCode, StatusCode> {
        let closed = |_| StatusCode::SERVICE_UNAVAILABLE;
        let _place = self.free.acquire().await.map_err(closed)?;
        let idle = self.idle.lock().pop();
        let mut worker = idle.unwrap_or_else(|| Worker::apart(self.target));
        let done = worker.remind(name, recipient).await;
        self.idle.lock().push(worker);
        self.tally.note(done.is_ok());
        match done {
            Ok(()) => Ok(StatusCode::NO_CONTENT),
            Err(Fault::Lost(_)) => Err(StatusCode::GATEWAY_TIMEOUT),
            Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}
