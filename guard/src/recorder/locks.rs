//! One look at the locks, as it is recorded: who holds others up and who waits behind, without anybody's values.

use std::{collections::VecDeque, time::Instant};

use foldhash::fast::RandomState;
use policy::{
    locks::{Activity, Branch, Locks, Object, Transaction},
    sql::{Digest, Statements},
};

use std::hash::BuildHasher as _;

use observe::server::Server;

use super::tape::{TRANSACTIONS_MAX, Tape};
use crate::control::{LockClient, LockLook, LockTransaction, judge, whole_ms};

/// Where the server does not tell who waits for whom: so many of the oldest that do not wait.
const OLDEST_MAX: usize = 16;

/// What makes a look of locks.
pub(super) struct Redact<'a, F> {
    /// What normalises statements.
    pub(super) statements: &'a Statements,
    /// Which server it is.
    pub(super) server: Option<Server>,
    /// Whose a backend is, and the statement that its session runs or ran last: of one that is idle InnoDB tells none.
    pub(super) client: F,
    /// What hashes the keys of rows. It is another one in each process, so that a key cannot be found by trying.
    pub(super) keys: &'a RandomState,
}

/// A look whose texts have no numbers yet.
#[derive(Debug)]
pub(super) struct Told {
    look: LockLook,
    texts: Vec<Texts>,
}

/// The texts of one transaction.
#[derive(Debug, Default)]
struct Texts {
    activity: &'static str,
    statement: String,
    user: String,
    on: String,
    client: String,
    class: String,
}

impl<F: Fn(u32) -> Option<(LockClient, Digest)>> Redact<'_, F> {
    /// What is recorded of these locks.
    pub(super) fn tell(&self, locks: &Locks) -> Told {
        let seen = locks.contention();
        let (mut transactions, mut texts) = (Vec::new(), Vec::new());
        let mut put = |backend: u32, behind: usize, holder: Option<u32>| {
            let (one, text) = self.transaction(locks, backend, holder);
            transactions.push(LockTransaction { behind: count(behind), ..one });
            texts.push(text);
        };
        let mut left_out = 0;
        // Level by level: who holds others up stands before all who only wait.
        let roots: Vec<Branch> =
            locks.roots().iter().map(|root| locks.tree(root.backend)).collect();
        let mut next: VecDeque<(&Branch, Option<u32>)> =
            roots.iter().map(|root| (root, None)).collect();
        let mut room = TRANSACTIONS_MAX;
        while let Some((branch, holder)) = next.pop_front() {
            if room == 0 {
                left_out += 1 + size(branch);
                continue;
            }
            room -= 1;
            put(branch.backend, size(branch), holder);
            next.extend(branch.waiters.iter().map(|waiter| (waiter, Some(branch.backend))));
        }
        if !locks.has_waits {
            let is_free = |one: &&Transaction| one.activity != Activity::Waits;
            let mut oldest: Vec<_> = locks.transactions.iter().filter(is_free).collect();
            oldest.sort_by_key(|one| std::cmp::Reverse(one.age));
            left_out += oldest.len().saturating_sub(OLDEST_MAX);
            oldest.iter().take(OLDEST_MAX).for_each(|one| put(one.backend, 0, None));
        }
        let look = LockLook {
            at_ms: 0,
            open: count(locks.transactions.len()),
            blocked: seen.blocked,
            rolling_back: seen.rolling_back,
            oldest_wait_ms: short(whole_ms(seen.longest_wait)),
            has_waits: locks.has_waits,
            transactions: transactions.into(),
            left_out: count(left_out),
        };
        Told { look, texts }
    }

    fn transaction(
        &self,
        locks: &Locks,
        backend: u32,
        holder: Option<u32>,
    ) -> (LockTransaction, Texts) {
        let (client, last) = (self.client)(backend).unwrap_or_default();
        let wait = locks.waits.iter().find(|wait| wait.waiter == backend);
        let mut texts = Texts {
            // It began, or ended, between two questions.
            activity: "unknown",
            on: wait.map(|wait| self.object(&wait.object)).unwrap_or_default(),
            client: client.address,
            class: client.class,
            ..Texts::default()
        };
        let mut told = LockTransaction {
            backend,
            waits_for: holder.unwrap_or_default(),
            ..LockTransaction::default()
        };
        if let Some(one) = locks.transaction(backend) {
            texts.activity = one.activity.name();
            texts.user.clone_from(&one.user);
            // What is there of one that was prepared is its name, which may be anything.
            if one.activity != Activity::Prepared {
                texts.statement =
                    judge(self.statements, self.server, &one.statement).text.to_string();
            }
            if texts.statement.is_empty()
                && let Some(shape) = self.statements.find(last)
            {
                texts.statement = shape.text.to_string();
            }
            told.age_ms = short(whole_ms(one.age));
            told.for_ms = short(whole_ms(one.for_time));
            told.rows_modified = short(one.rows_modified);
        }
        (told, texts)
    }

    /// What is locked; in place of the key of a row, a number that is the same for the same key.
    fn object(&self, object: &Object) -> String {
        let of_all = Object { key: String::new(), ..object.clone() };
        if object.key.is_empty() {
            return of_all.to_string();
        }
        format!("{of_all} #{:04x}", self.keys.hash_one(&object.key) & 0xffff)
    }
}

