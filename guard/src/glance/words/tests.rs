use super::*;
use crate::control::{
    Act, ClassStatus, DdlStatus, DdlTable, HotKey, LockClient, LocksStatus, PauseStatus, Rates,
    Sample, Step, UpstreamStatus,
};

/// A guard with nothing to tell of, and a change to it.
fn seen(change: impl FnOnce(&mut Snapshot)) -> Told {
    let mut seen = Snapshot::default();
    seen.status.mode = "enforce".into();
    change(&mut seen);
    tell(&seen)
}

fn commands(told: &Told) -> Vec<&str> {
    told.advice.iter().filter_map(|advice| advice.command.as_deref()).collect()
}

fn client(class: &str) -> Option<LockClient> {
    Some(LockClient { session: 1, address: "10.0.0.7:5123".into(), class: class.into() })
}

fn holder(activity: &str, client: Option<LockClient>, waiters: Vec<LockHolder>) -> LockHolder {
    LockHolder {
        backend: 88,
        activity: activity.into(),
        for_ms: 4_000,
        user: "web".into(),
        client,
        behind: waiters.len(),
        waiters,
        ..LockHolder::default()
    }
}

fn pile_up(seen: &mut Snapshot, root: LockHolder) {
    seen.locks = LocksStatus {
        blocked: 12,
        open: 14,
        oldest_wait_ms: 2_300,
        roots: vec![root],
        ..LocksStatus::default()
    };
}

fn incident(mode: &str, phase: &str) -> Incident {
    Incident {
        id: 1,
        mode: mode.into(),
        steps: vec![Step { phase: phase.into(), ..Step::default() }],
        ..Incident::default()
    }
}

#[test]
fn a_calm_guard_says_so_in_one_sentence() {
    let told = seen(|seen| {
        seen.now = Sample {
            limit: Some(38),
            rates: Rates { statements: 1204.0, ..Rates::default() },
            ..Sample::default()
        };
        seen.status.in_flight = 9;
    });
    assert_eq!(
        told,
        Told {
            headline: "All is well: 1,204 statements a second, 9 of 38 transactions in flight, nobody waits for \
                       long."
                .into(),
            ..Told::default()
        }
    );
}

#[test]
fn a_lost_database_is_the_gravest() {
    let told = seen(|seen| {
        seen.status.state = State::UpstreamLost;
        seen.status.upstream =
            UpstreamStatus { address: "db:3306".into(), ..UpstreamStatus::default() };
        seen.pause.ends_in_ms = Some(5_000);
    });
    assert_eq!(told.level, Level::Lost);
    assert_eq!(told.headline, "The database at db:3306 cannot be reached.");
    assert_eq!(told.wrong.len(), 2, "the pause is told as well");
}

#[test]
fn a_pause_says_how_to_end_it() {
    let told = seen(|seen| {
        seen.pause = PauseStatus {
            ends_in_ms: Some(42_000),
            held: 7,
            in_flight: 1,
            ..PauseStatus::default()
        };
    });
    assert_eq!(told.headline, "The guard is paused for 42.0s more; 7 transactions held.");
    assert_eq!(told.doing, ["New transactions are held; still running: 1 transaction."]);
    assert_eq!(commands(&told), ["tidegate resume"]);
}

#[test]
fn a_guard_that_leaves_says_who_is_left() {
    let told = seen(|seen| {
        seen.status.state = State::Draining;
        seen.status.clients.connected = 3;
    });
    assert_eq!(told.headline, "The guard is shutting down; 3 clients are still connected.");
}

