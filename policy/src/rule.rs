//! Rules: which statement belongs to which class.

use std::borrow::Cow;
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
pub struct Pattern {
    text: Box<str>,
    // Asked for each statement, of most patterns in vain.
    has_star: bool,
    has_dot: bool,
}

impl Pattern {
    /// A pattern from its text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), has_star: text.contains('*'), has_dot: text.contains('.') }
    }

    /// The text it was made from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` fits. Linear in the name times the number of stars.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        if !self.has_star {
            return self.text.as_bytes() == name;
        }
        self.matches_at(name.len(), |at| name[at])
    }

    /// Whether `schema`, a dot and `name` fit as a whole; they need not be written one behind the
    /// other for that.
    fn matches_qualified(&self, schema: &[u8], name: &[u8]) -> bool {
        let len = schema.len() + 1 + name.len();
        if !self.has_star && self.text.len() != len {
            return false;
        }
        self.matches_at(len, |at| {
            let behind = at.checked_sub(schema.len());
            match behind {
                None => schema[at],
                Some(0) => b'.',
                Some(behind) => name[behind - 1],
            }
        })
    }

    /// Whether `len` bytes fit.
    fn matches_at(&self, len: usize, byte: impl Fn(usize) -> u8) -> bool {
        let pattern = self.text.as_bytes();
        let (mut p, mut n) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while n < len {
            if pattern.get(p) == Some(&b'*') {
                retry = Some((p + 1, n));
                p += 1;
            } else if pattern.get(p) == Some(&byte(n)) {
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
            if !pattern.has_dot {
                return pattern.matches(table.name.as_bytes());
            }
            let schema = table.schema.as_deref().unwrap_or(self.database);
            pattern.matches_qualified(schema.as_bytes(), table.name.as_bytes())
        })
    }

    /// The value of a tag or query attribute; of several the first, an attribute before a tag.
    #[must_use]
    pub fn tag(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let attribute = self.attributes.iter().find(|(name, _)| *name == key);
        let attribute = attribute.map(|(_, value)| Cow::Borrowed(*value));
        attribute.or_else(|| self.scratch.tag(self.sql, key))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Dialect, Statements};

    const SQL: &[u8] = b"/*job='mail'*/ UPDATE orders o JOIN shop.items SET o.a = 1 WHERE o.id = 5";

    /// The class that one rule gives the statement of a client at 10.1.2.3.
    fn classify(matcher: Match) -> bool {
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(SQL, Dialect::default(), &mut scratch);
        let facts = Facts {
            shape: &shape,
            sql: SQL,
            scratch: &scratch,
            attributes: &[(b"priority", b"low")],
            user: "app",
            database: "main",
            client: [10, 1, 2, 3].into(),
        };
        let rule = Rule { name: "rule".to_owned(), matcher, class: ClassId(7) };
        match RuleSet::new(vec![rule]).classify(&facts) {
            (ClassId(7), Some(0)) => true,
            (ClassId::DEFAULT, None) => false,
            other => panic!("{other:?}"),
        }
    }

    fn check(matcher: Match, expect: bool) {
        assert_eq!(classify(matcher.clone()), expect, "{matcher:?}");
    }

    fn table(pattern: &str) -> Match {
        Match { table: vec![Pattern::new("never"), Pattern::new(pattern)], ..Match::default() }
    }

    fn tag(key: &str, value: &str) -> Match {
        Match { tag: vec![(key.to_owned(), Pattern::new(value))], ..Match::default() }
    }

    #[test]
    fn every_part_that_is_given_must_fit() {
        check(Match::default(), true);
        check(Match { kind: vec![Kind::Select, Kind::Update], ..Match::default() }, true);
        check(Match { kind: vec![Kind::Select], ..Match::default() }, false);
        check(Match { digest: Some(Digest(1)), ..Match::default() }, false);
        check(Match { user: Some(Pattern::new("a*")), ..Match::default() }, true);
        check(Match { user: Some(Pattern::new("b*")), ..Match::default() }, false);
        check(Match { database: Some(Pattern::new("main")), ..tag("job", "mail") }, true);
        check(Match { database: Some(Pattern::new("main")), ..tag("job", "call") }, false);
    }

    #[test]
    fn tables_fit_alone_or_with_their_schema() {
        for (pattern, expect) in [
            ("orders", true),
            ("items", true),
            ("main.orders", true),
            ("main.items", false),
            ("shop.*", true),
            ("*.orders", true),
            ("order", false),
        ] {
            check(table(pattern), expect);
        }
    }

    #[test]
    fn tags_come_from_comments_and_attributes() {
        check(tag("job", "m*l"), true);
        check(tag("priority", "low"), true);
        check(tag("priority", "high"), false);
        check(tag("absent", "*"), false);
    }

    #[test]
    fn networks_contain_clients() {
        for (network, expect) in [("10.0.0.0/8", true), ("10.2.0.0/16", false), ("::/0", false)] {
            check(Match { network: vec![network.parse().unwrap()], ..Match::default() }, expect);
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expect) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a?", "ab", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name.as_bytes()), expect, "{pattern} {name}");
        }
        // Many stars cost their number times the length, not its power.
        assert!(!Pattern::new(&"*a".repeat(64)).matches("a".repeat(63).as_bytes()));
        assert!(!Pattern::new(&("*a".repeat(64) + "b")).matches("a".repeat(10_000).as_bytes()));
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut scratch = Scratch::default();
        let shape = Statements::new(1).judge(b"SELECT 1", Dialect::default(), &mut scratch);
        let facts = Facts {
            shape: &shape,
            sql: b"SELECT 1",
            scratch: &scratch,
            attributes: &[],
            user: "",
            database: "",
            client: [127, 0, 0, 1].into(),
        };
        let rule = |kind, class| Rule {
            name: String::new(),
            matcher: Match { kind: vec![kind], ..Match::default() },
            class: ClassId(class),
        };
        let rules = vec![rule(Kind::Update, 1), rule(Kind::Select, 2), rule(Kind::Select, 3)];
        assert_eq!(RuleSet::new(rules).classify(&facts), (ClassId(2), Some(1)));
    }
}
