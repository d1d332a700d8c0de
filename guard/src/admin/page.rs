//! The live page: one page of the guard's own, without anything from elsewhere.
//!
//! | path | answer |
//! |---|---|
//! | `GET /` | the page, with all its tables, as they are now |
//! | `GET /page/stream` | server-sent events `page`, one a second, each an [`Update`] |
//! | `GET /page/…` | its style, its script, and the library that draws its charts |
//!
//! HTML is made here alone ([`html`]), from what `glance` says of a snapshot, and everything in it is escaped. The
//! script puts what the stream brings in the place of what stands there, draws charts, and sends the orders of the
//! switches to the API. It makes no HTML of data. [`POLICY`] lets a browser load nothing but these files.

mod html;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::watch;

use super::{Ops, failure};
use crate::control::{Sample, Snapshot};

/// What a browser may do with the page (Content Security Policy, level 3): load its own files, talk to its own
/// guard, and nothing else; and no other page may show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) const STYLE: &str = include_str!("../../assets/page.css");
const SCRIPT: &str = include_str!("../../assets/page.js");
/// uPlot 1.6.32, MIT; `scripts/vendor-uplot.sh` renews it.
const CHARTS_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
const CHARTS_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");

/// The page and its files.
pub(super) fn router() -> Router<Ops> {
    let file = |kind: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind)], text))
    };
    const CSS: &str = "text/css; charset=utf-8";
    const JS: &str = "text/javascript; charset=utf-8";
    Router::new()
        .route("/", get(page))
        .route("/page/stream", get(follow))
        .route("/page/page.css", file(CSS, STYLE))
        .route("/page/page.js", file(JS, SCRIPT))
        .route("/page/uplot.css", file(CSS, CHARTS_STYLE))
        .route("/page/uplot.js", file(JS, CHARTS_SCRIPT))
        .layer(middleware::from_fn(guarded))
}

async fn page(Shared(ops): Shared<Ops>) -> Response {
    let page = html::page(&ops.snapshot()).into_string();
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// Tells browsers what they may do with the answer. It is never kept: another version may answer next.
async fn guarded(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// What the page is told once a second.
#[derive(Debug, Serialize)]
struct Update {
    /// HTML of the part above the charts.
    glance: String,
    /// HTML of the part below.
    tables: String,
    /// How bad it is.
    level: &'static str,
    /// One sentence for all.
    headline: String,
    /// The newest point of the charts.
    sample: Sample,
}

impl Update {
    fn of(seen: &Snapshot) -> Self {
        Self {
            glance: html::glance(seen).into_string(),
            tables: html::tables(seen).into_string(),
            level: seen.told.level.as_str(),
            headline: seen.told.headline.clone(),
            sample: seen.now,
        }
    }
}

/// One snapshot as JSON.
pub(super) async fn now(Shared(ops): Shared<Ops>) -> Response {
    axum::Json(ops.snapshot()).into_response()
}

/// The samples of the last ten minutes as JSON.
pub(super) async fn history(Shared(ops): Shared<Ops>) -> Response {
    axum::Json(ops.history()).into_response()
}

/// Server-sent events `snapshot`, one a second. Who reads slowly misses some and gets the newest.
pub(super) async fn follow_snapshots(Shared(ops): Shared<Ops>) -> Response {
    told(&ops, |seen| Event::default().event("snapshot").json_data(seen))
}

async fn follow(Shared(ops): Shared<Ops>) -> Response {
    told(&ops, |seen| Event::default().event("page").json_data(Update::of(seen)))
}

/// A stream of what `make` says of each snapshot. Ends with the guard, or when nothing could be written for as long
/// as a request may take.
fn told(ops: &Ops, make: fn(&Snapshot) -> Result<Event, axum::Error>) -> Response {
    match ops.follow() {
        Ok(receiver) => Sse::new(events(receiver, make)).into_response(),
        Err(declined) => failure(StatusCode::SERVICE_UNAVAILABLE, &declined.to_string()),
    }
}

fn events(
    receiver: watch::Receiver<Arc<Snapshot>>,
    make: fn(&Snapshot) -> Result<Event, axum::Error>,
) -> impl Stream<Item = Result<Event, axum::Error>> + Send {
    stream::unfold(receiver, move |mut receiver| async move {
        receiver.changed().await.ok()?;
        let seen = Arc::clone(&receiver.borrow_and_update());
        Some((make(&seen), receiver))
    })
}
