use super::*;
use crate::control::{
    ClassNow, ClassStatus, DdlTable, HotKey, Incident, LockClient, LockHolder, LocksStatus,
    PinnedSession, Pins, ReplicaStatus, Sighting, SwitchStatus,
};

const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&\u{202e}\u{1b}[2J";

/// A guard in which everything that others name has a hostile name.
fn hostile() -> Snapshot {
    let evil = || EVIL.to_owned();
    let client = Some(LockClient { session: 1, address: evil(), class: evil() });
    let waiter = LockHolder {
        user: evil(),
        statement: evil(),
        waits_for: Some(evil()),
        client: client.clone(),
        ..LockHolder::default()
    };
    let holder =
        LockHolder { waiters: vec![waiter.clone()], activity: evil(), behind: 1, ..waiter };
    let mut seen = Snapshot {
        classes: vec![ClassNow {
            status: ClassStatus {
                name: evil(),
                mode: evil(),
                queued: 3,
                oldest_wait_ms: 500,
                ..ClassStatus::default()
            },
            ..ClassNow::default()
        }],
        locks: LocksStatus {
            blocked: 5,
            open: 6,
            oldest_wait_ms: 5_000,
            trouble: Some(evil()),
            roots: vec![holder.clone()],
            ..LocksStatus::default()
        },
        switches: vec![SwitchStatus {
            target: format!("user {EVIL}"),
            reason: evil(),
            author: evil(),
            ..SwitchStatus::default()
        }],
        pins: Pins {
            count: 1,
            longest: vec![PinnedSession {
                user: evil(),
                client: evil(),
                reasons: vec![evil()],
                statement: Some(evil()),
                ..PinnedSession::default()
            }],
        },
        incidents: vec![Incident {
            roots: vec![Sighting { on: evil(), holder, ..Sighting::default() }],
            ..Incident::default()
        }],
        ..Snapshot::default()
    };
    seen.status.version = evil();
    seen.status.mode = evil();
    seen.status.upstream.address = evil();
    seen.status.upstream.server = Some(evil());
    seen.status.replicas = vec![ReplicaStatus {
        name: evil(),
        address: evil(),
        state: evil(),
        trouble: Some(evil()),
        ..ReplicaStatus::default()
    }];
    seen.hot.rows = vec![HotKey {
        key: evil(),
        table: evil(),
        statement: evil(),
        is_gated: true,
        parked: 1,
        ..HotKey::default()
    }];
    seen.hot.ddl.tables =
        vec![DdlTable { table: evil(), statement: evil(), ..DdlTable::default() }];
    seen.told = glance::tell(&seen);
    seen
}

#[test]
fn hostile_names_are_text_and_nothing_else() {
    let seen = hostile();
    let calm = page(&Snapshot::default()).into_string();
    let page = page(&seen).into_string();
    assert!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count() > 30, "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    assert!(!page.contains("\"'>"), "a quote ends an attribute: {page}");
    // A target stands as it is only where the script reads it: the guard is to be sent the same.
    let shown: String = page
        .split("data-key=\"")
        .flat_map(|part| part.split("data-target=\""))
        .map(|part| part.split_once('"').map_or(part, |(_, rest)| rest))
        .collect();
    assert!(!shown.contains('\u{202e}') && !shown.contains('\u{1b}'), "{shown}");
    // As many scripts as without, and no handler of an event in any attribute.
    assert_eq!(page.matches("<script").count(), calm.matches("<script").count());
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains("onerror"), "<{tag}>");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_no_inline_code() {
    let page = page(&hostile()).into_string();
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap();
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains("style="), "the policy forbids it: <{tag}>");
        for attribute in ["src=\"", "href=\""] {
            let Some((_, value)) = tag.split_once(attribute) else { continue };
            let is_own = value.starts_with('/') && !value.starts_with("//");
            assert!(is_own || value.starts_with('#') || value.starts_with("data:,"), "<{tag}>");
        }
    }
    assert!(!page.contains("<style"));
    for script in page.split("<script").skip(1) {
        assert!(script.contains("src=\"/page/") && script.contains("></script>"), "{script}");
    }
}

#[test]
fn every_table_can_be_read_without_the_script() {
    let page = page(&hostile()).into_string();
    for name in ["locks", "classes", "switches", "hot", "ddl", "replicas", "incidents", "pins"] {
        assert!(page.contains(&format!("<section id=\"{name}\"")), "{name}");
    }
    assert_eq!(page.matches("<table>").count(), 8, "each has rows");
    assert!(page.contains("http-equiv=\"refresh\""));
    let calm = super::page(&Snapshot::default()).into_string();
    assert!(calm.contains("Nobody waits for a lock in the database."));
}

#[test]
fn a_class_can_be_turned_off_and_one_that_is_off_on_again() {
    let class = |name: &str| ClassNow {
        status: ClassStatus { name: name.into(), ..ClassStatus::default() },
        ..ClassNow::default()
    };
    let seen = Snapshot {
        classes: vec![class("web"), class("jobs")],
        switches: vec![SwitchStatus { target: "class jobs".into(), ..SwitchStatus::default() }],
        ..Snapshot::default()
    };
    let tables = tables(&seen).into_string();
    assert!(tables.contains("data-flip=\"off\" data-target=\"class web\""), "{tables}");
    assert_eq!(tables.matches("data-flip=\"on\" data-target=\"class jobs\"").count(), 2);
}
