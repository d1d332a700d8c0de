//! Who waits how: tenants, and those that come again.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use policy::{retry, tenant};

use super::Mode;

/// `[tenants]`: where one application serves many, whose work a transaction is. Those of a class that wait
/// go in turn, each tenant the same work, however much one of them asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tenants {
    /// What tells them apart.
    pub by: TenantsBy,
    /// For `by = "tag"`: the tag, or query attribute, that names the tenant.
    pub tag: String,
    /// The percentage of what a class may run at once that one tenant may take beside others, at least two
    /// transactions. 100 sets no bound.
    pub cap: NonZeroU32,
}

/// What tells tenants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TenantsBy {
    /// There are none.
    #[default]
    Off,
    /// A tag of the statement that begins the transaction.
    Tag,
    /// The user that the client logged in as.
    User,
    /// The database (schema) that the session uses.
    Database,
}

impl Default for Tenants {
    fn default() -> Self {
        Self { by: TenantsBy::Off, tag: "tenant".into(), cap: CAP }
    }
}

impl Tenants {
    pub(super) fn to_policy(&self) -> tenant::Config {
        let by = match self.by {
            TenantsBy::Off => tenant::By::Nothing,
            TenantsBy::Tag => tenant::By::Tag(self.tag.clone()),
            TenantsBy::User => tenant::By::User,
            TenantsBy::Database => tenant::By::Database,
        };
        tenant::Config { by, cap: percent(self.cap) }
    }
}

/// `[retries]`: a client that was refused and sends the same statement with the same values within five
/// seconds comes again. Each account has a budget for that; what is beyond runs where there is room, and
/// does not wait for any. Who comes again within 50 ms is answered later, by a quarter of the time
/// that it was told to wait and at most 100 ms.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retries {
    /// `off`: nobody is known to come again. `observe`: it is counted what would be refused. `enforce`: the
    /// budget is kept. The milder of this and `guard.mode` holds.
    #[serde(default = "off")]
    pub mode: Mode,
    /// Retries for each hundred transactions of the account that were admitted.
    pub budget: u32,
    /// At least so many a second.
    pub per_second: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { mode: off(), budget: 10, per_second: 5 }
    }
}

impl Retries {
    pub(super) fn to_policy(&self) -> retry::Config {
        retry::Config {
            mode: self.mode.into(),
            budget: f64::from(self.budget) / 100.0,
            per_second: f64::from(self.per_second),
        }
    }
}

fn off() -> Mode {
    Mode::Off
}

/// So that another tenant finds room at once.
const CAP: NonZeroU32 = NonZeroU32::MIN.saturating_add(49);

/// A percentage that was checked to be one.
pub(super) fn percent(number: NonZeroU32) -> u8 {
    u8::try_from(number.get()).unwrap_or(100).min(100)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use policy::class;

    use super::super::{Config, ConfigErrors, Loaded};
    use super::*;

    fn with(more: &str) -> Result<Loaded, ConfigErrors> {
        let text = "[upstream]\naddress = \"127.0.0.1:3306\"\n\
                    [control]\nuser = \"tidegate\"\npassword = \"secret\"\n";
        Config::parse(Path::new("t.toml"), &format!("{text}{more}"), &|_| None)
    }

    #[test]
    fn what_is_said_of_queues_reaches_the_policy() {
        let more = "[tenants]\nby = \"tag\"\ntag = \"shop\"\ncap = 40\n\
                    [retries]\nmode = \"enforce\"\nbudget = 20\nper_second = 1\n\
                    [class.batch]\nqueue_target = \"1s\"\ndeadline = \"10s\"\ncap = 30\n";
        let policy = with(more).unwrap().config.policy();
        let by = tenant::By::Tag("shop".into());
        assert_eq!(policy.tenants, tenant::Config { by, cap: 40 });
        let mode = class::Mode::Enforce;
        assert_eq!(policy.retries, retry::Config { mode, budget: 0.2, per_second: 1.0 });
        let limits = policy.class(policy.class_named("batch").unwrap()).limits;
        assert_eq!(limits.queue_target, Duration::from_secs(1));
        assert_eq!((limits.deadline, limits.cap), (Some(Duration::from_secs(10)), Some(30)));
        let default = with("").unwrap().config.policy();
        assert_eq!(default.tenants, tenant::Config::default());
        assert_eq!(default.retries, retry::Config::default());
    }

    #[test]
    fn a_percentage_is_at_most_a_hundred() {
        for (more, key) in [
            ("[tenants]\ncap = 101\n", "tenants.cap"),
            ("[retries]\nbudget = 101\n", "retries.budget"),
            ("[class.batch]\ncap = 101\n", "class.batch.cap"),
        ] {
            let errors = with(more).unwrap_err().to_string();
            assert!(errors.contains(key) && errors.contains("100"), "{errors}");
        }
    }
}
