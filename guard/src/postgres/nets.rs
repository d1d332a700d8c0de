//! The server's own limits, set on each connection as a net below the guard's.

use std::time::Duration;

use crate::config::NativeLimits;

/// How often the server looks whether its client is still there while a statement runs: the net for
/// the case that the guard dies. Since PostgreSQL 14.
const CLIENT_CHECK: &str = " -c client_connection_check_interval=1s";

/// The first version with it.
const CLIENT_CHECK_SINCE: u32 = 14;

/// Limits, as a start-up packet's `options` takes them. They are what RESET returns to.
#[derive(Debug, Clone, Default)]
pub struct Nets {
    limits: String,
}

impl Nets {
    /// These limits.
    pub fn new(limits: &NativeLimits) -> Self {
        let ms = |limit: Duration| limit.as_millis().max(1);
        let statement =
            limits.statement.map(|limit| format!(" -c statement_timeout={}", ms(limit)));
        let lock_wait = limits.lock_wait.map(|limit| format!(" -c lock_timeout={}", ms(limit)));
        Self { limits: statement.into_iter().chain(lock_wait).collect() }
    }

    /// The options for a server of that major version.
    pub fn options(&self, major: u32) -> String {
        let check = if major >= CLIENT_CHECK_SINCE { CLIENT_CHECK } else { "" };
        format!("{}{check}", self.limits).trim_start().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_carry_the_limits_that_the_server_knows() {
        let limits = NativeLimits {
            statement: Some(Duration::from_millis(2500)),
            lock_wait: Some(Duration::from_secs(3)),
        };
        let limits_only = "-c statement_timeout=2500 -c lock_timeout=3000";
        assert_eq!(Nets::new(&limits).options(13), limits_only);
        assert_eq!(Nets::new(&limits).options(15), format!("{limits_only}{CLIENT_CHECK}"));
        assert_eq!(Nets::default().options(13), "");
    }
}
