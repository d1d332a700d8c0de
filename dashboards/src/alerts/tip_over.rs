//! What must be known within seconds.

use crate::alert::{Alert, Group, Scene, Severity};

const BLOCKED: &str = r#"guard_database_blocked_share{job="shop",instance="a"}"#;
const WAIT: &str = r#"guard_database_oldest_lock_wait_seconds{job="shop",instance="a"}"#;
const WAITS: &str = r#"guard_database_transactions{job="shop",instance="a",activity="waits"}"#;
const PILED_UP: &str = r#"guard_melt_piled_up{job="shop",instance="a"}"#;
const LOST: &str = r#"guard_pressure_part{job="shop",instance="a",part="lost"}"#;
const BEHIND: &str = r#"guard_database_most_waiters{job="shop",instance="a"}"#;
const SILENT: &str = r#"guard_database_idle_root_blockers{job="shop",instance="a"}"#;

pub(super) fn alerts() -> Vec<Alert> {
    vec![tipping_over(), database_lost(), idle_blocker(), paused()]
}

fn tipping_over() -> Alert {
    Alert {
        name: "TidegateTippingOver",
        group: Group::TipOver,
        severity: Severity::Page,
        hold: "8s",
        keep: "10m",
        expr: "max by (job) (\n  \
               guard_melt_piled_up == 1\n  \
               or (\n    \
               guard_database_blocked_share > 0.5\n    \
               and guard_database_oldest_lock_wait_seconds > 2\n    \
               and on (job, instance) guard_database_transactions{activity=\"waits\"} >= 4\n  \
               )\n)"
            .into(),
        summary: "{{ $labels.job }} tips over: most of what is open waits for locks",
        meaning: "More than half of the open transactions wait for locks, at least four of them, one for more than two seconds, or the \
                  guard sees a pile-up; for eight seconds on end. With `[melt] mode = \"enforce\"` the guard undoes most of them \
                  sooner: this one it does not, or it is not allowed to. The alert stays for ten minutes after the end.",
        steps: &[
            "`tidegate locks` shows who holds the others up, with the client, its statement, and what a rollback would undo.",
            "`tidegate incidents` shows what the guard has done about it, and why it leaves somebody alone.",
            "If a batch or a feature brought it on, turn that off: `tidegate switch off class batch --for 15m --reason \"…\"`.",
            "If the holder is a client that is silent, end that client. Do not kill the many that wait: each is a rollback, and \
             the holder stays.",
            "Do not fail over before the load is off: the next primary tips over the same way.",
            "Where `melt.mode` is `observe` and it says that it would have ended the right one, set it to `enforce` and reload.",
        ],
        board: "tip-over",
        proof: vec![
            Scene::fires(
                "twelve wait behind one, ten seconds after the first has waited for two",
                "24s",
                &[(BLOCKED, "0x5 0.9x40"), (WAIT, "0x5 0 2+2x40"), (WAITS, "0x5 12x40")],
            ),
            Scene::quiet(
                "the same four seconds earlier",
                "18s",
                &[(BLOCKED, "0x5 0.9x40"), (WAIT, "0x5 0 2+2x40"), (WAITS, "0x5 12x40")],
            ),
            Scene::fires("a pile-up that melting does not end", "20s", &[(PILED_UP, "0x4 1x40")]),
            Scene::quiet(
                "a pile-up that melting ends in four seconds",
                "40s",
                &[(PILED_UP, "0x4 1x2 0x40")],
            ),
            Scene::fires(
                "it stays while other windows still see what it did",
                "5m",
                &[(PILED_UP, "0x4 1x10 0x400")],
            ),
            Scene::quiet("and is over after ten minutes", "11m", &[(PILED_UP, "0x4 1x10 0x400")]),
            Scene::quiet(
                "a row that many change in turn: much waits, nobody for long",
                "1m",
                &[(BLOCKED, "0.9x40"), (WAIT, "0.2x40"), (WAITS, "12x40")],
            ),
            Scene::quiet(
                "one waits for one",
                "1m",
                &[(BLOCKED, "0.6x40"), (WAIT, "2+2x40"), (WAITS, "1x40")],
            ),
        ],
    }
}

fn database_lost() -> Alert {
    Alert {
        name: "TidegateDatabaseLost",
        group: Group::TipOver,
        severity: Severity::Page,
        hold: "15s",
        keep: "5m",
        expr: "max by (job) (guard_pressure_part{part=\"lost\"}) == 1".into(),
        summary: "no guard connection to the database of {{ $labels.job }} works",
        meaning: "A guard has no working control connection: the database is down, does not answer, or refuses the guard's account.",
        steps: &[
            "Look whether the database runs, and answers on the address that `tidegate status` shows.",
            "The guard's log says why its attempts fail; so does the board: `unreachable`, `denied`, or `full`.",
            "If `full`: something else has taken all connections of the server. `control.address` may name its extra door, \
             which opens even then.",
            "If it is being restarted or replaced: `tidegate pause` beforehand gives clients a wait in place of errors.",
        ],
        board: "internals",
        proof: vec![
            Scene::fires("twenty seconds without the database", "34s", &[(LOST, "0x5 1x40")]),
            Scene::quiet("a restart of six seconds", "1m", &[(LOST, "0x5 1x3 0x40")]),
        ],
    }
}

fn idle_blocker() -> Alert {
    Alert {
        name: "TidegateIdleBlocker",
        group: Group::TipOver,
        severity: Severity::Ticket,
        hold: "10s",
        keep: "1m",
        expr: "max by (job) (guard_database_most_waiters) >= 3\n\
               and max by (job) (guard_database_idle_root_blockers) > 0"
            .into(),
        summary: "{{ $value }} transactions of {{ $labels.job }} wait behind one whose client is silent",
        meaning: "An application holds locks and asks nothing: it does something else inside of a transaction, or has forgotten it.",
        steps: &[
            "`tidegate locks` shows whose client it is, and its last statement.",
            "In the application: no calls to other services, and no sleeping, between BEGIN and COMMIT.",
            "A limit on `idle_in_transaction_time` of its class ends such transactions; `[melt]` ends those that others wait for.",
        ],
        board: "locks",
        proof: vec![
            Scene::fires(
                "five wait behind a silent one",
                "24s",
                &[(BEHIND, "0x4 5x40"), (SILENT, "0x4 1x40")],
            ),
            Scene::quiet(
                "five wait behind one that works",
                "1m",
                &[(BEHIND, "5x40"), (SILENT, "0x40")],
            ),
            Scene::quiet(
                "one waits behind a silent one",
                "1m",
                &[(BEHIND, "1x40"), (SILENT, "1x40")],
            ),
        ],
    }
}

fn paused() -> Alert {
    const PAUSED: &str = r#"guard_paused{job="shop",instance="a"}"#;
    Alert {
        name: "TidegatePaused",
        group: Group::TipOver,
        severity: Severity::Info,
        hold: "",
        keep: "1m",
        expr: "max by (job) (guard_paused) == 1".into(),
        summary: "{{ $labels.job }} is paused",
        meaning: "Somebody has paused a guard: new transactions wait. It keeps quiet what a pause sets off, for as long as it \
                  lasts and a minute more.",
        steps: &["`tidegate resume` ends it; it ends by itself at the end of its time."],
        board: "admission",
        proof: vec![
            Scene::fires("a pause", "10s", &[(PAUSED, "0x2 1x10")]),
            Scene::quiet("no pause", "10s", &[(PAUSED, "0x20")]),
        ],
    }
}
