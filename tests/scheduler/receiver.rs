//! A receiver of webhooks that notes what it gets, and may leave some without an answer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;

/// What came: how often each id.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    addr: SocketAddr,
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    /// The first offers of so many ids are not answered.
    deaf_to: usize,
    ids: Mutex<HashMap<String, u32>>,
}

impl Receiver {
    pub(crate) async fn start(deaf_to: usize) -> Self {
        let inbox = Arc::new(Inbox { deaf_to, ids: Mutex::default() });
        let router = Router::new().route("/", post(take)).with_state(Arc::clone(&inbox));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { addr, inbox }
    }

    pub(crate) fn sink(&self, more: &str) -> String {
        format!("[sink.app]\nkind = \"http\"\nurl = \"http://{}/\"\n{more}\n", self.addr)
    }

    pub(crate) fn ids(&self) -> HashMap<String, u32> {
        self.inbox.ids.lock().unwrap().clone()
    }

    pub(crate) fn distinct(&self) -> usize {
        self.inbox.ids.lock().unwrap().len()
    }
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap) {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    assert_eq!(headers["idempotency-key"], id);
    let is_deaf = {
        let mut ids = inbox.ids.lock().unwrap();
        let is_early = ids.len() < inbox.deaf_to;
        let offers = ids.entry(id).or_default();
        *offers += 1;
        is_early && *offers == 1
    };
    if is_deaf {
        std::future::pending::<()>().await;
    }
}
