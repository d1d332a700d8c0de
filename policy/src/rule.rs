//! Rules: which statement belongs to which class.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::class::ClassId;
use crate::sql::{Digest, Kind, Scratch, Shape};

/// What may be known of a statement when it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What its digest tells.
    pub shape: &'a Shape,
    /// Its text.
    pub sql: &'a [u8],
    /// Literals and tags of this text.
    pub scratch: &'a Scratch,
    /// Query attributes sent beside the text: name and value.
    pub attributes: &'a [(&'a [u8], &'a [u8])],
    /// The user the client logged in as.
    pub user: &'a str,
    /// The session's current database, or "".
    pub database: &'a str,
    /// The client's address.
    pub client: IpAddr,
}

/// A pattern over names: `*` stands for any run of bytes, everything else for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// A pattern from its text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text it was made from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` fits. Linear in the name times the number of stars.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = self.0.as_bytes();
        let (mut p, mut n) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while n < name.len() {
            if pattern.get(p) == Some(&b'*') {
                retry = Some((p + 1, n));
                p += 1;
            } else if pattern.get(p) == Some(&name[n]) {
                p += 1;
                n += 1;
            } else if let Some((after_star, from)) = retry {
                retry = Some((after_star, from + 1));
                p = after_star;
                n = from + 1;
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|&byte| byte == b'*')
    }
}

/// What a statement must fulfil; every part that is given must fit, and an empty part fits all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// This digest.
    pub digest: Option<Digest>,
    /// One of these kinds.
    pub kind: Vec<Kind>,
    /// One of its tables fits one of these: `table`, `schema.table`.
    pub table: Vec<Pattern>,
    /// Every one of these tags (or query attributes) is there with a value that fits.
    pub tag: Vec<(String, Pattern)>,
    /// The user fits.
    pub user: Option<Pattern>,
    /// The session's database fits.
    pub database: Option<Pattern>,
    /// The client's address is in one of these networks.
    pub network: Vec<IpNet>,
}

impl Match {
    /// Whether every given part fits.
    #[must_use]
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.digest.is_none_or(|digest| digest == facts.shape.digest)
            && (self.kind.is_empty() || self.kind.contains(&facts.shape.kind))
            && self.user.as_ref().is_none_or(|user| user.matches(facts.user.as_bytes()))
            && self.database.as_ref().is_none_or(|name| name.matches(facts.database.as_bytes()))
            && (self.network.is_empty()
                || self.network.iter().any(|net| net.contains(&facts.client)))
            && (self.table.is_empty() || self.table.iter().any(|table| facts.has_table(table)))
            && self.tag.iter().all(|(key, value)| facts.has_tag(key.as_bytes(), value))
    }
}

impl Facts<'_> {
    /// Whether one of the statement's tables fits the pattern, alone or with its schema (that of
    /// the session when the statement names none).
    #[must_use]
    pub fn has_table(&self, pattern: &Pattern) -> bool {
        self.shape.tables.iter().any(|table| {
            if !pattern.as_str().contains('.') {
                return pattern.matches(table.name.as_bytes());
            }
            let schema = table.schema.as_deref().unwrap_or(self.database);
            pattern.matches(format!("{schema}.{}", table.name).as_bytes())
        })
    }

    /// Whether a tag or query attribute of this name has a value that fits.
    #[must_use]
    pub fn has_tag(&self, key: &[u8], value: &Pattern) -> bool {
        self.attributes.iter().any(|&(name, found)| name == key && value.matches(found))
            || self.scratch.tags(self.sql).any(|(name, found)| name == key && value.matches(&found))
    }
}

/// A match and the class it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Name in configuration, metrics and refusals.
    pub name: String,
    /// Which statements.
    pub matcher: Match,
    /// Their class.
    pub class: ClassId,
}

/// Rules in order; the first that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

impl RuleSet {
    /// Rules in the order in which they are tried.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// The class of a statement and the index of the rule that matched; the default class if none.
    #[must_use]
    pub fn classify(&self, facts: &Facts<'_>) -> (ClassId, Option<usize>) {
        match self.rules.iter().position(|rule| rule.matcher.matches(facts)) {
            Some(index) => (self.rules[index].class, Some(index)),
            None => (ClassId::DEFAULT, None),
        }
    }

    /// The rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}
