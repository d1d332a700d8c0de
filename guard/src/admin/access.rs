//! Who may come in where a token is asked for: whoever shows it, and a browser that was told it once.
//!
//! A program sends `Authorization: Bearer TOKEN` (RFC 6750) with each request. A page cannot send headers with what it
//! streams, so a browser gets a cookie for the token: a time until which it is good, and a signature of that by a key
//! of this process. It tells nothing of the token, no script can read it, other sites cannot have it sent, and it ends
//! with the guard. Deliberately absent: accounts, and rights of some to look only; `admin.metrics_address` is for those.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, header};

use crate::{secret::Secret, seldom::Seldom};

/// The name of the cookie. Browsers keep one for all ports of a host.
const COOKIE: &str = "tidegate";
/// How long a login is good for new requests; a stream that has begun goes on.
const LOGIN_FOR: Duration = Duration::from_secs(12 * 60 * 60);

/// What is asked of those who come to the HTTP side.
pub struct Access {
    token: Option<Secret>,
    is_tls: bool,
    /// Signs cookies.
    key: hmac::Key,
    began: Instant,
    /// That somebody tried another token.
    told: Seldom,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// One who may.
    Known,
    /// One who has shown nothing, or a cookie that is too old.
    Unknown,
    /// One who has shown another token.
    Wrong,
}

impl Access {
    /// Asks for `token`, or for nothing if it is empty. `is_tls` says whether browsers may be told to send the
    /// cookie over TLS alone, and by which scheme they name the page.
    ///
    /// # Panics
    /// When the system has no random numbers to give.
    pub fn new(token: &Secret, is_tls: bool) -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the system has random numbers");
        Self {
            token: (!token.is_empty()).then(|| token.clone()),
            is_tls,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            began: Instant::now(),
            told: Seldom::default(),
        }
    }

    /// Whether everybody who gets through is let in.
    pub(super) const fn is_open(&self) -> bool {
        self.token.is_none()
    }

    /// How the page's address begins.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.is_tls { "https://" } else { "http://" }
    }

    /// Who sends a request with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap, now: Instant) -> Caller {
        if self.is_open() {
            return Caller::Known;
        }
        if let Some(shown) = headers.get(header::AUTHORIZATION) {
            return match bearer(shown.as_bytes()) {
                Some(token) if self.is_token(token) => Caller::Known,
                _ => Caller::Wrong,
            };
        }
        let is_known = cookies(headers).any(|cookie| self.is_login(cookie, now));
        if is_known { Caller::Known } else { Caller::Unknown }
    }

    /// Whether it is the token. Takes as long for each that is as long.
    pub(super) fn is_token(&self, shown: &[u8]) -> bool {
        self.token.as_ref().is_some_and(|token| *token == Secret::from(shown))
    }

    /// The `Set-Cookie` of a browser that has shown the token. It goes when the browser is closed.
    pub(super) fn login(&self, now: Instant) -> String {
        let until = (now + LOGIN_FOR).duration_since(self.began).as_secs();
        let tag = hmac::sign(&self.key, &until.to_be_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let secure = if self.is_tls { "; Secure" } else { "" };
        format!("{COOKIE}={until}.{tag}; Path=/; HttpOnly; SameSite=Strict{secure}")
    }

    /// Whether it is a cookie of ours that is still good.
    fn is_login(&self, cookie: &str, now: Instant) -> bool {
        let Some((until, tag)) = cookie.split_once('.') else { return false };
        let (Ok(until), Some(tag)) = (until.parse::<u64>(), bytes(tag)) else { return false };
        hmac::verify(&self.key, &until.to_be_bytes(), &tag).is_ok()
            && now.duration_since(self.began).as_secs() < until
    }

    /// Whether to tell now that somebody has shown another token.
    pub(super) fn is_worth_telling(&self, now: Instant) -> bool {
        self.told.is_due(now)
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

/// The token of a header `Bearer TOKEN`. The word may be written in any case.
fn bearer(shown: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = shown.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// The values of all cookies of our name.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// What hexadecimal digits mean.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn access() -> Access {
        Access::new(&TOKEN.into(), true)
    }

    fn with(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn only_the_token_itself_lets_in() {
        let (access, now) = (access(), Instant::now());
        let check = |value: &str, expect| {
            let headers = with(header::AUTHORIZATION, value);
            assert_eq!(access.caller(&headers, now), expect, "{value}");
        };
        check(&format!("Bearer {TOKEN}"), Caller::Known);
        check(&format!("bearer  {TOKEN}"), Caller::Known);
        check(&format!("Bearer {TOKEN}0"), Caller::Wrong);
        check(&format!("Bearer {}", &TOKEN[1..]), Caller::Wrong);
        check(&format!("Basic {TOKEN}"), Caller::Wrong);
        check(TOKEN, Caller::Wrong);
        check("Bearer ", Caller::Wrong);
        check("", Caller::Wrong);
        assert_eq!(access.caller(&HeaderMap::new(), now), Caller::Unknown);
        assert_eq!(Access::new(&"".into(), true).caller(&HeaderMap::new(), now), Caller::Known);
    }

    #[test]
    fn a_cookie_lets_in_for_its_time_and_of_this_process_alone() {
        let (access, now) = (access(), Instant::now());
        let told = access.login(now);
        let (cookie, rest) = told.split_once("; ").unwrap();
        assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict; Secure");
        assert!(!told.contains(TOKEN));
        let caller =
            |access: &Access, cookie: &str, now| access.caller(&with(header::COOKIE, cookie), now);
        assert_eq!(caller(&access, cookie, now), Caller::Known);
        assert_eq!(caller(&access, &format!("a=b; {cookie}; c=d"), now), Caller::Known);
        assert_eq!(caller(&access, cookie, now + LOGIN_FOR * 2), Caller::Unknown);
        assert_eq!(caller(&self::access(), cookie, now), Caller::Unknown);
        let (until, tag) = cookie.strip_prefix("tidegate=").unwrap().split_once('.').unwrap();
        let until: u64 = until.parse().unwrap();
        for wrong in [
            format!("tidegate={}.{tag}", until + 1),
            format!("tidegate={until}.{}", &tag[2..]),
            format!("tidegate={until}.{tag}é"),
            format!("tidegate={until}."),
            format!("tidegate={until}"),
            "tidegate=".into(),
            format!("tidegate={TOKEN}"),
        ] {
            let headers = HeaderMap::from_iter([(
                header::COOKIE,
                HeaderValue::from_bytes(wrong.as_bytes()).unwrap(),
            )]);
            assert_eq!(access.caller(&headers, now), Caller::Unknown, "{wrong}");
        }
    }
}