#[test]
fn a_pile_up_names_its_root_and_what_can_be_done() {
    let waiter = |class| holder("waits", client(class), vec![]);
    let waiters = vec![waiter("jobs"), waiter("jobs"), waiter("checkout")];
    let told = seen(|seen| {
        pile_up(seen, holder("idle", client("checkout"), waiters));
        let acts = vec![Act { is_ordered: true, ..Act::default() }];
        seen.incidents = vec![Incident { acts, ..incident("enforce", "melting") }];
    });
    assert_eq!(told.level, Level::Trouble);
    assert_eq!(
        told.wrong,
        [
            "A pile-up: 12 of 14 open transactions wait for a lock, the longest for 2.3s.",
            "Transaction 88 (web of 10.0.0.7:5123 in class checkout) holds 3 up: it has been idle for 4.0s with its \
             transaction open."
        ]
    );
    assert_eq!(
        told.doing,
        [
            "Who holds the others up is rolled back, one after the other; new writers are held up.",
            "To be rolled back so far: 1 transaction."
        ]
    );
    assert_eq!(
        told.advice[0].text,
        "Have its owner (web of 10.0.0.7:5123 in class checkout) commit or roll back; it holds its locks for as long as it is \
         idle."
    );
    assert_eq!(commands(&told), ["tidegate switch off class jobs --for 10m --reason pile-up"]);
}

#[test]
fn each_step_of_a_pile_up_has_its_sentence() {
    for (mode, phase, said) in [
        ("enforce", "freezing", "New transactions that write are held up at the gate"),
        ("enforce", "waiting", "Writers come in by half of the limit"),
        ("enforce", "letting_in", "Little waits any more"),
        ("enforce", "?", "It has noticed"),
        ("observe", "melting", "It only takes notes"),
    ] {
        let told = seen(|seen| {
            pile_up(seen, holder("runs", client("web"), vec![]));
            seen.incidents = vec![incident(mode, phase)];
        });
        assert!(told.doing[0].starts_with(said), "{mode} {phase}: {:?}", told.doing);
    }
}

#[test]
fn what_the_advice_is_depends_on_what_the_root_does() {
    for (activity, from, said) in [
        ("rolls back", client("web"), "Leave the rollback alone"),
        ("idle", None, "Have its owner (web, not through this guard) commit"),
        ("runs", None, "Transaction 88 did not come through this guard"),
    ] {
        let told = seen(|seen| pile_up(seen, holder(activity, from, vec![])));
        assert_eq!(told.level, Level::Watch, "there is no incident");
        assert!(told.advice[0].text.starts_with(said), "{activity}: {:?}", told.advice);
    }
    let told = seen(|seen| pile_up(seen, holder("runs", client("web"), vec![])));
    assert_eq!(told.advice, [], "it is working");
}

#[test]
fn a_short_wait_for_a_lock_is_no_news() {
    let told = seen(|seen| {
        pile_up(seen, holder("runs", None, vec![]));
        seen.locks.oldest_wait_ms = 20;
    });
    assert_eq!((told.level, told.wrong.len()), (Level::Calm, 0));
}

#[test]
fn a_class_that_is_off_already_is_not_to_be_turned_off() {
    let told = seen(|seen| {
        pile_up(seen, holder("runs", client("web"), vec![holder("waits", client("jobs"), vec![])]));
        seen.switches = vec![SwitchStatus {
            target: "class jobs".into(),
            author: "ann".into(),
            reason: "storm".into(),
            ends_in_ms: Some(60_000),
            ..SwitchStatus::default()
        }];
    });
    assert_eq!(commands(&told), ["tidegate switch on class jobs"]);
    assert_eq!(told.doing.last().unwrap(), "Switch class jobs: off for 1m00s more, by ann: storm.");
}

#[test]
fn a_switch_is_not_all_well() {
    let told = seen(|seen| seen.switches = vec![SwitchStatus::default()]);
    assert_eq!(told.headline, "Nothing is wrong; a switch is set, so some traffic may be refused.");
    assert_eq!((told.level, told.wrong.len()), (Level::Watch, 0));
}

