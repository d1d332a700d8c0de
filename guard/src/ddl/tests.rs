use std::{task::Poll, time::Duration};

use policy::{
    ddl::{Access, LAPSE, Names},
    sql::{Dialect, Scratch, Statements},
};

use super::*;

const READ: &str = "SELECT n FROM account";

fn judge(sql: &str) -> Arc<Shape> {
    Statements::new(1).judge(sql.as_bytes(), Dialect::default(), &mut Scratch::default())
}

fn want(statement: &str) -> Want {
    Want {
        backend: 7,
        is_waiting: true,
        for_time: Duration::from_secs(1),
        from: Access::Read,
        home: "shop".into(),
        table: None,
        statement: statement.into(),
    }
}

fn subject(shape: &Shape) -> Subject<'_> {
    Subject { shape, home: b"shop", names: Names::MySql }
}

fn policy(mode: Mode) -> Policy {
    let ddl = Config { mode, ..Config::default() };
    Policy { ddl, ..Policy::default() }
}

/// Somebody waits for the table.
fn ddl() -> Arc<Ddl> {
    let ddl = Ddl::new(&policy(Mode::Enforce));
    ddl.observe(Instant::now(), &expand(vec![want("ALTER TABLE account ADD more INT")], judge));
    ddl
}

fn park(ddl: &Arc<Ddl>) -> Parked {
    match ddl.arrive(Instant::now(), subject(&judge(READ)), Mode::Enforce) {
        Way::Park(parked) => parked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_statement_wants_for_itself_is_what_it_names() {
    for (sql, expect) in [
        ("ALTER TABLE account ADD more INT DEFAULT 7", &["account"][..]),
        ("ALTER TABLE shop.account ENGINE = InnoDB", &["account"]),
        ("TRUNCATE TABLE account", &["account"]),
        ("TRUNCATE account", &["account"]),
        ("DROP TABLE IF EXISTS account, other", &["account", "other"]),
        // What it is called from then on nobody can want yet.
        ("RENAME TABLE account TO old, new TO account", &["account", "new"]),
        ("CREATE UNIQUE INDEX i ON account (n)", &["account"]),
        ("DROP INDEX i ON account", &["account"]),
        ("CREATE TRIGGER t BEFORE INSERT ON account FOR EACH ROW SET NEW.n = 1", &["account"]),
        ("OPTIMIZE TABLE account", &["account"]),
        ("LOCK TABLES account WRITE", &["account"]),
        ("FLUSH PRIVILEGES", &[]),
    ] {
        let wants = expand(vec![want(sql)], judge);
        let tables: Vec<_> = wants.iter().filter_map(|want| want.table.as_ref()).collect();
        let names: Vec<_> = tables.iter().map(|table| &*table.name).collect();
        assert_eq!(names, expect, "{sql}");
        assert!(wants.iter().all(|want| !want.statement.contains('7')), "{wants:?}");
    }
    let told = Table { schema: None, name: "told".into() };
    let wants = expand(vec![Want { table: Some(told.clone()), ..want("DROP TABLE a, b") }], judge);
    assert_eq!(wants.len(), 1);
    assert_eq!(wants[0].table, Some(told));
}

#[tokio::test]
async fn who_is_parked_goes_on_once_a_look_shows_that_it_is_over_and_who_leaves_is_not_counted() {
    let ddl = ddl();
    assert!(ddl.is_looking() && ddl.is_holding());
    let (mut parked, gone) = (park(&ddl), park(&ddl));
    assert_eq!(ddl.report(Instant::now()).parked, 2);
    drop(gone);
    let shape = judge(READ);
    {
        let mut wait = std::pin::pin!(parked.wait(subject(&shape)));
        assert!(polled(wait.as_mut()).await.is_pending());
        ddl.observe(Instant::now(), &expand(vec![want("TRUNCATE other")], judge));
        wait.await;
    }
    drop(parked);
    let report = ddl.report(Instant::now());
    assert_eq!((report.parked, report.counts.parked, report.counts.refused), (0, 2, 0));
    assert!(matches!(ddl.arrive(Instant::now(), subject(&shape), Mode::Enforce), Way::Free));
}

#[tokio::test]
async fn a_reload_that_turns_it_off_lets_all_go_on() {
    let ddl = ddl();
    let mut parked = park(&ddl);
    let shape = judge(READ);
    let mut wait = std::pin::pin!(parked.wait(subject(&shape)));
    assert!(polled(wait.as_mut()).await.is_pending());
    ddl.reconfigure(&policy(Mode::Observe));
    wait.await;
    ddl.reconfigure(&policy(Mode::Off));
    assert!(!ddl.is_looking());
    // The flag falls with the next that asks.
    let way = ddl.arrive(Instant::now(), subject(&shape), Mode::Enforce);
    assert!(matches!(way, Way::Free) && !ddl.is_holding());
}

#[test]
fn who_gives_up_is_counted_and_told_why() {
    let ddl = ddl();
    let cause = park(&ddl).give_up();
    assert_eq!((&*cause.table.name, cause.backend), ("account", 7));
    assert_eq!(&*cause.statement, "ALTER TABLE account ADD more INT");
    assert!(cause.until <= Instant::now() + LAPSE);
    let report = ddl.report(Instant::now());
    assert_eq!((report.parked, report.counts.refused), (0, 1));
}

/// Polls once.
async fn polled<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut future).poll(context))).await
}
