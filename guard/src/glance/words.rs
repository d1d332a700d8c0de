//! The state in plain words: what is wrong, what the guard does about it, what one can do.
//!
//! Each topic looks at the snapshot and adds its sentences; the gravest topic stands first, and the first thing that
//! is wrong is the headline. What is said must be seen in the snapshot: nothing is guessed, and what only may help
//! is an advice, with the command where there is one.

use serde::{Deserialize, Serialize};

use super::figures::kept;
use super::{many, plain, quoted, rate, time, tree};
use crate::control::{
    ClassNow, Incident, LockHolder, ReplicaStatus, Snapshot, State, SwitchStatus,
};

/// The state in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Told {
    /// How bad it is.
    pub level: Level,
    /// One sentence for all.
    pub headline: String,
    /// What is wrong, the gravest first; the headline is the first of them.
    pub wrong: Vec<String>,
    /// What the guard does.
    pub doing: Vec<String>,
    /// What one can do.
    pub advice: Vec<Advice>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing is wrong.
    #[default]
    Calm,
    /// Worth a look: something waits, is refused, or is turned off.
    Watch,
    /// Users notice: a pile-up, or the guard is paused or leaves.
    Trouble,
    /// The database cannot be reached.
    Lost,
}

/// Something one can do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Advice {
    /// What, and why.
    pub text: String,
    /// The command that does it, if there is one.
    pub command: Option<String>,
}

impl Level {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Watch => "watch",
            Self::Trouble => "trouble",
            Self::Lost => "lost",
        }
    }
}

/// What is looked at, the gravest first.
const TOPICS: [fn(&Snapshot, &mut Told); 11] =
    [lost, draining, paused, pile_up, ddl, queues, refusals, hot_rows, replicas, blind, orders];

/// A wait for a lock is worth a sentence from here on, in milliseconds.
const WAIT_MS: u64 = 500;
/// And a wait for a turn: shorter ones come and go on a guard that does its work.
const TURN_MS: u64 = 100;

/// The state in plain words.
pub fn tell(seen: &Snapshot) -> Told {
    let mut told = Told::default();
    for topic in TOPICS {
        topic(seen, &mut told);
    }
    told.headline = match told.wrong.first() {
        Some(first) => first.clone(),
        None if told.level > Level::Calm => turned_down(seen),
        None => calm(seen),
    };
    told
}

impl Told {
    fn wrong(&mut self, level: Level, sentence: String) {
        self.level = self.level.max(level);
        self.wrong.push(sentence);
    }

    fn doing(&mut self, sentence: impl Into<String>) {
        self.doing.push(sentence.into());
    }

    fn advise(&mut self, text: impl Into<String>) {
        self.advice.push(Advice { text: text.into(), command: None });
    }

    fn command(&mut self, text: impl Into<String>, command: String) {
        self.advice.push(Advice { text: text.into(), command: Some(command) });
    }
}

fn calm(seen: &Snapshot) -> String {
    let limit = seen.now.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    format!(
        "All is well: {} statements a second, {}{limit} transactions in flight, nobody waits for long.",
        rate(seen.now.rates.statements),
        seen.status.in_flight,
    )
}

/// Nothing is wrong, but not all is as ever.
fn turned_down(seen: &Snapshot) -> String {
    let switches = match seen.switches.len() {
        1 => "a switch is set".to_owned(),
        some => format!("{some} switches are set"),
    };
    format!("Nothing is wrong; {switches}, so some traffic may be refused.")
}

fn lost(seen: &Snapshot, told: &mut Told) {
    if seen.status.state != State::UpstreamLost {
        return;
    }
    let address = plain(&seen.status.upstream.address, 80);
    told.wrong(Level::Lost, format!("The database at {address} cannot be reached."));
    told.doing(
        "It connects again and again, at a pace that a database that comes back can take. Who wants to begin waits \
         for no longer than the queue time of his class.",
    );
    told.advise(
        "Look whether the database runs, and whether the control account may log in; the guard's log says what \
         it was answered.",
    );
}

fn draining(seen: &Snapshot, told: &mut Told) {
    if seen.status.state != State::Draining {
        return;
    }
    let clients = many(seen.status.clients.connected.into(), "client");
    told.wrong(
        Level::Trouble,
        format!("The guard is shutting down; {clients} are still connected."),
    );
    told.doing(
        "It takes no new clients, and lets those that it has leave between two transactions.",
    );
}

fn paused(seen: &Snapshot, told: &mut Told) {
    let Some(left) = seen.pause.ends_in_ms else { return };
    let held = many(seen.pause.held.into(), "transaction");
    told.wrong(
        Level::Trouble,
        format!("The guard is paused for {} more; {held} held.", time(left)),
    );
    let running = match seen.pause.in_flight {
        0 => "none runs any more".to_owned(),
        some => format!("still running: {}", many(some.into(), "transaction")),
    };
    told.doing(format!("New transactions are held; {running}."));
    told.command("Let them go when the database is ready:", "tidegate resume".into());
}