#[test]
fn a_queue_says_which_limit_makes_it() {
    let class = |limit, in_flight| ClassNow {
        status: ClassStatus {
            name: "jobs".into(),
            limit,
            in_flight,
            queued: 31,
            oldest_wait_ms: 1_300,
            ..ClassStatus::default()
        },
        ..ClassNow::default()
    };
    for (limit, in_flight, overall, said) in [
        (Some(12), 12, 40, "Class jobs is kept to 12 in flight, by its own limit."),
        (None, 38, 38, "All classes together are kept to 38 in flight"),
        (None, 3, 3, "Class jobs is let in as places become free."),
    ] {
        let told = seen(|seen| {
            seen.classes = vec![class(limit, in_flight)];
            seen.status.in_flight = overall;
            seen.now.limit = Some(38);
        });
        assert_eq!(
            told.headline,
            "Waiting for their turn: 31 transactions of class jobs, the first for 1.3s."
        );
        assert!(told.doing[0].starts_with(said), "{:?}", told.doing);
    }
}

#[test]
fn refusals_name_the_class_that_has_most() {
    let class = |name: &str, refused| ClassNow {
        status: ClassStatus { name: name.into(), ..ClassStatus::default() },
        rates: Rates { refused, ..Rates::default() },
    };
    let told = seen(|seen| {
        seen.classes = vec![class("web", 2.0), class("jobs", 12.0)];
        seen.now.rates.refused = 14.0;
    });
    assert_eq!(told.headline, "14 statements a second are refused.");
    assert!(told.advice[0].text.contains("of class jobs"), "{:?}", told.advice);
}

#[test]
fn rows_and_tables_that_are_fought_for_are_told() {
    let told = seen(|seen| {
        seen.hot.rows = vec![HotKey {
            table: "account".into(),
            key: "1f2e".into(),
            is_gated: true,
            inside: 2,
            parked: 18,
            ..HotKey::default()
        }];
        let wanted = DdlTable {
            table: "shop.t".into(),
            backend: 4711,
            waited_ms: 3_250,
            ..DdlTable::default()
        };
        seen.hot.ddl = DdlStatus {
            mode: "enforce".into(),
            parked: 1,
            tables: vec![wanted],
            ..DdlStatus::default()
        };
    });
    assert_eq!(
        told.wrong,
        [
            "Backend 4711 has wanted the table shop.t for itself for 3.2s.",
            "Many want the row account#1f2e: 18 wait for it in the guard."
        ]
    );
    assert_eq!(told.doing[1], "2 at a time are let to account#1f2e, until they have committed.");
}

#[test]
fn a_sick_replica_and_a_missing_privilege_are_told() {
    let told = seen(|seen| {
        seen.status.replicas = vec![ReplicaStatus {
            name: "west".into(),
            state: "no_position".into(),
            trouble: Some("it does not answer".into()),
            ..ReplicaStatus::default()
        }];
        seen.locks.trouble = Some("the account lacks PROCESS".into());
    });
    assert_eq!(
        told.wrong,
        [
            "Replica west does not tell how far it is (it does not answer).",
            "The guard does not see all: the account lacks PROCESS."
        ]
    );
    assert_eq!(told.level, Level::Watch);
}

#[test]
fn a_mode_that_holds_nobody_up_is_said() {
    let told = seen(|seen| seen.status.mode = "observe".into());
    assert_eq!(told.doing, ["Limits are only counted: guard.mode is observe."]);
    assert_eq!(told.level, Level::Calm);
}

#[test]
fn hostile_names_can_neither_steer_a_terminal_nor_end_a_command() {
    let evil = "x; rm -rf \u{1b}[2J'";
    let told = seen(|seen| {
        pile_up(seen, holder("runs", client("web"), vec![holder("waits", client(evil), vec![])]));
        seen.locks.roots[0].user = "\u{1b}]0;owned\u{7}".into();
    });
    let all = format!("{:?}", told.wrong);
    assert!(!all.contains("\\u{1b}") && !all.contains("\\u{7}"), "{all}");
    assert_eq!(
        commands(&told),
        [r"tidegate switch off class 'x; rm -rf  [2J'\''' --for 10m --reason pile-up"]
    );
}
