//! A pile-up of waits for locks, told as it happened.

use std::fmt::Write as _;

use guard::control::{Act, Incident, Sighting, Step};

use crate::show::{moment, plain, time};

/// What happened, as lines from its begin.
pub(super) fn moments(incident: &Incident) -> Vec<(u64, String)> {
    // As it happened.
    let is_done = incident.mode == "enforce";
    let mut events: Vec<(u64, String)> =
        incident.steps.iter().map(|one| step(one, is_done)).collect();
    events.extend(incident.roots.iter().map(root));
    events.extend(incident.acts.iter().map(act));
    events.sort_by_key(|(at_ms, _)| *at_ms);
    events
}

/// The whole of it.
pub(super) fn show(incident: &Incident) -> String {
    let mut text = String::new();
    let state = match incident.lasted_ms {
        Some(ms) => format!("over after {}", time(ms)),
        None => "goes on".into(),
    };
    let _infallible = writeln!(
        text,
        "incident {} · {} · {state} · mode {}",
        incident.id,
        moment(incident.began_unix_ms),
        incident.mode,
    );
    let _infallible = writeln!(
        text,
        "   up to {} of {} open transactions waited for a lock, the longest for {}",
        incident.blocked,
        incident.open,
        time(incident.oldest_wait_ms),
    );
    for (at_ms, what) in moments(incident) {
        let _infallible = writeln!(text, "   +{:<6} {what}", time(at_ms));
    }
    if incident.left_out > 0 {
        let _infallible = writeln!(text, "   and {} more that are not listed", incident.left_out);
    }
    let ended = incident.acts.iter().filter(|act| act.is_ordered && act.gone_after_ms.is_some());
    let (count, rows) = ended.fold((0, 0), |sum, act| (sum.0 + 1, sum.1 + act.rows_modified));
    let _infallible = writeln!(
        text,
        "   cost   {} of waiting, all together; {count} rolled back, {rows} rows undone; \
         {} held up at the gate, {} refused",
        time(incident.waited_ms),
        incident.held,
        incident.shed,
    );
    text
}

/// What admission was told; where the mode is observe, what it would have been.
fn step(step: &Step, is_done: bool) -> (u64, String) {
    let would = if is_done { "" } else { "in mode enforce: " };
    let what = match &*step.phase {
        "freezing" => "new transactions that write are held up, who may be shed is refused",
        "melting" => "that has not helped: who holds the others up is to be rolled back",
        "waiting" => "nothing more can be done: writers use half of the limit",
        "letting_in" => "little waits: everybody again, from half of the limit on",
        "over" => "over: the limit rises to its whole",
        other => other,
    };
    (step.at_ms, format!("{would}{what} ({} of {} wait)", step.blocked, step.open))
}

fn root(seen: &Sighting) -> (u64, String) {
    let one = &seen.holder;
    let whose = match &one.client {
        Some(client) => format!("{} of {} in class {}", one.user, client.address, client.class),
        None => format!("{}, not through this guard", one.user),
    };
    let mut text = format!(
        "{} holds up {} on {}: {} for {}, open {}, {}",
        one.backend,
        one.behind,
        if seen.on.is_empty() { "what is not told".into() } else { plain(&seen.on, 80) },
        one.activity,
        time(one.for_ms),
        time(one.age_ms),
        plain(&whose, 80),
    );
    if let Some(why) = &seen.spared {
        let _infallible = write!(text, "; left alone: {}", plain(why, 80));
    }
    if !one.statement.is_empty() {
        let _infallible = write!(text, "\n           {}", plain(&one.statement, 100));
    }
    (seen.at_ms, text)
}

fn act(act: &Act) -> (u64, String) {
    let (backend, behind) = (act.backend, act.behind);
    let cause = act.cause.replace('_', " ");
    if !act.is_ordered {
        return (act.at_ms, format!("{backend} would be rolled back: {cause}, {behind} behind it"));
    }
    let mut text = format!("{backend} to be rolled back: {cause}, {behind} behind it");
    if let Some(answer) = &act.answer {
        let _infallible = write!(text, "; {}", plain(answer, 100));
    }
    match act.gone_after_ms {
        Some(ms) => _ = write!(text, "; gone {} later", time(ms)),
        None if act.has_stayed => text.push_str("; still there 2s later"),
        None => {}
    }
    (act.at_ms, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use guard::control::{LockClient, LockHolder};

    #[test]
    fn it_reads_like_a_post_mortem() {
        let client =
            LockClient { session: 1, address: "10.0.0.7:5123".into(), class: "checkout".into() };
        let holder = LockHolder {
            backend: 88,
            activity: "idle".into(),
            age_ms: 4200,
            for_ms: 4000,
            user: "web".into(),
            statement: "update account set n = n + ? where id = ?".into(),
            client: Some(client),
            behind: 12,
            ..LockHolder::default()
        };
        let batch = LockHolder { backend: 9, client: None, user: "batch".into(), ..holder.clone() };
        let incident = Incident {
            id: 3,
            began_unix_ms: 1_656_334_830_250,
            mode: "enforce".into(),
            lasted_ms: Some(2600),
            open: 14,
            blocked: 13,
            oldest_wait_ms: 2300,
            waited_ms: 31_000,
            roots: vec![
                Sighting {
                    at_ms: 400,
                    holder,
                    on: "row shop.account PRIMARY".into(),
                    spared: None,
                },
                Sighting {
                    at_ms: 1400,
                    holder: LockHolder { statement: String::new(), behind: 4, ..batch },
                    on: String::new(),
                    spared: Some("no client of this guard (melt.others = false)".into()),
                },
            ],
            acts: vec![Act {
                at_ms: 400,
                backend: 88,
                cause: "idle_blocker".into(),
                is_ordered: true,
                behind: 12,
                rows_modified: 3,
                answer: Some("rolled back".into()),
                gone_after_ms: Some(210),
                has_stayed: false,
            }],
            steps: [(0, "freezing", 12), (400, "melting", 13), (1600, "letting_in", 1)]
                .map(|(at_ms, phase, blocked)| Step {
                    at_ms,
                    phase: phase.into(),
                    blocked,
                    open: 14,
                })
                .into(),
            held: 31,
            shed: 4,
            left_out: 0,
        };
        assert_eq!(
            show(&incident),
            "incident 3 · 2022-06-27 13:00:30 UTC · over after 2.6s · mode enforce\n   \
                up to 13 of 14 open transactions waited for a lock, the longest for 2.3s\n   \
                +0ms    new transactions that write are held up, who may be shed is refused (12 of 14 wait)\n   \
                +400ms  that has not helped: who holds the others up is to be rolled back (13 of 14 wait)\n   \
                +400ms  88 holds up 12 on row shop.account PRIMARY: idle for 4.0s, open 4.2s, web of 10.0.0.7:5123 in class checkout\n           \
                        update account set n = n + ? where id = ?\n   \
                +400ms  88 to be rolled back: idle blocker, 12 behind it; rolled back; gone 210ms later\n   \
                +1.4s   9 holds up 4 on what is not told: idle for 4.0s, open 4.2s, batch, not through this guard; left alone: no client of this guard (melt.others = false)\n   \
                +1.6s   little waits: everybody again, from half of the limit on (1 of 14 wait)\n   \
                cost   31.0s of waiting, all together; 1 rolled back, 3 rows undone; 31 held up at the gate, 4 refused\n"
        );
    }
}
