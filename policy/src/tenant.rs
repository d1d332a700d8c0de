//! Tenants: whose work a transaction is, where one guard serves many.
//!
//! Within a class the tenants that wait go in turn, each the same work, however much one of them asks
//! for. Tenants are told apart by a number of their name (stochastic fairness queueing, McKenney 1990):
//! nothing grows with them, and of a thousand two share a turn for every few hundred there are.

use crate::rule::Facts;

/// Tenants that are told apart, those that are none included.
pub const TENANTS: u16 = 1024;

/// A tenant's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Tenant(u16);

impl Tenant {
    /// What comes from no tenant in particular; it is one among the others.
    pub const NONE: Self = Self(0);

    /// The tenant of this name. An empty one is none.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        if name.is_empty() {
            return Self::NONE;
        }
        // FNV-1a; whoever chooses its tenant's name chooses whose turn it shares, and no more.
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = name.iter().fold(0xcbf2_9ce4_8422_2325, mix);
        Self(1 + (hash % u64::from(TENANTS - 1)) as u16)
    }

    /// Its place among [`TENANTS`].
    pub(crate) fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// What tells tenants apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum By {
    /// Nothing: there are none.
    #[default]
    Nothing,
    /// The value of this tag, or query attribute.
    Tag(String),
    /// The user.
    User,
    /// The database.
    Database,
}

/// How tenants are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What tells them apart.
    pub by: By,
    /// The percentage of the room of a class that one of them may take while others of the class
    /// run: at least two transactions. 100 sets no bound.
    pub cap: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { by: By::Nothing, cap: 50 }
    }
}

impl Config {
    /// Whose work a statement is.
    #[must_use]
    pub fn tenant(&self, facts: &Facts<'_>) -> Tenant {
        match &self.by {
            By::Nothing => Tenant::NONE,
            By::Tag(key) => {
                facts.tag(key.as_bytes()).map_or(Tenant::NONE, |name| Tenant::named(&name))
            }
            By::User => Tenant::named(facts.user.as_bytes()),
            By::Database => Tenant::named(facts.database.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart_and_no_name_is_none() {
        assert_eq!(Tenant::named(b""), Tenant::NONE);
        let names = (0..50).map(|n| format!("tenant {n}"));
        let places: std::collections::BTreeSet<_> =
            names.map(|name| Tenant::named(name.as_bytes())).collect();
        assert!(places.len() >= 48, "{}", places.len());
        assert!(!places.contains(&Tenant::NONE));
    }
}
