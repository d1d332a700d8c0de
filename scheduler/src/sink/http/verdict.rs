//! What an answer means: for the item, and for how the receiver is treated from then on.
//!
//! By Standard Webhooks: 2xx is done and everything else is not; 410 switches the endpoint off; 429,
//! 502 and 504 mean less; redirects are failures. Besides: 400, 413, 415 and 422 say that this very
//! request will never do; and 502 and 504 come from a gateway that has passed the request on and
//! knows no more than we do what became of it, so they are ambiguous.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use crate::sink::{Fate, Reason};

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// For the item.
    pub fate: Fate,
    /// For the receiver.
    pub advice: Advice,
}

/// How the receiver is to be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// As before.
    Fine,
    /// Fewer at once; and nothing at all for so long, if it has said that.
    Less(Option<Duration>),
    /// Nothing any more, until somebody switches it on.
    Stop,
}

/// What an answer with this status means; `asked` is its `Retry-After`.
#[must_use]
pub fn of(status: StatusCode, asked: Option<Duration>) -> Verdict {
    let code = status.as_u16();
    let why = Reason::Status(code);
    let (fate, advice) = match code {
        200..=299 => (Fate::Done, Advice::Fine),
        300..=399 => (Fate::Retry { asked, why: Reason::Redirected(code) }, Advice::Fine),
        400 | 413 | 415 | 422 => (Fate::Dead(why), Advice::Fine),
        410 => (Fate::Unsent(Reason::Gone), Advice::Stop),
        429 | 503 => (Fate::Retry { asked, why }, Advice::Less(asked)),
        502 | 504 => (Fate::Ambiguous(why), Advice::Less(asked)),
        408 | 500..=599 => (Fate::Retry { asked, why }, Advice::Less(None)),
        _ => (Fate::Retry { asked, why }, Advice::Fine),
    };
    Verdict { fate, advice }
}

/// What `Retry-After` asks for: seconds, or a date in any of HTTP's three forms (RFC 9110, 10.2.3 and
/// 5.6.7). A date that has passed is no wait; what is neither is not there.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit are as long as can be.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let until = Timestamp::try_from(date).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_status_has_its_meaning() {
        let asked = Some(Duration::from_secs(7));
        let retry = |code| Fate::Retry { asked, why: Reason::Status(code) };
        for (code, fate, advice) in [
            (200, Fate::Done, Advice::Fine),
            (204, Fate::Done, Advice::Fine),
            (307, Fate::Retry { asked, why: Reason::Redirected(307) }, Advice::Fine),
            (404, retry(404), Advice::Fine),
            (401, retry(401), Advice::Fine),
            (422, Fate::Dead(Reason::Status(422)), Advice::Fine),
            (410, Fate::Unsent(Reason::Gone), Advice::Stop),
            (429, retry(429), Advice::Less(asked)),
            (503, retry(503), Advice::Less(asked)),
            (500, retry(500), Advice::Less(None)),
            (504, Fate::Ambiguous(Reason::Status(504)), Advice::Less(asked)),
            (999, retry(999), Advice::Fine),
        ] {
            let verdict = of(StatusCode::from_u16(code).unwrap(), asked);
            assert_eq!(verdict, Verdict { fate, advice }, "{code}");
        }
    }

    #[test]
    fn retry_after_is_read_in_all_forms() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        let read = |text: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            retry_after(&headers, now)
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(read("120"), seconds(120));
        assert_eq!(read("0"), seconds(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), seconds(37));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT"), seconds(37));
        assert_eq!(read("Sun Nov  6 08:49:37 1994"), seconds(37));
        assert_eq!(read("Sun, 06 Nov 1994 08:48:37 GMT"), seconds(0));
        assert_eq!(read("99999999999999999999999"), seconds(u64::MAX));
        for nonsense in ["", "-1", "1.5", "soon", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        /// No header is too odd.
        #[test]
        fn no_header_makes_it_panic(bytes: Vec<u8>, second in -377_705_000_000..253_402_000_000_i64) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
                let _any = retry_after(&headers, Timestamp::from_second(second).unwrap());
            }
        }
    }
}
