//! `[overall]`, `[class.NAME]` and `[database.NAME]`: what PgBouncer bounds, and users with bounds
//! of their own.

use std::time::Duration;

use super::databases::{Group, pairs};
use super::draft::{Draft, duration, limit, text};
use super::ini::Setting;
use super::settings::{Settings, seconds, shown};
use super::{ImportError, advice};

/// The file may have so many classes (`default` among them) and databases.
const CLASSES_MAX: usize = 31;
const DATABASES_MAX: usize = 256;
/// The name of a class has no more characters.
const CLASS_NAME_MAX: usize = 32;
/// A queue is never longer.
const QUEUE_LENGTH_MAX: u32 = 100_000;

/// A user with bounds of its own, which become those of a class.
#[derive(Debug)]
pub(super) struct UserLimits {
    pub(super) name: String,
    pub(super) class: String,
    connections: Option<u32>,
    /// By the key of PgBouncer's.
    times: Vec<(&'static str, Duration)>,
}

/// The keys of time limits: PgBouncer's, and ours.
const TIMES: [(&str, &str); 3] = [
    ("query_timeout", "statement_time"),
    ("transaction_timeout", "transaction_time"),
    ("idle_transaction_timeout", "idle_in_transaction_time"),
];

/// The users of `[users]` that have bounds of their own.
pub(super) fn users(
    ini: &[Setting],
    settings: &mut Settings,
) -> Result<Vec<UserLimits>, ImportError> {
    let mut users: Vec<UserLimits> = Vec::new();
    for setting in ini.iter().filter(|setting| setting.section == "users") {
        let name = &setting.key;
        let pairs = pairs(&setting.value);
        let pairs = pairs.ok_or_else(|| setting.place.wrong("expected \"key=value key=value\""))?;
        let (mut connections, mut times) = (None, Vec::new());
        for (key, value) in &pairs {
            let wrong = |form| setting.place.wrong(format!("{key}={value}: expected {form}"));
            if let Some(advice) = advice::of_user(key) {
                settings.note(format!("[users] {name}: {}", shown(key, value)), advice);
            } else if let Some((key, _)) = TIMES.iter().find(|(known, _)| known == key) {
                times.push((*key, seconds(value).ok_or_else(|| wrong("seconds"))?));
            } else {
                let number: u32 = value.parse().map_err(|_| wrong("a whole number"))?;
                connections = Some(number).filter(|number| *number > 0);
            }
        }
        if connections.is_none() && times.is_empty() {
            continue;
        }
        if name.contains('*') || users.len() >= CLASSES_MAX {
            let why = "no class was made for it: there are too many, or its name has a \"*\"";
            settings.note(format!("[users] {name}"), why);
            continue;
        }
        let class = class_name(name, &users);
        users.push(UserLimits { name: name.clone(), class, connections, times });
    }
    Ok(users)
}

/// A name for the class of a user, different from all others.
fn class_name(user: &str, users: &[UserLimits]) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let plain = user.to_ascii_lowercase().replace(|c: char| !fits(c), "-");
    let mut class: String = format!("user-{plain}").chars().take(CLASS_NAME_MAX).collect();
    if users.iter().any(|other| other.class == class) {
        class = format!("user-{}", users.len() + 1);
    }
    class
}

/// Writes all bounds of a guard.
pub(super) fn write(
    draft: &mut Draft,
    settings: &mut Settings,
    group: &Group,
    users: &[UserLimits],
) -> Result<(), ImportError> {
    let queue = Queue::of(settings)?;
    draft.section("[overall]");
    queue.write(draft);

    draft.section("[class.default]");
    queue.write(draft);
    draft.comment(
        "These cancel, and the client's connection lives; PgBouncer's close the socket and leave \
         the statement running.",
    );
    times(draft, settings, &[])?;

    for user in users {
        draft.section(&format!("[class.{}]", user.class));
        if let Some(connections) = user.connections {
            draft.set("connections", connections, &of_user(user, "max_user_connections"));
        }
        queue.write(draft);
        times(draft, settings, &user.times)?;
    }
    for UserLimits { name, class, .. } in users {
        draft.section("[[rule]]");
        draft.set("name", text(&format!("user {name}")).as_str(), &format!("[users] {name}"));
        draft.set("user", text(name).as_str(), &format!("[users] {name}"));
        draft.set("class", text(class).as_str(), &format!("[users] {name}"));
    }
    databases(draft, settings, group, &queue);
    Ok(())
}

/// Who waits, and for how long.
struct Queue {
    length: (u32, String),
    time: (Duration, String),
}

impl Queue {
    fn of(settings: &mut Settings) -> Result<Self, ImportError> {
        let clients = settings.number("max_client_conn", 100)?;
        let time = settings.seconds("query_wait_timeout", 120)?;
        let (mut value, mut from) = (time.value, time.from);
        if value.is_zero() {
            settings.note(
                "[pgbouncer] query_wait_timeout = 0",
                "nobody waits for ever: an hour is written; choose what clients wait for",
            );
            value = Duration::from_secs(3600);
            from = "query_wait_timeout = 0: never".into();
        }
        let length = (clients.value.min(QUEUE_LENGTH_MAX), clients.from);
        Ok(Self { length, time: (value, from) })
    }

    fn write(&self, draft: &mut Draft) {
        draft.set("queue_length", self.length.0, &self.length.1);
        draft.set("queue_time", duration(self.time.0), &self.time.1);
    }
}

/// The time limits of a class; `own` ones are a user's.
fn times(
    draft: &mut Draft,
    settings: &mut Settings,
    own: &[(&'static str, Duration)],
) -> Result<(), ImportError> {
    for (theirs, ours) in TIMES {
        let general = settings.seconds(theirs, 0)?;
        match own.iter().rev().find(|(key, _)| *key == theirs) {
            Some((_, time)) => draft.set(ours, limit(*time), &format!("[users] {theirs}")),
            None => draft.set(ours, limit(general.value), &general.from),
        }
    }
    draft.set("lock_wait_time", limit(Duration::ZERO), "PgBouncer has none; try \"5s\"");
    Ok(())
}

/// The bounds of single databases.
fn databases(draft: &mut Draft, settings: &mut Settings, group: &Group, queue: &Queue) {
    let bounded = group.databases.iter().filter_map(|it| Some((it, it.own?)));
    for (number, (database, (connections, key))) in bounded.enumerate() {
        if database.name == "*" || number >= DATABASES_MAX {
            settings.note(
                format!("[databases] {}: {key}", database.name),
                "no bound of its own was written: name the database, or see upstream.connections",
            );
            continue;
        }
        let name = text(&database.real_name);
        draft.section(&format!("[database.{}]", name.as_str()));
        let from = format!("{key} of [databases] {}", database.name);
        draft.set("connections", connections, &from);
        queue.write(draft);
    }
}

fn of_user(user: &UserLimits, key: &str) -> String {
    format!("{key} of [users] {}", user.name)
}
