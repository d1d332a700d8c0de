use proptest::prelude::*;

use super::*;
use crate::sql::{Dialect, Scratch, Statements};

const MS: Duration = Duration::from_millis(1);
const MYSQL: Names = Names::MySql;
const PG: Names = Names::Postgres;
const READ: &str = "SELECT n FROM account";

#[expect(clippy::disallowed_methods, reason = "some instant to start from")]
fn epoch() -> Instant {
    Instant::now()
}

fn tables() -> Tables {
    Tables::new(Config { mode: Mode::Enforce, ..Config::default() })
}

/// One that has waited for long.
fn want() -> Want {
    Want {
        backend: 7,
        is_waiting: true,
        for_time: 400 * MS,
        from: Access::Read,
        home: "shop".into(),
        table: Some(table(Some("public"), "account")),
        statement: "ALTER TABLE account ADD more INT".into(),
    }
}

fn table(schema: Option<&str>, name: &str) -> Table {
    Table { schema: schema.map(Into::into), name: name.into() }
}

fn with<R>(names: Names, sql: &str, ask: impl FnOnce(Subject<'_>) -> R) -> R {
    let dialect = match names {
        Names::MySql => Dialect::default(),
        Names::Postgres => Dialect::Postgres { standard_conforming_strings: true },
    };
    let shape = Statements::new(1).judge(sql.as_bytes(), dialect, &mut Scratch::default());
    ask(Subject { shape: &shape, home: b"shop", names })
}

fn arrive(tables: &mut Tables, now: Instant, sql: &str) -> Passage {
    with(PG, sql, |subject| tables.arrive(now, subject, Mode::Enforce))
}

fn is_parked(tables: &Tables, now: Instant, names: Names, sql: &str) -> bool {
    with(names, sql, |subject| tables.cause(now, subject).is_some())
}

#[test]
fn who_names_the_table_is_parked_until_a_look_shows_that_it_is_over() {
    let (mut tables, now) = (tables(), epoch());
    assert_eq!(arrive(&mut tables, now, READ), Passage::Free);
    tables.observe(now, &[want()]);
    assert!(tables.is_holding(now));
    let Passage::Park(cause) = arrive(&mut tables, now + 100 * MS, READ) else { panic!() };
    assert_eq!((&*cause.table.name, cause.backend, cause.waited), ("account", 7, 500 * MS));
    assert_eq!(cause.until, now + LAPSE);
    assert_eq!(arrive(&mut tables, now, "SELECT n FROM other"), Passage::Free);
    // It has its lock and works.
    let works = Want { is_waiting: false, ..want() };
    tables.observe(now + 1000 * MS, &[works]);
    assert!(is_parked(&tables, now + 1000 * MS, PG, READ));
    tables.observe(now + 1200 * MS, &[]);
    assert!(!is_parked(&tables, now + 1200 * MS, PG, READ) && !tables.is_holding(now + 1200 * MS));
    tables.leave(Left::Free);
    let expected = Counts { parked: 1, ..Counts::default() };
    assert_eq!((tables.parked(), tables.counts()), (0, expected));
}

#[test]
fn who_waits_for_less_than_a_moment_or_does_not_wait_at_all_holds_nobody_up() {
    let (mut tables, now) = (tables(), epoch());
    let short = Want { for_time: 3 * MS, ..want() };
    let works = Want { backend: 8, is_waiting: false, ..want() };
    tables.observe(now, &[short.clone(), works.clone()]);
    assert!(!is_parked(&tables, now, PG, READ));
    tables.observe(now + 200 * MS, &[works]);
    assert!(!is_parked(&tables, now + 200 * MS, PG, READ));
    // At the next look it still waits, whatever the server says for how long.
    tables.observe(now + 400 * MS, std::slice::from_ref(&short));
    assert!(!is_parked(&tables, now + 400 * MS, PG, READ));
    tables.observe(now + 600 * MS, &[short]);
    assert!(is_parked(&tables, now + 600 * MS, PG, READ));
}

#[test]
fn nobody_depends_on_a_look_that_does_not_come() {
    let (mut tables, now) = (tables(), epoch());
    tables.observe(now, &[want()]);
    assert!(is_parked(&tables, now + LAPSE - MS, PG, READ));
    assert!(!is_parked(&tables, now + LAPSE, PG, READ) && !tables.is_holding(now + LAPSE));
    // The next look is as good as the first.
    tables.observe(now + 2 * LAPSE, &[want()]);
    assert!(is_parked(&tables, now + 2 * LAPSE, PG, READ));
}

#[test]
fn one_that_waits_for_ever_is_let_alone_after_its_time() {
    let (mut tables, start) = (tables(), epoch());
    let look = |tables: &mut Tables, at: Duration, wants: &[Want]| {
        tables.observe(start + at, wants);
        is_parked(tables, start + at, PG, READ)
    };
    for second in 0..30 {
        assert!(look(&mut tables, second * 1000 * MS, &[want()]), "{second}");
    }
    for second in 30..60 {
        assert!(!look(&mut tables, second * 1000 * MS, &[want()]), "{second}");
    }
    // One that goes on with another statement is another one, and so is one that comes back.
    assert!(!look(&mut tables, TIME * 2, &[]));
    assert!(look(&mut tables, TIME * 2 + MS, &[want()]));
    let next = Want { statement: "ALTER TABLE account DROP more".into(), ..want() };
    assert!(look(&mut tables, TIME * 3, std::slice::from_ref(&next)));
    assert!(look(&mut tables, TIME * 4 - MS, std::slice::from_ref(&next)));
    assert!(!look(&mut tables, TIME * 4, &[next]));
}

#[test]
fn only_who_would_wait_in_the_database_is_parked() {
    let now = epoch();
    let check = |from: Access, sql: &str, expect: bool| {
        let mut tables = tables();
        tables.observe(now, &[Want { from, ..want() }]);
        assert_eq!(is_parked(&tables, now, PG, sql), expect, "{from:?}: {sql}");
    };
    for (sql, access) in [
        ("SELECT * FROM account JOIN other USING (id)", Some(Access::Read)),
        ("WITH x AS (SELECT 1) SELECT * FROM x, account", Some(Access::Read)),
        ("COPY account TO STDOUT", Some(Access::Read)),
        ("SELECT * FROM account FOR UPDATE", Some(Access::Lock)),
        ("INSERT INTO account VALUES (1)", Some(Access::Write)),
        ("INSERT INTO other SELECT * FROM account", Some(Access::Write)),
        ("UPDATE account SET n = 1", Some(Access::Write)),
        ("DELETE FROM account", Some(Access::Write)),
        ("COPY account FROM STDIN", Some(Access::Write)),
        // What ends something, another DDL, and what is not known always pass.
        ("COMMIT", None),
        ("ROLLBACK", None),
        ("ALTER TABLE account DROP n", None),
        ("LOCK TABLE account", None),
        ("CALL account(1)", None),
        ("EXECUTE account", None),
        ("SET account = 1", None),
    ] {
        for from in [Access::Read, Access::Lock, Access::Write] {
            check(from, sql, access.is_some_and(|access| access >= from));
        }
    }
}

#[test]
fn names_are_compared_as_the_server_does_as_far_as_that_is_known() {
    let now = epoch();
    let check = |names, told: Table, sql: &str, expect: bool| {
        let mut tables = tables();
        tables.observe(now, &[Want { table: Some(told.clone()), ..want() }]);
        assert_eq!(is_parked(&tables, now, names, sql), expect, "{told:?}: {sql}");
    };
    let public = || table(Some("public"), "account");
    check(PG, public(), "SELECT 1 FROM Account", true);
    check(PG, public(), "SELECT 1 FROM \"Account\"", false);
    check(PG, public(), "SELECT 1 FROM public.account", true);
    check(PG, public(), "SELECT 1 FROM old.account", false);
    check(PG, table(None, "account"), "SELECT 1 FROM old.account", true);
    // The search path is not known.
    check(PG, table(Some("old"), "account"), "SELECT 1 FROM account", true);
    let shop = || table(Some("shop"), "account");
    check(MYSQL, shop(), "SELECT 1 FROM account", true);
    check(MYSQL, shop(), "SELECT 1 FROM `Account`", true);
    check(MYSQL, shop(), "SELECT 1 FROM shop.account", true);
    check(MYSQL, shop(), "SELECT 1 FROM old.account", false);
    check(MYSQL, table(Some("old"), "account"), "SELECT 1 FROM account", false);
    check(MYSQL, table(Some("old"), "account"), "SELECT 1 FROM old.account", true);
    check(MYSQL, table(None, "account"), "SELECT 1 FROM account", true);
}

#[test]
fn another_database_of_postgres_has_tables_of_its_own() {
    let (mut tables, now) = (tables(), epoch());
    tables.observe(now, &[Want { home: "stock".into(), ..want() }]);
    assert!(!is_parked(&tables, now, PG, READ));
}

#[test]
fn the_table_that_it_has_while_it_waits_for_the_next_is_out_of_bounds_as_well() {
    let (mut tables, now) = (tables(), epoch());
    let has = Want { is_waiting: false, table: Some(table(None, "first")), ..want() };
    tables.observe(now, &[has, want()]);
    assert!(is_parked(&tables, now, PG, "SELECT 1 FROM first"));
    let names: Vec<_> = tables.causes(now).into_iter().map(|cause| cause.table.name).collect();
    assert_eq!(names, ["account".into(), "first".into()]);
}

#[test]
fn what_is_parked_watched_and_told_is_bounded() {
    let config = Config { mode: Mode::Enforce, parked_max: 2, ..Config::default() };
    let (mut tables, now) = (Tables::new(config), epoch());
    let many = (0..100).map(|backend| Want {
        backend,
        table: Some(table(None, &format!("t{backend}"))),
        ..want()
    });
    tables.observe(now, &many.collect::<Vec<_>>());
    assert_eq!(tables.causes(now).len(), DDLS_MAX);
    let wide =
        (0..100).map(|number| Want { table: Some(table(None, &format!("t{number}"))), ..want() });
    let wide: Vec<_> = wide.chain([want()]).collect();
    tables.observe(now, &wide);
    assert_eq!(tables.causes(now).len(), TABLES_MAX);
    tables.observe(now, &[want()]);
    for _ in 0..2 {
        assert!(matches!(arrive(&mut tables, now, READ), Passage::Park(_)));
    }
    assert!(matches!(arrive(&mut tables, now, READ), Passage::Full(_, 2)));
    tables.leave(Left::GaveUp);
    assert!(matches!(arrive(&mut tables, now, READ), Passage::Park(_)));
    let expected = Counts { parked: 3, refused: 2, would_park: 0 };
    assert_eq!((tables.parked(), tables.counts()), (2, expected));
}

#[test]
fn observing_counts_and_parks_nobody_and_a_reload_lets_go() {
    let (mut tables, now) = (tables(), epoch());
    tables.observe(now, &[want()]);
    assert!(matches!(arrive(&mut tables, now, READ), Passage::Park(_)));
    let with_mode = |mode| Config { mode, ..Config::default() };
    tables.reconfigure(with_mode(Mode::Observe));
    assert!(!is_parked(&tables, now, PG, READ));
    assert_eq!(arrive(&mut tables, now, READ), Passage::Free);
    tables.reconfigure(with_mode(Mode::Enforce));
    // A class that is milder.
    let passage = with(PG, READ, |subject| tables.arrive(now, subject, Mode::Observe));
    assert_eq!((passage, tables.counts().would_park), (Passage::Free, 2));
    tables.reconfigure(with_mode(Mode::Off));
    tables.observe(now, &[want()]);
    assert_eq!(arrive(&mut tables, now, READ), Passage::Free);
    assert!(!tables.is_holding(now));
}

proptest! {
    /// Whatever looks show, and whenever they come: nobody is parked for longer than a look holds good,
    /// nor for longer than each that is seen may have him wait.
    #[test]
    fn whoever_is_parked_is_let_go_in_time(
        looks in prop::collection::vec((1_u32..9_000, prop::collection::vec((0_u32..4, any::<bool>(), 0_u32..3), 0..6)), 1..40),
    ) {
        let (mut tables, start) = (tables(), epoch());
        let (mut now, mut last) = (start, start);
        let mut held: HashMap<u32, Duration> = HashMap::new();
        for (wait, seen) in looks {
            if let Some(cause) = with(PG, READ, |subject| tables.cause(now, subject)) {
                prop_assert!(cause.until > now && cause.until <= last + LAPSE);
                prop_assert!(!is_parked(&tables, last + LAPSE, PG, READ));
            }
            now += wait * MS;
            last = now;
            let wants: Vec<_> = seen.iter().map(|(backend, is_waiting, kind)| Want {
                backend: *backend,
                is_waiting: *is_waiting,
                for_time: *kind * 400 * MS,
                ..want()
            }).collect();
            tables.observe(now, &wants);
            held.retain(|backend, _| seen.iter().any(|(one, ..)| one == backend));
            for cause in tables.causes(now) {
                prop_assert!(seen.iter().any(|(one, ..)| *one == cause.backend));
                let since = held.entry(cause.backend).or_insert(now - start);
                prop_assert!(now - start - *since < TIME);
            }
        }
    }
}