fn pile_up(seen: &Snapshot, told: &mut Told) {
    let locks = &seen.locks;
    let ongoing = seen.incidents.first().filter(|one| one.lasted_ms.is_none());
    if ongoing.is_none() && (locks.blocked == 0 || locks.oldest_wait_ms < WAIT_MS) {
        return;
    }
    let level = if ongoing.is_some() { Level::Trouble } else { Level::Watch };
    let what = if ongoing.is_some() { "A pile-up: " } else { "" };
    told.wrong(
        level,
        format!(
            "{what}{} of {} {} for a lock, the longest for {}.",
            locks.blocked,
            many(locks.open as u64, "open transaction"),
            if locks.blocked == 1 { "waits" } else { "wait" },
            time(locks.oldest_wait_ms)
        ),
    );
    let root = locks.roots.first();
    told.wrong.extend(root.map(hold_up));
    match ongoing {
        Some(incident) => melting(incident, told),
        None => {
            told.doing("It watches: what waits still moves, or too few wait for it to step in.")
        }
    }
    if let Some(root) = root {
        end_root(root, told);
        turn_off_waiters(seen, root, told);
    }
}

/// Who holds how many up.
fn hold_up(root: &LockHolder) -> String {
    let does = match &*root.activity {
        "idle" => format!("has been idle for {} with its transaction open", time(root.for_ms)),
        "rolls back" => format!("has been rolling back for {}", time(root.for_ms)),
        other => format!("{} for {}", plain(other, 20), time(root.for_ms)),
    };
    let behind = root.behind;
    format!("Transaction {} ({}) holds {behind} up: it {does}.", root.backend, tree::whose(root))
}

fn melting(incident: &Incident, told: &mut Told) {
    let phase = incident.steps.last().map_or("", |step| &step.phase);
    if incident.mode == "observe" {
        told.doing("It only takes notes of what it would do: melt.mode is observe.");
        return;
    }
    told.doing(match phase {
        "freezing" => {
            "New transactions that write are held up at the gate, and who may be shed is refused."
        }
        "melting" => {
            "Who holds the others up is rolled back, one after the other; new writers are held up."
        }
        "waiting" => {
            "Writers come in by half of the limit: nobody may be ended who holds the others up."
        }
        "letting_in" => "Little waits any more: everybody is let in again, slowly.",
        _ => "It has noticed, and is about to step in.",
    });
    let gone = incident.acts.iter().filter(|act| act.is_ordered).count();
    if gone > 0 {
        told.doing(format!("To be rolled back so far: {}.", many(gone as u64, "transaction")));
    }
}

fn end_root(root: &LockHolder, told: &mut Told) {
    match (&*root.activity, &root.client) {
        ("rolls back", _) => {
            told.advise("Leave the rollback alone: to kill it again, or to fail over, makes it no shorter.");
        }
        ("idle", _) => told.advise(format!(
            "Have its owner ({}) commit or roll back; it holds its locks for as long as it is idle.",
            tree::whose(root)
        )),
        (_, None) => told.advise(format!(
            "Transaction {} did not come through this guard: only its owner, or an administrator of the database, \
             can end it.",
            root.backend
        )),
        _ => {}
    }
}

/// The class of most of those who wait behind `root` and came through this guard.
fn turn_off_waiters(seen: &Snapshot, root: &LockHolder, told: &mut Told) {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let mut below: Vec<&LockHolder> = root.waiters.iter().collect();
    while let Some(one) = below.pop() {
        below.extend(&one.waiters);
        let Some(client) = &one.client else { continue };
        match counts.iter_mut().find(|(class, _)| *class == client.class) {
            Some((_, count)) => *count += 1,
            None => counts.push((&client.class, 1)),
        }
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let Some((class, _)) = most.filter(|(class, _)| !is_off(seen, class)) else { return };
    told.command(
        format!("If that class can wait, turn {} off for a while:", plain(class, 40)),
        format!("tidegate switch off class {} --for 10m --reason pile-up", quoted(class)),
    );
}

fn is_off(seen: &Snapshot, class: &str) -> bool {
    let target = format!("class {class}");
    seen.switches.iter().any(|switch| switch.target == target)
}

fn ddl(seen: &Snapshot, told: &mut Told) {
    let ddl = &seen.hot.ddl;
    let Some(wanted) = ddl.tables.first() else { return };
    told.wrong(
        Level::Watch,
        format!(
            "Backend {} has wanted the table {} for itself for {}.",
            wanted.backend,
            plain(&wanted.table, 60),
            time(wanted.waited_ms)
        ),
    );
    told.doing(match &*ddl.mode {
        "enforce" => format!(
            "New transactions that name the table wait in the guard: {}.",
            many(ddl.parked.into(), "transaction")
        ),
        _ => "It only counts: ddl.mode is not enforce.".into(),
    });
    told.advise("Give the change a limit of its own (lock_timeout, lock_wait_timeout) and let it try again later.");
}

fn queues(seen: &Snapshot, told: &mut Told) {
    let waiting =
        |class: &&ClassNow| class.status.queued > 0 && class.status.oldest_wait_ms >= TURN_MS;
    let mut classes: Vec<&ClassNow> = seen.classes.iter().filter(waiting).collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.status.queued));
    for class in classes.iter().take(3).map(|class| &class.status) {
        told.wrong(
            Level::Watch,
            format!(
                "Waiting for their turn: {} of class {}, the first for {}.",
                many(class.queued.into(), "transaction"),
                plain(&class.name, 40),
                time(class.oldest_wait_ms)
            ),
        );
        if seen.pause.ends_in_ms.is_none() {
            told.doing(full(seen, class));
        }
    }
}

