//! The page that asks a browser for the token.
//!
//! | path | answer |
//! |---|---|
//! | `GET /login` | the form |
//! | `POST /login` | takes the form's `token`; a cookie and the way to the page, or the form again with 403 |
//! | `GET /login/page.css` | its style |
//!
//! It needs no script. Another site can send a browser here with a form of its own, but not with the token in it, and a
//! browser that says where the form is from is believed (`guarded.rs`).

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::access::Access;
use super::page::STYLE;

/// Where it is.
pub(super) const PATH: &str = "/login";

/// As for the live page, but for a form that may be sent to this guard; no script at all.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

/// The form and its style.
pub(super) fn router<S: Clone + Send + Sync + 'static>(access: Arc<Access>) -> Router<S> {
    let style = async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE);
    Router::new()
        .route(PATH, get(async || form(None)).post(login))
        .route("/login/page.css", get(style))
        .layer(axum::middleware::map_response(headers))
        .with_state(access)
}

async fn login(Shared(access): Shared<Arc<Access>>, body: Bytes) -> Response {
    let mut fields = form_urlencoded::parse(&body);
    let shown = fields.find(|(name, _)| name == "token").map(|(_, value)| value.into_owned());
    let shown = Zeroizing::new(shown.unwrap_or_default());
    let now = Instant::now();
    if !access.is_token(shown.trim().as_bytes()) {
        if access.is_worth_telling(now) {
            warn!("somebody tried to log in to the page with another token; told once a minute");
        }
        return form(Some("That is not the token of this guard."));
    }
    info!("a browser has logged in to the page");
    let to_the_page = [(header::SET_COOKIE, access.login(now)), (header::LOCATION, "/".to_owned())];
    (StatusCode::SEE_OTHER, to_the_page).into_response()
}

fn form(failed: Option<&str>) -> Response {
    let status = if failed.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (status, kind, html(failed).into_string()).into_response()
}

fn html(failed: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Log in – Tidegate" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/login/page.css";
            }
            body {
                header { h1 { "Tidegate" } }
                main {
                    form.login method="post" action=(PATH) {
                        h2 { "Log in" }
                        p #help { "This guard shows itself to those who know its " code { "admin.token" } "." }
                        label for="token" { "Token" }
                        input #token name="token" type="password" required autofocus
                            autocomplete="current-password" spellcheck="false" aria-describedby="help";
                        p.failed role="alert" { (failed.unwrap_or_default()) }
                        div.buttons { button.sure type="submit" { "Log in" } }
                    }
                }
            }
        }
    }
}

/// What browsers may do with the answer. `same-origin`, as else they would not say where the form is from.
async fn headers(mut answer: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
