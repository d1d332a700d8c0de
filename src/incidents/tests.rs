use guard::control::{
    Act, Counted, Doing, Event, EventKind, FORMAT, LockClient, LockHolder, LockLook,
    LockTransaction, Samples, Second, Sighting, Step, VERSION,
};

use super::*;

/// Twenty seconds before a pile-up and ten after it: one transaction holds up two.
pub(super) fn recording() -> Recording {
    let moments: Vec<i64> = (-200..=100).map(|tenth| tenth * 100).collect();
    let column = |calm, bad: u32| -> Vec<u32> {
        moments.iter().map(|at| if (-1000..2600).contains(at) { bad } else { calm }).collect()
    };
    let samples = Samples {
        in_flight: column(3, 14),
        queued: column(0, 31),
        limit: column(20, 20),
        finished: column(20, 1),
        shed: column(0, 2),
        pressure: moments.iter().map(|_| 0.5).collect(),
        oldest_wait_ms: column(0, 900),
        leased: column(3, 14),
        idle: column(10, 0),
        connecting: column(0, 0),
        reclaiming: column(0, 0),
        admitted: column(20, 1),
        overloaded: column(0, 0),
        at_ms: moments,
        classes: Vec::new(),
    };
    let texts = [
        "update account set n = n + ? where id = ?",
        "select <script> from t",
        "idle",
        "waits",
        "web",
        "10.0.0.7:5123",
        "checkout",
        "row shop.account PRIMARY #3fa2",
        "melt",
        "running",
    ];
    let seconds = (-20..=10).map(|second: i64| Second {
        at_ms: second * 1000,
        p99_us: if second == 1 { 900_000 } else { 2500 },
        doing: [Doing {
            statement: if second < 0 { 1 } else { 2 },
            class: 7,
            state: 10,
            sessions: 4,
        }]
        .into(),
        sheds: (1..4)
            .contains(&second)
            .then_some(Counted { what: 9, count: 20 })
            .into_iter()
            .collect(),
        ..Second::default()
    });
    let one = |backend, waits_for, behind, activity| LockTransaction {
        backend,
        waits_for,
        behind,
        activity,
        age_ms: 4200,
        for_ms: 4000,
        rows_modified: if behind == 2 { 3 } else { 0 },
        statement: 1,
        user: 5,
        on: if waits_for == 0 { 0 } else { 8 },
        client: 6,
        class: 7,
    };
    Recording {
        format: FORMAT.into(),
        version: VERSION,
        head: RecordingHead {
            id: "20220627-130030".into(),
            triggered_unix_ms: 1_656_334_830_250,
            cause: "pile_up".into(),
            from_ms: -20_000,
            to_ms: 10_000,
            is_over: true,
            guard: "0.1.0".into(),
            mode: "enforce".into(),
            server: Some("MariaDB 10.11.6".into()),
            address: "db:3306".into(),
            connections: 24,
            pile_ups: 1,
            ..RecordingHead::default()
        },
        samples,
        seconds: seconds.collect(),
        looks: vec![LockLook {
            at_ms: -500,
            open: 4,
            blocked: 2,
            oldest_wait_ms: 400,
            has_waits: true,
            transactions: [one(88, 0, 2, 3), one(9, 88, 0, 4), one(10, 88, 0, 4)].into(),
            ..LockLook::default()
        }],
        events: vec![Event {
            at_ms: 0,
            kind: EventKind::Trigger,
            what: "recorded: a pile-up of waits for locks begins".into(),
        }],
        incidents: vec![incident()],
        texts: (1..).zip(texts.map(str::to_owned)).collect(),
        left_out: [0; 4],
    }
}

fn incident() -> Incident {
    let client =
        LockClient { session: 1, address: "10.0.0.7:5123".into(), class: "checkout".into() };
    let holder = LockHolder {
        backend: 88,
        activity: "idle".into(),
        for_ms: 4400,
        age_ms: 4600,
        user: "web".into(),
        statement: "update account set n = n + ? where id = ?".into(),
        client: Some(client),
        behind: 2,
        ..LockHolder::default()
    };
    let step = |at_ms, phase: &str| Step { at_ms, phase: phase.into(), blocked: 2, open: 4 };
    Incident {
        id: 3,
        began_unix_ms: 1_656_334_830_250,
        mode: "enforce".into(),
        lasted_ms: Some(2600),
        open: 4,
        blocked: 2,
        oldest_wait_ms: 2300,
        waited_ms: 31_000,
        roots: vec![Sighting {
            at_ms: 400,
            holder,
            on: "row shop.account PRIMARY".into(),
            spared: None,
        }],
        acts: vec![Act {
            at_ms: 400,
            backend: 88,
            cause: "idle_blocker".into(),
            is_ordered: true,
            behind: 2,
            answer: Some("rolled back".into()),
            gone_after_ms: Some(210),
            ..Act::default()
        }],
        steps: vec![step(0, "freezing"), step(400, "melting"), step(1600, "letting_in")],
        held: 31,
        shed: 4,
        left_out: 0,
    }
}

#[test]
fn a_recording_is_told_as_it_happened() {
    let text = show::show(&recording());
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is missing:\n{text}"));
    assert!(text.starts_with(
        "recording 20220627-130030 · pile-up · 2022-06-27 13:00:30 UTC\n   \
         tidegate 0.1.0 before MariaDB 10.11.6 at db:3306 with 24 connections, mode enforce\n"
    ));
    let order = [
        "usually 200, least 10 transactions/s",
        "−1.0s  in flight rises to 14 transactions (usually 3)",
        "+0ms  recorded: a pile-up of waits for locks begins",
        "+0ms  new transactions that write are held up",
        "+0ms  60 refused within 3.0s: melt 60",
        "+400ms  88 to be rolled back: idle blocker, 2 behind it; rolled back; gone 210ms later",
        "+1.6s  little waits",
        "when most waited, at −500ms: 2 of 4 open transactions, the longest for 400ms",
        "88 held up 2: idle for 4.0s, open 4.2s, 3 rows to undo, web of 10.0.0.7:5123 in class checkout",
        "└─ 9 waits 4.0s for row shop.account PRIMARY #3fa2: update account",
    ];
    let places: Vec<_> = order.iter().map(|part| at(part)).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains('█') && text.contains("−20.0s") && text.contains("+10.0s"));
}

#[test]
fn recordings_are_listed_with_what_made_them() {
    let heads = vec![
        RecordingHead {
            note: "looks\u{1b} odd".into(),
            cause: "operator".into(),
            is_over: false,
            ..recording().head
        },
        recording().head,
    ];
    assert_eq!(
        list(&heads),
        "id               when                     why                 pile-ups  before  after  note\n\
         20220627-130030  2022-06-27 13:00:30 UTC  asked for, goes on         1   20.0s  10.0s  looks  odd\n\
         20220627-130030  2022-06-27 13:00:30 UTC  pile-up                    1   20.0s  10.0s\n"
    );
    assert!(list(&[]).starts_with("nothing was recorded"));
}