impl Told {
    /// The look, with its texts on this tape.
    pub(super) fn on(self, now: Instant, tape: &mut Tape) -> LockLook {
        let Self { mut look, texts } = self;
        for (one, texts) in look.transactions.iter_mut().zip(texts) {
            one.activity = tape.text(now, texts.activity);
            one.statement = tape.text(now, &texts.statement);
            one.user = tape.text(now, &texts.user);
            one.on = tape.text(now, &texts.on);
            one.client = tape.text(now, &texts.client);
            one.class = tape.text(now, &texts.class);
        }
        look
    }
}

/// How many wait behind.
fn size(branch: &Branch) -> usize {
    branch.waiters.iter().map(|waiter| 1 + size(waiter)).sum()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use policy::locks::Wait;

    use super::*;

    fn one(backend: u32, activity: Activity, statement: &str) -> Transaction {
        Transaction {
            backend,
            since: 0,
            id: 0,
            activity,
            age: Duration::from_secs(u64::from(backend)),
            for_time: Duration::from_millis(5),
            rows_locked: 1,
            rows_modified: 3,
            user: "web".into(),
            database: "shop".into(),
            statement: statement.into(),
        }
    }

    fn wait(waiter: u32, blocker: u32) -> Wait {
        let object = Object {
            kind: "row".into(),
            table: "shop.card".into(),
            index: "PRIMARY".into(),
            key: "'4111-1111'".into(),
        };
        Wait { waiter, blocker, object }
    }

    /// What is recorded of these, as JSON with its texts.
    fn told(locks: &Locks) -> (LockLook, String) {
        let statements = Statements::new(16);
        let last = judge(&statements, None, "UPDATE card SET pin = 9876").digest;
        let client = |backend| {
            let address = "10.0.0.7:1".into();
            let client = LockClient { session: 7, address, class: "api".into() };
            (backend == 2 || backend == 5).then_some((client, last))
        };
        let keys = RandomState::default();
        let redact = Redact { statements: &statements, server: None, client, keys: &keys };
        let (mut tape, now) = (Tape::new(Duration::from_secs(9), 1 << 20), Instant::now());
        let look = redact.tell(locks).on(now, &mut tape);
        tape.look(now, look.clone());
        (look, serde_json::to_string(&tape.cut(now, now, now)).unwrap())
    }

    #[test]
    fn who_holds_others_up_stands_first_and_no_value_is_told() {
        let update = "UPDATE card SET n = '4111-1111', pin = 9876 WHERE id = 31337";
        let locks = Locks {
            transactions: vec![
                one(1, Activity::Waits, update),
                one(2, Activity::Waits, update),
                one(3, Activity::Waits, update),
                one(4, Activity::Prepared, "gid-31337"),
                one(5, Activity::Idle, ""),
            ],
            waits: vec![wait(3, 2), wait(2, 1), wait(1, 5)],
            has_waits: true,
            is_cut_short: false,
        };
        let (look, json) = told(&locks);
        let edges = look.transactions.iter().map(|it| (it.backend, it.waits_for, it.behind));
        assert_eq!(edges.collect::<Vec<_>>(), [(5, 0, 3), (1, 5, 2), (2, 1, 1), (3, 2, 0)]);
        assert_eq!((look.open, look.blocked, look.left_out), (5, 3, 0));
        // Of who is idle the server tells no statement, but its session does.
        let told_of_idle = "update card set pin = ?";
        for part in [
            "update card set n = ?",
            told_of_idle,
            "row shop.card PRIMARY #",
            "10.0.0.7:1",
            "\"idle\"",
        ] {
            let is_there = json.to_lowercase().contains(&part.to_lowercase());
            assert!(is_there, "{part} is missing: {json}");
        }
        for value in ["4111", "9876", "31337"] {
            assert!(!json.contains(value), "{value}: {json}");
        }
    }

    #[test]
    fn of_many_the_roots_are_told_and_the_rest_is_counted() {
        let many = 500;
        let locks = Locks {
            transactions: (1..=many).map(|backend| one(backend, Activity::Waits, "")).collect(),
            waits: (3..=many).map(|waiter| wait(waiter, 1 + waiter % 2)).collect(),
            has_waits: true,
            is_cut_short: false,
        };
        let (look, _) = told(&locks);
        assert_eq!(look.transactions.len(), TRANSACTIONS_MAX);
        assert_eq!(look.transactions.len() + look.left_out as usize, many as usize);
        assert_eq!([look.transactions[0].waits_for, look.transactions[1].waits_for], [0, 0]);
    }

    #[test]
    fn where_the_graph_is_not_told_the_oldest_are() {
        let transactions = (1..=40).map(|backend| one(backend, Activity::Idle, "")).collect();
        let (look, _) = told(&Locks { transactions, ..Locks::default() });
        assert_eq!(look.transactions[0].backend, 40);
        assert_eq!((look.transactions.len(), look.left_out), (OLDEST_MAX, 24));
    }
}