/// Which limit makes a class wait.
fn full(seen: &Snapshot, class: &crate::control::ClassStatus) -> String {
    let name = plain(&class.name, 40);
    match (class.limit, seen.now.limit) {
        (Some(own), _) if class.in_flight >= own => {
            format!("Class {name} is kept to {own} in flight, by its own limit.")
        }
        (_, Some(limit)) if seen.status.in_flight >= limit => {
            format!(
                "All classes together are kept to {limit} in flight; more would make the database slower."
            )
        }
        _ => format!("Class {name} is let in as places become free."),
    }
}

fn refusals(seen: &Snapshot, told: &mut Told) {
    let rates = &seen.now.rates;
    if rates.refused <= 0.0 {
        return;
    }
    told.wrong(Level::Watch, format!("{} statements a second are refused.", rate(rates.refused)));
    told.doing("Who is refused is told why, and when to come back.");
    let most = seen.classes.iter().max_by(|a, b| a.rates.refused.total_cmp(&b.rates.refused));
    if let Some(class) = most.filter(|class| class.rates.refused > 0.0) {
        told.advise(format!(
            "Most of them are of class {}: its table shows which limit is used up.",
            plain(&class.status.name, 40)
        ));
    }
}

fn hot_rows(seen: &Snapshot, told: &mut Told) {
    let gated = seen.hot.rows.iter().filter(|row| row.is_gated && row.parked > 0);
    for row in gated.take(2) {
        let name = format!("{}#{}", plain(&row.table, 40), plain(&row.key, 16));
        told.wrong(
            Level::Watch,
            format!("Many want the row {name}: {} wait for it in the guard.", row.parked),
        );
        told.doing(format!(
            "{} at a time are let to {name}, until they have committed.",
            row.inside
        ));
    }
}

fn replicas(seen: &Snapshot, told: &mut Told) {
    let sick = seen.status.replicas.iter().filter(|one| one.state != ReplicaStatus::FIT);
    for one in sick {
        let why = one.trouble.as_deref().map(|why| format!(" ({})", plain(why, 100)));
        told.wrong(
            Level::Watch,
            format!(
                "Replica {} {}{}.",
                plain(&one.name, 40),
                unfit(&one.state),
                why.unwrap_or_default()
            ),
        );
        told.doing(format!("Nothing is read from {} until it is fit.", plain(&one.name, 40)));
    }
}

fn unfit(state: &str) -> &str {
    match state {
        "unknown" => "has not been looked at yet",
        "silent" => "does not answer",
        "stopped" => "does not replicate",
        "no_position" => "does not tell how far it is",
        "behind" => "is too far behind",
        "slow" => "is much slower than it should be",
        _ => "is not fit",
    }
}

fn blind(seen: &Snapshot, told: &mut Told) {
    let trouble = seen.locks.trouble.as_ref().filter(|_| seen.status.state == State::Ready);
    let Some(trouble) = trouble else { return };
    told.wrong(Level::Watch, format!("The guard does not see all: {}.", plain(trouble, 160)));
    told.doing("Statements flow under the same limits; what it does not see it cannot undo.");
}

/// What operators have ordered.
fn orders(seen: &Snapshot, told: &mut Told) {
    for switch in seen.switches.iter().take(5) {
        told.level = told.level.max(Level::Watch);
        told.doing(ordered(switch));
        let (kind, name) = switch.target.split_once(' ').unwrap_or((&switch.target, ""));
        told.command(
            format!("Turn {} on again:", plain(&switch.target, 60)),
            format!("tidegate switch on {kind} {}", quoted(name)),
        );
    }
    match &*seen.status.mode {
        "off" => told.doing("Limits hold nobody up: guard.mode is off."),
        "observe" => told.doing("Limits are only counted: guard.mode is observe."),
        _ => {}
    }
}

fn ordered(switch: &SwitchStatus) -> String {
    let left = match switch.ends_in_ms {
        Some(left) => format!("for {} more", time(left)),
        None => "until somebody turns it on".into(),
    };
    let author = match &*switch.author {
        "" => String::new(),
        author => format!(", by {}", plain(author, 40)),
    };
    let reason = match &*switch.reason {
        "" => String::new(),
        reason => format!(": {}", plain(reason, 100)),
    };
    let state = kept(switch.keep_ratio);
    format!("Switch {}: {state} {left}{author}{reason}.", plain(&switch.target, 60))
}

#[cfg(test)]
mod tests;
